#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With same_node: mtls, pods of one node reach each other through a tunnel that begins and ends in
# the same daemon, and everything is as between nodes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_weftd='{same_node: mtls}'
relay_lab_up
head -c 50000000 /dev/urandom >"$WORK/file"
read -r sum _ < <(sha256sum "$WORK/file")

for family in 4 6; do
	near=NEAR$family client=CLIENT$family
	near=${!near} client=${!client}
	expect_eq "$(relay client whoami "$near" 9004)" "$client $client" "what the server sees"
	expect_eq "$(relay client splice "$near" "$WORK/file" "$WORK/back")" "50000000 $sum" upload
	expect_ok cmp "$WORK/file" "$WORK/back"
	expect_ok relay client ends "$near"
	expect_ok relay client abort "$near" "$family"
	wait_for 5 said near "fate $family ECONNRESET"
	expect_ok relay client refused "$near" 9999
done
wait_for 5 no_connections node1
tunnel='istio_tcp_connections_opened_total{connection_security_policy="mutual_tls"'
(($(metric node1 "$tunnel,reporter=\"source\",destination_workload=\"near\"}") > 20)) ||
	fail "not by tunnels"
expect_eq "$(metric node1 'weft_connections_total{path="direct"}')" 0 "direct connections"
