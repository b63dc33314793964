#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod whose interface is a netkit pair, without Ethernet, is enrolled like one with a veth: it has direct
# connections, tunnels both ways, IPv4 and IPv6, and policies hold; what goes around the hooks, or has
# another pod's address, is dropped by the guard on the node's end.
#
#   node1: server, friend (netkit)      node2: remote        only sa/friend may
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

modprobe netkit 2>/dev/null
ip link add weft-nk type netkit 2>/dev/null || skip "no netkit (Linux 6.7)"
ip link del weft-nk
lab_up - < <(friends)
ns=$LAB-default-friend
own=$(ip_of friend)
own6=$(ip_of friend 6)
link=$(ip -n "$LAB-node1" -j route show "$own" | jq -r '.[0].dev')
wait_for 10 peer friend who "$(ip_of server)" 9000

unenrol node1 friend
ip -n "$LAB-node1" link del "$link" || fail "ip link del"
{
	ip -n "$LAB-node1" link add "$link" type netkit &&
		peer_link=$(ip -n "$LAB-node1" -j link show type netkit |
			jq -r --arg not "$link" '.[] | select(.ifname != $not) | .ifname') &&
		ip -n "$LAB-node1" link set "$peer_link" netns "$ns" &&
		ip -n "$ns" link set "$peer_link" name eth0
} || fail "a netkit pair"
ip -n "$ns" -batch - <<-EOF || fail "the pod's network"
	addr add $own/32 dev eth0
	addr add $own6/128 dev eth0 nodad
	link set eth0 up
	route add default dev eth0
	route add ::/0 dev eth0
EOF
ip -n "$LAB-node1" -batch - <<-EOF || fail "the node's network"
	link set $link up
	route replace $own dev $link
	route replace $own6/128 dev $link
EOF
# its packets begin with IP, whatever type of link it says it is
[[ $(ip -n "$ns" -j link show eth0) == *NOARP* ]] || fail "it has Ethernet"
enrol node1 friend

# ---- served
direct() { # TO
	local before
	before=$(event node1 connect_direct)
	peer friend who "$1" 9000 && (($(event node1 connect_direct) > before))
}
for family in 4 6; do
	near=$(ip_of server $family)
	far=$(ip_of remote $family)
	wait_for 10 direct "$near"
	wait_for 10 peer friend who "$far" 9000
	expect_eq "$(peer server -t 5 who "$far" 9000 2>&1)" ECONNRESET "another identity"
	expect_ok peer friend both 3000000 "$far" 9000
	expect_ok peer friend both 3000000 "$near" 9000
	serve_in friend 9001
	wait_for 10 peer remote who "$(ip_of friend $family)" 9001
	hold tunnel friend "$far" 9000
	hold_ok tunnel
	[[ $(paths node1) == *hbone* ]] || fail "no tunnel: $(paths node1)"
	hold_end tunnel
done

# ---- guarded
from_outside() { # PYTHON: in its namespace, but not in its control group
	nsenter --net="/var/run/netns/$ns" /usr/bin/python3 -S -c "$1"
}
dropped=$(event node1 guard_plain_syn)
from_outside "import socket
s = socket.socket()
s.settimeout(1)
try:
    s.connect(('$(ip_of remote)', 9000))
    print('connected')
except TimeoutError:
    pass" >"$peers_tmp/around"
expect_eq "$(<"$peers_tmp/around")" "" "a socket from outside"
(($(event node1 guard_plain_syn) > dropped)) || fail "its SYN was not dropped by the guard"
dropped=$(event node1 guard_spoofed)
ip -n "$ns" addr add "$(ip_of server)/32" dev lo
from_outside "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('$(ip_of server)', 0))
s.sendto(b'x', ('$(ip_of remote)', 9))"
spoofed() {
	(($(event node1 guard_spoofed) > dropped))
}
wait_for 5 spoofed
ip -n "$ns" addr del "$(ip_of server)/32" dev lo
expect_ok peer friend who "$(ip_of server)" 9000
