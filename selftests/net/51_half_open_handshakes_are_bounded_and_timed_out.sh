#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Connections to port 15008 that stop in the middle of a handshake: honest ones work beside
# hundreds of them, thousands cannot take all descriptors, and all are ended after 10 s.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

LIMIT=1024 # HBONE_SHAKING_MAX, for each worker

standing() {
	grep -q standing "$tmp/out"
}

flood() {
	: >"$tmp/out"
	attack half-open "$1" >"$tmp/out" &
	flood_pid=$!
	wait_for 20 standing
}

hostile_up
hold before client "$server" 9000
remember

workers=$(weft_json node1 status | jq '.workers | length')
flood 3000
hold_ok before
fds_at_most $((fds_before + workers * LIMIT + 100)) >/dev/null ||
	fail "$(fds "$weftd_pid") descriptors with 3000 half-open connections"
# the tunnel that is there takes new connections
expect_ok peer client who "$server" 9000
wait "$flood_pid" || fail "the flood of 3000"
expect_eq "$(awk '/^ended/ { print $4 }' "$tmp/out")" 0 "connections open after 20 s"
hold_ok before
harmless 160 "3000 half-open connections"

# The allocator keeps what those used, for others; a leak would show here.
remember
attack abandon 5000
harmless 16 "5000 abandoned connections"

remember
flood 600
hold_ok before
# a new tunnel is a handshake among the 600
expect_eq "$(attack good)" open "a new tunnel beside 600 half-open ones"
wait "$flood_pid" || fail "the flood of 600"
expect_eq "$(sed -n 's/^ended //p' "$tmp/out")" "600 open 0" "600 half-open connections after 20 s"
hold_ok before
harmless 32 "600 half-open connections more"
