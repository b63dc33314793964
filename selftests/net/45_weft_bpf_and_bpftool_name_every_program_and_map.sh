#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who looks at the kernel with weft or with plain bpftool finds readable names, where programs
# are attached, and how often they ran.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

command -v bpftool >/dev/null || skip "no bpftool"

PROGRAMS="weft_connect4 weft_connect6 weft_getpeer4 weft_getpeer6 weft_guard weft_sklookup \
weft_sockops weft_sendmsg4 weft_sendmsg6 weft_recvmsg4 weft_recvmsg6"

telemetry_up

# -- run counts begin with the first look
weft_json node1 bpf >/dev/null || fail "weft bpf"
churn client near 80 2
churn client far 80 2
churn outsider "$(ip_of near)" 9000 1
out=$(weft_json node1 bpf)
for program in weft_connect4 weft_guard weft_sklookup weft_sockops; do
	jq -e --arg name $program '.programs[] | select(.name == $name)
		| .run_count > 0 and .run_time_ns > 0 and .insns > 0' <<<"$out" >/dev/null ||
		fail "$program did not run: $out"
done
for program in $PROGRAMS; do
	jq -e --arg name "$program" '.programs[] | select(.name == $name)
		| .attached | length > 0' <<<"$out" >/dev/null || fail "$program is attached nowhere"
done
places() {
	jq -c --arg name "$1" '.programs[] | select(.name == $name) | .attached' <<<"$out"
}
expect_eq "$(places weft_connect4)" '["cgroup"]'
expect_eq "$(places weft_guard)" '["p1","p2","p3"]'
expect_eq "$(places weft_sklookup | jq -c sort)" \
	'["pod default/client","pod default/intruder","pod default/near"]'
jq -e 'all(.maps[]; .memory_bytes > 0 or .entries == 0) and any(.maps[]; .name == "weft_pods" and .entries == 3)' \
	<<<"$out" >/dev/null || fail "maps: $out"
expect_eq "$(jq -r .pin_dir <<<"$out")" "/sys/fs/bpf/$LAB/node1/v$(jq .abi <<<"$out")"
"$WEFT" --socket "$(socket node1)" bpf | grep -Eq '^weft_guard .* [0-9]+ ns +p1,p2,p3$' ||
	fail "the table has no runs: $("$WEFT" --socket "$(socket node1)" bpf)"

# -- the same by bpftool, which knows nothing of weftd
bpftool -j prog show >"$tmp/prog"
bpftool -j map show >"$tmp/map"
bpftool -j link show >"$tmp/link"
while read -r id name; do
	expect_eq "$(jq -r --argjson id "$id" '.[] | select(.id == $id) | .name' "$tmp/prog")" "$name"
done < <(jq -r '.programs[] | "\(.id) \(.name)"' <<<"$out")
while read -r id name; do
	expect_eq "$(jq -r --argjson id "$id" '.[] | select(.id == $id) | .name' "$tmp/map")" "$name"
done < <(jq -r '.maps[] | select(.name | startswith("weft_")) | "\(.id) \(.name)"' <<<"$out")
for program in $PROGRAMS; do
	id=$(jq -r --arg name "$program" '.programs[] | select(.name == $name) | .id' <<<"$out")
	jq -e --argjson id "$id" 'any(.[]; .prog_id == $id)' "$tmp/link" >/dev/null ||
		fail "bpftool link show has no link of $program"
done
# the names of the pins are those of the maps, and of what the links do
dir=$(jq -r .pin_dir <<<"$out")
for name in weft_pods weft_verdicts weft_totals link_weft_connect4 link_weft_sockops; do
	[[ -e $dir/$name ]] || fail "nothing is pinned as $name in $dir: $(ls "$dir")"
done
expect_ok bpftool map dump pinned "$dir/weft_verdicts"
