#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Without a policy, a pod that is not enrolled reaches an enrolled one in plain text, from the
# same node, from another one and from the node itself; it is relayed with its real address and
# has no identity. A policy against strangers ends that, and nothing else.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_file() {
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
	  - {name: near, node: node1}
	  - {name: beside, node: node1, enrol: false}
	  - {name: far, node: node2, enrol: false}
	services:
	  - {name: server, ports: {80: 9000}, selector: {app: server}}
	${1:-}
	EOF
}
strict='policies:
  - name: no-strangers
    namespace: default
    scope: Namespace
    action: Deny
    rules:
      - - - notPrincipals: ["*"]'

lab_up - < <(lab_file)
ip=$(ip_of server)
ip6=$(ip_of server 6)
wait_for 5 peer far who "$ip" 9000

for pod in beside far; do
	for kind in "" -6 -m; do
		to=$ip own=$(ip_of $pod)
		[[ $kind != -6 ]] || to=$ip6 own="[$(ip_of $pod 6)]"
		# shellcheck disable=SC2086 # none or one word
		line=$(peer $pod $kind who "$to" 9000) || fail "$pod $kind: $line"
		[[ $(field seen "$line") == "$own":* ]] || fail "$pod $kind: the client's address: $line"
		[[ $(field at "$line") == *:9000 ]] || fail "$pod $kind: the server's address: $line"
	done
	expect_eq "$(peer $pod both 5000000 "$ip" 9000)" "both 5000000" "$pod: bulk data"
done
# the kubelet's probes
line=$(peer @node1 who "$ip" 9000) || fail "from the node: $line"

hold plain beside "$ip" 9000
hold_ok plain
row=$(weft_json node1 connections | jq -c '.connections[]')
expect_eq "$(jq -r '[.path, .direction, .pod, .src_workload, .src_identity] | join(" ")' <<<"$row")" \
	"plain inbound default/server beside " "what weftd says of it"
expect_eq "$(event node1 connect_direct)" 0 "direct connections of strangers"
opened='istio_tcp_connections_opened_total{reporter="destination",connection_security_policy="unknown"'
[[ $(metric node1 "$opened,source_workload=\"beside\"}") -ge 5 ]] || fail "metrics of a stranger"
expect_eq "$(metric node1 "$opened,source_principal=\"unknown\"}")" "$(metric node1 "$opened}")" \
	"nobody has a principal"

# nothing listens there: refused or cut, never open
[[ $(peer beside -t 5 try 9999 "$ip") =~ (ECONNREFUSED|ECONNRESET|EOF)$ ]] || fail "a closed port"

# the policy
hold friend near "$ip" 9000
hold_ok friend
lab_file "$strict" >"$peers_tmp/strict.yaml"
expect_ok lab apply "$peers_tmp/strict.yaml"
denied() {
	! peer "$1" -t 5 who "$ip" 9000
}
wait_for 5 denied beside
wait_for 5 denied far
[[ $(hold_error plain) =~ ^(ECONNRESET|EOF|EPIPE)$ ]] || fail "an open connection of a stranger"
hold_ok friend
expect_ok peer near who "$ip" 9000
expect_fail peer beside -t 5 who "$ip" 9000
wait_for 5 last_drop node1 policy_denied default/no-strangers
