#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# istio-cni's agent restarts, with the namespaces of its pods and without; weftd ends, is killed, is
# killed between a pod and the answer: what is served stays served or is again, what is not told any
# more leaves, and nothing gets out in between. A pod may be told before the mesh knows it.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/zds.sh"


lab_file() {
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, command: exec $PEER serve 9000}
	  - {name: a, node: node2, serviceAccount: a, enrol: false, protocol: HBONE}
	  - {name: b, node: node2, serviceAccount: b, enrol: false, protocol: HBONE}
	  - {name: late, node: node2, serviceAccount: late, enrol: false, protocol: HBONE}
	EOF
}
lab_up - < <(lab_file)
for pod in a b late; do
	zds_rules $pod
done
zds_agent node2
zds_use node2
cni_add node2 a
cni_add node2 b
ip=$(ip_of server)
wait_for 10 peer a who "$ip" 9000
synced() { cni_state node2 ".connections == $1 and .open == 1 and .synced" && zds_is node2 '.state == "synced"'; }
served() { weft_json node2 pods | jq -r '[.pods[].name] | sort | join(" ")'; }

# ---- another agent that has the namespaces, then one that has not: connections go on
hold one a "$ip" 9000
slots=$(weft_json node2 pods | jq -c '[.pods[].slot]')
expect_ok cni node2 '{"restart": {}}'
wait_for 20 synced 2
hold_ok one
expect_ok cni node2 '{"restart": {"fds": false}}'
wait_for 20 synced 3
hold_ok one
expect_ok cni node2 '{"restart": {"down": true}}'
hold_ok one
expect_ok peer b who "$ip" 9000
cni node2 '{"del": "uid-b"}' >/dev/null # while nobody is connected
expect_ok cni node2 '{"up": true}'
wait_for 20 synced 4
expect_eq "$(served)" a "what left meanwhile"
hold_ok one
expect_eq "$(weft_json node2 pods | jq .pods[0].slot)" "$(jq .[0] <<<"$slots")" "slot"
hold_end one
# its rules are there yet, and nobody listens: that is for istio-cni to end
expect_eq "$(peer b who "$ip" 9000)" ECONNREFUSED "a pod that left, with rules"

# ---- weftd ends, and comes back: everything is told again
expect_ok cni node2 '{"restart": {}}'
cni_add node2 a
cni_add node2 b
expect_ok lab stop node2
expect_eq "$(peer a who "$ip" 9000)" ECONNREFUSED "without weftd"
expect_eq "$(peer a who "$(ip_of late)" 9000)" ECONNREFUSED "outside, without weftd"
expect_ok lab start node2 # waits until it is ready
expect_eq "$(served)" "a b" "after a restart"
expect_ok peer a who "$ip" 9000

# ---- killed, and the agent is away: nobody is let out until it tells; who left meanwhile, leaves
expect_ok cni node2 '{"restart": {"down": true}}'
expect_ok lab kill node2
"$WEFT" lab --name "$LAB" start node2 >/dev/null 2>&1 &
start=$!
waits() { zds_is node2 '.state == "down"'; }
wait_for 10 waits
expect_eq "$(served)" "" "served without an agent"
expect_eq "$(peer a who "$ip" 9000)" ECONNREFUSED "without an agent"
expect_eq "$(pods_in_kernel node2)" 2 "pods that the kernel keeps closed"
cni node2 '{"del": "uid-b"}' >/dev/null
expect_ok cni node2 '{"up": true}'
wait "$start" || fail "weftd is not ready"
expect_eq "$(served)" a "after the snapshot"
expect_eq "$(pods_in_kernel node2)" 1 "pods in the kernel"
wait_for 10 peer a who "$ip" 9000

# ---- the same, and the agent has lost the namespaces: kept, closed, and weftd is not ready
expect_ok cni node2 '{"restart": {"fds": false, "down": true}}'
expect_ok lab kill node2
"$WEFT" lab --name "$LAB" start node2 >/dev/null 2>&1 &
start=$!
wait_for 10 waits
expect_ok cni node2 '{"up": true}'
kept() { zds_is node2 '.state == "synced" and .pending == 1 and .served == 0'; }
wait_for 20 kept
expect_eq "$(peer a who "$ip" 9000)" ECONNREFUSED "a pod that is only kept"
expect_eq "$(pods_in_kernel node2)" 1 "pods that the kernel keeps closed"
cni_add node2 a
wait "$start" || fail "weftd is not ready"
expect_ok peer a who "$ip" 9000

# ---- killed between a pod and the answer
pid=$(pid_of node2)
kill -STOP "$pid"
expect_eq "$(cni node2 "{\"tell\": {\"add\": $(cni_pod b), \"wait\": false}}")" "{}" "sent"
expect_ok lab kill node2
expect_ok lab start node2
expect_eq "$(served)" a "b was not answered, and the agent has not got it"
cni_add node2 b
expect_ok peer b who "$ip" 9000
expect_ok peer a who "$ip" 9000
expect_eq "$(pods_in_kernel node2)" 2 "pods in the kernel"

# ---- the mesh knows another one of this name; a connection waits for what is to come
late=$(cni_pod late)
out=$(cni node2 "{\"add\": ${late/\"serviceAccount\": \"late\"/\"serviceAccount\": \"next\"}}")
expect_eq "$(jq -r .error <<<"$out")" "" "add"
weft_json node2 pods | jq -e '.pods[] | select(.name == "late") | .state == "not-in-mesh" and .identity == ""' \
	>/dev/null || fail "$(weft_json node2 pods)"
grep -q "istio-cni says service account next, the mesh late" "$LAB_DIR/node2/weftd.log" || fail "not said"
peer late who "$ip" 9000 >"$peers_tmp/late" &
early=$!
waiting() { weft_json node2 connections | jq -e 'any(.connections[]; .pod == "default/late")'; }
wait_for 5 waiting
lab_file | sed 's/serviceAccount: late/serviceAccount: next/' >"$peers_tmp/lab.yaml"
expect_ok lab apply "$peers_tmp/lab.yaml"
wait "$early" || fail "a connection before the mesh knew the pod: $(cat "$peers_tmp/late")"
