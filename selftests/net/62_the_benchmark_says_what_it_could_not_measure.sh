#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A run with a mode that does not start and one that is no server: the others have their numbers, the
# report and the exit code say what is missing and why, and nothing stays behind.
. "$(dirname "$0")/lib.sh"

command -v nginx >/dev/null || skip "no nginx"
[[ -x $BUILD/weft-bench-load ]] || skip "the programs of the benchmark are not built"

dir=$(mktemp -d)
trap 'rm -rf "$dir"; lib_end' EXIT

cat >"$dir/absent.sh" <<'EOF'
title="a <mode> that does not start"
places="cross"
up() { die "there is no such proxy"; }
target() { :; }
EOF
cat >"$dir/deaf.sh" <<'EOF'
title="nobody listens"
places="cross"
up() { lab_need plain; }
target() { aim plain plain-client "$(pod_ip plain plain-far)" 50 "" plain-far; }
EOF

bench=${LAB:0:6}b
# Only words for the reader are taken from the run; figures are not judged by a test.
O=$BUILD LAB=$bench BENCH_NO_BUILD=1 "$WEFT" bench --modes "plain,hbone,$dir/absent.sh,$dir/deaf.sh" \
	--figures rtt-1,req-1000 --reps 2 --seconds 0.2 --out "$dir/out" >"$dir/text" 2>"$dir/progress"
expect_eq "$?" 1 "exit code of a run with failures"

text=$(<"$dir/text")
for want in "MISSING" "rtt-1 absent, between nodes: cannot start: there is no such proxy (2 measurements)" \
	"req-1000 deaf, between nodes:" "Connection refused"; do
	[[ $text == *"$want"* ]] || fail "the report does not say: $want"
done
grep -q "left, repetition 2: req-1000 hbone-cross" "$dir/progress" || fail "no progress with the time that is left"

for mode in plain hbone; do
	expect_eq "$(jq --arg mode $mode '[.series[] | select(.test == "rtt-1" and .value == "p50_us"
		and .mode == $mode and .place == "cross") | .n] | add' "$dir/out/results.json")" 2 \
		"measurements of $mode"
done
expect_eq "$(jq '[.missing[] | select(.mode == "absent")] | length' "$dir/out/results.json")" 2 "figures missing"
grep -q "Not everything that was asked for is here" "$dir/out/report.html" || fail "the page does not say it"
grep -q "there is no such proxy" "$dir/out/report.html" || fail "the page does not say why"
! grep -q "<mode>" "$dir/out/report.html" || fail "markup of a title is in the page"

for name in "$bench" "${bench}p"; do
	[[ ! -e /run/$name ]] && ! ip netns list | grep -q "^$name-" || fail "the lab $name is still there"
done
[[ ! -e /run/$bench-bench ]] || fail "files of the benchmark are still there"
