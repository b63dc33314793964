#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real istiod is the control plane of two nodes: what changes in the cluster (pods, services, policies, ServiceEntries,
# waypoints) is in force soon, and traffic follows; certificates are istiod's; istioctl reads weftd's dump.
. "$(dirname "$0")/../net/lib.sh"
. "$ROOT/selftests/net/peers.sh"
. "$ROOT/selftests/interop/istiod/lib.sh"

ambient='{"ambient.istio.io/redirection": "enabled"}'
serve="exec $PEER serve 9000"
lab_up - <<END
nodes: [node1, node2]
pods:
  - {namespace: shop, name: web, serviceAccount: web, node: node1, command: "$serve"}
  - {namespace: shop, name: near, serviceAccount: near, node: node1}
  - {namespace: shop, name: far, serviceAccount: far, node: node2, command: "$serve"}
  - {namespace: shop, name: late, serviceAccount: late, node: node2, command: "$serve"}
  - {namespace: shop, name: outsider, node: node2, enrol: false}
END
kube_up
kube_namespace shop '{"istio.io/dataplane-mode": "ambient"}'
for name in web near far late; do
	kube_account shop $name
done
annotations=$ambient kube_pod shop web node1 "$(ip_of web)" web '{"app": "web"}'
annotations=$ambient kube_pod shop near node1 "$(ip_of near)" near '{"app": "near"}'
annotations=$ambient kube_pod shop far node2 "$(ip_of far)" far '{"app": "far"}'
istiod_start
kube_join node1
kube_join node2

# has NODE WHAT EXPRESSION: of `weft WHAT -o json`
has() {
	weft_json "$1" "$2" | jq -e "$3" >/dev/null
}
both() {
	has node1 "$@" && has node2 "$@"
}
reaches() { # POD HOST PORT [WHO]
	[[ $(seen_as "$1" host "$2" "$3" 2>/dev/null) == "${4:-web}" ]]
}
refused() {
	! peer "$1" who "$2" "$3" >/dev/null 2>&1
}
in_table() { # TABLE EXPRESSION: of istioctl, from the dump
	grep -Eq "$2" <<<"$("$istiod_bin/istioctl" ztunnel-config "$1" --file "$peers_tmp/dump" 2>&1)" ||
		fail "not in istioctl's table $1: $2"
}
istio=/apis

# ---- the mesh, and certificates of istiod's CA
soon "the pods" both workloads '[.workloads[] | select(.namespace == "shop" and .protocol == "HBONE") | .name] | sort == ["far", "near", "web"]'
soon "certificates" both certs '[.certs[].state] | length >= 1 and all(. == "ready")'
soon "a tunnel between the nodes" reaches shop/far "$(ip_of web)" 9000

# Through a tunnel, with certificates that istiod's CA has signed.
dump() { # NODE
	pod "@$1" curl -sS -m 20 http://127.0.0.1:15000/config_dump
}
signed_by_istiod() { # NODE ACCOUNT
	local file=$peers_tmp/of-$2
	dump "$1" | jq -er --arg id "spiffe://cluster.local/ns/shop/sa/$2" \
		'.certificates[] | select(.identity == $id) | .certChain[].pem' | while read -r pem; do
		base64 -d <<<"$pem"
		echo
	done >"$file"
	openssl verify -CAfile "$kube_dir/root-cert.pem" -untrusted "$file" "$file" >/dev/null 2>"$file.error" ||
		fail "the certificate of $2 is not of istiod's CA: $(<"$file.error")"
}
signed_by_istiod node1 web
signed_by_istiod node2 far
hold open shop/far "$(ip_of web)" 9000
hold_ok open
expect_eq "$(paths node2)" hbone "path between the nodes, at its source"
expect_eq "$(paths node1)" hbone "path between the nodes, at its end"
dump node2 >"$peers_tmp/dump"
in_table connections "^far\.shop +Outbound .* web\.shop:15008 +web\.shop:9000 +HBONE"
hold_end open

