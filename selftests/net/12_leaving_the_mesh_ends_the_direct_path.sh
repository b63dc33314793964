#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The direct path is a privilege of two enrolled pods: whichever of them leaves takes it away.
# Port 9001 of the server is for the client's identity only.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1]
pods:
  - name: server
    node: node1
    labels: {app: server}
    policies: [only-client]
    command: exec $PEER serve 9000 9001
  - {name: client, serviceAccount: client, node: node1}
services:
  - {name: server, ports: {80: 9000, 81: 9001}, selector: {app: server}}
policies:
  - name: only-client
    namespace: default
    scope: WorkloadSelector
    action: Allow
    rules:
      - - - destinationPorts: [9000]
      - - - principals: [cluster.local/ns/default/sa/client]
        - - destinationPorts: [9001]
EOF

ip=$(ip_of server)

# Both ports answer, and the kernel alone did it.
direct() {
	local before line port
	before=$(event node1 connect_direct)
	for port in 9000 9001; do
		line=$(peer client who "$ip" $port) || fail "$1: port $port: $line"
		expect_eq "$(field seen "$line")" "$(field own "$line")" "$1: seen from the server"
	done
	expect_eq $(($(event node1 connect_direct) - before)) 2 "$1: direct connections"
}

wait_for 5 peer client who "$ip" 9000
direct "both enrolled"
hold before client "$ip" 9001
hold_ok before

# ---- the source leaves: it is a stranger without an identity
unenrol node1 client
hold_ok before
before=$(event node1 connect_direct)
plain=$(event node1 lookup_plain)
hold stranger client "$ip" 9000
hold_ok stranger
expect_eq "$(event node1 connect_direct)" "$before" "direct connections of a stranger"
expect_eq $(($(event node1 lookup_plain) - plain)) 1 "plaintext connections"
paths node1 | grep -qx plain || fail "path of a stranger: $(paths node1)"
hold_end stranger
expect_fail peer client who "$ip" 9001
wait_for 5 last_drop node1 policy_denied
hold_ok before

enrol node1 client
hold_ok before
direct "source back"

# ---- the destination leaves: it is a workload that should take tunnels, and does not
unenrol node1 server
hold_ok before
before=$(event node1 connect_direct)
expect_fail peer client who "$ip" 9000
expect_fail peer client who "$ip" 9001
expect_eq "$(event node1 connect_direct)" "$before" "direct connections to a pod outside"
hold_ok before

enrol node1 server
direct "destination back"
hold_ok before
hold_end before
wait_for 5 map_is_empty node1 weft_approved
