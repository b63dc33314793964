#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# certificates: istio. The node asks in the name of its pods, before their first connection;
# certificates are renewed under open connections; a CA that refuses, is away or answers with
# somebody else's certificate is asked again and reported. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

mkdir -p "$istiod"
web_id=spiffe://cluster.local/ns/shop/sa/web
client_id=spiffe://cluster.local/ns/shop/sa/client

cert() { weft_json "$1" certs | jq -r --arg id "$2" ".certs[] | select(.identity == \$id) | $3"; }
cert_is() {
	# shellcheck disable=SC2053 # a pattern
	[[ $(cert "$1" "$2" "$3") == $4 ]]
}
ready() { weft_json "$1" status | jq -e .ready >/dev/null; }

shop_up
istiod_start
expect_ok istiod_says '{"ca": {"fail": 1}}'
for node in node1 node2; do
	istiod_use "$node" certificates istio certificate_ttl 1h
	expect_ok lab start "$node"
done

# ---- the first ones, after a refusal that is tried again
for node in node1 node2; do
	wait_for 20 ready "$node"
	cert_is "$node" "$client_id" .state ready || fail "$node: $(cert "$node" "$client_id" .state)"
done
wait_for 5 istiod_seen ".type == \"ca\" and .refused"
wait_for 5 istiod_seen ".type == \"ca\" and .identity == \"$web_id\" and .ttl == 3600"
grep -q "the CA refuses, Unauthenticated: authentication failure; trying again" \
	"$LAB_DIR"/node*/weftd.log || fail "the refusal is not in the log"
expect_eq "$(says far web.shop 80)" ok "far"
expect_eq "$(says near web.shop 80)" ok "near"
new_drops node2

# ---- renewal at half life, under an open connection
hold far far web.shop 80
expect_ok istiod_says '{"ca": {"ttl": 4}}'
expect_ok lab stop node2
expect_ok lab start node2
wait_for 20 ready node2
hold again far web.shop 80
rotated() { (($(cert node2 "$client_id" .rotations) >= 2)); }
wait_for 20 rotated
hold_ok again
expect_eq "$(says far web.shop 80)" ok "far, renewed"

# ---- somebody else's certificate is not used, the old one stays
expect_ok istiod_says "{\"ca\": {\"uri\": \"$web_id\"}}"
other() { cert_is node2 "$client_id" .error '*certificate is for "'"$web_id"'"*'; }
wait_for 20 other
expect_ok istiod_says '{"ca": {"uri": "", "ttl": 0}}'
wait_for 20 cert_is node2 "$client_id" .error ""

# ---- away: what there is serves on
istiod_stop
expect_eq "$(says far web.shop 80)" ok "without a CA"
hold_ok again
