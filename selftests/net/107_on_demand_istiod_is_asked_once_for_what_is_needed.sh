#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With xds_on_demand weftd subscribes to no addresses but asks istiod (the stand-in) for those that its
# pods need: connections wait for the answer, those that wait for the same share one question, what is
# nobody's is passed, and what istiod does not answer, or answers in a way that is refused, goes nowhere.
# What is known stays known over an outage, and is gone when istiod says so. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

mkdir -p "$istiod"
outside=172.31.250.254
shop_up
istiod_start
for node in node1 node2; do
	istiod_use "$node" xds_on_demand on dns off
	expect_ok lab start "$node"
done
serve_in @fabric 9000
serve_in far 9100
web=$(ip_of web)
vip=$(weft_json node1 services | jq -r '.services[].vips[0]') # none yet
expect_eq "$vip" "" "services before anybody needs one"
vip=$(awk '/vips:/ { gsub(/.*\[|\].*|["\/]/, ""); print; exit }' "$LAB_DIR/mesh.yaml")
vip=${vip%%,*}

names() { # NODE: the workloads it knows
	weft_json "$1" workloads | jq -r '[.workloads[].name] | sort | join(" ")'
}
asked() { # how often any node has asked for a name
	istiod_seen true || true
	jq -s --arg name "$1" '[.[].subscribe // [] | .[] | select(. == $name)] | length' "$istiod/log"
}
demands() {
	metric "$1" "weft_xds_demands_total{result=\"$2\"}"
}
denied() { [[ $(says "$@") != ok ]]; }
allowed() { [[ $(says "$@") == ok ]]; }

# ---- of the mesh each node has its own workloads, and of policies all
expect_eq "$(names node1)" "near near-stranger web" "what node1 knows"
expect_eq "$(names node2)" "far far-stranger" "what node2 knows"
wait_for 5 istiod_seen '.type == "Address" and .subscribe == ["*"] and .unsubscribe == ["*"]'
expect_eq "$(xds node1 .on_demand)" true "weft status"

# ---- a VIP is asked for, and its endpoint comes with it; the second connection asks nothing
expect_eq "$(says far "$vip" 80)" ok "far, the first time"
expect_eq "$(asked "/$vip")" 1 "questions for the VIP"
expect_eq "$(names node2)" "far far-stranger web" "what node2 knows now"
expect_eq "$(says far "$vip" 80)" ok "far, the second time"
expect_eq "$(says far "$web" 9001)" ok "the endpoint by its address"
expect_eq "$(asked "/$web")" 0 "questions for the endpoint"
expect_eq "$(demands node2 found)" 1 "connections that waited and found something"
log_has node2 '.["dst.workload"] == "web" and .["dst.service"] != null' || fail "$(log_lines node2)"

# ---- who comes in is asked for as well: the log of node1 names it
log_has node1 '.["src.workload"] == "far" and .direction == "inbound"' || fail "$(log_lines node1)"

# ---- five that wait for one address: one question
expect_ok istiod_says '{"mute": true}'
far=$(ip_of far)
remote=$(ip_of far-stranger)
serve_in far-stranger 9100
for i in 1 2 3 4 5; do
	says near "$remote" 9100 >"$peers_tmp/five$i" &
	waiters[i]=$!
done
five_wait() {
	(($(weft_json node1 connections | jq '[.connections[] | select(.action == "ask")] | length') == 5))
}
wait_for 5 five_wait
expect_eq "$(metric node1 weft_xds_demand_waiting)" 1 "names that are waited for"
expect_ok istiod_says '{"mute": false}'
wait "${waiters[@]}"
expect_eq "$(cat "$peers_tmp"/five?)" "$(printf 'ok\n%.0s' 1 2 3 4 5)" "the five"
expect_eq "$(asked "/$remote")" 1 "questions for it"

# ---- nobody's: passed by the relay, then, for a while, by the kernel
before=$(event node2 connect_passthrough)
line=$(peer far who $outside 9000) || fail "outside: $line"
expect_eq "$(field peer "$line")" $outside:9000 "outside: getpeername"
expect_eq "$(field seen "$line")" "$far:$(field seen "$line" | sed 's/.*://')" "outside: the client's address"
expect_eq "$(metric node2 weft_xds_demand_outside)" 1 "addresses that are nobody's"
expect_eq "$(says far $outside 9000)" ok "outside, again"
expect_eq $(($(event node2 connect_passthrough) - before)) 1 "passed by the kernel"
expect_eq "$(asked "/$outside")" 1 "questions for it"
expect_eq "$(weft_json node2 maps check | jq .differences)" 0 "what the kernel has and should not"

