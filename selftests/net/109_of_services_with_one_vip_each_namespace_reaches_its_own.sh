#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Several namespaces may have services with one VIP and one hostname: clients reach that of their own
# namespace, others the canonical one, whoever asked first; a service that is for its own namespace only is
# nobody's for others. Names, connections and `weft why` say the same.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<END
nodes: [node1, node2]
pods:
  - {name: a-client, namespace: a, node: node1}
  - {name: b-client, namespace: b, node: node1}
  - {name: c-client, namespace: c, node: node1}
  - {name: a-api, namespace: a, node: node1, labels: {app: a}, command: exec $PEER serve 9000}
  - {name: b-api, namespace: b, node: node2, labels: {app: b}, command: exec $PEER serve 9000}
services:
  - {name: api, namespace: a, ports: {80: 9000}, selector: {app: a}}
  - {name: api, namespace: b, ports: {80: 9000}, selector: {app: b}}
  - {name: own, namespace: a, ports: {80: 9000}, selector: {app: a}}
END

# one address and one name for both, and a third service that only a sees
python3 - "$LAB_DIR/mesh.yaml" <<'END'
import sys, yaml
path = sys.argv[1]
mesh = yaml.safe_load(open(path))
names = {s["namespace"] + "/" + s["name"]: s for s in mesh["services"]}
for key, vip in (("a/api", "240.0.0.1"), ("b/api", "240.0.0.1"), ("a/own", "240.0.0.2")):
    s = names[key]
    old = s["namespace"] + "/" + s["hostname"]
    s["hostname"] = s["name"] + ".example.com"
    s["vips"] = ["/" + vip]
    for w in mesh["workloads"]:
        if old in w.get("services", {}):
            w["services"][s["namespace"] + "/" + s["hostname"]] = w["services"].pop(old)
names["b/api"]["canonical"] = True
names["a/own"]["visibility"] = "Namespace"
yaml.safe_dump(mesh, open(path + ".new", "w"))
END
mv "$LAB_DIR/mesh.yaml.new" "$LAB_DIR/mesh.yaml"
known() { [[ $(weft_json node1 services | jq -c '[.services[].vips[]] | sort') == '["240.0.0.1","240.0.0.1","240.0.0.2"]' ]]; }
wait_for 10 known || fail "$(weft_json node1 services)"

host_of() { # POD ADDRESS: who answers
	local line
	line=$(peer "$1" who "$2" 80) || { echo "$line"; return; }
	field at "$line"
}
a=$(ip_of a-api):9000 b=$(ip_of b-api):9000
reaches() { [[ $(host_of "$@") == "$3" ]]; }
# by turns, so that what one has made the kernel learn does not serve the next
for _ in 1 2 3; do
	for want in "a-client $a" "b-client $b" "c-client $b" "a-client $a"; do
		read -r pod at <<<"$want"
		wait_for 5 reaches "$pod" 240.0.0.1 "$at"
	done
done
expect_eq "$(host_of a-client 240.0.0.2)" "$a" "a service for a only, from a"
expect_fail peer c-client -t 2 who 240.0.0.2 80

# what `weft why` says
for pod in a/a-client:a b/b-client:b c/c-client:b; do
	said=$(weft_on node1 why "${pod%:*}" 240.0.0.1:80)
	[[ $said == *"${pod##*:}/api"* ]] || fail "${pod%:*}: $said"
done

# names
for pod in a/a-client:a b/b-client:b c/c-client:b; do
	said=$(weft_on node1 dns api.example.com --pod "${pod%:*}")
	[[ $said == *"${pod##*:}/api.example.com"* ]] || fail "${pod%:*}: $said"
done
