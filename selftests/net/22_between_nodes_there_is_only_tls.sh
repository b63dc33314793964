#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What leaves a node for a pod of the mesh is TLS to port 15008: a capture of the wire holds none
# of the words that the applications exchange, and no other port.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

command -v tcpdump >/dev/null || skip "tcpdump is not installed"
relay_lab_up
marker=this-is-secret-$RANDOM$RANDOM
for ((i = 0; i < 20000; i++)); do
	echo "$marker"
done >"$WORK/marked"

capture() { # FILE: on the wire of node2, from now on
	pod @node2 tcpdump -i eth0 -s 0 -B 65536 -U -w "$1" tcp 2>"$1.log" &
	tcpdump=$!
	wait_for 5 grep -q 'listening on' "$1.log"
}

# The last packet that is of interest has been written when a later one has.
stop_capture() { # FILE
	pod @fabric nc -z -w 2 172.31.250.2 4 || true
	wait_for 5 seen "$1" "dst port 4"
	kill "$tcpdump"
	wait "$tcpdump"
}

seen() { # FILE EXPRESSION: packets of the capture
	tcpdump -n -r "$1" "$2" 2>/dev/null | grep -q .
}

# The check finds the marker where there is no tunnel.
capture "$WORK/plain.pcap"
expect_ok relay outsider sendfile "$FAR4" "$WORK/marked"
stop_capture "$WORK/plain.pcap"
grep -qaF "$marker" "$WORK/plain.pcap" || fail "no marker in plain text: the check is blind"

capture "$WORK/mesh.pcap"
for address in "$FAR4" "$FAR6"; do
	expect_ok relay client sendfile "$address" "$WORK/marked"
	expect_ok relay client splice "$address" "$WORK/marked" "$WORK/back"
	expect_ok relay client ends "$address"
done
stop_capture "$WORK/mesh.pcap"
(($(stat -c %s "$WORK/mesh.pcap") > 4 * $(stat -c %s "$WORK/marked"))) || fail "captured too little"
! grep -qaF "$marker" "$WORK/mesh.pcap" || fail "the marker is on the wire"
! grep -qaF "last words" "$WORK/mesh.pcap" || fail "an answer is on the wire"
! seen "$WORK/mesh.pcap" 'not port 15008 and not port 4' || fail "a packet that is not of port 15008"

# Every connection is a sequence of TLS records, from its first byte to its last.
expect_ok "$PYTHON" "$ROOT/selftests/net/relay_tls.py" "$WORK/mesh.pcap" 15008
expect_fail "$PYTHON" "$ROOT/selftests/net/relay_tls.py" "$WORK/plain.pcap" 9001
