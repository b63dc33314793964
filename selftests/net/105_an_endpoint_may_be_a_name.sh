#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A service may have endpoints without addresses, known by a hostname: weftd resolves it as its node does. New
# connections follow the name when it moves; a name that is gone refuses, with the reason; nameservers that
# do not answer change nothing for names that were known. A name that leads to a pod of the mesh leads to its
# policies.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

command -v dnsmasq >/dev/null || skip "no dnsmasq (Debian package dnsmasq-base)"

# weftd with a nameserver of its own: the node's loopback
cat >"$peers_tmp/weftd" <<-END
	#!/bin/bash
	exec unshare -m --propagation slave bash -c 'mount --bind "\$0" /etc/resolv.conf && exec "\$@"' \\
		"$peers_tmp/resolv.conf" "$WEFTD" "\$@"
END
chmod +x "$peers_tmp/weftd"
echo "nameserver 127.0.0.1" >"$peers_tmp/resolv.conf"
LAB_OPTIONS=(--weftd "$peers_tmp/weftd")

lab_up - <<END
nodes: [node1]
weftd: {access_log_format: json}
pods:
  - {name: client, node: node1}
  - {name: one, node: node1, enrol: false, command: exec $PEER serve 9000}
  - {name: two, node: node1, enrol: false, command: exec $PEER serve 9000}
  - {name: strict, node: node1, policies: [default/strict], command: exec $PEER serve 9000}
policies:
  - {name: strict, namespace: default, scope: WorkloadSelector, action: Deny, rules: [[[{notPrincipals: ["*"]}]]]}
END

# The servers are outside of the mesh: no workload has their addresses.
python3 - "$LAB_DIR/mesh.yaml" <<'END'
import re, sys
path = sys.argv[1]
text = open(path).read()
text = re.sub(r"  - uid: [^\n]*/(one|two)\n(    .*\n)+", "", text)
text = text.replace("workloads:\n", """workloads:
  - {uid: outside/api, name: api, namespace: default, hostname: api.example.test, protocol: TCP,
     services: {default/api.example.com: {80: 9000}}}
""", 1)
text = re.sub(r"(?m)^services:.*\n", """services:
  - {name: api, namespace: default, hostname: api.example.com, vips: [/240.240.0.7], ports: {80: 9000}}
""", text)
open(path + ".new", "w").write(text)
END
mv "$LAB_DIR/mesh.yaml.new" "$LAB_DIR/mesh.yaml"

known() {
	weft_json node1 services | jq -e '[.services[].vips[]] == ["240.240.0.7"]' >/dev/null
}
wait_for 10 known || fail "$(cat "$LAB_DIR/mesh.yaml")"

# names LINE...: the nameserver, with these hosts
names() {
	printf '%s\n' "$@" >"$peers_tmp/hosts"
	pod @node1 pkill -x -F "$peers_tmp/dnsmasq.pid" dnsmasq 2>/dev/null
	pod @node1 dnsmasq --conf-file=/dev/null --no-hosts --no-resolv --listen-address=127.0.0.1 --bind-interfaces \
		--addn-hosts="$peers_tmp/hosts" --local=/example.test/ --pid-file="$peers_tmp/dnsmasq.pid" --user=root
}
end_names() {
	local code=$?
	pkill -x -F "$peers_tmp/dnsmasq.pid" dnsmasq 2>/dev/null
	(exit "$code")
	peers_end
}
trap end_names EXIT
reaches() {
	[[ $(seen_as client host 240.240.0.7 80) == "$1" ]]
}

names "$(ip_of one) api.example.test"
wait_for 5 reaches one || fail "not reached: $(tail -n 3 "$LAB_DIR/node1/access.log")"
logged() {
	jq -es --arg to "$(ip_of one):9000" 'any(.[]; ."dst.addr" == $to and ."dst.service" == "api.example.com" and
		."src.workload" == "client" and ."dst.workload" == "api")' "$LAB_DIR/node1/access.log" >/dev/null
}
wait_for 5 logged || fail "$(cat "$LAB_DIR/node1/access.log")"
(($(metric node1 'istio_on_demand_dns_total{source_workload="client",hostname="api.example.test"}') > 0)) ||
	fail "istio_on_demand_dns_total"
"$WEFT" --socket "$LAB_DIR/node1/weftd.sock" why default/client 240.240.0.7:80 >"$peers_tmp/why"
grep -q "weftd resolves api.example.test for each connection" "$peers_tmp/why" || fail "$(cat "$peers_tmp/why")"

# ---- it moves, it goes
names "$(ip_of two) api.example.test"
wait_for 20 reaches two || fail "not followed"
names "$(ip_of strict) api.example.test"
refused() {
	! peer client who 240.240.0.7 80 >"$peers_tmp/who" 2>&1
}
wait_for 20 refused || fail "a name leads around the policies of a pod: $(cat "$peers_tmp/who")"
expect_eq "$(seen_as client host "$(ip_of strict)" 9000)" strict "by its address, with an identity"
names "$(ip_of one) api.example.test"
wait_for 20 reaches one
names "127.0.0.9 other.example.test"
wait_for 20 refused || fail "a name that is gone is still reached"
wait_for 5 grep -q "cannot resolve api.example.test: " "$LAB_DIR/node1/access.log"
expect_ok weft_json node1 drops

# ---- nobody answers any more
names "$(ip_of one) api.example.test"
wait_for 20 reaches one
pkill -x -F "$peers_tmp/dnsmasq.pid" dnsmasq
for ((i = 0; i < 14; i++)); do # longer than an answer is fresh
	expect_eq "$(seen_as client host 240.240.0.7 80)" one "without a nameserver"
	tick 0.5
done
