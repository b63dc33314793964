#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bulk data with a checksum, on every path, over IPv4, IPv6 and IPv6 sockets that dial an IPv4
# address, with small and jumbo frames. A tunnel must not need more room than the wire has.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

BYTES=${BYTES:-8000000}

lab_file() {
	cat <<-EOF
	nodes: [node1, node2]
	mtu: $1
	pods:
	  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
	  - {name: near, node: node1}
	  - {name: client, node: node2}
	  - {name: outside, node: node2, enrol: false, command: exec $PEER serve 9000}
	services:
	  - {name: server, ports: {80: 9000}, selector: {app: server}}
	EOF
}

bulk() { # POD KIND HOST PORT
	local what out
	for what in up down both; do
		# shellcheck disable=SC2086 # none or one word
		out=$(peer "$1" $2 $what "$BYTES" "$3" "$4")
		expect_eq "$out" "$what $BYTES" "mtu $mtu, $1 ${2:-'-4'} to $3: $what"
	done
}

# The path of a new connection, so that a proof of HBONE is one.
path_is() { # EXPECTED NODE POD KIND HOST PORT
	local expected=$1 node=$2 before
	shift 2
	before=$(metric "$node" "weft_connections_total{path=\"$expected\"}")
	# shellcheck disable=SC2086 # none or one word
	expect_ok peer "$1" $2 who "$3" "$4"
	wait_for 5 counted_more "$expected" "$node" "$before"
}

counted_more() {
	[[ $(metric "$2" "weft_connections_total{path=\"$1\"}") -gt $3 ]]
}

for mtu in 1400 9000; do
	lab_up - < <(lab_file $mtu)
	expect_eq "$(pod client ip -j link show eth0 | jq '.[].mtu')" $mtu "mtu of a pod"
	wait_for 5 peer client who server 80
	for kind in "" -6 -m; do
		path_is hbone node2 client "$kind" server 80
		bulk client "$kind" server 80
		path_is direct node1 near "$kind" server 80
		bulk near "$kind" server 80
		bulk outside "$kind" "$(ip_of server "$([[ $kind == -6 ]] && echo 6 || echo 4)")" 9000
	done
	bulk client -6 "$(ip_of server 6)" 9000
	lab_down
done
