#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# DENY notPrincipals "*" refuses plaintext and nothing else; limited to a port, the other ports
# stay permissive. Strangers: a machine on the fabric between the nodes. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

everybody() {
	local port=$1 who got=""
	shift
	for who in near near-stranger far far-stranger @fabric; do
		[[ $(says "$who" "$web" "$port") == ok ]] && got+=" yes" || got+=" no"
	done
	expect_eq "${got# }" "$*" "$port from near near-stranger far far-stranger fabric"
}

shop_up
web=$(ip_of web)
for port in 9000 9001; do
	everybody "$port" yes yes yes yes yes
done

policies='[{name: strict, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{notPrincipals: ["*"]}]]]}]'
shop_apply
everybody 9000 yes yes yes yes no
new_drops node1
everybody 9001 yes yes yes yes no
wait_for 5 log_has node1 '.path == "plain" and .policy == "shop/strict" and .rule == 0
	and (.error | startswith("policy_denied: ")) and .direction == "inbound"
	and (."src.addr" | startswith("172.31.250.254:")) and ."dst.workload" == "web"'
wait_for 5 drop_has node1 '.where == "kernel" and .reason == "policy_denied"
	and .policy == "shop/strict" and .rule == 0 and .dst_workload == "shop/web"'

# The SYN itself is refused, by either family, and each is counted, once.
refusals() {
	metric node1 'istio_tcp_connections_failed_total{response_flags="DENY",reporter="destination",source_workload="unknown"}'
}
before=$(refusals)
for ((i = 0; i < 10; i++)); do
	for to in "$web" "$(ip_of web 6)"; do
		expect_eq "$(says @fabric "$to" 9000)" ECONNREFUSED "plaintext to $to"
	done
done
expect_eq $(($(refusals) - before)) 20 "refused plaintext that is counted"

# permissive, but not on 9000
policies='[{name: strict, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{notPrincipals: ["*"]}], [{destinationPorts: [9000]}]]]}]'
shop_apply
everybody 9000 yes yes yes yes no
everybody 9001 yes yes yes yes yes

# strict, but not on 9000
policies='[{name: strict, namespace: shop, scope: WorkloadSelector, action: Deny,
	    rules: [[[{notPrincipals: ["*"]}], [{notDestinationPorts: [9000]}]]]}]'
web_policies='[strict]'
shop_apply
everybody 9000 yes yes yes yes yes
everybody 9001 yes yes yes yes no

# plaintext has no identity, and so no ALLOW by identity lets it in; one by address does
web_policies='[]'
policies='[{name: a, namespace: shop, scope: Namespace, action: Allow,
	    rules: [[[{principals: ["*"]}]], [[{namespaces: [{Presence: []}]}]]]}]'
shop_apply
everybody 9000 yes yes yes yes no
policies='[{name: a, namespace: shop, scope: Namespace, action: Allow,
	    rules: [[[{sourceIps: [172.31.250.254]}]]]}]'
shop_apply
everybody 9000 no no no no yes
