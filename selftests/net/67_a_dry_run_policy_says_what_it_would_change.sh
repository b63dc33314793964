#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A policy with dryRun refuses and allows nobody; the access log of the destination's node and a
# counter say whose verdict would be another one if it were in force: on one node, between nodes,
# and for who speaks no HBONE. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

# said CLIENT FILTER: about a connection from CLIENT, by web's node
said() {
	wait_for 5 log_has node1 ".direction == \"inbound\" and .\"src.workload\" == \"$1\" and $2"
}

counted() {
	metric node1 "weft_policy_dry_run_total{verdict=\"$1\"}"
}

shop_up
expect_eq "$(says near web.shop 80) $(says far web.shop 80)" "ok ok" "no policy"
said near 'has("dry_run") == false'
said far 'has("dry_run") == false'
expect_eq "$(counted deny) $(counted allow)" "0 0" "nothing counted"

# ---- a DENY that would refuse the clients, not the strangers
policies='[{name: no, namespace: shop, scope: Namespace, action: Deny, dryRun: true,
	    rules: [[[{namespaces: [other]}]], [[{serviceAccounts: [shop/client]}]]]}]'
shop_apply
new_drops node1
for client in near far near-stranger far-stranger; do
	expect_eq "$(says $client web.shop 80)" ok "$client under a dry-run DENY"
done
said near '.dry_run == "deny" and .dry_run_policy == "shop/no" and .dry_run_rule == 1'
said far '.dry_run == "deny" and .dry_run_policy == "shop/no" and .dry_run_rule == 1'
said near-stranger '.dry_run == "deny" and .dry_run_rule == 0'
said far-stranger '.dry_run == "deny" and .dry_run_rule == 0'
expect_eq "$(counted deny) $(counted allow)" "4 0" "would be denied"

# ---- an ALLOW that would make "no policy" into "all but these are refused"
policies='[{name: only, namespace: shop, scope: Namespace, action: Allow, dryRun: true,
	    rules: [[[{namespaces: [shop]}]]]}]'
shop_apply
new_drops node1
expect_eq "$(says near web.shop 80) $(says far-stranger web.shop 80)" "ok ok" "a dry-run ALLOW"
said near 'has("dry_run") == false'
said far-stranger '.dry_run == "deny" and has("dry_run_policy") == false'

# ---- an ALLOW that would let in who is refused now
policies='[{name: only, namespace: shop, scope: Namespace, action: Allow,
	    rules: [[[{namespaces: [shop]}]]]},
	   {name: too, namespace: root, scope: Global, action: Allow, dryRun: true,
	    rules: [[[{namespaces: [other]}]]]}]'
shop_apply
new_drops node1
for client in near-stranger far-stranger; do
	[[ $(says $client web.shop 80) != ok ]] || fail "$client: a dry-run ALLOW let it in"
done
wait_for 5 log_has node1 '.dry_run == "allow" and .dry_run_policy == "root/too"
	and ."src.workload" == "near-stranger"'
said far-stranger '.dry_run == "allow" and .dry_run_policy == "root/too" and .dry_run_rule == 0'
(($(counted allow) >= 2)) || fail "counted as allowed: $(counted allow)"
