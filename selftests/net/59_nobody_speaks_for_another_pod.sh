#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Packets with the source address of somebody else do not leave a pod, and packets from outside
# that claim an address of a local pod do not enter the node, also not behind tags of VLAN 0,
# which the kernel takes off late and silently. For the uplink: by tcx and by XDP.
#
#   node1: listener, victim, liar      node2: far      @fabric: a stranger between the nodes
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

SPOOF="/usr/bin/python3 -S $ROOT/selftests/net/spoof.py"

lab_file() { # uplink_guard
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: listener, node: node1}
	  - {name: victim, node: node1}
	  - {name: liar, node: node1}
	  - {name: far, node: node2}
	weftd: {uplink_guard: $1}
	EOF
}

spoof() { # PLACE ARGUMENT...
	local where=$1
	shift
	# shellcheck disable=SC2086 # words
	pod "$where" $SPOOF "$@"
}

heard() {
	grep -qx "$1" "$peers_tmp/heard"
}

# An honest word behind the lies: once it is heard, they would have been as well.
mark=0
only_honest() { # WHO WHAT
	mark=$((mark + 1))
	expect_ok spoof "$1" honest "$ip" 9999 "true$mark"
	expect_ok spoof "$1" honest "$ip6" 9999 "true6$mark"
	wait_for 5 heard "true$mark"
	wait_for 5 heard "true6$mark"
	! grep -q lie "$peers_tmp/heard" ||
		fail "$2: $(grep lie "$peers_tmp/heard" | sort | uniq -c | xargs) arrived"
}

listen() {
	# shellcheck disable=SC2086 # words
	"$WEFT" lab --name "$LAB" exec listener -- $SPOOF hear 9999 >"$peers_tmp/heard" 2>&1 &
	background+=($!)
	wait_for 5 heard listening
	ip=$(ip_of listener) ip6=$(ip_of listener 6)
	victim=$(ip_of victim) victim6=$(ip_of victim 6)
}

from_a_pod() {
	local before tags n=0
	before=$(event node1 guard_spoofed)
	# what the liar may say, by the same means
	for tags in 0 1; do
		expect_ok spoof liar -v $tags say "$(ip_of liar)" "$ip" 9999 "own$tags"
		expect_ok spoof liar -v $tags say "$(ip_of liar 6)" "$ip6" 9999 "own6$tags"
		wait_for 5 heard own$tags
		wait_for 5 heard own6$tags
	done
	for tags in 0 1 2 3 5 8; do
		for src in "$victim" "$ip" "$(ip_of far)" 8.8.8.8 172.31.250.1; do
			expect_ok spoof liar -v $tags say "$src" "$ip" 9999 lie$tags
			expect_ok spoof liar -v $tags syn "$src" "$ip" 9000
			n=$((n + 2))
		done
		for src in "$victim6" "$ip6" "$(ip_of far 6)" 2001:db8::1; do
			expect_ok spoof liar -v $tags say "$src" "$ip6" 9999 lie6$tags
			n=$((n + 1))
		done
	done
	only_honest liar "lies of a pod"
	expect_eq $(($(event node1 guard_spoofed) - before)) $n "spoofed packets that were counted"
}

from_outside() { # MODE
	local before tags n=0 mac
	before=$(event node1 guard_uplink)
	mac=$(pod @node1 ip -j link show eth0 | jq -r '.[0].address')
	# strangers with other addresses may talk
	expect_ok spoof @fabric -d br0 -m "$mac" say "$(ip_of far)" "$ip" 9999 "far$1"
	wait_for 5 heard "far$1"
	for tags in 0 1 2 3 5; do
		for src in "$victim" "$ip"; do
			expect_ok spoof @fabric -d br0 -m "$mac" -v $tags say "$src" "$ip" 9999 lie$tags
			n=$((n + 1))
		done
		for src in "$victim6" "$ip6"; do
			expect_ok spoof @fabric -d br0 -m "$mac" -v $tags say "$src" "$ip6" 9999 lie6$tags
			n=$((n + 1))
		done
	done
	only_honest far "lies from outside, $1"
	(($(event node1 guard_uplink) - before == n)) ||
		fail "$1: $(($(event node1 guard_uplink) - before)) of $n packets were counted"
}

lab_up - < <(lab_file tcx)
listen
from_a_pod
from_outside tcx
lab_down

lab_up - < <(lab_file xdp)
[[ $(weft_json node1 status | jq -r .uplink.mode) == xdp* ]] ||
	skip "no XDP on this kernel: $(weft_json node1 status | jq -c .uplink)"
listen
from_outside xdp
expect_ok peer far -t 2 try 9000 "$ip"
