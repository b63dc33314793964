#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The network between the nodes swallows everything, without a word: connections through tunnels
# end by the pings of the tunnel, those of plaintext clients by TCP's keepalive, and with data
# under way by TCP_USER_TIMEOUT; the applications of both sides see an error, and weftd says
# tunnel_lost. When the network is back, so is everything.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/relay.sh"

relay_weftd='{tunnel_ping: 1s, keepalive: 1s}'
relay_lab_up
serve_in t/far 7000
serve_in t/near 7000
wait_for 5 peer t/outsider who "$FAR4" 7000
wait_for 5 peer t/client who "$NEAR4" 7000
expect_ok relay client touch "$FAR4"

probed() { # POD FILTER...: its sockets that match have a keepalive timer
	local where=$1
	shift
	pod "$where" ss -tnoH "$@" | grep keepalive || { pod "$where" ss -tno && false; }
}

# What the manual promises is set where it is promised.
expect_ok peer t/client who "$FAR4" 7000
hold hbone t/client "$FAR4" 7000
hold busy t/client "$FAR6" 7000
hold plain t/outsider "$FAR4" 7000
hold near t/client "$NEAR4" 7000
for name in hbone busy plain near; do
	hold_ok $name
done
wait_for 5 probed t/client dst "$FAR4:15008"
wait_for 5 probed t/far src "$FAR4:15008"
wait_for 5 probed t/far dst "$OUTSIDER4"

ended() { # NODE REASON NUMBER
	(($(metric "$1" "weft_connections_total{reason=\"$2\"}") >= $3)) ||
		{ metrics "$1" | grep ^weft_connections_total && false; }
}

lost1=$(metric node1 'weft_connections_total{reason="tunnel_lost"}')
lost2=$(metric node2 'weft_connections_total{reason="tunnel_lost"}')
expect_ok pod @fabric ip link set br0 down

# After three to four spans of one second; the deadline is for a busy machine.
wait_for 20 ended node1 tunnel_lost $((lost1 + 2))
wait_for 20 ended node2 tunnel_lost $((lost2 + 2))
for name in hbone busy; do
	expect_eq "$(hold_error $name)" ECONNRESET "$name after its tunnel was lost"
done
# The plaintext client's connection on the server's node: ten spans of one second.
wait_for 40 no_connections node2
hold_ok near

expect_ok pod @fabric ip link set br0 up
wait_for 10 peer t/client who "$FAR4" 7000
wait_for 10 peer t/client who "$FAR6" 7000
wait_for 10 peer t/outsider who "$FAR4" 7000
hold_ok near
for name in hbone busy plain near; do
	hold_end $name
done
