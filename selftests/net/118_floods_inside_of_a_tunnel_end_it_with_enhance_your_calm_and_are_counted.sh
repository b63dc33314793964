#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A peer with a valid certificate, and a connection in use, floods its tunnel: streams that are reset
# at once, CONTINUATION, SETTINGS, windows, empty DATA and the like. Its tunnel is ended by
# GOAWAY with ENHANCE_YOUR_CALM, which it reads, and counted, in bounded memory; the tunnels of
# others go on. A flood of PINGs whose answers are not read ends it too, and is counted; there the GOAWAY
# may find no room behind the answers.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

hostile_up
hold before client "$server" 9000
remember
tried=0
kinds=(reset continuation ping settings settings-window window window-stream data data-padding
	priority unknown rst goaway trailers)

ended() {
	metric node1 'weft_tunnels_ended_total{role="server",reason="h2_failed"}'
}
counted() {
	(($(ended) == $1 + 1))
}

for ((i = 0; i < ${ROUNDS:-1} * ${#kinds[@]}; i++)); do
	kind=${kinds[i % ${#kinds[@]}]}
	before=$(ended)
	said=$(attack flood $kind "$app")
	echo "$kind: $said"
	hold_ok before
	if [[ $kind == ping ]]; then
		[[ $said =~ ^(goaway:11|closed|reset)$ ]] || fail "a flood of $kind: $said"
	else
		expect_eq "$said" goaway:11 "a flood of $kind"
	fi
	wait_for 5 counted "$before"
	expect_ok peer client who "$server" 9000
	tried=$((tried + 1))
done
harmless 16 "floods"
echo "fault: floods inside of a tunnel: $tried tried, $tried survived, 0 lost"
