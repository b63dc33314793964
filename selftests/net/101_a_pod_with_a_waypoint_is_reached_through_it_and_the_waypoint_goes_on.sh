#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod that has a waypoint, dialled by its IPv4 or IPv6 address: by an enrolled pod of its own node
# and of another one the connection goes to the waypoint, an Envoy, and from there to the pod. The
# waypoint itself, when it is enrolled, is not sent to itself: its connections reach the pod. What a
# service without a waypoint leads to is not the pod's business. `weft why` says the same of each.
#
#   node1: server, near (enrolled), inner (enrolled, a waypoint that only dials)
#   node2: far (enrolled), wp (Envoy)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/net/waypoint.sh"

lab_file() { # WAYPOINT-OF-SERVER
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, labels: {app: server}, mesh: {waypoint: $1},
	     command: exec $PEER serve 9000}
	  - {name: near, node: node1, serviceAccount: near}
	  - {name: inner, node: node1, serviceAccount: inner, labels: {app: inner},
	     command: exec $PEER serve 9000}
	  - {name: far, node: node2, serviceAccount: far}
	  - {name: legacy, node: node2, enrol: false, labels: {app: legacy}, command: exec $PEER serve 9000,
	     mesh: {waypoint: default/inner.default.svc.cluster.local}}
	  - {name: wp, node: node2, serviceAccount: wp, labels: {app: wp}, enrol: false}
	services:
	  - {name: web, ports: {80: 9000}, selector: {app: server}}
	  - name: old
	    ports: {80: 9000}
	    selector: {app: legacy}
	    mesh: {waypoint: default/inner.default.svc.cluster.local}
	  - {name: wp, ports: {15008: 15008}, selector: {app: wp}}
	  - {name: inner, ports: {15008: 15008}, selector: {app: inner}}
	END
}

why_path() { # POD DESTINATION
	weft_json node1 why "default/$1" "$2" | jq -r '[.routes[].path] | unique | join(" ")'
}

lab_file default/wp.default.svc.cluster.local >"$peers_tmp/lab.yaml"
lab_up "$peers_tmp/lab.yaml"
v4=$(ip_of server)
v6=$(ip_of server 6)
waypoint_start wp wp "$v4:9000=$v4:9000" "[$v6]:9000=[$v6]:9000"

for who in near far; do
	said=$(peer "$who" who "$v4" 9000) || fail "$who: $said"
	expect_eq "$(field host "$said") $(field peer "$said")" "server $v4:9000" "$who"
	wait_for 5 waypoint_saw "authority=$v4:9000 " "peer=spiffe://cluster.local/ns/default/sa/$who "
	said=$(peer "$who" -6 who "$v6" 9000) || fail "$who: $said"
	wait_for 5 waypoint_saw "authority=[$v6]:9000 " "peer=spiffe://cluster.local/ns/default/sa/$who "
done
expect_eq "$(why_path near "$v4:9000")" waypoint "weft why"

# ---- a service without a waypoint: directly
before=$(waypoint_lines)
hold direct near web 80
expect_eq "$(paths node1 | uniq)" direct "to the service"
expect_eq "$(why_path near web:80)" direct "weft why of the service"
hold_end direct
expect_eq "$(waypoint_lines)" "$before" "requests at the waypoint"

# ---- the waypoint goes on to the pod, its neighbour does not
apply default/inner.default.svc.cluster.local
said=$(peer inner who "$v4" 9000) || fail "inner: $said"
expect_eq "$(field host "$said")" server "inner"
expect_eq "$(field seen "$said" | cut -d: -f1)" "$(ip_of inner)" "the server sees inner"
expect_eq "$(why_path inner "$v4:9000")" hbone "weft why of the waypoint"
# also to one that takes no tunnel, and to a service of such
for to in "$(ip_of legacy) 9000" "old 80"; do
	# shellcheck disable=SC2086 # words
	said=$(peer inner who $to) || fail "inner to $to: $said"
	expect_eq "$(field host "$said") $(field seen "$said" | cut -d: -f1)" "legacy $(ip_of inner)" "$to"
done
expect_ok peer inner both 3000000 "$(ip_of legacy)" 9000
expect_eq "$(field host "$(peer far who "$(ip_of legacy)" 9000)")" inner "others come to inner"
# At inner's port 15008 weftd accepts what is for the server, and gives it to inner.
said=$(peer far who "$v4" 9000) || fail "far: $said"
expect_eq "$(field host "$said")" inner "what inner is the waypoint of comes to inner"
# But nothing that it is no waypoint of.
apply "$(ip_of inner):15008"
expect_eq "$(field host "$(peer far who "$v4" 9000)")" inner "by address"
