#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A VIP leads to all of its endpoints, by weight; a headless service to pods by their address; a
# service without endpoints is refused at once. Applications see what they dialled.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: web-1, node: node1, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: web-2, node: node2, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: web-3, node: node2, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: big, node: node2, labels: {app: sized}, weight: 9, command: exec $PEER serve 9000}
  - {name: small, node: node1, labels: {app: sized}, command: exec $PEER serve 9000}
  - {name: never, node: node1, labels: {app: sized}, mesh: {capacity: 0}, command: exec $PEER serve 9000}
  - {name: client, node: node1}
services:
  - {name: web, ports: {80: 9000}, selector: {app: web}}
  - {name: sized, ports: {80: 9000}, selector: {app: sized}}
  - {name: direct, ports: {9000: 9000}, selector: {app: web}, headless: true}
  - {name: nobody, ports: {80: 9000}, selector: {app: nobody}}
EOF

vip() { # SERVICE, 4 or 6
	pod client getent "ahostsv$2" "$1" | awk '{ print $1; exit }'
}

# count_of NAME TEXT
count_of() {
	local n
	n=$(field "$1" "$2")
	echo "${n:-0}"
}

for name in web-1 web-2 web-3 big small; do
	wait_for 5 peer client who "$(ip_of $name)" 9000
done

# 60 connections, 3 endpoints: one that gets none is a bug (one in 10^10 otherwise)
for family in "" -6; do
	# shellcheck disable=SC2086 # none or one word
	out=$(peer client $family many 60 web 80) || fail "many $family: $out"
	for name in web-1 web-2 web-3; do
		[[ $(count_of $name "$out") -ge 1 ]] || fail "family ${family:-4}: $name of $out"
	done
done

# 9 to 1: of 100 connections the small one gets 10 +- 3; fewer than 35 are enough for a proof
out=$(peer client many 100 sized 80) || fail "many: $out"
expect_eq "$(count_of never "$out")" 0 "endpoint with capacity 0"
[[ $(count_of small "$out") -ge 1 && $(count_of small "$out") -le 35 ]] || fail "weights 9 and 1: $out"
expect_eq $(($(count_of small "$out") + $(count_of big "$out"))) 100 "connections"

# what the application sees is what it dialled; its own address is the pod's
seen() { # KIND SERVICE: the VIP on the client's side, the pod on the server's
	local line own server family=4
	[[ $1 == -6 ]] && family=6
	# shellcheck disable=SC2086 # none or one word
	line=$(peer client $1 who "$2" 80) || fail "who $1 $2: $line"
	own=$(ip_of client $family)
	server=$(ip_of "$(field host "$line")" $family)
	if [[ $family == 6 ]]; then
		own="[$own]"
		server="[$server]"
		expect_eq "$(field peer "$line")" "[$(vip "$2" 6)]:80" "$1 getpeername"
	else
		expect_eq "$(field peer "$line")" "$(vip "$2" 4):80" "$1 getpeername"
	fi
	[[ $(field own "$line") == "$own":* ]] || fail "$1 getsockname: $line"
	[[ $(field seen "$line") == "$own":* ]] || fail "$1 getpeername of the server: $line"
	expect_eq "$(field at "$line")" "$server:9000" "$1 getsockname of the server"
}
for kind in "" -6 -m; do
	for ((i = 0; i < 4; i++)); do # direct and through a tunnel
		seen "$kind" web
	done
done
line=$(peer client who web-2 9000) || fail "by pod address: $line"
expect_eq "$(field peer "$line")" "$(ip_of web-2):9000" "getpeername of a tunnel by pod address"

# headless: no VIP, names lead to pods
expect_eq "$(pod client getent ahostsv4 direct | awk '{ print $1 }' | sort -u | xargs)" \
	"$(for name in web-1 web-2 web-3; do ip_of $name; done | sort | xargs)" "addresses of the headless service"
for name in web-1 web-2 web-3; do
	line=$(peer client who $name 9000) || fail "headless: $line"
	expect_eq "$(field host "$line")" $name "who answered"
done
expect_ok peer client who direct 9000

# nobody there: refused at once, in both families; a port that the service does not have, too
before=$(event node1 connect_no_endpoint)
out=$(peer client -t 5 try 80,81 "$(vip nobody 4)" "$(vip nobody 6)" | awk '{ print $3 }' | sort -u)
expect_eq "$out" ECONNREFUSED "no endpoint"
expect_eq "$(peer client -t 5 who web 81)" ECONNREFUSED "no such port"
expect_eq $(($(event node1 connect_no_endpoint) - before)) 5 "counted as refused for want of an endpoint"
wait_for 5 last_drop node1 no_endpoint
