#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Connections that are open when the policies change: those that are denied from now on end at
# once, direct ones, those in tunnels, plaintext; all others go on. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

# are_cut NAME...: each of these open connections breaks
are_cut() {
	local name line
	for name in "$@"; do
		line=$(hold_error "$name")
		[[ $line == E* ]] || fail "$name was not cut: \"$line\""
		hold_end "$name"
	done
}

go_on() {
	local name
	for name in "$@"; do
		hold_ok "$name"
	done
}

path_count() {
	weft_json "$1" connections | jq --arg path "$2" '[.connections[] | select(.path == $path)] | length'
}

is_waiting() {
	weft_json node1 connections | jq -e 'any(.connections[]; .action == "connect")' >/dev/null
}

shop_up
web=$(ip_of web)
web6=$(ip_of web 6)

hold near near web.shop 80
hold near6 near "$web6" 9000
hold near-stranger near-stranger web.shop 80
hold relayed near-stranger "$web" 9002 # no service declares it: the first goes by the relay
hold direct near-stranger "$web" 9002
hold far far web.shop 80
hold far-stranger far-stranger web.shop 80
hold fabric @fabric "$web" 9000
go_on near near6 near-stranger relayed direct far far-stranger fabric
# both ends of the four that are direct
expect_eq "$(path_count node1 direct)" 8 "direct connections"

new_drops node1
policies='[{name: no-strangers, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{namespaces: [other]}]]]}]'
shop_apply
are_cut near-stranger relayed direct far-stranger
go_on near near6 far fabric
wait_for 5 log_has node1 '.path == "direct" and ."src.workload" == "near-stranger"
	and .policy == "shop/no-strangers" and ((.error // "") | startswith("policy_changed"))'
wait_for 5 drop_has node1 '.where == "kernel" and .reason == "policy_changed"
	and .policy == "shop/no-strangers" and .src_workload == "other/near-stranger"'
wait_for 5 log_has node1 '.path == "hbone" and .direction == "inbound"
	and ."src.workload" == "far-stranger" and .policy == "shop/no-strangers"
	and (.error | startswith("policy_changed"))'
(($(event node1 reaped) == 2)) || fail "$(event node1 reaped) direct connections were reaped"
for who in near-stranger far-stranger; do
	[[ $(says "$who" web.shop 80) != ok ]] || fail "$who is let in"
done

policies='[]'
shop_apply
go_on near near6 far fabric
for who in near-stranger far-stranger; do
	expect_eq "$(says "$who" web.shop 80)" ok "$who, whom nothing denies any more"
done

# one that was let in, but not yet accepted by the application
pod web /usr/bin/python3 -c '
import signal, socket
s = socket.socket()
s.bind(("0.0.0.0", 9005))
s.listen(0)
full = socket.create_connection(("127.0.0.1", 9005))
signal.pause()' 2>/dev/null &
wait_for 5 pod web grep -q ':232D .* 0A ' /proc/net/tcp
wait_for 5 pod web grep -q ':232D .* 01 ' /proc/net/tcp
peer far who "$web" 9005 >"$peers_tmp/late" &
late=$!
wait_for 5 is_waiting
new_drops node1
policies='[{name: late, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{destinationPorts: [9005]}]]]}]'
shop_apply
wait "$late" && fail "a connection that is denied by now was established: $(cat "$peers_tmp/late")"
wait_for 5 log_has node1 '.direction == "inbound" and .policy == "shop/late"
	and ((.error // "") | startswith("policy_changed"))'
go_on near near6 far fabric

# plaintext only
policies='[{name: strict, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{notPrincipals: ["*"]}]]]}]'
shop_apply
are_cut fabric
go_on near near6 far

# one address of a pod, not the other: nothing that a cache of pairs of pods could say
policies="[{name: address, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{sourceIps: [$(ip_of near)]}]]]}]"
shop_apply
are_cut near
go_on near6 far
expect_eq "$(says near "$web6" 9000)" ok "near by its other address"
[[ $(says near "$web" 9000) != ok ]] || fail "near by the denied address"

# the workload's own list
policies='[]'
web_policies='[no-such-policy]'
shop_apply
are_cut near6 far
expect_eq "$(path_count node1 direct)" 0 "direct connections"

# clients that left the mesh file are judged by the identity they had
web_policies='[]'
shop_apply
hold near near web.shop 80
hold near-stranger near-stranger web.shop 80
hold far-stranger far-stranger web.shop 80
mesh_edit awk '/^  - uid:/ { skip = /stranger/ } /^[a-z]/ { skip = 0 } !skip'
expect_eq "$(weft_json node1 status | jq .mesh.workloads)" 3 "workloads without the strangers"
go_on near near-stranger far-stranger
rule='{name: no-strangers, namespace: shop, scope: Namespace, action: Deny, rules: [[[{namespaces: [other]}]]]}'
mesh_edit sed "s/^policies:.*/policies: [$rule]/"
are_cut near-stranger far-stranger
go_on near
