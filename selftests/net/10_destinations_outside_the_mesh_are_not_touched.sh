#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What does not concern the mesh is not touched: no proxy, real addresses on both ends.
#
#   node1: near (not enrolled)    node2: client (enrolled), beside, far (not enrolled)
#   fabric: a server that no mesh file knows
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: near, node: node1, enrol: false, labels: {app: out}, command: exec $PEER serve 9000}
  - {name: client, node: node2}
  - {name: beside, node: node2, enrol: false, labels: {app: out}, command: exec $PEER serve 9000}
  - {name: far, node: node2, enrol: false}
services:
  - {name: out, ports: {80: 9000}, selector: {app: out}}
EOF

outside=172.31.250.254
expect_ok pod @fabric ip route replace 10.244.2.0/24 via 172.31.250.2
serve_in @fabric 9000

untouched() {
	local where=$1 host=$2 ip=$3 line
	line=$(peer "$where" who "$host" 9000) || fail "$where to $host: $line"
	expect_eq "$(field peer "$line")" "$ip:9000" "$where to $host: getpeername"
	expect_eq "$(field at "$line")" "$ip:9000" "$where to $host: getsockname of the server"
	expect_eq "$(field seen "$line")" "$(field own "$line")" "$where to $host: the client's address"
}

wait_for 5 peer client who "$outside" 9000
wait_for 5 peer far who near 9000
wait_for 5 peer far who beside 9000

# an enrolled source, a destination that the mesh knows as not in it, or does not know
before=$(event node2 connect_passthrough)
for host in near beside; do
	untouched client "$host" "$(ip_of "$host")"
done
untouched client "$outside" "$outside"
expect_eq $(($(event node2 connect_passthrough) - before)) 3 "connections that passed through"
expect_eq "$(event node2 connect_relay)" 0 "captured connections"

# a source that is not enrolled
for host in near beside; do
	untouched far "$host" "$(ip_of "$host")"
done
untouched far "$outside" "$outside"
expect_eq $(($(event node2 connect_passthrough) - before)) 3 "the other pod is not counted"
for node in node1 node2; do
	expect_eq "$(weft_json $node status | jq .connections.opened)" \
		"$(event $node connect_passthrough)" "$node: connections that weftd knows"
done

# the enrolled pod's are in the metrics, those of the other are not
opened='istio_tcp_connections_opened_total{reporter="source",source_workload'
expect_eq "$(metric node2 "$opened=\"client\",destination_workload=\"near\"}")" 1 "metrics: near"
expect_eq "$(metric node2 "$opened=\"client\",destination_workload=\"beside\"}")" 1 "metrics: beside"
[[ $(metric node2 "$opened=\"client\",destination_workload=\"unknown\"}") -ge 2 ]] ||
	fail "metrics: the server in the fabric"
expect_eq "$(metric node2 "$opened=\"far\"}")" 0 "metrics: the pod that is not enrolled"

# open and seen; bytes both ways
hold out client "$outside" 9000
hold_ok out
expect_eq "$(paths node2)" passthrough "path of the open connection"
hold_end out
expect_eq "$(peer client both 10000000 "$outside" 9000)" "both 10000000" "bulk data"

# a VIP is the mesh's even if its endpoints are not: what was dialled stays visible
line=$(peer client who out 80) || fail "VIP of pods outside the mesh: $line"
expect_eq "$(field peer "$line")" 10.96.0.1:80 "getpeername of a VIP"
expect_eq "$(field seen "$line")" "$(field own "$line")" "no proxy behind a VIP"
