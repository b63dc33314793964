#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weftd in ztunnel's place: istio-cni has put its rules into the pods and tells of them by ZDS. They
# reach each other through HBONE, on one node and between two, and see each other's addresses; what
# is outside of the mesh is reached without it; strangers come in as plaintext that policies judge;
# a probe of the node arrives whatever they say; a socket with a mark of its own is caught by the
# rules and taken to the same places.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/zds.sh"

strict='[]'
lab_file() {
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, serviceAccount: server, node: node1, enrol: false, protocol: HBONE, labels: {app: server},
	     command: exec $PEER serve 9000}
	  - {name: near, serviceAccount: near, node: node1, enrol: false, protocol: HBONE}
	  - {name: own, node: node1, command: exec $PEER serve 9000}
	  - {name: far, serviceAccount: far, node: node2, enrol: false, protocol: HBONE}
	  - {name: outsider, node: node2, enrol: false, command: exec $PEER serve 9000}
	services:
	  - {name: server, ports: {80: 9000}, selector: {app: server}}
	weftd: {access_log_format: json}
	policies: $strict
	EOF
}
lab_up - < <(lab_file)
for pod in server near far; do
	zds_rules $pod
done
for node in node1 node2; do
	zds_agent $node
	zds_use $node
done
cni_add node1 server
cni_add node1 near
cni_add node2 far
zds_is node1 '.state == "synced" and .served == 2 and .pending == 0' || fail "$(weft_json node1 status | jq .zds)"
weft_json node1 pods | jq -e '[.pods[] | {name, by, uid}] | sort_by(.name) == [
	{"name": "near", "by": "zds", "uid": "uid-near"}, {"name": "own", "by": "weft", "uid": ""},
	{"name": "server", "by": "zds", "uid": "uid-server"}]' >/dev/null || fail "$(weft_json node1 pods)"
ip=$(ip_of server)
ip6=$(ip_of server 6)

client_of() { # LINE: the address that the server saw
	local seen
	seen=$(field seen "$1")
	echo "${seen%:*}"
}

tunnels() {
	metric "$1" 'istio_tcp_connections_opened_total{reporter="destination",connection_security_policy="mutual_tls"}'
}

# ---- in the mesh: by tunnel, from the real address, on one node as well
wait_for 10 peer far who "$ip" 9000
before=$(tunnels node1)
for from in far near own; do
	for to in "$ip" "$ip6" server; do
		port=9000
		[[ $to != server ]] || port=80
		line=$(peer $from who "$to" $port) || fail "$from to $to: $line"
		if [[ $to == "$ip6" ]]; then
			expect_eq "$(client_of "$line")" "[$(ip_of $from 6)]" "$from at $to"
		elif [[ $to == "$ip" ]]; then
			expect_eq "$(client_of "$line")" "$(ip_of $from)" "$from at $to"
		fi
	done
done
expect_eq $(($(tunnels node1) - before)) 9 "connections in tunnels"
# from a pod with rules to one without: nothing is in the way of the direct path
before=$(event node1 connect_direct)
wait_for 5 peer near who "$(ip_of own)" 9000
peer near who "$(ip_of own)" 9000 >/dev/null || fail "near to own"
(($(event node1 connect_direct) > before)) || fail "not direct"
# the pod itself, and its loopback
serve_in near 7000
wait_for 5 peer near who 127.0.0.1 7000
expect_ok peer near who "$(ip_of near)" 7000

# ---- outside of it
line=$(peer near who "$(ip_of outsider)" 9000) || fail "outside: $line"
expect_eq "$(client_of "$line")" "$(ip_of near)" "outside"
((0 < $(event node1 connect_passthrough))) || fail "not by the hooks"

# ---- by the rules, around the hooks: a mark of its own
before=$(event node1 connect_rules)
for to in "$ip" "$ip6" "$(ip_of outsider)" server; do
	port=9000
	[[ $to != server ]] || port=80
	line=$(peer far -M 7 who "$to" $port) || fail "with a mark to $to: $line"
done
line=$(peer near -M 7 who "$(ip_of own)" 9000) || fail "with a mark, on the node: $line"
line=$(peer near -M 7 who "$(ip_of outsider)" 9000) || fail "with a mark, outside: $line"
(($(event node1 connect_rules) - before == 2)) || fail "not left to the rules"
for port in 15001 15003 15006 15008; do
	expect_fail peer near -M 7 who "$ip" $port
	expect_fail peer near who "$ip" $port
	expect_fail peer near who "$(ip_of near)" $port
done

# ---- strangers: as plaintext, from their address; nobody dials the listeners
for to in "$ip" "$ip6"; do
	line=$(peer outsider who "$to" 9000) || fail "stranger at $to: $line"
	[[ $(field seen "$line") == *$(ip_of outsider)* || $(field seen "$line") == *$(ip_of outsider 6)* ]] ||
		fail "stranger: $line"
done
for port in 15001 15003 15006; do
	expect_fail peer outsider who "$ip" $port
done

# ---- a probe of the node: past every policy, and that is all that is
zds_probe_rules node1 server
strict='[{name: strict, namespace: default, scope: Namespace, action: Deny, rules: [[[{notPrincipals: ["*"]}]]]}]'
lab_file >"$peers_tmp/lab.yaml"
expect_ok lab apply "$peers_tmp/lab.yaml"
denied() { ! peer outsider who "$ip" 9000 >/dev/null; }
wait_for 10 denied
line=$(peer @node1 who "$ip" 9000) || fail "the probe: $line"
expect_eq "$(client_of "$line")" "$zds_probe" "the probe"
expect_ok peer far who "$ip" 9000
expect_ok peer near who "$ip" 9000
