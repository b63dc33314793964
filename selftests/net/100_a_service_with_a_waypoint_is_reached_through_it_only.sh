#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Enrolled pods of both nodes dial the VIP of a service that names a waypoint: their connections end
# at the waypoint, an Envoy, with the VIP as authority and their own certificate; what goes on from
# there reaches the server with the waypoint's. A policy that lets in the waypoint alone shows that
# no way leads around it: neither the direct path of one node nor a cached verdict.
#
#   node1: server, near (both enrolled)     node2: far (enrolled), wp (Envoy)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/net/waypoint.sh"

lab_file() { # WAYPOINT-OF-WEB [ACCOUNT-OF-WP [SAN-OF-WP]]
	cat <<-END
	nodes: [node1, node2]
	weftd: {access_log_format: json}
	pods:
	  - {name: server, node: node1, labels: {app: server}, mesh: {network: net1},
	     command: exec $PEER serve 9000}
	  - {name: near, node: node1, serviceAccount: near, mesh: {network: net1}}
	  - {name: far, node: node2, serviceAccount: far, mesh: {network: net1}}
	  - {name: wp, node: node2, serviceAccount: ${2:-wp}, labels: {app: wp}, enrol: false}
	services:
	  - name: web
	    ports: {80: 9000}
	    selector: {app: server}
	    mesh: {${1:+waypoint: $1}}
	  - {name: bare, ports: {80: 9000}, selector: {app: server}}
	  - name: wp
	    ports: {15008: 15008}
	    selector: {app: wp}
	    mesh: {subjectAltNames: [${3:-}]}
	  - {name: empty, ports: {15008: 15008}, selector: {app: nobody}}
	  - {name: abroad, ports: {15008: 15008}, selector: {app: nobody}}
	workloads:
	  - uid: abroad
	    name: abroad
	    namespace: default
	    network: net2
	    workloadIps: [10.99.0.1]
	    services: {default/abroad.default.svc.cluster.local: {15008: 15008}}
	policies:
	  - name: waypoint-only
	    namespace: default
	    scope: Namespace
	    action: Allow
	    rules: [[[{principals: [cluster.local/ns/default/sa/wp]}]]]
	END
}

vip_of() { # SERVICE
	weft_json node1 services | jq -r --arg name "$1" \
		'.services[] | select(.hostname | startswith($name + ".")) | .vips[] | select(contains(":") | not)' | head -n 1
}

tunnel_on() { # NODE
	[[ $(paths "$1") == *hbone* ]]
}

refused_with() { # NODE POD REASON TEXT
	local said
	said=$(peer "$2" who web 80) && fail "$2 gets through: $said"
	wait_for 5 log_says "$1" "$2" "$3" "$4"
}

log_says() { # NODE POD REASON TEXT
	jq -es --arg pod "$2" --arg reason "$3" --arg text "$4" 'any(.[]; ."src.workload" == $pod
		and ((.error // "") | startswith($reason) and contains($text)))' \
		"$LAB_DIR/$1/access.log" >/dev/null
}

wp=default/wp.default.svc.cluster.local
lab_file "$wp" >"$peers_tmp/lab.yaml"
lab_up "$peers_tmp/lab.yaml"
server=$(ip_of server)
vip=$(vip_of web)
waypoint_start wp wp "$vip:80=$server:9000"

# ---- through it, from the server's own node and from another one
for who in near far; do
	said=$(peer "$who" who web 80) || fail "$who cannot reach web: $said"
	expect_eq "$(field host "$said")" server "$who"
	expect_eq "$(field peer "$said")" "$vip:80" "$who sees what it dialled"
	expect_eq "$(field seen "$said" | cut -d: -f1)" "$(ip_of wp)" "the server sees the waypoint"
	wait_for 5 waypoint_saw "authority=$vip:80 " "peer=spiffe://cluster.local/ns/default/sa/$who " \
		"source=$(ip_of "$who") " "k8s.deployment.name=$who"
done
[[ $(paths node1) != *direct* ]] || fail "a direct connection"
before=$(waypoint_lines)
hold held near web 80
hold_ok held
wait_for 5 waypoint_had $((before + 1))
wait_for 5 tunnel_on node1
hold_end held

# ---- the policy holds for those that do not come through it
expect_fail peer near who bare 80
expect_fail peer far who bare 80
expect_fail peer near who "$server" 9000

# ---- who is not the waypoint gets nothing: its account, or what its service says besides
apply "$wp" other
refused_with node1 near tls_failed "expected spiffe://cluster.local/ns/default/sa/other"
apply "$wp" other spiffe://cluster.local/ns/default/sa/wp
expect_ok peer near who web 80

# ---- one that cannot be used refuses, it is never left out
apply default/nobody
refused_with node1 near no_waypoint "nobody of the mesh has this name"
refused_with node2 far no_waypoint "nobody of the mesh has this name"
apply default/empty.default.svc.cluster.local
refused_with node1 near no_waypoint "no endpoint to choose"
apply default/abroad.default.svc.cluster.local
refused_with node1 near no_waypoint "is in another network"
apply 10.99.0.77
refused_with node1 near no_waypoint "nobody of the mesh has this address"
(($(metric node1 'weft_connections_total{reason="no_waypoint"}') >= 4)) || fail "not counted: $(metrics node1 | grep no_waypoint)"
expect_ok last_drop node1 no_waypoint

# ---- by address, and as one of several by weight
apply "$(ip_of wp)"
expect_ok peer near who web 80
apply "$(ip_of wp):15008"
expect_ok peer far who web 80
apply "default/nobody, weightedWaypoints: [{destination: $wp, weight: 1}, {destination: a/b, weight: 0}]"
for _ in 1 2 3 4 5; do
	expect_ok peer near who web 80
done

# ---- without a waypoint the policies of the destination see the client itself
apply ''
refused_with node1 near policy_denied ""
apply "$wp"
expect_ok peer near who web 80
