#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 60,000 connections one after the other, 16 at a time, from one address to one port, more than
# there are ports: none fails, and none waits for a retransmission, while the closed ones are in
# TIME_WAIT. The application's legs and those of plaintext clients are made from the client's
# address, and the destination closes first there, so both sides of the relay are tried.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up

try() { # CLIENT ADDRESS PORT NUMBER
	local said
	said=$(relay "$1" short "$2" "$3" "$4" 16) || fail "$1 to $2: $said"
	echo "$1 to $2 port $3: $said"
	# The machine may stop for a moment, which holds up those that are open, twice at most.
	(($(awk '{ print $(NF - 4) }' <<<"$said") <= 32)) || fail "$1 to $2: connections stall: $said"
}

timewaits() { # POD PORT
	pod "t/$1" ss -Htn state time-wait "( sport = :$2 or dport = :$2 )" | wc -l
}

try client "$FAR4" 9101 60000
echo "TIME_WAIT in the server's pod: $(timewaits far 9101), in the client's: $(timewaits client 15001)"
(($(timewaits far 9101) + $(timewaits client 15001) > 1000)) || fail "nothing was in TIME_WAIT"
# The same pair again at once, the other way of closing, and without a tunnel.
try client "$FAR4" 9100 5000
try outsider "$FAR4" 9101 5000
for node in node1 node2; do
	wait_for 5 no_connections "$node"
	expect_eq "$(metric $node 'weft_connections_total{reason="connect_failed"}')" 0 "failed connects of $node"
	expect_eq "$(metric $node 'weft_connections_total{reason="timeout"}')" 0 "timeouts of $node"
done
