#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two networks with a gateway between them, an Envoy: it ends a tunnel of the client's node, and what is
# in there, a second tunnel to whoever proves to be the service, goes on to the pod as it is. The
# gateway sees service and port, and neither bytes nor address; who is not what it should be, gateway
# or server, gets nothing; what is in the own network is preferred if the service says so.
#
#   node1, net1: client, near     node2, net2: far, elder (enrolled), gw (Envoy)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/net/waypoint.sh"

id=spiffe://cluster.local/ns/default/sa

lab_file() { # [ACCOUNT-OF-GW [GATEWAY [SAN-OF-WEB]]]
	local gateway=${2:-default/gw.default.svc.cluster.local}
	cat <<-END
	nodes: [node1, node2]
	weftd: {access_log_format: json}
	pods:
	  - {name: client, node: node1, serviceAccount: client, mesh: {network: net1}}
	  - {name: near, node: node1, labels: {app: both}, mesh: {network: net1},
	     command: exec $PEER serve 9000}
	  - name: far
	    node: node2
	    serviceAccount: far
	    labels: {app: web}
	    mesh: {network: net2, networkGateway: $gateway}
	    command: exec $PEER serve 9000 9001
	  - name: elder
	    node: node2
	    serviceAccount: elder
	    labels: {app: both}
	    mesh: {network: net2, networkGateway: $gateway}
	    command: exec $PEER serve 9000
	  - {name: gw, node: node2, serviceAccount: ${1:-gw}, labels: {app: gw}, enrol: false,
	     protocol: HBONE, mesh: {network: net2}}
	services:
	  - name: web
	    ports: {80: 9000, 81: 9001}
	    selector: {app: web}
	    mesh: {subjectAltNames: [https://example.com, ${3:-$id/far}]}
	  - {name: unnamed, ports: {80: 9000}, selector: {app: web}}
	  - name: both
	    ports: {80: 9000}
	    selector: {app: both}
	    mesh:
	      subjectAltNames: [$id/elder]
	      loadBalancer: {routingPreferences: [Network], mode: Failover}
	  - {name: gw, ports: {15008: 15008}, selector: {app: gw}}
	END
}

log_says() { # NODE FILTER
	jq -es "any(.[]; $2)" "$LAB_DIR/$1/access.log" >/dev/null
}

refused_with() { # REASON TEXT
	local said
	said=$(peer client who "${3:-web}" 80) && fail "gets through: $said"
	wait_for 5 log_says node1 "((.error // \"\") | startswith(\"$1\") and contains(\"$2\"))"
}

lab_file >"$peers_tmp/lab.yaml"
lab_up "$peers_tmp/lab.yaml"
far=$(ip_of far) gw=$(ip_of gw)
waypoint_pass=1
waypoint_start gw gw "web.default.svc.cluster.local:80=$far:15008" \
	"web.default.svc.cluster.local:81=$far:15008" "both.default.svc.cluster.local:80=$(ip_of elder):15008"

# ---- through it: identities, what each sees, what the log has
said=$(peer client who web 80) || fail "client cannot reach web: $said"
expect_eq "$(field host "$said")" far "who answers"
expect_eq "$(field seen "$said" | cut -d: -f1)" "$gw" "the server sees the gateway"
wait_for 5 waypoint_saw "authority=web.default.svc.cluster.local:80 " "peer=$id/client " \
	"source=$(ip_of client) " "network=- "
wait_for 5 log_says node1 ".\"dst.identity\" == \"$id/far\" and .\"dst.addr\" == \"$gw:15008\"
	and .\"dst.hbone_addr\" == \"web.default.svc.cluster.local:80\" and (.error | not)"
wait_for 5 log_says node2 ".direction == \"inbound\" and .\"src.identity\" == \"$id/client\"
	and .\"dst.workload\" == \"far\""
said=$(weft_json node1 why default/client web:80) || true
expect_eq "$(jq -r '.routes[0].path' <<<"$said")" gateway "weft why: $said"
[[ $(jq -r '.routes[0].path_sentence' <<<"$said") == *"gateway of network net2"* ]] || fail "weft why: $said"

expect_eq "$(field host "$(peer client -6 who web 80)")" far "who answers by IPv6"
expect_eq "$(weft_json node1 workloads | jq -r '.workloads[] | select(.name == "far") | .network + " " + .gateway')" \
	"net2 default/gw.default.svc.cluster.local" "weft workloads"

# ---- bytes both ways, ends, many at once, one after the other on one outer tunnel
for way in up down both; do
	expect_eq "$(peer client "$way" 20000000 web 80)" "$way 20000000" "bulk data"
done
hold held client web 80
hold_ok held
for _ in 1 2 3 4 5 6 7 8; do
	expect_eq "$(seen_as client host web 80)" far "again"
done
hold_ok held
hold_end held

# ---- the own network comes first where the service wants that; else nobody is left out
for _ in 1 2 3 4; do
	expect_eq "$(seen_as client host both 80)" near "the own network first"
done

# ---- whom to trust: the service's names behind the gateway, the gateway's own in front
refused_with no_endpoint "has no endpoint for port 80" unnamed
said=$(weft_json node1 why default/client unnamed:80) || true
[[ $said == *"has no subjectAltNames"* ]] || fail "weft why unnamed: $said"
refused_with bad_destination "whose gateway takes in what goes to services only" "$far"
apply other
refused_with tls_failed "the gateway: the peer is $id/gw, expected $id/other"
apply gw default/nobody
refused_with no_endpoint "gateway default/nobody: nobody of the mesh has this name"
apply gw "net2/$gw"
expect_eq "$(seen_as client host web 80)" far "a gateway by its address"
apply gw '' $id/another
refused_with tls_failed "the peer is $id/far, expected https://example.com"
apply
expect_eq "$(seen_as client host web 80)" far "after all that"

# ---- the gateway dies: what is open is reset, what is new refused; both say so
hold last client web 80
hold_ok last
pod gw pkill -x envoy
is_cut() {
	[[ $(hold_error last) == E* ]]
}
wait_for 10 is_cut
hold_end last
refused_with connect_failed "the gateway: "
