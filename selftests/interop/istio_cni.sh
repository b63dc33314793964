#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real istiod and the real node agent of istio-cni on each node, weftd in ztunnel's place: pods that the agent enrols, with
# its rules inside of them, talk through tunnels and find names; one that leaves the mesh is outside of it; the agent and weftd restart
# without a connection lost.
. "$(dirname "$0")/../net/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/interop/istiod/lib.sh"

[[ -x $istiod_bin/install-cni ]] || skip "istio-cni is not built (selftests/interop/istiod/build.sh)"
lab_up - <<END
nodes: [node1, node2]
pods:
  - {namespace: shop, name: web, serviceAccount: web, node: node1, enrol: false, protocol: HBONE, command: exec $PEER serve 9000}
  - {namespace: shop, name: near, serviceAccount: near, node: node1, enrol: false, protocol: HBONE}
  - {namespace: shop, name: far, serviceAccount: far, node: node2, enrol: false, protocol: HBONE}
  - {namespace: shop, name: outsider, node: node2, enrol: false}
END
web=$(ip_of web)
ambient='"istio.io/dataplane-mode": "ambient"'
kube_up
kube_namespace shop
for name in web near far; do
	kube_account shop $name
done
istiod_start
for node in node1 node2; do
	cni_start $node AMBIENT_DNS_CAPTURE=true
	echo "zds: $kube_dir/$node/ztunnel.sock" >>"$LAB_DIR/$node/weftd.yaml"
	kube_join $node
done

# As in a cluster: the object first, the agent hears from the plugin, the kubelet says that it runs.
start() { # NODE POD
	local ip
	ip=$(ip_of "$2")
	kube_put /api/v1/namespaces/shop/pods <<-END
		{"metadata": {"name": "$2", "labels": {"app": "$2", $ambient}},
		 "spec": {"nodeName": "$1", "serviceAccountName": "$2", "containers": [{"name": "main", "image": "none"}]}}
	END
	wait_for 20 cni_add "$1" shop "$2" "$ip" || fail "the agent does not take pod $2"
	annotations=null kube_pod shop "$2" "$1" "$ip" "$2" "{\"app\": \"$2\", $ambient}"
}
start node1 web
start node1 near
start node2 far
annotated() {
	kube GET "/api/v1/namespaces/shop/pods/$1" | jq -e '.metadata.annotations["ambient.istio.io/redirection"] == "enabled"' >/dev/null
}
for name in web near far; do
	wait_for 10 annotated $name
done
pods() {
	weft_json "$1" pods | jq -e "[.pods[] | select(.by == \"zds\") | .name] | sort == $2" >/dev/null
}
soon "the pods of node1" pods node1 '["near", "web"]'
soon "the pod of node2" pods node2 '["far"]'

works() { # POD
	[[ $(seen_as "shop/$1" host "$web" 9000 2>/dev/null) == web ]]
}
works_at() { # POD HOST PORT
	[[ $(seen_as "shop/$1" host "$2" "$3" 2>/dev/null) == web ]]
}
tunnels() {
	metric "$1" 'istio_tcp_connections_opened_total{reporter="destination",connection_security_policy="mutual_tls"}'
}
soon "a tunnel on the node" works near
soon "a tunnel between nodes" works far
before=$(tunnels node1)
expect_ok works near
expect_ok works far
expect_eq $(($(tunnels node1) - before)) 2 "connections in tunnels"
pod shop/web iptables-save 2>/dev/null | grep -q ISTIO || echo "(no rules of iptables-nft to be seen; the agent may use another back end)"
expect_ok works outsider

# ---- names, which the agent's rules lead to weftd
kube_put /api/v1/namespaces/shop/services <<'END'
{"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 9000}]}}
END
vip=$(kube GET /api/v1/namespaces/shop/services/web | jq -r .spec.clusterIP)
if command -v dig >/dev/null && command -v dnsmasq >/dev/null; then
	fabric dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --listen-address="$istiod_ip" \
		--bind-interfaces --address=/outside.example.test/192.0.2.7 --pid-file= --user=root
	answers() { # POD NAME ADDRESS
		[[ $(pod "shop/$1" dig +short +time=2 +tries=1 @"$istiod_ip" "$2") == "$3" ]]
	}
	soon "a name of the mesh" answers far web.shop.svc.cluster.local "$vip"
	soon "its short form, on the other node" answers near web "$vip"
	soon "any other name" answers far outside.example.test 192.0.2.7
	expect_fail answers outsider web.shop.svc.cluster.local "$vip"
fi
soon "the service" works_at far "$vip" 80

# ---- weftd restarts
expect_ok lab stop node2
expect_ok lab start node2
soon "weftd after a restart" works far

# ---- a pod leaves the mesh
kube PATCH /api/v1/namespaces/shop/pods/near application/merge-patch+json >/dev/null <<<'{"metadata": {"labels": {"istio.io/dataplane-mode": "none"}}}'
soon "a pod leaves the mesh" pods node1 '["web"]'
soon "it talks in plaintext" works near

# ---- the agent restarts. It looks for the namespaces of pods in /proc then, by control groups that only a kubelet makes;
# here it does not find them, and says "keep"
hold far shop/far "$web" 9000
pkill -TERM -f "^$istiod_bin/install-cni" || fail "no agent to end"
gone() {
	! pgrep -f "^$istiod_bin/install-cni" >/dev/null
}
wait_for 30 gone
hold_ok far
expect_ok works far
for node in node1 node2; do
	rm -f "$kube_dir/$node/ztunnel.sock"
	cni_start $node
done
synced() {
	weft_json "$1" status | jq -e '.zds.state == "synced"' >/dev/null
}
soon "the agent after a restart" synced node1
hold_ok far
expect_ok works far

# ---- a pod is deleted
kube DELETE "/api/v1/namespaces/shop/pods/web?gracePeriodSeconds=0" >/dev/null
soon "a pod is deleted" pods node1 '[]'
