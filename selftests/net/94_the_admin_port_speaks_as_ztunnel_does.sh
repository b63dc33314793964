#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GET /config_dump has the mesh, certificates, pods and connections in the shape of ztunnel's, and
# istioctl prints them; a large mesh does not make the daemon grow; /logging sets levels;
# /quitquitquit lets open connections end.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

ISTIOCTL=${WEFT_ISTIOCTL:-$(command -v istioctl || true)}
[[ $ISTIOCTL ]] || ISTIOCTL=$HOME/.cache/weft-interop/istiod/bin/istioctl

admin() {
	local path=$1
	shift
	pod @node1 curl -sS -m 20 "$@" "http://127.0.0.1:15000$path"
}

# dump [ARGS OF JQ]: of the saved dump
dump() {
	jq -c "$@" "$tmp/dump"
}

telemetry_up 'network: net1'
wire_all
for name in direct hbone plain passthrough; do
	wire_echo "$name" 100
done
admin /config_dump >"$tmp/dump" || fail "no dump"
near=$(ip_of near) far=$(ip_of far) client=$(ip_of client)

# ---- the shape
expect_eq "$(dump keys_unsorted)" '["workloads","services","policies","stagedServices","certificates","workloadState","staticConfig","version","config"]'
expect_eq "$(dump '.workloads[] | select(.name == "client") | [.workloadIps[0], .namespace, .protocol,
	.serviceAccount, .canonicalRevision, .node, .status, .trustDomain, .capacity]')" \
	"[\"$client\",\"default\",\"HBONE\",\"client\",\"v7\",\"node1\",\"Healthy\",\"cluster.local\",1]"
expect_eq "$(dump '.services[] | select(.name == "far") | [(.ports, .vips[0] | type),
	([.endpoints[].status] | unique), (.endpoints | length)]')" '["object","string",["Healthy"],1]'
dump -r '.services[].vips[]' | grep -vq '^net1/' && fail "a VIP without its network"
expect_eq "$(dump '.policies[] | [.name, .namespace, .scope, .action, .rules]')" \
	'["no-intruder","default","Namespace","Deny",[[[{"principals":[{"Exact":"cluster.local/ns/default/sa/intruder"}]}]]]]'
expect_eq "$(dump '[.certificates[] | .state] | unique')" '["Available"]'
expect_eq "$(dump '.config | [(.adminAddr.Localhost | map(type)), (.statsAddr.SocketAddr | type),
	(.illegalPorts | map(type) | unique), (.xdsAddress | type)]')" \
	'[["boolean","number"],"string",["number"],"null"]'

# ---- a certificate is the one that the pod has
id=spiffe://cluster.local/ns/default/sa/client
dump -r --arg id "$id" '.certificates[] | select(.identity == $id) | .certChain[0].pem' | base64 -d >"$tmp/leaf.pem"
openssl x509 -in "$tmp/leaf.pem" -noout -ext subjectAltName | grep -q "URI:$id" || fail "the leaf is another one"
not_after=$(date -u -d "$(openssl x509 -in "$tmp/leaf.pem" -noout -enddate | cut -d= -f2)" +%FT%TZ)
expect_eq "$(dump -r --arg id "$id" '.certificates[] | select(.identity == $id) | .certChain[0].expirationTime')" "$not_after"
serial=$(openssl x509 -in "$tmp/leaf.pem" -noout -serial | cut -d= -f2)
expect_eq "$(dump -r --arg id "$id" '.certificates[] | select(.identity == $id) | .certChain[0].serialNumber')" \
	"$(python3 -c 'import sys; print(int(sys.argv[1], 16))' "$serial")" serial
dump -r --arg id "$id" '.certificates[] | select(.identity == $id) | .rootCerts[0].pem' | base64 -d |
	openssl x509 -noout || fail "no root"

# ---- pods and their connections
conns() {
	dump --arg pod "$1" --arg way "$2" '[.workloadState[] | select(.info.name == $pod) |
		.connections[$way][] | [.originalDst, .actualDst, .protocol]] | sort'
}
expect_eq "$(dump '[.workloadState[] | [.info.name, .state, .info.serviceAccount]] | sort')" \
	'[["client","Up","client"],["intruder","Up","intruder"],["near","Up","near"]]'
vip() {
	dump -r --arg name "$1" '.services[] | select(.name == $name) | .vips[] | select(contains(":") | not)' | cut -d/ -f2
}
expect_eq "$(conns client outbound)" "$(jq -nc --arg n "$(vip near):80" --arg f "$(vip far):80" \
	--arg na "$near:9000" --arg fa "$far:15008" --arg p "$FABRIC:9000" \
	'[[$n, $na, "TCP"], [$f, $fa, "HBONE"], [$p, $p, "TCP"]] | sort')" "of client"
expect_eq "$(conns near inbound | jq -c 'map(.[1:]) | unique')" "[[\"$near:9000\",\"TCP\"]]" "of near"
expect_eq "$(conns near inbound | jq length)" 2 "of near"

