#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that is killed between a service's slots and the entry that shows them leaves slots of
# which no entry tells; the next one deletes these, and only these.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

command -v bpftool >/dev/null || skip "no bpftool"

lab_up - <<EOF
nodes: [node1]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: client, node: node1}
services:
  - {name: server, ports: {80: 9000, 81: 9000}, selector: {app: server}}
EOF
slots=$(pins node1)/weft_slots

works() {
	peer client who server 80 && peer client who server 81
}

slots_now() {
	bpftool -j map dump pinned "$slots" | jq -c '[.[].formatted | {key, value}] | sort'
}

orphan() { # SERVICE N: with an address that nobody has
	local key
	key=$(printf '%02x %02x %02x %02x ' $(($1 & 255)) $(($1 >> 8)) 0 0 \
		$(($2 & 255)) 0 0 $(($2 >> 24)))
	# shellcheck disable=SC2086
	expect_ok bpftool map update pinned "$slots" key hex $key \
		value hex 00 00 00 00 00 00 00 00 00 00 ff ff 0a f4 09 09 28 23 00 00
}

wait_for 10 works
before=$(slots_now)
service=$(jq '[.[].key.service] | min' <<<"$before")
expect_ok lab kill node1
orphan 999 0                     # of a service that was about to come
orphan 999 $((0x80000000))       # the other family
orphan "$service" 200            # behind those that its entry shows
expect_eq "$(($(slots_now | jq length) - $(jq length <<<"$before")))" 3 "slots left unfinished"
expect_ok lab start node1
wait_for 10 works
expect_eq "$(slots_now)" "$before" "slots after the restart"
grep -q "3 slots of services that the last daemon had not finished" "$LAB_DIR/node1/weftd.log" ||
	fail "no word about them"