said=$(weft_on node2 why shop/far 172.31.250.200:80)
[[ $said == *"unless istiod, which is asked"* ]] || fail "weft why: $said"

# ---- somebody has it after all: nothing is passed any more, once it is asked for again
expect_ok istiod_says "{\"put\": {\"workloads\": [{\"name\": \"late\", \"namespace\": \"shop\",
	\"workloadIps\": [\"$outside\"], \"node\": \"node9\", \"protocol\": \"HBONE\"}]}}"
wait_for 15 denied far $outside 9000
names node2 | grep -qw late || fail "node2 knows $(names node2)"
expect_ok istiod_says '{"remove": ["Kubernetes//Pod/shop/late"]}'
wait_for 15 allowed far $outside 9000

# ---- no answer, or one that is refused: nothing leaves
new_drops node2
expect_ok istiod_says '{"mute": true}'
denied far 172.31.250.253 9000 || fail "a connection to what istiod has not told"
drop_has node2 '.reason == "timeout"' || fail "$(weft_on node2 drops)"
expect_ok istiod_says '{"mute": false}'
# a workload with this address that is called otherwise outside than inside
expect_ok istiod_says '{"raw": [{"type": "address", "name": "bad",
	"hex": "0a0d1201731a04ac1ffafda2010178"}]}'
refused() { denied far 172.31.250.253 9000 && drop_has node2 '.reason == "bad_destination"'; }
wait_for 15 refused
expect_ok istiod_says '{"remove": ["bad"]}'

# ---- the endpoint goes: no_endpoint, until there is another one, of which istiod tells only who asks again
new_drops node2
service=$(weft_json node2 services | jq -r '.services[0] | .namespace + "/" + .hostname')
expect_ok istiod_says '{"remove": ["Kubernetes//Pod/shop/web"]}'
wait_for 10 denied far "$vip" 80
drop_has node2 '.reason == "no_endpoint"' || fail "$(weft_on node2 drops)"
expect_ok istiod_says "{\"put\": {\"workloads\": [{\"uid\": \"Kubernetes//Pod/shop/web-again\", \"name\": \"web\",
	\"namespace\": \"shop\", \"serviceAccount\": \"web\", \"workloadIps\": [\"$web\"], \"node\": \"node1\",
	\"protocol\": \"HBONE\", \"services\": {\"$service\": {\"80\": 9000}}}]}}"
wait_for 15 allowed far "$vip" 80
(($(asked "$service") > 0)) || fail "$service was not asked for"

# ---- policies are all there
expect_ok istiod_says '{"put": {"policies": [{"name": "no-far", "namespace": "shop", "action": "Deny",
	"scope": "Namespace", "rules": [[[{"principals": ["cluster.local/ns/shop/sa/client"]}]]]}]}}'
wait_for 10 denied far "$vip" 80
expect_ok istiod_says '{"remove": ["shop/no-far"]}'
wait_for 10 allowed far "$vip" 80

# ---- without istiod: what is known goes on, what is not goes nowhere
istiod_stop
disconnected() { [[ $(xds node2 .connected) == false ]]; }
wait_for 10 disconnected
expect_eq "$(says far "$vip" 80)" ok "known, without istiod"
denied far 172.31.250.252 9000 || fail "unknown, without istiod"
istiod_start
connected() { [[ $(xds node2 .connected) == true ]]; }
wait_for 30 connected
wait_for 5 istiod_seen '.type == "Address" and .claims > 2 and (.node | contains("node2"))'
expect_eq "$(says far "$vip" 80)" ok "known, with istiod again"
wait_for 15 allowed far $outside 9000

# ---- what does not go together
sed 's/^dns:.*/dns: on/' "$LAB_DIR/node1/weftd.yaml" >"$peers_tmp/both.yaml"
if said=$("$WEFTD" --config "$peers_tmp/both.yaml" --check 2>&1); then
	fail "xds_on_demand with dns is taken"
fi
[[ $said == *"xds_on_demand needs dns: off"* ]] || fail "$said"