# ---- istioctl
if [[ -x $ISTIOCTL ]]; then
	# in one piece: grep -q does not wait for the end of what it reads
	zc() {
		local out
		out=$("$ISTIOCTL" ztunnel-config "$@" --file "$tmp/dump" 2>&1) || fail "istioctl ztunnel-config $*: $out"
		echo "$out"
	}
	zc workload | grep -Eq "^default +client +${client}[^ ]* +node1 +None +HBONE" || fail "$(zc workload)"
	zc service | grep -Eq "^default +far +$(vip far)[^ ]* +None +1/1" || fail "$(zc service)"
	zc policy | grep -Eq "^default +no-intruder +Deny +Namespace" || fail "$(zc policy)"
	zc certificate | grep -Eq "^$id +Leaf +Available +true +${serial,,} " || fail "$(zc certificate)"
	zc certificate | grep -Eq "^$id +Root +Available +true" || fail "$(zc certificate)"
	zc connections | grep -Eq "^client.default +Outbound +client.default:[0-9]+ +far.default:15008 +far[^ ]*:80 +HBONE" ||
		fail "$(zc connections)"
	zc connections --raw | grep -Eq "^client.default +Outbound .*$FABRIC:9000 +$FABRIC:9000 +TCP" || fail "$(zc connections --raw)"
	for table in workload service policy certificate connections; do
		zc "$table" -o json | jq -e 'length >= 1' >/dev/null || fail "$(zc "$table" -o json)"
	done
	expect_eq "$(zc policy -o json | jq -c '.[0].rules')" "$(dump '.policies[0].rules')" "rules"
	zc all | grep -q "no-intruder" || fail "$(zc all)"
else
	echo "istioctl is not here (WEFT_ISTIOCTL=path): its tables were not looked at"
fi

# ---- levels of the log
expect_eq "$(admin /logging)" "current log level is info"
expect_eq "$(admin '/logging?level=pod:debug,warn' -X POST)" "current log level is warn,pod=debug"
expect_eq "$(admin '/logging?level=loud' -X POST -w '%{http_code}' -o /dev/null)" 400
expect_eq "$(admin '/logging?level=&reset' -X POST)" "current log level is info"
expect_eq "$(admin / -w '%{content_type}' -o /dev/null)" "text/html; charset=utf-8"
expect_eq "$(admin /debug -w '%{http_code}' -o /dev/null)" 404

# ---- a mesh of 100,000 workloads is written without growing
python3 - "$LAB_DIR/mesh.yaml" "$LAB_DIR/more.yaml" <<-'END'
	import sys
	old, new = sys.argv[1:]
	text = open(old).read()
	more = "".join(f"  - {{uid: x//Pod/big/p{i}, name: p{i}, namespace: big, workloadIps: "
		f"[10.{100 + i // 65536}.{i // 256 % 256}.{i % 256}], node: other, protocol: HBONE}}\n"
		for i in range(100000))
	at = text.index("workloads:\n") + len("workloads:\n")
	open(new, "w").write(text[:at] + more + text[at:])
END
mv "$LAB_DIR/more.yaml" "$LAB_DIR/mesh.yaml"
large() {
	jq -e '.mesh.workloads > 100000' < <(weft_json node1 status)
}
wait_for 60 large
wire_echo hbone 100
weftd=$(weft_json node1 status | jq .pid)
kib() {
	awk -v key="$1:" '$1 == key { print $2 }' "/proc/$weftd/status"
}
# What applying the mesh needed beside it is given back some seconds later; the peak counts from there.
trimmed() {
	(($(kib VmRSS) < $(kib VmHWM) * 3 / 4))
}
wait_for 30 trimmed
echo 5 >"/proc/$weftd/clear_refs"
before=$(kib VmHWM)
admin /config_dump >"$tmp/dump" -m 60 || fail "the large dump"
after=$(kib VmHWM)
size=$(($(stat -c %s "$tmp/dump") / 1024))
echo "dump of $size KiB: weftd had $before KiB before, $after KiB at its peak"
((after - before < 8192)) || fail "weftd grew from $before KiB to $after KiB"
expect_eq "$(dump '.workloads | length > 100000')" true
expect_eq "$(dump '[.workloadState[] | .connections.outbound | length] | add')" 3 connections

# ---- the end in peace: open connections go on, there are no new ones
expect_eq "$(admin /quitquitquit -w '%{http_code}' -o /dev/null)" 405
expect_eq "$(admin /quitquitquit -X POST)" "shutdown now"
expect_fail pod client curl -sS -m 5 "http://far:80/"
wire_echo hbone 100000
wire_end hbone
wire_end plain
ended() {
	[[ ! -e /proc/$weftd ]]
}
wait_for 4 ended
wire_echo direct 100
grep -q 'POST /quitquitquit: no new connections; relayed ones that are open (2)' "$LAB_DIR/node1/weftd.log" ||
	fail "the log does not say why it ended"
