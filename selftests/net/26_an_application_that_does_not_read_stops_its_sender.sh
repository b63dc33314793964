#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server that does not read stops its client after a few megabytes, and weftd does not collect
# the bytes; connections of the same pods go on meanwhile. When it reads, nothing is missing.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up
limit=$((16 << 20)) grows=$((8 << 10))
# What the kernel keeps for a connection depends on the machine; here it shall not matter.
for where in t/client t/outsider t/far; do
	expect_ok pod $where sh -c 'echo 4096 131072 2000000 >/proc/sys/net/ipv4/tcp_rmem
		echo 4096 65536 1000000 >/proc/sys/net/ipv4/tcp_wmem'
done

told() { # NAME
	test -e "$WORK/told-$1" || { weft_json node2 connections && false; }
}

try() { # CLIENT ADDRESS NAME
	local node now pid
	local -A before
	# Whatever is made once is there.
	expect_ok relay "$1" upload "$2" 20 100000
	before=([node1]=$(rss node1) [node2]=$(rss node2))

	relay "$1" flood "$2" "$3" $limit "$WORK/told-$3" "$WORK/go-$3" &
	pid=$!
	wait_for 20 told "$3"
	(($(<"$WORK/told-$3") < limit)) || fail "$3: nothing stopped the sender"
	for node in node1 node2; do
		now=$(rss $node)
		((now - before[$node] < grows)) || fail "$3: weftd of $node grew from ${before[$node]} to $now KiB"
		echo "$3: sender stopped at $(<"$WORK/told-$3") bytes, weftd of $node:" \
			"${before[$node]} -> $now KiB"
	done

	expect_ok relay "$1" upload "$2" 20 4000000
	expect_ok relay "$1" ends "$2"

	touch "$WORK/go-$3"
	expect_ok relay "$1" woken "$2" "$3"
	wait $pid || fail "$3: the bytes did not arrive"
}

try client "$FAR4" hbone4
try client "$FAR6" hbone6
try outsider "$FAR4" plain4
try outsider "$FAR6" plain6
for node in node1 node2; do
	wait_for 5 no_connections "$node"
done
