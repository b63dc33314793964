#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What was learned from istiod stays in force while it is away, and is shown as stale. On the
# way back it is told what is held, sends only what has changed, and what is gone meanwhile is
# removed. Messages that are cut off count for nothing, slow ones are waited for; a wrong server
# gets no token. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

mkdir -p "$istiod"
late='{"workloads": [{"name": "late", "namespace": "shop", "workloadIps": ["10.244.9.9"]}]}'
has_late() { weft_json "$1" workloads | jq -e '.workloads[] | select(.name == "late")' >/dev/null; }
has_no_late() { ! has_late "$1"; }
error_is() { [[ $(xds node1 .error) == *"$1"* ]]; }
connected() { xds node1 .connected; }
synced() { xds node1 .synced; }
lost() { xds node1 '.connected | not'; }

shop_up
istiod_start
istiod_use node1
sed -i 's/^xds_address:.*/xds_address: 172.31.250.254:15013/' "$LAB_DIR/node1/weftd.yaml"
expect_ok lab start node1
expect_ok istiod_says "{\"put\": $late}"
wait_for 5 has_late node1

# ---- away
istiod_stop
wait_for 5 lost
expect_eq "$(says near web.shop 80)" ok "without istiod"
expect_ok weft_json node1 workloads
expect_eq "$(metric node1 weft_xds_connected)" 0 "metric"
weft_on node1 status | grep -q "NOT CONNECTED since" || fail "weft status: $(weft_on node1 status)"
weft_on node1 status | grep -q "in force while istiod is away" || fail "not shown as stale"
expect_eq "$(pod @node1 curl -s -m 5 -o /dev/null -w '%{http_code}' \
	http://127.0.0.1:15021/healthz/ready)" 200 "ready with a stale mesh"

# ---- back: the versions are told, only the difference comes, what is gone goes
istiod_start
wait_for 20 synced
wait_for 5 istiod_seen '.type == "Address" and .claims == 7'
wait_for 5 has_no_late node1
expect_eq "$(metric node1 weft_xds_connected)" 1 "metric"

# ---- a message that is cut off in the middle, again and again
ends() { metric node1 'istio_xds_connection_terminations_total{reason="Reconnect"}'; }
before=$(ends)
expect_ok istiod_says '{"proxy": {"cut": 20000}}'
expect_ok istiod_says '{"generate": {"workloads": 2000, "services": 10}}'
cut_thrice() { (($(ends) >= before + 3)); }
wait_for 20 cut_thrice
expect_eq "$(weft_json node1 status | jq .mesh.workloads)" 5 "half a message was applied"

# ---- one that comes slowly
expect_ok istiod_says '{"proxy": {"rate": 4000}}'
wait_for 30 synced
generated() { [[ $(weft_json node1 status | jq .mesh.workloads) == 2005 ]]; }
wait_for 30 generated
expect_ok istiod_says '{"proxy": {"rate": 0}}'

# ---- ends that istiod wishes
ended() { metric node1 "istio_xds_connection_terminations_total{reason=\"$1\"}"; }
complete=$(ended Complete) error=$(ended Error)
for end in "" UNAVAILABLE INTERNAL; do
	istiod_forget
	expect_ok istiod_says "{\"end\": \"$end\"}"
	wait_for 10 istiod_seen '.type == "Address" and .claims == 2016'
	wait_for 10 synced
done
expect_eq "$(ended Complete)" $((complete + 1)) "Complete"
expect_eq "$(ended Error)" $((error + 1)) "Error"

# ---- an expired token, and a new one without a restart
istiod_forget
expect_ok istiod_says '{"token": "another"}'
expect_ok istiod_says '{"end": ""}'
wait_for 10 error_is "Unauthenticated: the token is 100% wrong"
echo another >"$istiod/token"
wait_for 20 synced
: >"$istiod/token"
expect_ok istiod_says '{"end": ""}'
wait_for 10 error_is "$istiod/token is empty"
rm "$istiod/token"
wait_for 20 error_is "$istiod/token: No such file"
echo another >"$istiod/token"
wait_for 20 synced

# ---- servers that are somebody else
istiod_cert other DNS:elsewhere.svc
istiod_stop
istiod_start other
wait_for 20 error_is "certificate is not for 172.31.250.254"
istiod_stop
pki_root "$peers_tmp/foreign"
istiod_cert foreign IP:172.31.250.254 "$peers_tmp/foreign"
istiod_start foreign
wait_for 20 error_is "the server's certificate is refused"
! istiod_seen '.type == "stream"' || fail "a stream to a wrong server"
istiod_stop

# ---- the root is replaced without a restart
cp "$peers_tmp/foreign/root-cert.pem" "$istiod/root-cert.pem"
istiod_start foreign
expect_ok istiod_says "{\"load\": \"$LAB_DIR/mesh.yaml\", \"token\": \"another\"}"
wait_for 20 connected
expect_eq "$(says near web.shop 80)" ok "at the end"
