#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mesh file in the shape of LOCAL_XDS_PATH, as YAML and as JSON, and the example of
# docs/mesh-file.md.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"

mesh=$peers_tmp/mesh.yaml

applied() {
	weft_json node1 status | jq .mesh.applied
}

more_than() {
	(($(applied) > $1))
}

load() {
	local count
	count=$(applied)
	cat >"$mesh.new"
	mv "$mesh.new" "$mesh"
	wait_for 10 more_than "$count"
}

shows() { # COMMAND FILTER
	weft_json node1 "$1" | jq -e "$2" >/dev/null || fail "weft $1: not $2: $(weft_json node1 "$1")"
}

# The lab writes a mesh file of its own, which nobody reads here.
in_shape() {
	cat <<-'END'
	# Two pods of this machine, one that is reached as it is, one far away.
	workloads:
	- uid: cluster1//v1/Pod/default/web
	  name: web
	  namespace: default
	  serviceAccount: web
	  workloadIps: ["10.244.1.1"]
	  protocol: HBONE
	  node: node1
	  network: ""
	  authorizationPolicies: []
	  services:
	    "default/example.com":
	      80: 9000
	      8080: 9000
	- uid: cluster1//v1/Pod/default/client
	  name: client
	  namespace: default
	  serviceAccount: client
	  workloadIps: ["10.244.1.2"]
	  protocol: HBONE
	  node: node1
	  waypoint:
	- uid: cluster1//v1/Pod/default/legacy
	  name: legacy
	  namespace: default
	  serviceAccount: default
	  workloadIps: ["10.244.9.9"]
	  protocol: TCP
	  node: elsewhere
	  services: {default/legacy.example.com: {}}
	services:
	- name: example
	  namespace: default
	  hostname: example.com
	  vips:
	  - /10.96.0.77
	  ports:
	    80: 8000
	    8080: 8000
	- name: legacy
	  namespace: default
	  hostname: legacy.example.com
	  vips: [remote/10.96.0.78]
	  ports: {80: 0}
	  subjectAltNames: []
	  endpoints: {}
	policies:
	- name: only-9000
	  namespace: default
	  scope: Global
	  action: Allow
	  rules:
	  - # rule
	    - # clause
	      - # match
	        destinationPorts:
	        - 9000
	  - - - destinationPorts: [9001]
	        principals:
	        - Suffix: /sa/nobody
	END
}

in_shape >"$mesh"
lab_up - <<EOF
nodes: [node1]
pods:
  - {name: web, node: node1, command: $PEER serve 9000 9001, start: before}
  - {name: client, node: node1}
weftd: {mesh_file: $mesh}
EOF
wait_for 10 pod web nc -z 127.0.0.1 9001

works() {
	local port
	for port in 80 8080; do
		[[ $(peer client who 10.96.0.77 "$port") == *host=web ]] || fail "port $port of the service"
	done
	[[ $(peer client who 10.244.1.1 9001) != own=* ]] || fail "port 9001 is open"
}

works
shows status '.mesh | [.workloads, .services, .policies] == [3, 2, 1]'
shows workloads '[.workloads[] | .protocol] | sort == ["HBONE", "HBONE", "TCP"]'
shows services 'any(.services[]; .hostname == "example.com" and (.endpoints | length) == 1)'

# JSON is YAML
load <<'EOF'
{"workloads": [
  {"uid": "cluster1//v1/Pod/default/web", "name": "web", "namespace": "default",
   "serviceAccount": "web", "workloadIps": ["10.244.1.1"], "protocol": "HBONE", "node": "node1",
   "services": {"default/example.com": {"80": 9000, "8080": 9000}}},
  {"uid": "cluster1//v1/Pod/default/client", "name": "client", "namespace": "default",
   "serviceAccount": "client", "workloadIps": ["10.244.1.2"], "protocol": "HBONE", "node": "node1"}],
 "services": [{"name": "example", "namespace": "default", "hostname": "example.com",
   "vips": ["/10.96.0.77"], "ports": {"80": 8000, "8080": 8000}}],
 "policies": [{"name": "only-9000", "namespace": "default", "scope": "Namespace",
   "action": "Deny", "rules": [[[{"notDestinationPorts": [9000]}]]]}]}
EOF
works

# a mesh of nothing: pods that are enrolled stay so
load <<<'{}'
shows status '.mesh | [.workloads, .services, .policies] == [0, 0, 0]'
shows pods '(.pods | length) == 2 and all(.pods[]; .state == "not-in-mesh")'
load < <(in_shape)
works

# the documentation's own example
load < <(sed -n '/^## Example/,/^## Rules/p' "$ROOT/docs/mesh-file.md" | sed '1,/^```yaml/d; /^```/,$d')
shows status '.mesh | [.workloads, .services, .policies] == [3, 1, 2]'
shows workloads 'any(.workloads[]; .uid == "Kubernetes//Pod/shop/client-7d9f"
	and .identity == "spiffe://cluster.local/ns/shop/sa/client")'
shows policies 'any(.policies[]; .name == "no-strangers" and .dry_run and .scope == "Global")'
