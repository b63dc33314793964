#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real istiod that is restarted, and killed for a while, with certificates that live four minutes: no connection fails, the
# stale state is said, certificates rotate, and changes made meanwhile are in force when it is back.
. "$(dirname "$0")/../net/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/interop/istiod/lib.sh"

ambient='{"ambient.istio.io/redirection": "enabled"}'
lab_up - <<END
nodes: [node1, node2]
weftd: {certificate_ttl: 4m}
pods:
  - {namespace: shop, name: web, serviceAccount: web, node: node1, command: exec $PEER serve 9000}
  - {namespace: shop, name: near, serviceAccount: near, node: node1}
  - {namespace: shop, name: far, serviceAccount: far, node: node2}
END
web=$(ip_of web)
kube_up
kube_namespace shop
for name in web near far; do
	kube_account shop $name
	annotations=$ambient kube_pod shop $name "$(lab status -o json | jq -r --arg pod $name '.pods[] | select(.name == $pod) | .node')" \
		"$(ip_of $name)" $name "{\"app\": \"$name\"}"
done
istiod_start
kube_join node1
kube_join node2

ready() {
	weft_json "$1" certs | jq -e "[.certs[] | .state] | length == $2 and all(. == \"ready\")" >/dev/null
}
wait_for 20 ready node1 2
wait_for 20 ready node2 1
rotations() { # NODE: of the certificate that has the fewest
	weft_json "$1" certs | jq '[.certs[].rotations] | min'
}
rotated() { # NODE MORE_THAN
	(($(rotations "$1") > $2))
}
connected() {
	weft_json "$1" status | jq -e ".mesh.istiod.connected == $2" >/dev/null
}

# Connections one after the other, on both paths, until told to end; and two that stay open.
knock() { # POD
	"$WEFT" lab --name "$LAB" exec "shop/$1" -- /usr/bin/python3 -S -c '
import signal, socket, sys, time
made = 0
def end(*_):
    print(made)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    with socket.create_connection((sys.argv[1], 9000), 10) as s:
        if not s.recv(100):
            sys.exit("no answer")
    made += 1
    time.sleep(0.02) # poll
' "$web" >"$peers_tmp/made.$1" 2>"$peers_tmp/lost.$1" &
	knocking+=($!)
	background+=($!)
}
knocking=()
knock near
knock far
hold near near "$web" 9000
hold far far "$web" 9000
goes_on() {
	hold_ok near
	hold_ok far
	for pid in "${knocking[@]}"; do
		kill -0 "$pid" 2>/dev/null || fail "a connection failed: $(cat "$peers_tmp"/lost.*)"
	done
}

# ---- restarted
istiod_stop
wait_for 20 connected node1 false
istiod_start
soon "istiod after a restart, node1" connected node1 true
soon "istiod after a restart, node2" connected node2 true
goes_on

# ---- killed; the cluster changes meanwhile
istiod_stop -KILL
wait_for 20 connected node2 false
weft_json node2 status | jq -e '.mesh.istiod.error != ""' >/dev/null || fail "the outage is not said: $(weft_json node2 status | jq .mesh)"
kube_put /api/v1/namespaces/shop/services <<'END'
{"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 9000}]}}
END
outage=$(now_ms)
long() {
	goes_on
	(($(now_ms) - outage > ${OUTAGE_MS:-60000}))
}
wait_for 120 long
istiod_start
has_service() {
	weft_json "$1" services | jq -e '[.services[] | select(.hostname == "web.shop.svc.cluster.local" and (.endpoints | length) == 1)] | length == 1' >/dev/null
}
soon "the change made meanwhile, node1" has_service node1
soon "the change made meanwhile, node2" has_service node2

# ---- each certificate is renewed at half of its life
before1=$(rotations node1) before2=$(rotations node2)
wait_for 200 rotated node1 $((before1 + 1))
wait_for 200 rotated node2 $((before2 + 1))
goes_on
for pid in "${knocking[@]}"; do
	pkill -TERM -P "$pid" 2>/dev/null
	kill "$pid" 2>/dev/null
	wait "$pid" || fail "a connection failed: $(cat "$peers_tmp"/lost.*)"
done
echo "connections meanwhile: $(cat "$peers_tmp/made.near") on the node, $(cat "$peers_tmp/made.far") between nodes, none failed;" \
	"certificates rotated $(rotations node1) and $(rotations node2) times"
for name in near far; do
	hold_end $name
done
