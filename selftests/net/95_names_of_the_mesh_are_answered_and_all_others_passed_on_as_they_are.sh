#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods ask the nameserver that they have, and get what the mesh knows from weftd: services by all the
# names that Kubernetes has for them, hosts of ServiceEntries, wildcards, pods of headless services; over
# UDP and TCP, IPv4 and IPv6. Everything else goes to that nameserver and comes back byte for byte.
#
#   client, other ──► 127.0.53.1:15053 weftd ──► 172.31.250.254:53 (fabric)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/names.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: web-1, node: node1, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: web-2, node: node2, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: client, node: node1}
  - {name: other, namespace: bank, node: node1}
  - {name: names, node: node2, command: exec dnsmasq --pid-file= -k -h -R -C /dev/null -p 53 --address=/in.example.test/192.0.2.9}
services:
  - {name: web, ports: {80: 9000}, selector: {app: web}}
  - {name: direct, ports: {9000: 9000}, selector: {app: web}, headless: true}
  - {name: nobody, ports: {9000: 9000}, selector: {app: nobody}, headless: true}
  - {name: api, ports: {80: 9000}, selector: {app: web}, mesh: {hostname: api.example.test}}
  - {name: any, ports: {80: 9000}, selector: {app: web}, mesh: {hostname: "*.wild.test"}}
EOF
nameserver

tunnels() {
	metric node2 'istio_tcp_connections_opened_total{reporter="destination",connection_security_policy="mutual_tls",destination_workload="names"}'
}

vip() { # SERVICE, 4 or 6
	pod client getent "ahostsv$2" "$1" | awk '{ print $1; exit }'
}
web4=$(vip web 4)
web6=$(vip web 6)
[[ $web4 == 10.96.* && $web6 == fd00:* ]] || fail "VIPs $web4 $web6"

# every name, over each way to ask
for server in "$NS4" "$NS6"; do
	for way in +notcp +tcp; do
		for name in web web.default web.default.svc web.default.svc.cluster.local WEB.Default.svc.cluster.LOCAL; do
			expect_eq "$(short client "$way" "@$server" $name A)" "$web4" "$name A $way @$server"
			expect_eq "$(short client "$way" "@$server" $name AAAA)" "$web6" "$name AAAA $way @$server"
		done
		expect_eq "$(short client "$way" "@$server" direct.default)" \
			"$(ip_of web-1) $(ip_of web-2)" "headless $way @$server"
	done
done
# a short name is one of the own namespace; the nameserver knows nothing of these
expect_foreign other web "web, from namespace bank"
expect_eq "$(short other "@$NS4" web.default)" "$web4" "web.default, from namespace bank"
expect_eq "$(short other "@$NS4" api.example.test)" "$(vip api 4)" "host of a ServiceEntry"
expect_eq "$(short client "@$NS4" a.b.wild.test)" "$(vip any 4)" "wildcard"
expect_foreign client wild.test "the name of a wildcard without anything in front"
# known, but without an address
line=$(ask client "@$NS4" nobody)
[[ $line == *"status: NOERROR"*"ANSWER: 0"* ]] || fail "headless without pods: $line"
# what a resolver with a search path asks, with glibc
first() {
	resolve client getent "$@" | awk '{ print $1; exit }'
}
expect_eq "$(first ahostsv4 web)" "$web4" "getent web"
expect_eq "$(first ahostsv6 web.default)" "$web6" "getent -6 web.default"
expect_eq "$(first ahostsv4 api.example.test)" "$(vip api 4)" "getent of a ServiceEntry"
expect_eq "$(first ahostsv4 www.example.test)" 192.0.2.7 "getent of a foreign name"
line=$(ask client +noall +answer "@$NS4" api.example.test.default.svc.cluster.local)
[[ $line == *CNAME*api.example.test.*A*"$(vip api 4)"* ]] || fail "an alias for what was stripped: $line"

# what it leads to is the service
line=$(peer client who "$(short client "@$NS4" web)" 80) || fail "who: $line"
[[ $(field host "$line") == web-* ]] || fail "the address that was answered: $line"

