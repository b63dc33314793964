#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# istio-cni takes a pod out of the mesh: its connections end at once, in both directions, and when
# weftd has answered nothing of it is left: no listener, no kernel entry, no certificate, no
# descriptor. The same pod in a new namespace is served there. And a ztunnel that is being replaced may
# listen beside weftd.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/zds.sh"

lab_up - <<-EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, serviceAccount: server, enrol: false, protocol: HBONE,
     command: exec $PEER serve 9000}
  - {name: stays, node: node1, serviceAccount: stays, enrol: false, protocol: HBONE,
     command: exec $PEER serve 9000}
  - {name: far, node: node2, command: exec $PEER serve 9000}
  - {name: outsider, node: node2, enrol: false, command: exec $PEER serve 9000}
weftd: {access_log_format: json}
EOF
zds_rules server
zds_rules stays
zds_agent node1
zds_use node1
ip=$(ip_of server)
links() { find "$(pins node1)" -name 'link_*' | wc -l; }
fds() { ls "/proc/$(pid_of node1)/fd" | wc -l; }
idle() { [[ $(weft_json node1 status | jq .connections.open) == 0 ]]; }
tunnels() { weft_json node1 status | jq '.tunnels.client + .tunnels.server'; }
certificate() { weft_json node1 certs | jq -e 'any(.certs[]; .identity | endswith("/sa/server"))' >/dev/null; }

# ---- a ztunnel is there already, and hands nothing back: weftd binds beside it, and what the hooks
# capture never gets there
cat >"$peers_tmp/ztunnel.py" <<-END
	import socket, select
	def listener(port):
	    s = socket.socket(socket.AF_INET6)
	    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
	    s.bind(("::", port))
	    s.listen(128)
	    return s
	all = [listener(port) for port in (15001, 15006, 15008)]
	while True:
	    for s in select.select(all, [], [])[0]:
	        s.accept()[0].close()
END
"$WEFT" lab --name "$LAB" exec stays -- /usr/bin/python3 "$peers_tmp/ztunnel.py" &
ztunnel=$!
background+=("$ztunnel")
listens() { [[ $(pod stays ss -Htln "sport = $1" | wc -l) == "$2" ]]; }
wait_for 10 listens 15008 1
cni_add node1 stays
for port in 15001 15006 15008; do
	listens $port 2 || fail "port $port: $(pod stays ss -Htln)"
done
wait_for 10 peer stays who "$(ip_of far)" 9000
expect_eq "$(peer stays many 30 "$(ip_of far)" 9000)" "far=30" "what the hooks capture"
kill "$ztunnel"
wait_for 10 listens 15008 1
wait_for 10 peer far who "$(ip_of stays)" 9000
expect_eq "$(peer far many 30 "$(ip_of stays)" 9000)" "stays=30" "without the ztunnel"

# ---- before, with a pod that comes and goes
links_before=$(links)
cni_add node1 server
wait_for 10 peer far who "$ip" 9000
expect_eq "$(jq -r .error <<<"$(cni node1 '{"del": "uid-server"}')")" "" "del"
wait_for 10 idle
fds_before=$(fds)
tunnels_before=$(tunnels) # of the other pod
as_before() { [[ $(fds) == "$fds_before" && $(tunnels) == "$tunnels_before" ]]; }

# ---- cut in both directions
cni_add node1 server
wait_for 10 peer far who "$ip" 9000
hold in far "$ip" 9000
hold out server "$(ip_of far)" 9000
hold plain outsider "$ip" 9000
hold other far "$(ip_of stays)" 9000
hold_ok in
hold_ok out
hold_ok plain
certificate || fail "no certificate"
expect_eq "$(jq -r .error <<<"$(cni node1 '{"del": "uid-server"}')")" "" "del"
expect_eq "$(weft_json node1 pods | jq -r '.pods[].name')" stays "pods after the answer"
expect_eq "$(links)" "$links_before" "links after the answer"
! pod server ss -Htln 'sport >= 15001 and sport <= 15008' | grep -q . || fail "a listener is left"
for held in in out plain; do
	[[ $(hold_error $held) != "" ]] || fail "$held goes on"
done
hold_ok other
log_has() { jq -s -e "[.[] | select(.error // \"\" | startswith(\"unenrolled\"))] | length >= 3" "$LAB_DIR/node1/access.log"; }
wait_for 10 log_has
expect_eq "$(weft_json node1 connections | jq '[.connections[] | select(.pod == "default/server")] | length')" 0 \
	"connections"
gone() { ! certificate; }
wait_for 5 gone
hold_end other
wait_for 10 idle
wait_for 10 as_before # no descriptor, no tunnel is left
out=$("$WEFT" --socket "$LAB_DIR/node1/weftd.sock" maps check) || fail "maps check: $out"

# ---- istio-cni takes its rules out behind that, and the pod is like any other
expect_eq "$(peer outsider who "$ip" 9000)" ECONNREFUSED "with rules, without weftd"
pod server iptables -t nat -F
pod server ip6tables -t nat -F
line=$(peer outsider who "$ip" 9000) || fail "out of the mesh: $line"
line=$(peer server who "$(ip_of outsider)" 9000) || fail "out of the mesh: $line"
