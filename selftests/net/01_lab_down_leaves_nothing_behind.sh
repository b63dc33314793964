#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A lab goes without a trace, with its record and without.
. "$(dirname "$0")/lib.sh"

[[ -x $WEFTD ]] || LAB_OPTIONS=(--no-weftd)

traces() {
	ip netns list | awk -v p="$LAB-" 'index($1, p) == 1 { print "netns", $1 }'
	awk -v p="/netns/$LAB-" 'index($2, p) { print "mount", $2 }' /proc/self/mounts
	find "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)" -maxdepth 1 \
		-name "$LAB-lab"
	find "/run/$LAB" "/sys/fs/bpf/$LAB" 2>/dev/null
	true
}

expect_eq "$("$WEFT" lab default)" "$(cat "$ROOT/tools/lab/default.yaml")" "embedded default lab"
lab_down
before=$(traces)

lab_up "$ROOT/tools/lab/default.yaml"
expect_ok lab status
[[ $(traces) != "$before" ]] || fail "a lab that stands leaves no traces: the check is blind"
expect_fail lab up "${LAB_OPTIONS[@]}"
lab_down
expect_eq "$(traces)" "$before" "after down"

lab_up "$ROOT/tools/lab/default.yaml"
rm "$LAB_DIR/state.json"
lab_down
expect_eq "$(traces)" "$before" "after down without state file"
expect_ok lab down
