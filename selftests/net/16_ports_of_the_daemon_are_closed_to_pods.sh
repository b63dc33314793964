#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod that dials the daemon's ports by itself gets nothing: not on its own addresses, not on
# those of others, on this node or the other; and weftd's own legs do not go around in circles.
#
#   node1: server, near, stranger (not enrolled)    node2: client
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: near, node: node1}
  - {name: stranger, node: node1, enrol: false}
  - {name: client, node: node2}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
EOF

ip=$(ip_of server)
ip6=$(ip_of server 6)

relayed() {
	local node sum=0
	for node in node1 node2; do
		sum=$((sum + $(weft_json $node status | jq '.connections.opened')))
	done
	echo $sum
}

all_refused() { # WHAT, output of `try`
	local rest
	rest=$(grep -v ' ECONNREFUSED$' <<<"$2")
	[[ -z $rest && $2 == *ECONNREFUSED ]] || fail "$1: $rest"
}

wait_for 5 peer client who "$ip" 9000
before=$(relayed)

refused() { # NODE POD, ANOTHER ONE: 3 ports at 9 places are refused by the hook
	local own own6 count
	own=$(ip_of "$2")
	own6=$(ip_of "$2" 6)
	count=$(event "$1" connect_reserved)
	all_refused "ports of connections, $2" "$(peer "$2" -t 5 try 15001,15006,15008 \
		"$own" "$own6" 127.0.0.1 ::1 127.1.2.3 ::ffff:127.0.0.1 "$ip" "$ip6" "$(ip_of "$3")")"
	expect_eq $(($(event "$1" connect_reserved) - count)) 27 "refused by the hook: $2"
	all_refused "ports of the node, $2" "$(peer "$2" -t 5 try 15000,15020,15021 \
		"$own" "$own6" 127.0.0.1 ::1)"
}
refused node1 near client
refused node2 client near
expect_eq "$(relayed)" "$before" "connections that came about by this"

# whoever is not enrolled is stopped at the pod; port 15008 wants TLS and a certificate
all_refused "from outside the mesh" "$(peer stranger -t 5 try 15001,15006 "$ip" "$ip6")"
out=$(pod stranger curl -sk -m 5 -o /dev/null -w '%{http_code}' "https://$ip:15008/") &&
	fail "HTTP on 15008 without a certificate"
expect_eq "$out" 000 "HTTP on 15008 without a certificate"
expect_eq "$(relayed)" "$before" "connections that came about by a stranger"

# ports that only look like the node's: what the pod does not serve, it does not serve
out=$(peer client -t 5 try 15000,15020,15021 "$ip" | awk '{ print $3 }' | sort -u)
[[ $out != *OK* ]] || fail "something answers on a port of the node inside a pod"

before=$(relayed)
# one connection of an application is one connection on each side
for ((i = 0; i < 5; i++)); do
	hold c$i client "$ip" 9000
	hold_ok c$i
done
hold vip client server 80
hold_ok vip
expect_eq "$(paths node2 | uniq -c | xargs)" "6 hbone" "connections on the client's node"
expect_eq "$(paths node1 | uniq -c | xargs)" "6 hbone" "connections on the server's node"
hold self server "$ip" 9000
hold_ok self
line=$(hold_said self)
expect_eq "$(field seen "$line")" "$(field own "$line")" "a pod that calls itself"
hold self_vip server server 80
hold_ok self_vip
expect_eq "$(paths node1 | uniq -c | xargs)" "6 hbone" "connections of a pod with itself are none"
hold plain stranger "$ip" 9000
hold_ok plain
expect_eq "$(paths node1 | uniq -c | xargs)" "6 hbone 1 plain" "one plaintext connection"
expect_eq $(($(relayed) - before)) 13 "connections that were opened"
