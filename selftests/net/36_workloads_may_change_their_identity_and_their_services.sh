#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A new service account is a new identity, at once and without a moment outside of the mesh;
# endpoints that come and go count for new connections only.
#
#        node1                node2
#   web-1, near (client)    web-2, far (client)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

account=client
web_account=web
labels_2=web
shop_file() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {name: web-1, serviceAccount: $web_account, node: node1, labels: {app: web},
	     policies: $web_policies, start: before, command: $PEER serve 9000}
	  - {name: near, serviceAccount: $account, node: node1}
	  - {name: web-2, serviceAccount: $web_account, node: node2, labels: {app: $labels_2},
	     policies: $web_policies, start: before, command: $PEER serve 9000}
	  - {name: far, serviceAccount: $account, node: node2}
	services:
	  - {name: web, ports: {80: 9000}, selector: {app: web}}
	policies: $policies
	weftd: $weftd
	END
}

web_listens() {
	pod web-1 nc -z 127.0.0.1 9000 && pod web-2 nc -z 127.0.0.1 9000
}

hosts() {
	peer "$1" many 20 web 80 | tr ' ' '\n' | sed 's/=.*//' | xargs
}

identity_of() {
	weft_json "$1" pods | jq -r --arg pod "$2" '.pods[] | select(.name == $pod) | .identity'
}

# ---- endpoints
shop_up
one=$(ip_of web-1)
two=$(ip_of web-2)
for who in near far; do
	expect_eq "$(hosts "$who")" 'web-1 web-2' "$who reaches both"
done
hold leaving near "$two" 9000
labels_2=nothing
shop_apply
for who in near far; do
	expect_eq "$(hosts "$who")" web-1 "$who reaches the one that is left"
done
hold_ok leaving
labels_2=web
shop_apply
expect_eq "$(hosts near)" 'web-1 web-2' "both again"
hold_ok leaving

# ---- identity of the clients
policies='[{name: v2, namespace: default, scope: Namespace, action: Allow,
            rules: [[[{serviceAccounts: [default/client-v2]}]]]}]'
shop_apply
for to in "$one" "$two"; do
	[[ $(says near "$to" 9000) != ok ]] || fail "near is let in by its old identity at $to"
	[[ $(says far "$to" 9000) != ok ]] || fail "far is let in by its old identity at $to"
done
account=client-v2
shop_apply
expect_eq "$(identity_of node1 near)" spiffe://cluster.local/ns/default/sa/client-v2 "near"
expect_eq "$(identity_of node2 far)" spiffe://cluster.local/ns/default/sa/client-v2 "far"
for to in "$one" "$two"; do
	expect_eq "$(says near "$to" 9000)" ok "near by its new identity at $to"
	expect_eq "$(says far "$to" 9000)" ok "far by its new identity at $to"
done
wait_for 5 log_has node1 '.direction == "inbound" and .path == "hbone"
	and ."src.identity" == "spiffe://cluster.local/ns/default/sa/client-v2"'

# ---- identity of the servers, while somebody talks to them and others connect
policies='[]'
shop_apply
hold direct near "$one" 9000
hold tunnel far "$one" 9000
new_drops node1
new_drops node2
# a simple command, so that its pid is that of the client
"$WEFT" lab --name "$LAB" exec near -- /usr/bin/python3 -S -c '
import socket, sys
while True:
    try:
        s = socket.create_connection((sys.argv[1], 9000))
        s.settimeout(5)
        s.recv(100)
        s.close()
    except OSError:
        pass
' "$two" 2>/dev/null &
clients=$!
background+=("$clients")
wait_for 5 log_has node1 '."dst.identity" == "spiffe://cluster.local/ns/default/sa/web"'
web_account=web-v2
account=client-v3
shop_apply
expect_eq "$(says far "$one" 9000)" ok "far, to the new identity of web-1"
expect_eq "$(says near "$two" 9000)" ok "near, to the new identity of web-2"
expect_eq "$(identity_of node1 web-1)" spiffe://cluster.local/ns/default/sa/web-v2 "web-1"
wait_for 5 log_has node1 '."src.identity" == "spiffe://cluster.local/ns/default/sa/client-v3"
	and ."dst.identity" == "spiffe://cluster.local/ns/default/sa/web-v2" and .error == null'
hold_ok direct
hold_ok tunnel
kill "$clients"
wait "$clients" 2>/dev/null
for node in node1 node2; do
	! log_has "$node" '.path == "plain" or .path == "passthrough"' ||
		fail "$node: traffic outside of the mesh"
done
! weft_json node1 certs | jq -e 'any(.certs[]; .identity | endswith("/web"))' >/dev/null ||
	fail "the old identity is still kept"
