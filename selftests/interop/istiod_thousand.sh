#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real istiod sends a thousand services and two thousand pods while a connection is open: nothing is refused, the last one
# is reached, and all are gone again when the cluster has removed them. The memory of weftd is printed.
. "$(dirname "$0")/../net/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/interop/istiod/lib.sh"

SERVICES=${SERVICES:-1000} PODS=${PODS:-2000}
ambient='{"ambient.istio.io/redirection": "enabled"}'
lab_up - <<END
nodes: [node1, node2]
pods:
  - {namespace: shop, name: web, serviceAccount: web, node: node1, command: exec $PEER serve 9000}
  - {namespace: shop, name: far, serviceAccount: far, node: node2}
END
web=$(ip_of web)
kube_up
kube_namespace shop
kube_namespace many
for name in web far; do
	kube_account shop $name
done
annotations=$ambient kube_pod shop web node1 "$web" web '{"app": "web"}'
annotations=$ambient kube_pod shop far node2 "$(ip_of far)" far '{"app": "far"}'
istiod_start
kube_join node1
kube_join node2

reaches() { # POD HOST PORT
	[[ $(seen_as "$1" host "$2" "$3" 2>/dev/null) == web ]]
}
holds() { # SERVICES PODS: both nodes, of namespace many and the services of web
	local node
	for node in node1 node2; do
		weft_json "$node" services | jq -e --argjson n "$1" '[.services[] | select(.hostname | test("^s[0-9]+\\."))] | length == $n' >/dev/null &&
			weft_json "$node" workloads | jq -e --argjson n "$2" '[.workloads[] | select(.namespace == "many")] | length == $n' >/dev/null ||
			return
	done
}
memory() {
	echo "$(awk '/^RssAnon/ { print $2 " kB" }' "/proc/$(pid_of node1)/status") on node1," \
		"$(awk '/^RssAnon/ { print $2 " kB" }' "/proc/$(pid_of node2)/status") on node2"
}
# One curl for all: a request for each line "PATH TYPE BODY" of stdin
kube_many() { # METHOD
	local path type body
	while read -r path type body; do
		printf 'next\nurl = "https://127.0.0.1:6443%s"\nrequest = %s\ncacert = "%s"\n' "$path" "$1" "$kube_dir/tls.crt"
		printf 'header = "Authorization: Bearer lab"\nheader = "Content-Type: application/%s"\n' "$type"
		printf 'output = /dev/null\nfail\nsilent\nshow-error\ndata = "%s"\n' "${body//\"/\\\"}"
	done | sed 1d | pod @fabric curl -K - || fail "kube-apiserver: $1"
}
pods_of() { # FORMAT: of its number; ADDR is its address
	local i
	for ((i = 1; i <= PODS; i++)); do
		# shellcheck disable=SC2059 # one of the two below
		printf -- "${1//ADDR/10.250.$((i / 250)).$((i % 250 + 1))}" "$i"
	done
}

soon "a tunnel" reaches shop/far "$web" 9000
hold open shop/far "$web" 9000
echo "memory of weftd with two pods: $(memory)"
begin=$(now_ms)
for ((i = 1; i <= SERVICES; i++)); do
	echo "/api/v1/namespaces/shop/services json {\"metadata\": {\"name\": \"s$i\"}, \"spec\": {\"selector\": {\"app\": \"web\"}, \"ports\": [{\"port\": 80, \"targetPort\": 9000}]}}"
done | kube_many POST
pods_of '/api/v1/namespaces/many/pods json {"metadata": {"name": "p%d"}, "spec": {"nodeName": "elsewhere", "containers": [{"name": "main", "image": "none"}]}}\n' |
	kube_many POST
pods_of '/api/v1/namespaces/many/pods/p%d/status merge-patch+json {"status": {"phase": "Running", "podIP": "ADDR", "podIPs": [{"ip": "ADDR"}], "conditions": [{"type": "Ready", "status": "True"}]}}\n' |
	kube_many PATCH
echo "$SERVICES services and $PODS pods: made in $(($(now_ms) - begin)) ms"
soon "all of them" holds "$SERVICES" "$PODS"
soon "the last service" reaches shop/far "$(kube GET "/api/v1/namespaces/shop/services/s$SERVICES" | jq -r .spec.clusterIP)" 80
echo "memory of weftd with all: $(memory)"
for node in node1 node2; do
	expect_eq "$(weft_json $node status | jq -c '.mesh.istiod | [.connected, .synced, .rejected_now]')" "[true,true,0]" "$node"
done
hold_ok open

# ---- and gone
kube DELETE "/api/v1/namespaces/many/pods?gracePeriodSeconds=0" >/dev/null || fail "pods are not deleted"
kube DELETE /api/v1/namespaces/shop/services >/dev/null || fail "services are not deleted"
soon "the end of all" holds 0 0
hold_ok open
reaches shop/far "$web" 9000 || fail "no connection any more"
echo "memory of weftd after: $(memory)"
