#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Multipath TCP and TCP Fast Open go through the hooks like any other connection. A socket that
# was made outside of the control group does not: its SYN to a pod on another node is
# dropped, and for a pod on the same node it is a stranger's.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

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
around() { # POD HOST
	nsenter --net="/var/run/netns/$LAB-default-$1" /usr/bin/python3 -S "$KINDS" plain "$2" 9000 2>&1
}

wait_for 5 peer client who "$ip" 9000
wait_for 5 peer near who "$ip" 9000
name=$(pod server hostname)

for kind in sendto option mptcp; do
	for to in "$ip" "$ip6"; do
		relayed=$(event node2 connect_relay) plain=$(event node2 guard_plain_packets)
		said=$(try client $kind "$to")
		[[ $said != unsupported ]] || continue
		expect_eq "$said" "$name" "$kind to another node"
		expect_eq $(($(event node2 connect_relay) - relayed)) 1 "$kind: captured"
		expect_eq $(($(event node2 guard_plain_packets) - plain)) 0 "$kind: packets outside of tunnels"
		expect_eq "$(try near $kind "$to")" "$name" "$kind on the same node"
	done
done

for to in "$ip" "$ip6"; do
	dropped=$(event node2 guard_plain_syn)
	expect_eq "$(around client "$to")" timeout "a socket from outside, to another node"
	(($(event node2 guard_plain_syn) > dropped)) || fail "the SYN was not dropped by the guard"
	# the policy is against those without identity, and that one has none here
	said=$(around near "$to")
	[[ $said == ECONNRESET || $said == EPIPE || $said == EOF ]] ||
		fail "a socket from outside, same node: $said"
done
