#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 twenty times while traffic flows: weftd comes back each time, and what is in the
# kernel does not grow: links, pins, entries of tables.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

TRIES=${TRIES:-20}
command -v bpftool >/dev/null || skip "no bpftool"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: near, node: node1}
  - {name: far, node: node2, labels: {app: far}, command: exec $PEER serve 9000}
  - {name: client, node: node2}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
  - {name: far, ports: {80: 9000}, selector: {app: far}}
EOF

traffic() { # POD HOST...: one connection after the other, until it is killed
	local pod=$1 host
	shift
	while :; do
		for host in "$@"; do
			peer "$pod" -t 2 who "$host" 80
		done
	done >/dev/null 2>&1
}

# ids of the links on this node's control group and in its pods
links() {
	local pod inodes=() cgroup
	for pod in server near; do
		inodes+=("$(stat -L -c %i "/var/run/netns/$LAB-default-$pod")")
	done
	cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$LAB-lab/node1
	bpftool -j link show | jq -c --argjson inodes "[${inodes[0]}, ${inodes[1]}]" \
		--argjson cgroup "$(stat -c %i "$cgroup")" \
		'[.[] | select(.cgroup_id == $cgroup or (.netns_ino as $n | $inodes | index($n))) | .id]
		| sort'
}

# tables that say what is there, not what happens; with pins and guards
tables() {
	local map
	find "$(pins node1)" -mindepth 1 | sort
	for map in weft_pods weft_veths weft_addrs weft_services weft_slots weft_listen; do
		echo "$map $(weft_json node1 bpf | jq --arg map $map \
			'.maps[] | select(.name == $map) | .entries')"
	done
}

works() {
	peer client who server 80 && peer near who server 80 && peer near who far 80
}

wait_for 5 works
first_links=$(links)
first_tables=$(tables)
expect_eq "$(jq length <<<"$first_links")" 11 "links of 9 hooks and 2 pods"
traffic near server far &
background+=($!)
traffic client server &
background+=($!)
for ((i = 1; i <= TRIES; i++)); do
	before=$(pid_of node1)
	expect_ok lab kill node1
	expect_ok lab start node1
	[[ $(pid_of node1) != "$before" ]] || fail "the same daemon"
	wait_for 10 works
	expect_eq "$(links)" "$first_links" "ids of the links after kill $i"
	expect_eq "$(tables)" "$first_tables" "pins and tables after kill $i"
done

# without traffic, nothing stays of connections either
kill "${background[@]}"
nothing_open() {
	map_is_empty node1 weft_approved && map_is_empty node1 weft_origdst
}
wait_for 20 nothing_open
