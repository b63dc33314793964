#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods that leave the mesh keep their open connections. A change of policies judges a connection as
# long as its destination is enrolled: it ends what it denies also if the client has left or came
# back since; what goes to a pod that has left goes on, until that pod comes back. Direct
# connections, those in tunnels, plaintext. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

deny='[{name: no-clients, namespace: shop, scope: Namespace, action: Deny,
	rules: [[[{serviceAccounts: [shop/client]}], []], [[{sourceIps: [172.31.250.254]}]]]}]'

is_cut() {
	local name line
	for name in "$@"; do
		line=$(hold_error "$name")
		[[ $line == E* ]] || fail "$name was not cut: \"$line\""
		hold_end "$name"
	done
}

all_ok() {
	local name
	for name in "$@"; do
		hold_ok "$name"
	done
}

holds() {
	hold near near "$web" 9000
	hold far far "$web" 9000
	hold fabric @fabric "$web" 9000
	hold stranger near-stranger "$web" 9000
	all_ok near far fabric stranger
}

shop_up
web=$(ip_of web)

# ---- the client has left
holds
unenrol node1 shop/near
unenrol node2 shop/far
all_ok near far fabric stranger
policies=$deny
shop_apply
is_cut near far fabric
hold_ok stranger
hold_end stranger
(($(weft_json node1 connections | jq '[.connections[] | select(.src_workload == "near")] | length') == 0)) ||
	fail "a connection that ended is shown"

# ---- it left and came back
policies='[]'
shop_apply
enrol node1 shop/near
enrol node2 shop/far
wait_for 10 peer near who "$web" 9000
wait_for 10 peer far who "$web" 9000
holds
for pod in node1\ shop/near node1\ other/near-stranger node2\ shop/far; do
	# shellcheck disable=SC2086 # two words
	unenrol $pod
done
enrol node1 other/near-stranger # takes the number that near had
enrol node1 shop/near
all_ok near far fabric stranger
policies=$deny
shop_apply
is_cut near far fabric
hold_ok stranger
hold_end stranger

# ---- the destination has left, and comes back
policies='[]'
shop_apply
enrol node2 shop/far
wait_for 10 peer far who "$web" 9000
holds
unenrol node1 shop/web
policies=$deny
shop_apply
all_ok near far fabric stranger
enrol node1 shop/web
is_cut near far fabric
hold_ok stranger