# ---- a service
kube_put /api/v1/namespaces/shop/services <<'END'
{"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 9000}]}}
END
soon "a service" both services '[.services[] | select(.hostname == "web.shop.svc.cluster.local" and (.endpoints | length) == 1)] | length == 1'
vip=$(kube GET /api/v1/namespaces/shop/services/web | jq -r .spec.clusterIP)
soon "the service, from its own node" reaches shop/near "$vip" 80
soon "the service, from the other node" reaches shop/far "$vip" 80

# ---- a policy comes and goes
kube_put $istio/security.istio.io/v1/namespaces/shop/authorizationpolicies <<'END'
{"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "no-far"},
 "spec": {"action": "DENY", "rules": [{"from": [{"source": {"principals": ["cluster.local/ns/shop/sa/far"]}}]}]}}
END
soon "a policy" has node1 policies '[.policies[] | select(.name == "no-far" and .action == "Deny")] | length == 1'
expect_fail peer shop/far who "$vip" 80
expect_eq "$(seen_as shop/near host "$vip" 80)" web "who is not denied"
kube DELETE $istio/security.istio.io/v1/namespaces/shop/authorizationpolicies/no-far >/dev/null
soon "the end of a policy" reaches shop/far "$vip" 80

# ---- strict mutual TLS
soon "plaintext from outside" reaches shop/outsider "$(ip_of web)" 9000
kube_put $istio/security.istio.io/v1/namespaces/shop/peerauthentications <<'END'
{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default"}, "spec": {"mtls": {"mode": "STRICT"}}}
END
soon "strict mutual TLS" refused shop/outsider "$(ip_of web)" 9000
expect_eq "$(seen_as shop/far host "$vip" 80)" web "a pod of the mesh"
kube DELETE $istio/security.istio.io/v1/namespaces/shop/peerauthentications/default >/dev/null
soon "permissive again" reaches shop/outsider "$(ip_of web)" 9000

# ---- a pod without the annotation, and with it
kube_pod shop late node2 "$(ip_of late)" late '{"app": "late"}'
soon "a pod that is not in the mesh" both workloads '.workloads | any(.name == "late" and .protocol == "TCP")'
kube PATCH /api/v1/namespaces/shop/pods/late application/merge-patch+json >/dev/null <<<"{\"metadata\": {\"annotations\": $ambient}}"
soon "its annotation" both workloads '.workloads | any(.name == "late" and .protocol == "HBONE")'
soon "its tunnel" reaches shop/near "$(ip_of late)" 9000 late
kube DELETE "/api/v1/namespaces/shop/pods/late?gracePeriodSeconds=0" >/dev/null
soon "its end" both workloads '.workloads | all(.name != "late")'

# ---- ServiceEntries
kube_put $istio/networking.istio.io/v1/namespaces/shop/serviceentries <<END
{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "fixed"},
 "spec": {"hosts": ["fixed.example.test"], "addresses": ["240.1.0.1"], "resolution": "STATIC", "location": "MESH_INTERNAL",
  "ports": [{"number": 80, "name": "tcp", "protocol": "TCP", "targetPort": 9000}], "workloadSelector": {"labels": {"app": "web"}}}}
END
soon "a ServiceEntry" reaches shop/far 240.1.0.1 80
kube_put $istio/networking.istio.io/v1/namespaces/shop/serviceentries <<END
{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "named"},
 "spec": {"hosts": ["named.example.test"], "addresses": ["240.1.0.2"], "resolution": "DNS", "location": "MESH_EXTERNAL",
  "ports": [{"number": 80, "name": "tcp", "protocol": "TCP", "targetPort": 9000}]}}
END
soon "a ServiceEntry that is a name" both services '.services | any(.hostname == "named.example.test" and (.endpoints | length) == 1)'
"$WEFT" --socket "$LAB_DIR/node1/weftd.sock" why shop/near 240.1.0.2:80 | grep -q "weftd resolves named.example.test" ||
	fail "not resolved by name: $("$WEFT" --socket "$LAB_DIR/node1/weftd.sock" why shop/near 240.1.0.2:80)"

# ---- a waypoint: it has no pod here, so what must pass it is refused
kube_put $istio/gateway.networking.k8s.io/v1/namespaces/shop/gateways <<'END'
{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "wp", "labels": {"istio.io/waypoint-for": "service"}},
 "spec": {"gatewayClassName": "istio-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]}}
END
# istiod would make the service and the pods from a template of its chart, which is not here.
kube_put /api/v1/namespaces/shop/services <<'END'
{"metadata": {"name": "wp", "labels": {"gateway.networking.k8s.io/gateway-name": "wp"}},
 "spec": {"selector": {"gateway.networking.k8s.io/gateway-name": "wp"}, "ports": [{"name": "mesh", "port": 15008}]}}
END
kube PATCH $istio/gateway.networking.k8s.io/v1/namespaces/shop/gateways/wp/status application/merge-patch+json >/dev/null <<'END' || fail "status of the waypoint"
{"status": {"addresses": [{"type": "Hostname", "value": "wp.shop.svc.cluster.local"}]}}
END
label() { # JSON
	kube PATCH /api/v1/namespaces/shop/services/web application/merge-patch+json >/dev/null \
		<<<"{\"metadata\": {\"labels\": {\"istio.io/use-waypoint\": $1}}}" || fail "no label"
}
label '"wp"'
soon "a waypoint that nobody is" refused shop/far "$vip" 80
wait_for 5 grep -q "waypoint" "$LAB_DIR/node2/access.log"
expect_eq "$(dump node1 | jq -c '.services[] | select(.name == "web") | .waypoint.destination')" '"shop/wp.shop.svc.cluster.local"' "of the dump"
label null
soon "no waypoint" reaches shop/far "$vip" 80

# ---- the tool of the people who run Istio
dump node1 >"$peers_tmp/dump"
for table in workload service policy certificate connections all; do
	expect_ok "$istiod_bin/istioctl" ztunnel-config "$table" --file "$peers_tmp/dump"
done
in_table workload "^shop +web .* HBONE"
in_table certificate "^spiffe://cluster.local/ns/shop/sa/web +Leaf +Available +true"
