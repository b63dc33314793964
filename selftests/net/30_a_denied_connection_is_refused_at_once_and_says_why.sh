#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A denied client of the same node is refused in the connect hook, without a packet; one of
# another node by 401, and both nodes know the policy or the reason. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

sent_segments() {
	pod "$1" awk '$1 == "Tcp:" && $11 ~ /[0-9]/ { print $6 + $12 }' /proc/net/snmp
}

policies='[{name: no-strangers, namespace: shop, scope: Namespace, action: Deny,
            rules: [[[{namespaces: [other]}]]]}]'
shop_up

for client in near far; do
	expect_eq "$(says "$client" web.shop 80)" ok "$client, whom nothing denies"
done

# ---- same node: in the kernel
before=$(sent_segments near-stranger)
for ((i = 0; i < 5; i++)); do
	expect_eq "$(says near-stranger web.shop 80)" ECONNREFUSED "near-stranger"
	expect_eq "$(says near-stranger "$(ip_of web 6)" 9000)" ECONNREFUSED "near-stranger, pod"
done
expect_eq "$(sent_segments near-stranger)" "$before" "segments sent for refused connections"
wait_for 5 drop_has node1 '.where == "kernel" and .reason == "policy_denied"
	and .policy == "shop/no-strangers" and .src_workload == "other/near-stranger"
	and .dst_workload == "shop/web"'
wait_for 5 log_has node1 '.path == "denied" and .policy == "shop/no-strangers"
	and (.error | startswith("policy_denied: ")) and .direction == "outbound"
	and ."src.workload" == "near-stranger" and ."dst.service" == "web.shop.svc.cluster.local"'
(($(event node1 connect_denied) == 10)) || fail "not all were refused by the connect hook"
denied='istio_tcp_connections_failed_total{response_flags="DENY",source_workload="near-stranger"'
expect_eq "$(metric node1 "$denied,reporter=\"source\",destination_workload=\"web\"}")" 10 \
	"failed connections, reporter source"

# ---- a flood: every refusal is counted, each of a few has its line, the rest one together
stdbuf -oL "$WEFT" --socket "$LAB_DIR/node1/weftd.sock" drops -f >"$peers_tmp/follow" &
background+=($!)
follows() { # once it prints, it has begun
	says near-stranger web.shop 80 >/dev/null
	grep -q 'other/near-stranger -> shop/web .* policy_denied  shop/no-strangers\[0\]  kernel$' \
		"$peers_tmp/follow"
}
wait_for 5 follows
flood_lines() {
	log_lines node1 | jq -c 'select(.path == "denied" and (."dst.addr" | startswith("[")))'
}
all_said() { # as many refusals as this are in the log
	(($(flood_lines | jq -s '[.[] | 1 + (.suppressed // 0)] | add') == $1))
}
new_drops node1
sum="$denied,reporter=\"source\",destination_workload=\"web\"}"
before=$(metric node1 "$sum")
expect_ok pod near-stranger /usr/bin/python3 -S -c '
import errno, socket, sys
for _ in range(500):
    with socket.socket(socket.AF_INET6) as s:
        assert s.connect_ex((sys.argv[1], 9000)) == errno.ECONNREFUSED' "$(ip_of web 6)"
expect_eq $(($(metric node1 "$sum") - before)) 500 "refusals that are counted"
wait_for 10 all_said 500
(($(flood_lines | wc -l) <= 25)) || fail "the flood has $(flood_lines | wc -l) lines"

# ---- same node, a port that no service declares: the relay decides first, then the kernel
new_drops node1
[[ $(says near-stranger "$(ip_of web)" 9002) != ok ]] || fail "undeclared port is open"
wait_for 5 drop_has node1 '.where == "relay" and .policy == "shop/no-strangers"'
expect_eq "$(says near-stranger "$(ip_of web)" 9002)" ECONNREFUSED "undeclared port, again"

# ---- another node: 401
new_drops node1
new_drops node2
[[ $(says far-stranger web.shop 80) != ok ]] || fail "far-stranger got through"
wait_for 5 drop_has node1 '.where == "relay" and .reason == "policy_denied"
	and .policy == "shop/no-strangers" and .src_workload == "other/far-stranger"'
wait_for 5 log_has node1 '.direction == "inbound" and .path == "hbone"
	and .policy == "shop/no-strangers" and (.error | startswith("policy_denied: "))
	and ."src.identity" == "spiffe://cluster.local/ns/other/sa/stranger"'
wait_for 5 log_has node2 '.direction == "outbound" and .path == "hbone"
	and (.error | startswith("policy_denied: ")) and ."src.workload" == "far-stranger"'
wait_for 5 drop_has node2 '.reason == "policy_denied" and .dst_workload == "shop/web"'
denied='istio_tcp_connections_failed_total{response_flags="DENY",source_workload="far-stranger"'
expect_eq "$(metric node1 "$denied,reporter=\"destination\",destination_workload=\"web\"}")" 1 \
	"failed connections, reporter destination"
expect_eq "$(metric node2 "$denied,reporter=\"source\",destination_workload=\"web\"}")" 1 \
	"failed connections of the other node, reporter source"
