#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# AuthorizationPolicy and PeerAuthentication as users write them, behind the mesh in its file: they
# decide real connections on every path, follow the labels of workloads for open connections too,
# and what they cannot carry out (HTTP) is said in the log, in `weft policies` and counted. An object
# that cannot be read changes nothing. The pods: policy.sh, here with labels.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

manifests=$peers_tmp/manifests.yaml
web_label=web
# The lab's mesh, with a label for each workload (app: its name) and the manifests behind it.
write() {
	awk -v web="$web_label" '
		{ print }
		/^    name: / { print "    labels: {app: " ($2 == "web" ? web : $2) "}" }' \
		"$LAB_DIR/lab-mesh.yaml" >"$LAB_DIR/mesh.new" &&
		cat "$manifests" >>"$LAB_DIR/mesh.new" && mv "$LAB_DIR/mesh.new" "$LAB_DIR/mesh.yaml"
}

everybody() {
	local port=$1 who got=""
	shift
	for who in near near-stranger far far-stranger @fabric; do
		[[ $(says "$who" "$web" "$port") == ok ]] && got+=" yes" || got+=" no"
	done
	expect_eq "${got# }" "$*" "$port from near near-stranger far far-stranger fabric"
}

warnings() {
	weft_json node1 policies | jq -r --arg p "$1" '.policies[] | select(.name == $p) | .warnings[]'
}

shop_up
web=$(ip_of web)
cp "$LAB_DIR/mesh.yaml" "$LAB_DIR/lab-mesh.yaml"

# ---- who, which port, in which form
cat >"$manifests" <<-'END'
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec:
  mtls: {mode: STRICT}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web-clients, namespace: shop}
spec:
  selector:
    matchLabels: {app: web}
  action: ALLOW
  rules:
  - from:
    - source: {principals: ["cluster.local/ns/shop/sa/*"]}
    to:
    - operation: {ports: ["9000", "9001"]}
  - from:
    - source: {namespaces: ["other"]}
    to:
    - operation: {methods: ["GET"], ports: ["9000"]}
  - to:
    - operation: {ports: ["9002"]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-deletes, namespace: shop}
spec:
  action: DENY
  rules:
  - to:
    - operation: {methods: ["DELETE"], ports: ["9001"]}
END
new_drops node1
mesh_change write
everybody 9000 yes no yes no no # the rule with methods allows nobody
everybody 9001 no no no no no   # without its methods it denies all
everybody 9002 yes yes yes yes no
wait_for 5 drop_has node1 '.policy == "shop/no-deletes" and .src_workload == "shop/near"'
[[ $(warnings web-clients) == *methods* ]] || fail "no warning: $(warnings web-clients)"
[[ $(warnings no-deletes) == *methods* ]] || fail "no warning: $(warnings no-deletes)"
expect_eq "$(metric node1 weft_policies_not_as_written)" 2 "policies that are not carried out as written"
for policy in web-clients no-deletes; do
	weft_on node1 policies | sed -n '/NOT AS WRITTEN/,$p' | grep -q "shop/$policy" ||
		fail "weft policies says nothing of $policy: $(weft_on node1 policies)"
	grep -q "warn.*shop/$policy.*methods" "$LAB_DIR/node1/weftd.log" ||
		fail "no warning in the log for $policy"
done

# ---- one port is permissive
cat >>"$manifests" <<-'END'
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain-9002, namespace: shop}
spec:
  selector:
    matchLabels: {app: web}
  portLevelMtls:
    9002: {mode: PERMISSIVE}
END
mesh_change write
everybody 9000 yes no yes no no
everybody 9002 yes yes yes yes yes

# ---- another label: the policies of "web" do not bind it any more, and then do again
web_label=other
mesh_change write
everybody 9000 yes yes yes yes no # STRICT is of the namespace
for who in near near-stranger far far-stranger; do
	hold "$who" "$who" "$web" 9000
	hold_ok "$who"
done
web_label=web
mesh_change write
for who in near-stranger far-stranger; do
	line=$(hold_error "$who")
	[[ $line == E* ]] || fail "$who was not cut by the label: \"$line\""
done
hold_ok near
hold_ok far

# ---- an object that cannot be read
rejected=$(mesh_rejected node1)
is_rejected() {
	(($(mesh_rejected node1) > rejected))
}
sed 's/ports: \["9002"\]/prots: ["9002"]/' "$manifests" >"$manifests.new" && mv "$manifests.new" "$manifests"
write
wait_for 10 is_rejected
[[ $(weft_json node1 status | jq -r .mesh.last_error) == *prots* ]] ||
	fail "last_error: $(weft_json node1 status | jq -r .mesh.last_error)"
everybody 9002 yes yes yes yes yes
hold_ok near
