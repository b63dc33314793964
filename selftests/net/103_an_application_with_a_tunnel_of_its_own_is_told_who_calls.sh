#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A waypoint that is enrolled and speaks no HBONE (applicationTunnel): weftd ends the tunnel in front of
# it and hands each connection to its port on loopback, with a PROXY protocol header that has the
# client's address and identity, and what the client dialled.
#
#   node1: gate (enrolled, PROXY on port 15088), near     node2: far
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"

lab_up - <<-END
	nodes: [node1, node2]
	weftd: {access_log_format: json}
	pods:
	  - name: gate
	    node: node1
	    labels: {app: gate}
	    serviceAccount: gate
	    command: exec /usr/bin/python3 -S $ROOT/selftests/net/proxyv2.py 15088
	    mesh: {applicationTunnel: {protocol: PROXY, port: 15088}}
	  - {name: near, node: node1, serviceAccount: near}
	  - {name: far, node: node2, serviceAccount: far}
	  - {name: server, node: node2, labels: {app: server}, command: exec $PEER serve 9000,
	     mesh: {waypoint: default/gate.default.svc.cluster.local}}
	services:
	  - {name: gate, ports: {15008: 15008}, selector: {app: gate}}
	  - name: web
	    ports: {80: 9000}
	    selector: {app: server}
	    mesh: {waypoint: default/gate.default.svc.cluster.local}
END
vip=$(weft_json node1 services | jq -r \
	'.services[] | select(.hostname | startswith("web.")) | .vips[] | select(contains(":") | not)')

says() { # POD HOST PORT
	pod "$1" bash -c "exec 3<>/dev/tcp/$2/$3 && echo hello >&3 && timeout 10 cat <&3"
}

wait_for 5 pod gate nc -z 127.0.0.1 15088
for who in near far; do
	for to in "$vip 80" "$(ip_of server) 9000"; do
		# shellcheck disable=SC2086 # words
		said=$(says "$who" $to) || fail "$who: $said"
		expect_eq "$(field src "$said")" "$(ip_of "$who")" "$who, address of the client"
		expect_eq "$(field dst "$said")" "${to/ /:}" "$who, what it dialled"
		expect_eq "$(field id "$said")" "spiffe://cluster.local/ns/default/sa/$who" "$who, identity"
		expect_eq "$(field from "$said") $(field said "$said")" "127.0.0.1 hello" "$who"
	done
done

# ---- the access log of the waypoint's node has what was dialled
logged() {
	jq -es --arg to "$vip:80" 'any(.[]; .direction == "inbound" and ."dst.workload" == "gate"
		and ."dst.hbone_addr" == $to)' "$LAB_DIR/node1/access.log" >/dev/null
}
wait_for 5 logged
