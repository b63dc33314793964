#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# How much of what they are there for (selftests/fuzz/covers) the fuzzers reach, as a table, first by
# their seeds alone, then after FUZZ_SECONDS with what earlier runs of `make fuzz` found. Built by
# `make fuzz-coverage`. Lines that were never reached are in $O/fuzz-cover/<fuzzer>.missed.
#
# Environment: O, B (folder of the build for coverage), FUZZ_SECONDS, CLANG, ONLY (text in the name)

set -eu -o pipefail
cd "$(dirname "$0")/../.."

O=${O:-build}
B=${B:-$O/fuzz-cover}
CLANG=${CLANG:-clang-19}
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
suffix=${CLANG#clang}
out=$(realpath -m "$B/out")
mkdir -p "$out"

# runs NAME WHAT OPTION...: leaves $out/NAME.WHAT.profdata and .log
runs()
{
	local name=$1 what=$2
	shift 2
	LLVM_PROFILE_FILE=$out/$name.%p.profraw timeout -k 5 $((FUZZ_SECONDS + 120)) \
		"$B/fuzz/fuzz_$name" -timeout=10 -rss_limit_mb=2048 -max_len=16384 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix="$out/$name-" "$@" >"$out/$name.$what.log" 2>&1 ||
		{ tail -n 30 "$out/$name.$what.log" >&2; return 1; }
	"llvm-profdata$suffix" merge -sparse "$out/$name".*.profraw -o "$out/$name.$what.profdata"
	rm -f "$out/$name".*.profraw
}

# counts NAME WHAT FILE...: "lines reached", "lines" and "regions reached", "regions" of these files
counts()
{
	local name=$1 what=$2
	shift 2
	"llvm-cov$suffix" export -summary-only -instr-profile "$out/$name.$what.profdata" \
		"$B/fuzz/fuzz_$name" "$@" 2>/dev/null |
		jq -r '.data[0].totals | "\(.lines.covered) \(.lines.count) \(.regions.covered) \(.regions.count)"'
}

# missed NAME FILE...: lines that have code and were never run
missed()
{
	local name=$1
	shift
	"llvm-cov$suffix" show -instr-profile "$out/$name.grown.profdata" "$B/fuzz/fuzz_$name" "$@" |
		awk -F '|' '/^[^ ].*:$/ { file = $0 } $2 ~ /^ *0$/ { print file $1 ": " substr($0, index($0, $3)) }' \
		>"$out/$name.missed"
}

echo '| fuzzer | executions | lines: seeds | lines: after it | regions: after it | of |'
echo '|---|---|---|---|---|---|'
while read -r name files; do
	[[ $name != '#'* && $name == *"${ONLY:-}"* ]] || continue
	[ -x "$B/fuzz/fuzz_$name" ] || { echo "fuzz_$name is not built" >&2; exit 1; }
	paths=()
	for f in $files; do
		paths+=("user/$f")
	done
	seeds=selftests/fuzz/corpus/$name
	dict=()
	[ ! -f "selftests/fuzz/$name.dict" ] || dict=("-dict=selftests/fuzz/$name.dict")
	mkdir -p "$out/$name.corpus" "$O/test/fuzz/$name/corpus"
	runs "$name" seeds -runs=0 "$seeds"
	runs "$name" grown -max_total_time="$FUZZ_SECONDS" "${dict[@]}" "$out/$name.corpus" \
		"$O/test/fuzz/$name/corpus" "$seeds"
	missed "$name" "${paths[@]}"
	read -r few _ < <(counts "$name" seeds "${paths[@]}")
	read -r lines all regions all_regions < <(counts "$name" grown "${paths[@]}")
	times=$(awk '/stat::number_of_executed_units/ { print $2 }' "$out/$name.grown.log")
	echo "| \`$name\` | $times | $((few * 100 / all)) % | $((lines * 100 / all)) % of $all |" \
		"$((regions * 100 / all_regions)) % | ${files//.c/} |"
done < selftests/fuzz/covers
