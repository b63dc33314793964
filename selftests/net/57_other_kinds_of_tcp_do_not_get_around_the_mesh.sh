#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Multipath TCP and TCP Fast Open go through the hooks like any other connection. A socket that
# was made outside of the control group does not: its SYN to a pod on another node is
# dropped, and for a pod on the same node it is a stranger's.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

command -v tcpdump >/dev/null || skip "no tcpdump"
KINDS=$ROOT/selftests/net/kinds.py

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: near, node: node1}
  - {name: client, node: node2}
policies:
  - name: no-strangers
    namespace: default
    scope: Namespace
    action: Deny
    rules:
      - - - notPrincipals: ["*"]
EOF
ip=$(ip_of server)
ip6=$(ip_of server 6)

try() { # POD KIND HOST
	pod "$1" /usr/bin/python3 -S "$KINDS" "$2" "$3" 9000 2>&1
}

# in the pod's namespace, but in the control group of this script
around() { # POD HOST [PORT]
	nsenter --net="/var/run/netns/$LAB-default-$1" /usr/bin/python3 -S "$KINDS" plain "$2" \
		"${3:-9000}" 2>&1
}

wait_for 5 peer client who "$ip" 9000
wait_for 5 peer near who "$ip" 9000
name=$(pod server hostname)

# TCP outside of tunnels that leaves the client; the tap is in front of the guard
link=$(ip -n "$LAB-node2" -j route show "$(ip_of client)" | jq -r '.[0].dev')
ip netns exec "$LAB-node2" tcpdump -lnni "$link" 'tcp and not port 15008' \
	>"$peers_tmp/seen" 2>"$peers_tmp/tcpdump" &
background+=($!)
wait_for 5 grep -q 'listening on' "$peers_tmp/tcpdump"

for kind in sendto option mptcp; do
	for to in "$ip" "$ip6"; do
		relayed=$(event node2 connect_relay)
		said=$(try client $kind "$to")
		[[ $said != unsupported ]] || continue
		expect_eq "$said" "$name" "$kind to another node"
		expect_eq $(($(event node2 connect_relay) - relayed)) 1 "$kind: captured"
		expect_eq "$(try near $kind "$to")" "$name" "$kind on the same node"
	done
done

# Anything that left would be seen before this SYN, which shows that the capture works.
expect_eq "$(around client "$ip" 4)" timeout "port 4"
wait_for 5 grep -q '\.4: Flags' "$peers_tmp/seen"
! grep -v '\.4: Flags' "$peers_tmp/seen" || fail "packets outside of tunnels"

for to in "$ip" "$ip6"; do
	dropped=$(event node2 guard_plain_syn)
	expect_eq "$(around client "$to")" timeout "a socket from outside, to another node"
	(($(event node2 guard_plain_syn) > dropped)) || fail "the SYN was not dropped by the guard"
	# the policy is against those without identity, and that one has none here
	expect_eq "$(around near "$to")" ECONNREFUSED "a socket from outside, same node"
done
