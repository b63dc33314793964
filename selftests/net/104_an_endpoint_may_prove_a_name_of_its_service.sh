#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A peer that ends tunnels itself (an Envoy) and whose certificate is not that of its service account:
# it is accepted for a service that names this identity in subjectAltNames, and for no other service,
# nor when the pod itself is dialled.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/net/waypoint.sh"

lab_up - <<-END
	nodes: [node1]
	weftd: {access_log_format: json}
	pods:
	  - {name: server, node: node1, command: exec $PEER serve 9000}
	  - {name: client, node: node1}
	  - {name: entry, node: node1, serviceAccount: entry, labels: {app: entry}, enrol: false,
	     protocol: HBONE}
	services:
	  - name: named
	    ports: {80: 9000}
	    selector: {app: entry}
	    mesh: {subjectAltNames: [https://example.com, spiffe://cluster.local/ns/default/sa/real]}
	  - {name: unnamed, ports: {80: 9000}, selector: {app: entry}}
	  - name: other
	    ports: {80: 9000}
	    selector: {app: entry}
	    mesh: {subjectAltNames: [spiffe://cluster.local/ns/default/sa/another]}
END
entry=$(ip_of entry)
waypoint_start entry real "$entry:9000=$(ip_of server):9000"

peer_was() {
	jq -es --arg id "$1" 'any(.[]; ."src.workload" == "client" and ."dst.identity" == $id)' \
		"$LAB_DIR/node1/access.log" >/dev/null
}

expect_eq "$(seen_as client host named 80)" server "through the service that names it"
wait_for 5 peer_was spiffe://cluster.local/ns/default/sa/real
expect_fail peer client who unnamed 80
expect_fail peer client who other 80
expect_fail peer client who "$entry" 9000
expect_eq "$(seen_as client host named 80)" server "after the failures"
