#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Addresses outside of the mesh that a service claims as a range with a waypoint, as for egress: an
# enrolled pod gets there through the waypoint only, also around the hooks; a longer range without
# one is reached as it is, and so is everything when the service is gone. A pod that is not enrolled
# is not concerned.
#
#   node1: server, client (enrolled), wp (Envoy, gives all to server)     fabric: a stranger
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/net/waypoint.sh"

FABRIC=172.31.250.254

lab_file() { # RANGES
	cat <<-END
	nodes: [node1]
	pods:
	  - {name: server, node: node1, command: exec $PEER serve 9000}
	  - {name: client, node: node1, serviceAccount: client}
	  - {name: outsider, node: node1, enrol: false}
	  - {name: wp, node: node1, serviceAccount: wp, labels: {app: wp}, enrol: false}
	services:
	  - {name: wp, ports: {15008: 15008}, selector: {app: wp}}
	  - name: egress
	    ports: {9000: 9000}
	    selector: {app: nobody}
	    headless: true
	    mesh:
	      waypoint: default/wp.default.svc.cluster.local
	      loadBalancer: {mode: Passthrough}
	      cidrVips: [${1:-}]
	  - name: free
	    ports: {9000: 9000}
	    selector: {app: nobody}
	    headless: true
	    mesh:
	      loadBalancer: {mode: Passthrough}
	      cidrVips: [${2:-}]
	END
}

arrives_at() { # POD
	local said
	said=$(peer client who "$FABRIC" 9000) || fail "client: $said"
	echo "${said##*host=}"
}

lab_file '172.31.0.0/16' >"$peers_tmp/lab.yaml"
lab_up "$peers_tmp/lab.yaml"
waypoint_start wp wp "$FABRIC:9000=$(ip_of server):9000"
serve_in @fabric 9000
wait_for 5 peer outsider who "$FABRIC" 9000

expect_eq "$(arrives_at)" server "a range with a waypoint"
wait_for 5 waypoint_saw "authority=$FABRIC:9000 " "peer=spiffe://cluster.local/ns/default/sa/client "
expect_eq "$(weft_json node1 why default/client "$FABRIC:9000" | jq -r '.routes[0].path')" waypoint why

apply '172.31.0.0/16' "net/$FABRIC/32"
[[ $(arrives_at) != server ]] || fail "a longer range without a waypoint goes through it"
apply '172.31.0.0/16, /172.31.250.0/24'
expect_eq "$(arrives_at)" server "two ranges"

# ---- a daemon that starts again finds what is there, and takes away what is not
lab_file '' >"$peers_tmp/lab.yaml"
expect_ok lab stop node1
expect_fail peer client who "$FABRIC" 9000
expect_ok lab apply "$peers_tmp/lab.yaml"
expect_ok lab start node1
[[ $(arrives_at) != server ]] || fail "a range that is gone goes through the waypoint"
[[ $(bpftool -j map dump pinned "$(pins node1)/weft_ranges" | jq length) == 0 ]] || fail "ranges stay"
