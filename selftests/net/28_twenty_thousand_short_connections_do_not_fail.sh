#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 20,000 short connections from one client to one server, 16 at a time: none fails, whoever closes
# first (and so keeps a port in TIME_WAIT), on every path.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up

expect_ok relay client short "$FAR4" 9100 20000 16 # the client closes first
expect_ok relay client short "$FAR6" 9101 20000 16 # the server does
expect_ok relay client short "$NEAR4" 9101 5000 16
expect_ok relay outsider short "$FAR4" 9100 5000 16
for node in node1 node2; do
	wait_for 5 no_connections "$node"
done
