#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A peer with a valid certificate, and a connection in use, floods its tunnel: streams that are reset
# at once, CONTINUATION, PING, SETTINGS, windows, empty DATA and the like. Its tunnel is ended by
# GOAWAY and counted, in bounded memory; the tunnels of others go on.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

hostile_up
hold before client "$server" 9000
remember
tried=0

ended() {
	metric node1 'weft_tunnels_ended_total{role="server",reason="h2_failed"}'
}
counted() {
	(($(ended) == $1 + 1))
}

for kind in reset continuation ping settings settings-window window window-stream data data-padding \
	priority unknown rst goaway trailers; do
	before=$(ended)
	said=$(attack flood $kind "$app")
	echo "$kind: $said"
	hold_ok before
	# what it was told may be lost in the reset that its own bytes behind the end cause
	[[ $said =~ ^(goaway:[0-9]+|closed|reset)$ ]] || fail "a flood of $kind: $said"
	wait_for 5 counted "$before"
	expect_ok peer client who "$server" 9000
	tried=$((tried + 1))
done
harmless 16 "floods"
echo "fault: floods inside of a tunnel: $tried tried, $tried survived, 0 lost"
