#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# However a connection ends, both applications see what TCP without a relay shows them: half
# ends in both directions, resets in both directions, ends without a byte, servers that speak
# or close first, words before a reset; and silence does not end it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up

# These send nothing until all of the rest has happened.
declare -A silent=()
silence() { # POD ADDRESS
	relay "$1" silence "$2" "$1" "$WORK/go" >/dev/null &
	silent[$1 $2]=$!
}
silence client "$NEAR4"
silence client "$FAR4"
silence client "$FAR6"
silence outsider "$FAR4"

# On this node, HBONE, and plaintext into the mesh.
for pair in client,near client,far outsider,far; do
	from=${pair%,*} to=${pair#*,}
	for family in 4 6; do
		address=${to^^}$family
		address=${!address}
		expect_ok relay "$from" rounds "$address" 15
		expect_ok relay "$from" abort "$address" "$from$family"
		wait_for 5 said "$to" "fate $from$family ECONNRESET"
	done
done

touch "$WORK/go"
for which in "${!silent[@]}"; do
	wait "${silent[$which]}" || fail "a silent connection did not live: $which"
done

for node in node1 node2; do
	wait_for 5 no_connections "$node"
done
for path in direct hbone; do
	(($(metric node1 "weft_connections_total{path=\"$path\"}") > 50)) || fail "hardly any was $path"
done
(($(metric node2 'weft_connections_total{path="plain"}') > 50)) || fail "hardly any was plain"
