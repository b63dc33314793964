#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The application has 100 MB to say on each of 50 streams, and the peer does not let it: it
# never opens a window, or it does not read from TCP. weftd keeps a bounded part of it, the
# rest stays with the application; and all of it goes with the connection. And the other way
# round: a peer sends on 100 streams what the application does not read.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

STREAMS=50
BYTES=100000000

streams_open() {
	(($(weft_json node1 connections | jq '.connections | length') >= STREAMS))
}

# The counters of bytes from the application stand still: backpressure holds.
read_bytes() {
	weft_json node1 connections | jq '[.connections[].sent_bytes] | add'
}

stands_still() {
	local now before
	now=$(read_bytes)
	before=$(cat "$tmp/bytes")
	echo "$now" >"$tmp/bytes"
	[[ $now == "$before" ]] || { echo "$before, then $now bytes"; false; }
}

no_streams() {
	(($(weft_json node1 connections | jq '.connections | length') == 1))
}

deaf() { # CASE, MB WHILE IT STANDS, MB AFTERWARDS
	local pid
	attack_and_stay "$1" "$app" $STREAMS $BYTES >"$tmp/$1.out" &
	pid=$!
	wait_for 10 grep -q alive "$tmp/$1.out"
	wait_for 10 streams_open
	echo none >"$tmp/bytes"
	wait_for 10 stands_still
	(($(cat "$tmp/bytes") < 64 * 1024 * 1024)) ||
		fail "$1: $(cat "$tmp/bytes") bytes were read for nobody"
	expect_ok grown_at_most "$2"
	hold_ok before
	expect_ok peer client down 1000000 "$server" 9000
	kill "$pid"
	wait "$pid" 2>/dev/null
	wait_for 10 no_streams
	harmless "$3" "$1"
}

hostile_up
hold before client "$server" 9000
remember

# The other way round: 100 streams of a peer with a valid identity to an application that does
# not read. What weftd keeps for it is bounded for the whole connection.
hoard() { # MB
	local pid sent
	attack_and_stay hoard "$app" 100 $BYTES >"$tmp/hoard.out" &
	pid=$!
	wait_for 60 grep -q alive "$tmp/hoard.out"
	sent=$(awk '{ print $2 }' "$tmp/hoard.out")
	# 64 KB of each are the windows, the rest is in sockets.
	((sent > 100 * 64 * 1024)) || fail "only $sent bytes were let in"
	expect_ok grown_at_most "$1"
	echo "100 streams for an application that does not read: $sent bytes were let in," \
		"weftd grew by $((($(rss_kb "$weftd_pid") - rss_before) / 1024)) MB"
	hold_ok before
	expect_ok peer client up 1000000 "$server" 9000
	kill "$pid"
	wait "$pid" 2>/dev/null
	wait_for 10 no_streams
}

deaf zero-window 16 8
deaf deaf 64 16
hoard 24
harmless 16 hoard
