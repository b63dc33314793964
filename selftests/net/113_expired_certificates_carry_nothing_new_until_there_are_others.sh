#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The CA is away until certificates have expired: what is open lives on, nothing new gets through,
# by new tunnels or by one that stands, and weft says why. With the CA back all works again by itself.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

mkdir -p "$istiod"
web_id=spiffe://cluster.local/ns/shop/sa/web
client_id=spiffe://cluster.local/ns/shop/sa/client

state() { # NODE IDENTITY
	weft_json "$1" certs | jq -r --arg id "$2" '.certs[] | select(.identity == $id) | .state'
}
state_is() {
	# shellcheck disable=SC2053 # a pattern
	[[ $(state "$1" "$2") == $3 ]]
}
ready() {
	weft_json "$1" status | jq -e .ready >/dev/null
}
works() {
	[[ $(says "$1" web.shop 80) == ok ]]
}

shop_up
istiod_start
# node2 gets short certificates, then node1 does: each is the first to have none once
for first in node2 node1; do
	other=node$((3 - ${first#node}))
	for node in "$other" "$first"; do # which has the last word about lives
		ttl=0
		[[ $node != "$first" ]] || ttl=6
		expect_ok istiod_says "{\"ca\": {\"ttl\": $ttl}}"
		if grep -q '^certificates: istio' "$LAB_DIR/$node/weftd.yaml"; then
			expect_ok lab stop "$node"
		else
			istiod_use "$node" certificates istio certificate_ttl 1h
		fi
		expect_ok lab start "$node"
		wait_for 20 ready "$node"
	done
	wait_for 10 works far
	hold live far web.shop 80
	new_drops node1
	new_drops node2
	istiod_stop
	id=$client_id
	[[ $first == node2 ]] || id=$web_id
	wait_for 20 state_is "$first" "$id" "failed: expired, *"

	# ---- nothing new, by the tunnel that the open connection keeps, either
	hold_ok live
	said=$(says far web.shop 80)
	[[ $said != ok ]] || fail "$first: a new connection on an expired certificate"
	hold_ok live
	[[ $(weft_on "$first" status) == *failed*"(weft certs)"* ]] || fail "weft status says nothing"
	[[ $(weft_on "$first" certs) == *failed*ended*"cannot be reached"* ]] || fail "weft certs says nothing"
	if [[ $first == node2 ]]; then
		wait_for 5 log_has node2 \
			'.error == "no_identity: no certificate for '"$client_id"' in force"'
		failed=$(metric node2 'istio_tcp_connections_failed_total{response_flags="IDENTITY_ERROR"}')
		((failed >= 1)) || fail "not counted"
	else
		wait_for 5 drop_has node1 '.reason == "no_identity"'
	fi

	# ---- and back
	istiod_start
	wait_for 30 works far
	state_is "$first" "$id" ready || fail "$(state "$first" "$id")"
	hold_ok live
	hold_end live
done
echo "fault: CA away until certificates expire: 2 tried, 2 survived, 0 lost"