# foreign names: a real nameserver's answers, and the retry over TCP that a truncated one asks for
for server in "$NS4" "$NS6"; do
	expect_eq "$(short client "@$server" www.example.test)" 192.0.2.7 "A @$server"
	expect_eq "$(short client "@$server" t.example.test TXT)" hello "TXT @$server"
	expect_eq "$(short client +tcp "@$server" _x._tcp.example.test SRV)" \
		"$(short @fabric +tcp "@$server" _x._tcp.example.test SRV)" "SRV @$server"
	expect_eq "$(status client "@$server" nosuch.example.org)" \
		"$(status @fabric "@$server" nosuch.example.org)" "a name nobody knows @$server"
	line=$(ask client +noedns +ignore "@$server" long.example.test TXT)
	[[ $line == *"flags: qr aa tc"* ]] || fail "a truncated answer @$server: $line"
	line=$(ask client +noedns "@$server" long.example.test TXT)
	[[ $line == *"Truncated, retrying in TCP"*"ANSWER: 1"* ]] || fail "its retry @$server: $line"
done
nameserver_end

# a nameserver that is in the mesh: over TCP it is reached as the pod reaches anybody there, by a tunnel
wait_for 5 ask client "@$(ip_of names)" in.example.test
before=$(tunnels)
for family in 4 6; do
	expect_eq "$(short client +tcp "@$(ip_of names $family)" in.example.test)" 192.0.2.9 "a nameserver in the mesh"
	expect_eq "$(short client +tcp "@$(ip_of names $family)" web)" "$web4" "a name of the mesh, asked there"
done
(($(tunnels) - before == 2)) || fail "connections in tunnels: $(tunnels), $before before"

# byte for byte: what the client says it sent is what the nameserver says it got, and the client compares
# each answer itself
raw serve $NS4 $NS6
for server in "$NS4" "$NS6"; do
	for way in udp tcp; do
		before=$(wc -l <"$names_tmp/raw")
		option=()
		[[ $way == udp ]] || option=(-t)
		# shellcheck disable=SC2086 # words
		sent=$(pod client $DNS ask "${option[@]}" "$server") || fail "$way $server: $sent"
		got=$(tail -n +$((before + 1)) "$names_tmp/raw")
		expect_eq "$(awk '{ print $3 }' <<<"$got")" "$sent" "messages over $way to $server"
		expect_eq "$(awk '{ print $1 }' <<<"$got" | sort -u)" "$way" "protocol"
		# from the pod's own address, as without a mesh
		family=4
		[[ $server == "$NS4" ]] || family=6
		expect_eq "$(awk '{ print $2 }' <<<"$got" | sort -u)" "$(ip_of client $family)" "source of $way"
	done
done

# counted as ztunnel counts it
count() { # FAMILY LABELS
	metric node1 "istio_dns_$1{source_canonical_service=\"client\",$2}"
}
[[ $(count requests_total 'request_query_type="A",request_protocol="udp"') -ge 20 ]] || fail "requests_total"
expect_eq "$(count upstream_failures_total '')" 0 "failures"
[[ $(count upstream_request_duration_seconds_count 'request_query_type="SRV",request_protocol="tcp"') -ge 2 ]] ||
	fail "upstream_request_duration_seconds"
expect_eq "$(event node1 dns_direct)" 0 "questions that weftd did not get"

# told beforehand
known() { # NAME POD JQ
	local out
	out=$(weft_json node1 dns "$1" --pod "$2")
	jq -e "$3" <<<"$out" >/dev/null || fail "weft dns $1 --pod $2: $out"
}
known Web. default/client ".answered_by == \"weftd\" and .a == [\"$web4\"] and .aaaa == [\"$web6\"] and .capture == \"hooks\""
known web.default bank/other ".service == \"default/web.default.svc.cluster.local\" and .ttl_s == 30"
known x.wild.test bank/other ".wildcard and (.nameservers | index(\"$NS4\"))"
known web bank/other '.answered_by == "nameserver" and .service == "" and .a == []'
expect_ok weft_on node1 dns web --pod default/client
expect_fail weft_on node1 dns www.example.test --pod default/client
expect_fail weft_on node1 dns web --pod default/nobody
