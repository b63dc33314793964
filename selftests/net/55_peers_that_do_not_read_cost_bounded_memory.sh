#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The application has 100 MB to say on each of 50 streams, and the peer does not let it: it
# never opens a window, or it does not read from TCP. weftd keeps a bounded part of it, the
# rest stays with the application; and all of it goes with the connection.
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

deaf zero-window 16 8
deaf deaf 64 16
