#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weftd takes its mesh from istiod (the stand-in): ready when both types were answered, changes
# and removals are applied, a resource that cannot be understood is refused by name while the
# others count, and an older version of it stays in force. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

mkdir -p "$istiod"
shop_up
istiod_start
for node in node1 node2; do
	istiod_use "$node"
	expect_ok lab start "$node"
done

# ---- the same mesh, and what istiod was told
for node in node1 node2; do
	expect_eq "$(xds "$node" '[.connected, .synced, .rejected_now] | @csv' | tr -d '"')" \
		true,true,0 "$node"
	wait_for 5 istiod_seen ".node == \"ztunnel~172.31.250.9~ztunnel-$node.istio-system~istio-system.svc.cluster.local\" and .clusterid == \"Kubernetes\""
done
wait_for 5 istiod_seen '.type == "Address" and .nonce == "n1" and (has("error") | not)'
wait_for 5 istiod_seen '.type == "Authorization" and .nonce == "n2" and (has("error") | not)'
expect_eq "$(says near web.shop 80)" ok "near"
expect_eq "$(says far web.shop 80)" ok "far"
weft_on node1 status | grep -q "Mesh from .*istiod.*172.31.250.254:15012.*connected" ||
	fail "weft status: $(weft_on node1 status)"

# ---- a policy comes, is changed, and goes
hold far far web.shop 80
deny='{"policies": [{"name": "no-far", "namespace": "shop", "action": "Deny", "scope": "Namespace",
	"rules": [[[{"principals": ["cluster.local/ns/shop/sa/client"]}]]]}]}'
denied() { [[ $(says "$1" web.shop 80) != ok ]]; }
allowed() { [[ $(says "$1" web.shop 80) == ok ]]; }
expect_ok istiod_says "{\"put\": $deny}"
wait_for 10 denied far
wait_for 10 denied near
[[ $(hold_error far) != "" ]] || fail "a live connection was not cut"
expect_eq "$(says near-stranger web.shop 80)" ok "the stranger"

# a later version that this program cannot understand: field 13 of a match
istiod_forget
expect_ok istiod_says '{"raw": [{"type": "authorization", "name": "shop/no-far",
	"hex": "0a066e6f2d666172120473686f70180120012a070a0512036a0100"}]}'
wait_for 5 istiod_seen '.type == "Authorization" and ((.error // "") | startswith("shop/no-far: field "))'
expect_eq "$(xds node1 .rejected_now)" 1 "rejected"
denied near || fail "the old version is not in force any more"
weft_on node1 status | grep -q "shop/no-far" || fail "weft status: $(weft_on node1 status)"
expect_ok istiod_says '{"remove": ["shop/no-far"]}'
wait_for 10 allowed near
expect_eq "$(xds node1 .rejected_now)" 0 "rejected after removal"

# ---- a workload may name a policy that comes right behind it: nothing is cut
hold far2 far web.shop 80
expect_ok istiod_says '{"patch": {"Kubernetes//Pod/shop/web": {"authorizationPolicies": ["shop/only-clients"]}},
	"put": {"policies": [{"name": "only-clients", "namespace": "shop", "action": "Allow",
		"scope": "WorkloadSelector",
		"rules": [[[{"serviceAccounts": ["shop/client"]}]]]}]}}'
wait_for 10 denied near-stranger
hold_ok far2
expect_eq "$(says near web.shop 80)" ok "a client"

# ---- one that never comes: everything is refused
expect_ok istiod_says '{"remove": ["shop/only-clients"]}'
wait_for 10 denied near
expect_ok istiod_says '{"patch": {"Kubernetes//Pod/shop/web": {"authorizationPolicies": []}}}'
wait_for 10 allowed near

# ---- one bad workload among good ones
istiod_forget
expect_ok istiod_says '{"put": {"workloads": [{"name": "late", "namespace": "shop",
	"workloadIps": ["10.244.9.9"], "node": "node9", "protocol": "HBONE"}]},
	"raw": [{"type": "address", "name": "x//Pod/shop/bad", "hex": "0a03120178"},
		{"type": "address", "name": "garbage", "hex": "ffffff"}]}'
wait_for 5 istiod_seen '.type == "Address" and ((.error // "") | contains("x//Pod/shop/bad: has no uid"))
	and (.error | contains("garbage: the encoding is broken"))'
weft_json node1 workloads | jq -e '.workloads[] | select(.name == "late")' >/dev/null ||
	fail "the good one is missing"
expect_eq "$(xds node1 .rejected_now)" 2 "rejected, without older versions"
expect_ok istiod_says '{"remove": ["Kubernetes//Pod/shop/late", "garbage", "x//Pod/shop/bad"]}'
no_late() { ! weft_json node1 workloads | jq -e '.workloads[] | select(.name == "late")'; }
wait_for 5 no_late
expect_eq "$(xds node1 .rejected_now)" 0 "rejected, all gone"

# ---- values of the future
expect_ok istiod_says '{"put": {"workloads": [{"name": "odd", "namespace": "shop", "status": 9,
	"workloadIps": ["10.244.9.9"], "protocol": 7, "workloadType": 44}]}}'
odd() { weft_json node1 workloads | jq -e '.workloads[] | select(.name == "odd") | .protocol'; }
wait_for 5 odd
expect_eq "$(odd)" '"HBONE"' "an unknown protocol"
expect_eq "$(xds node1 .unknown_values)" 3 "unknown values"
expect_eq "$(metric node1 weft_xds_unknown_values_total)" 3 "metric"

# ---- there is no file to read again
expect_fail weft_on node1 reload
