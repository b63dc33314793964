#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# While bulk data goes through tunnels both ways, over IPv4 and IPv6, the uplinks change their MTU again
# and again, and one packet in fifty is lost; with sch_netem they are delayed, reordered and duplicated,
# too. Then the nodes are far apart: each way takes 100 ms, give or take 20, and a quarter of the packets
# overtakes others. What arrives has the same SHA-256, and the connection is the same.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

command -v iptables >/dev/null && command -v ip6tables >/dev/null || skip "no iptables"
relay_lab_up
size=${BYTES:-$((48 << 20))}
openssl enc -aes-128-ctr -K 5eed -iv 0 -in /dev/zero 2>/dev/null | head -c "$size" >"$WORK/bulk"
read -r sum _ < <(sha256sum "$WORK/bulk")
tried=0

note="" # of what could not be tried, or was more
modprobe sch_netem 2>/dev/null
netem() { # PARAMETERS...: of the uplinks of both nodes
	local node
	for node in node1 node2; do
		ip netns exec "$LAB-$node" tc qdisc replace dev eth0 root netem "$@" 2>/dev/null || return
	done
}
disturb() {
	local node table
	for node in node1 node2; do
		for table in iptables ip6tables; do
			ip netns exec "$LAB-$node" $table -t raw -A PREROUTING -i eth0 -m statistic \
				--mode random --probability 0.02 -j DROP || skip "no statistic match in $table"
		done
		# packets as on a wire, not 64 KiB at once
		ip -n "$LAB-$node" link set eth0 gso_max_segs 1 || skip "no gso_max_segs"
	done
	netem delay 3ms 2ms reorder 5% duplicate 1% ||
		note="; delay, reordering and duplicates were not tried: this kernel has no sch_netem"
}
upload() { # ADDRESS
	pod t/client socat -b 262144 -t 60 "FILE:$WORK/bulk,rdonly!!-" "TCP:$1:9001" >"$WORK/up.$2"
}
download() {
	printf '%s\n' "$WORK/bulk" | pod t/client socat -b 262144 -t 60 - "TCP:$1:9002" |
		sha256sum >"$WORK/down.$2"
}
running() {
	kill -0 "$1" 2>/dev/null
}
dropped() {
	ip netns exec "$LAB-node1" "$1" -t raw -L PREROUTING -vxn | awk '$3 == "DROP" { print $1 }'
}

disturb
changes=0
for address in "$FAR4" "[$FAR6]"; do
	upload "$address" v &
	up=$!
	download "$address" v &
	down=$!
	while running $up || running $down; do
		for mtu in 1280 1500 1400 9000; do
			for node in node1 node2; do
				ip -n "$LAB-$node" link set eth0 mtu $mtu || fail "mtu $mtu"
			done
			changes=$((changes + 1))
			tick 0.3
		done
	done
	wait $up || fail "upload to $address"
	wait $down || fail "download from $address"
	expect_eq "$(cat "$WORK/up.v")" "$size $sum" "upload to $address"
	read -r got _ <"$WORK/down.v"
	expect_eq "$got" "$sum" "download from $address"
	tried=$((tried + 2))
done
(($(dropped iptables) > 100 && $(dropped ip6tables) > 100)) || fail "hardly a packet was lost"
lost=$(($(dropped iptables) + $(dropped ip6tables)))
((changes >= 8)) || fail "the MTU changed only $changes times"

# ---- far apart
if [[ ! $note ]]; then
	size=${FAR_BYTES:-$((2 << 20))}
	head -c "$size" "$WORK/bulk" >"$WORK/part"
	mv "$WORK/part" "$WORK/bulk"
	read -r sum _ < <(sha256sum "$WORK/bulk")
	for node in node1 node2; do
		ip netns exec "$LAB-$node" iptables -t raw -F
		ip netns exec "$LAB-$node" ip6tables -t raw -F
	done
	netem delay 100ms 20ms reorder 25% duplicate 1% || fail "netem"
	for address in "$FAR4" "[$FAR6]"; do
		upload "$address" v &
		up=$!
		download "$address" v || fail "download from far $address"
		wait $up || fail "upload to far $address"
		expect_eq "$(cat "$WORK/up.v")" "$size $sum" "upload to far $address"
		read -r got _ <"$WORK/down.v"
		expect_eq "$got" "$sum" "download from far $address"
		tried=$((tried + 2))
	done
	said=$(ip netns exec "$LAB-node1" tc -s qdisc show dev eth0 | awk '/Sent/ { print $4; exit }')
	note="; $said packets of node1 went through netem"
fi
wait_for 10 no_connections node1
wait_for 10 no_connections node2
echo "fault: lost packets and MTUs that change: $tried transfers tried, $tried survived, 0 lost" \
	"($changes changes, $lost packets lost at node1$note)"
