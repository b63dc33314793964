#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `weft maps check` names each entry of the kernel's tables that somebody changed, removed or added, and what
# it should be; the next daemon writes them as they should be.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

command -v bpftool >/dev/null || skip "no bpftool"

lab_up - <<END
nodes: [node1]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: client, node: node1}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
END
pin=$(pins node1)

works() {
	peer client who server 80
}

check() { # EXPRESSION OF JQ
	weft_json node1 maps check | jq -c "$1"
}

# bytes MAP POSITION key|value: of the entry there, for bpftool
bytes() {
	bpftool -j map dump pinned "$pin/$1" | jq -r ".[$2].$3 | map(ltrimstr(\"0x\")) | join(\" \")"
}

# shellcheck disable=SC2046
change() { # MAP POSITION VALUE
	expect_ok bpftool map update pinned "$pin/$1" key hex $(bytes "$1" "$2" key) value hex $3
}

# shellcheck disable=SC2046
remove() { # MAP POSITION
	expect_ok bpftool map delete pinned "$pin/$1" key hex $(bytes "$1" "$2" key)
}

wait_for 10 works
expect_eq "$(check '[.differences, .rows, .entries > 5]')" '[0,[],true]'
expect_ok "$WEFT" --socket "$LAB_DIR/node1/weftd.sock" maps check

# ---- an address that is somebody else's, one that is gone, one too many
change weft_addrs 0 "07 00 00 00 02 00 00 00"
expect_eq "$(check '[.differences, .rows[0].table, .rows[0].kernel]')" '[1,"weft_addrs","workload 7, flags 0x2"]'
remove weft_addrs 0
expect_eq "$(check '[.rows[] | [.table, .kernel, .wanted != ""]]')" '[["weft_addrs","",true]]'
expect_ok bpftool map update pinned "$pin/weft_addrs" \
	key hex 00 00 00 00 00 00 00 00 00 00 ff ff 0a 09 09 09 value hex 01 00 00 00 00 00 00 00
expect_eq "$(check '[.rows[] | select(.key == "10.9.9.9") | [.kernel, .wanted]]')" '[["workload 1, flags 0x0",""]]'

# ---- the other tables
remove weft_slots 0
remove weft_services 0
remove weft_pods 0
# shellcheck disable=SC2046
expect_ok bpftool map update pinned "$pin/weft_verdicts" key hex $(bytes weft_verdicts 0 key) \
	value hex $(bytes weft_verdicts 0 value | sed 's/01 00 00 00$/02 00 00 00/')
expect_eq "$(check '[.rows[].table] | unique')" \
	'["weft_addrs","weft_pods","weft_services","weft_slots","weft_verdicts"]'
expect_eq "$(check '.rows[] | select(.table == "weft_verdicts") | [.kernel, .wanted]')" '["deny","allow"]'
"$WEFT" --socket "$LAB_DIR/node1/weftd.sock" maps check >"$peers_tmp/text"
expect_eq "$?" 1 "exit code"
grep -Eq '^weft_addrs +10\.9\.9\.9 +workload 1, flags 0x0 +\(nothing\)' "$peers_tmp/text" || fail "$(cat "$peers_tmp/text")"

# ---- the next daemon puts it right
expect_ok lab kill node1
expect_ok lab start node1
wait_for 10 works
expect_eq "$(check .differences)" 0
