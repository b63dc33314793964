#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One policy after the other, and who gets through by which address and port: the same on one
# node, where the kernel enforces it, and between nodes. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

# Twice: what the relay decided once is decided by the kernel after that.
gets_through() {
	local first second
	first=$(says "$@")
	second=$(says "$@")
	[[ $first == ok ]] && first=yes || first=no
	[[ $second == ok ]] && second=yes || second=no
	expect_eq "$second" "$first" "second connection of $*"
	echo "$first"
}

# case_is WHAT HOST:PORT NEAR FAR NEAR-STRANGER FAR-STRANGER: yes or no
case_is() {
	local what=$1 host=${2%:*} port=${2##*:} client got=()
	for client in near far near-stranger far-stranger; do
		got+=("$(gets_through "$client" "$host" "$port")")
	done
	shift 2
	expect_eq "${got[*]}" "$*" "$what, $host:$port from near far near-stranger far-stranger"
}

rule() {
	policies="[{name: it, namespace: shop, scope: Namespace, action: $1, rules: [[[$2]]]}]"
	shop_apply
}

shop_up
web=$(ip_of web)
web6=$(ip_of web 6)
case_is 'no policy' "web.shop:80" yes yes yes yes

rule Allow '{principals: [cluster.local/ns/shop/sa/client]}'
case_is 'ALLOW principals' "web.shop:80" yes yes no no
rule Deny '{principals: [{Prefix: cluster.local/ns/other/}]}'
case_is 'DENY principals by prefix' "web.shop:80" yes yes no no
rule Deny '{notPrincipals: ["*/client"]}'
case_is 'DENY notPrincipals by suffix' "web.shop:80" yes yes no no
rule Allow '{namespaces: [other]}'
case_is 'ALLOW namespaces' "web.shop:80" no no yes yes
rule Deny '{serviceAccounts: [other/stranger]}'
case_is 'DENY serviceAccounts' "web.shop:80" yes yes no no
rule Allow '{notServiceAccounts: [{namespace: shop, serviceAccount: client}]}'
case_is 'ALLOW notServiceAccounts' "web.shop:80" no no yes yes

rule Allow '{sourceIps: [10.244.1.0/24]}'
case_is 'ALLOW sourceIps' "$web:9000" yes no yes no
case_is 'ALLOW sourceIps, the other family' "$web6:9000" no no no no
rule Deny "{notSourceIps: [$(ip_of far)/32, $(ip_of near)]}"
case_is 'DENY notSourceIps' "$web:9000" yes yes no no
case_is 'DENY notSourceIps, the other family' "$web6:9000" no no no no
rule Deny "{destinationIps: [$web]}"
case_is 'DENY destinationIps' "$web:9000" no no no no
case_is 'DENY destinationIps, the other family' "$web6:9000" yes yes yes yes
rule Allow "{notDestinationIps: [$web/32]}"
case_is 'ALLOW notDestinationIps' "$web:9000" no no no no
case_is 'ALLOW notDestinationIps, the other family' "$web6:9000" yes yes yes yes

rule Allow '{destinationPorts: [9000]}'
case_is 'ALLOW destinationPorts: that of the pod, not that of the service' "web.shop:80" yes yes yes yes
case_is 'ALLOW destinationPorts' "$web:9001" no no no no
rule Deny '{notDestinationPorts: [9001]}'
case_is 'DENY notDestinationPorts' "$web:9001" yes yes yes yes
case_is 'DENY notDestinationPorts' "web.shop:80" no no no no

policies='[{name: all, namespace: shop, scope: Namespace, action: Allow, rules: [[]]},
	   {name: none, namespace: root, scope: Global, action: Deny,
	    rules: [[[{namespaces: [other]}], [{destinationPorts: [9000]}]]]}]'
shop_apply
case_is 'DENY before ALLOW' "web.shop:80" yes yes no no
case_is 'a rule is the AND of its clauses' "$web:9001" yes yes yes yes

policies='[{name: nobody, namespace: shop, scope: Namespace, action: Allow, rules: []}]'
shop_apply
case_is 'an ALLOW that matches nothing' "web.shop:80" no no no no

policies='[{name: dry, namespace: shop, scope: Namespace, action: Deny, dryRun: true, rules: [[]]},
	   {name: dry-too, namespace: shop, scope: Namespace, action: Allow, dryRun: true, rules: []},
	   {name: other, namespace: other, scope: Namespace, action: Deny, rules: [[]]},
	   {name: selected, namespace: shop, scope: WorkloadSelector, action: Deny, rules: [[]]}]'
shop_apply
case_is 'dry run, another namespace, nobody selects it' "web.shop:80" yes yes yes yes

web_policies='[selected]'
shop_apply
case_is 'the workload selects it' "web.shop:80" no no no no
web_policies='[no-such-policy]'
shop_apply
case_is 'the workload names a policy that does not exist' "web.shop:80" no no no no
web_policies='[]'
shop_apply
case_is 'nothing denies any more' "web.shop:80" yes yes yes yes
