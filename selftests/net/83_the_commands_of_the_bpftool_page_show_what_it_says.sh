#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each command of docs/bpftool.md works as it is written there, on a node with traffic, and its
# output has the words behind "# ->"; also while weftd is dead.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

command -v bpftool >/dev/null || skip "no bpftool"
page=$ROOT/docs/bpftool.md

telemetry_up
churn client near 80 2
churn client far 80 2
PINS=$(weft_json node1 bpf | jq -r .pin_dir)
export PINS

run_page() { # WHEN
	local line command words word out n=0
	while IFS= read -r line; do
		command=${line%%  # -> *}
		words=
		[[ $line != *'  # -> '* ]] || words=${line##*  # -> }
		[[ $command != PINS=* ]] || continue
		n=$((n + 1))
		out=$(lab exec @node1 -- bash -c "$command" 2>&1) || fail "$1: $command: $out"
		for word in $words; do
			[[ $out == *"$word"* ]] || fail "$1: no $word in what $command says: $out"
		done
	done < <(sed -n 's/^    //p' "$page")
	((n > 25)) || fail "only $n commands in $page"
}
run_page "with weftd"

# the place of the pins, with this lab's name instead of weft
# shellcheck disable=SC2016 # as it stands on the page
grep -qF 'PINS=$(echo /sys/fs/bpf/weft/*/v*)' "$page" || fail "the page says another folder"
[[ $PINS == /sys/fs/bpf/*/*/v* ]] || fail "pins are in $PINS"

# every map and every kind of pin is on the page
for pin in "$PINS"/*; do
	name=${pin##*/}
	[[ $name == link_guard_* || $name == link_sklookup_* || $name == link_uplink_* ]] ||
		[[ $name == link_weft_* ]] || grep -qF "$name" "$page" || fail "$name is not on the page"
done

lab kill node1 >/dev/null || fail "kill"
run_page "without weftd"
