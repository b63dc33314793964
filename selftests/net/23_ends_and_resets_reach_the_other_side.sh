#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# However a connection ends, both applications see what TCP without a relay shows them: half
# ends in both directions, resets in both directions, ends without a byte, servers that speak
# or close first, words before a reset; and silence does not end it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up

# On this node, HBONE, and plaintext into the mesh.
for pair in client,near client,far outsider,far; do
	from=${pair%,*} to=${pair#*,}
	for family in 4 6; do
		address=${to^^}$family
		address=${!address}
		expect_ok relay "$from" ends "$address"
		expect_ok relay "$from" abort "$address" "$from$family"
		wait_for 5 said "$to" "fate $from$family ECONNRESET"
	done
done

# Nothing of it is an error for weftd.
for node in node1 node2; do
	wait_for 5 no_connections "$node"
done
