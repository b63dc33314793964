#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A flood of SYNs with false addresses to port 15008 of a pod; a thousand connections that stop in the
# middle of a ClientHello; three hundred that shake hands, with a valid certificate, and then say
# nothing or half of a preface: others' connections, open and new, go on, by new tunnels, too; all are
# ended in time and counted by reason, and no memory stays.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

# shellcheck disable=SC2034 # by hostile_up
hostile_weftd='{tunnel_ping: 1s}'
hostile_up
hold before client "$server" 9000
neighbour=$(ip_of neighbour)
remember
tried=0

ended() { # REASON: tunnels of others that ended for it
	metric node1 "weft_tunnels_ended_total{role=\"server\",reason=\"$1\"}"
}
others_go_on() { # WHAT
	hold_ok before
	expect_ok peer client who "$server" 9000
	expect_ok peer client who "$neighbour" 9000
	expect_eq "$(attack good)" open "a new tunnel during $1"
	expect_ok grown_at_most "${2:-32}"
	tried=$((tried + 1))
}
standing() {
	grep -q standing "$tmp/out"
}

# ---- SYNs
attack syn-flood 4 >"$tmp/syns" &
flood=$!
flooded() {
	pod server nstat -asz 2>/dev/null | awk '/^TcpExtSyncookiesSent|^TcpExtTCPReqQFullDrop|^TcpExtListenDrops/ { n += $2 }
		/^TcpExtTCPTimeouts|^TcpRetransSegs/ { n += $2 } END { exit n == 0 }'
}
wait_for 5 flooded
while kill -0 $flood 2>/dev/null; do
	others_go_on "SYNs"
done
wait $flood || fail "the flood of SYNs"
(($(cat "$tmp/syns") > 10000)) || fail "only $(cat "$tmp/syns") SYNs"
harmless 8 "SYNs"

# ---- half of a ClientHello
before=$(($(ended timeout) + $(ended limit)))
attack half-open 1000 >"$tmp/out" &
flood=$!
wait_for 20 standing
others_go_on "half-open handshakes" 64
wait $flood || fail "half-open handshakes"
expect_eq "$(sed -n 's/^ended //p' "$tmp/out")" "1000 open 0" "half-open handshakes"
n=$(($(ended timeout) + $(ended limit) - before))
# a third of them has said nothing at all, and what comes when there are too many ends at once
((n >= 990)) || fail "of 1000 half-open handshakes $n are counted"
hold_ok before

# ---- silent behind the handshake
before=$(ended tunnel_lost)
: >"$tmp/out"
attack silent 300 >"$tmp/out" &
flood=$!
wait_for 20 standing
others_go_on "silent peers" 64
wait $flood || fail "silent peers"
expect_eq "$(sed -n 's/^ended //p' "$tmp/out")" "300 open 0" "silent peers"
n=$(($(ended tunnel_lost) - before)) # and those that the looks have made
((n >= 300)) || fail "of 300 silent peers $n are counted"
harmless 32 "silent peers"
echo "fault: floods of SYNs, half-open and silent peers: $tried looks tried, $tried survived, 0 lost;" \
	"$(cat "$tmp/syns") SYNs"
