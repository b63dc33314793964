#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of every weftd: what the kernel does alone goes on, what needs a tunnel is refused at
# once and never goes out in plain text; after a start all is as before, without touching a pod.
#
#   node1: near, server, outside (not enrolled)    node2: client
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: near, node: node1}
  - {name: outside, node: node1, enrol: false, command: exec $PEER serve 9000}
  - {name: client, node: node2}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
EOF

ip=$(ip_of server)
outside=$(ip_of outside)

# Ids of pinned links and what they hang on: a restart that attached anew would change them.
links() {
	local node path
	for node in node1 node2; do
		for path in "$(pins $node)"/link_*; do
			bpftool -j link show pinned "$path" |
				jq -r --arg name "$node/${path##*/}" '"\($name) \(.id)"'
		done
	done
}

# SYNs of node2's pods that leave the node for a port other than that of HBONE
syns_start() {
	"$WEFT" lab --name "$LAB" exec @node2 -- tcpdump -i eth0 -nlU --immediate-mode \
		"tcp[tcpflags] & tcp-syn != 0 and dst host $ip and not dst port 15008" \
		>"$peers_tmp/syns" 2>"$peers_tmp/tcpdump" &
	background+=($!)
	disown
	wait_for 10 grep -q 'listening on' "$peers_tmp/tcpdump"
}

wait_for 5 peer client who "$ip" 9000
wait_for 5 peer near who "$ip" 9000
wait_for 5 peer near who "$outside" 9000
hold direct near "$ip" 9000
hold pass near "$outside" 9000
hold hbone client "$ip" 9000
before=$(links)
pods=$(weft_json node1 pods | jq -c '[.pods[] | [.name, .cookie]] | sort')
syns_start

for node in node1 node2; do
	expect_ok lab kill $node
done

# open connections
hold_ok direct
hold_ok pass
[[ $(hold_error hbone) =~ ^(ECONNRESET|EOF|EPIPE)$ ]] || fail "a connection without its relay"

# new ones
for host in "$ip" "$outside"; do
	line=$(peer near who "$host" 9000) || fail "same node or outside, without weftd: $line"
	expect_eq "$(field seen "$line")" "$(field own "$line")" "client's address without weftd"
done
out=$(peer near both 20000000 server 80) || fail "direct by VIP without weftd: $out"
for target in "$ip 9000" "server 80"; do
	# shellcheck disable=SC2086 # words
	expect_eq "$(peer client -t 5 who $target)" ECONNREFUSED "$target from the other node"
done
# whoever is not enrolled reaches the pod's plaintext listener, and that is gone
expect_eq "$(peer outside -t 5 who "$ip" 9000)" ECONNREFUSED "plaintext to the pod"
expect_eq "$(links)" "$before" "pinned links after kill -9"

# back
for node in node1 node2; do
	expect_ok lab start $node
done
expect_eq "$(links)" "$before" "pinned links after the start"
expect_eq "$(weft_json node1 pods | jq -c '[.pods[] | [.name, .cookie]] | sort')" "$pods" \
	"pods after the start"
hold_ok direct
hold_ok pass
wait_for 5 peer client who "$ip" 9000
expect_eq "$(peer client both 5000000 server 80)" "both 5000000" "tunnel after the start"
expect_ok peer outside who "$ip" 9000
count=$(event node1 connect_direct)
expect_ok peer near who "$ip" 9000
expect_eq $(($(event node1 connect_direct) - count)) 1 "direct connections after the start"
hold again client "$ip" 9000
hold_ok again
expect_eq "$(paths node2)" hbone "path after the start"
for name in direct pass again hbone; do
	hold_end $name
done
for node in node1 node2; do
	wait_for 5 map_is_empty $node weft_approved
	wait_for 5 map_is_empty $node weft_origdst
done

# Who answers is what the pod itself has on port 15001.
stays_in_the_pod() {
	local line
	line=$(peer client -t 5 who "$ip" 9000)
	expect_eq "$(field at "$line")" "$(ip_of client):15001" "a connection of a closed pod"
}

# a pod that cannot be enrolled again, because it took a port of weftd meanwhile, stays closed
# until it can; it cannot leave the mesh that way
expect_ok lab kill node2
serve_in client 15001
wait_for 5 pod client sh -c 'ss -Htln sport = :15001 | grep -q .'
expect_ok lab start node2
expect_eq "$(weft_json node2 pods | jq '.pods | length')" 0 "pods while the port is taken"
stays_in_the_pod
expect_fail weft_on node2 pod unenrol default/nobody
kill "${background[-1]}"
enrolled_again() {
	[[ $(weft_json node2 pods | jq '.pods | length') == 1 ]]
}
wait_for 15 enrolled_again
wait_for 5 peer client who "$ip" 9000

# the operator may let a closed pod go
expect_ok lab kill node2
serve_in client 15001
wait_for 5 pod client sh -c 'ss -Htln sport = :15001 | grep -q .'
expect_ok lab start node2
stays_in_the_pod
grep -q "IP $(ip_of client)\." "$peers_tmp/syns" && fail "SYNs of the enrolled pod in plain text"
unenrol node2 client
line=$(peer client who "$ip" 9000) || fail "a pod that left: $line"
# the capture was alive all the time: now that the pod has left, its SYN is on the wire
wait_for 5 grep -q "IP $(ip_of client)\." "$peers_tmp/syns"
