#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# In a pod of a stock istio-cni it is a rule of netfilter that leads questions to port 15053, if names are
# captured in that pod, and none if they are not. weftd answers there in ztunnel's place, and asks the
# nameserver that the pod had asked (ztunnel asks its own), over UDP and TCP, IPv4 and IPv6.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/zds.sh"
. "$(dirname "$0")/names.sh"

lab_up - <<EOF
nodes: [node1]
pods:
  - {name: web, node: node1, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: captured, serviceAccount: captured, node: node1, enrol: false, protocol: HBONE}
  - {name: plain, serviceAccount: plain, node: node1, enrol: false, protocol: HBONE}
services:
  - {name: web, ports: {80: 9000}, selector: {app: web}}
EOF
zds_rules captured dns
zds_rules plain
zds_agent node1
zds_use node1
nameserver
cni_add node1 captured
cni_add node1 plain

for server in "$NS4" "$NS6"; do
	for way in +notcp +tcp; do
		[[ $(short captured "$way" "@$server" web) == 10.96.* ]] || fail "web $way @$server: $(ask captured "$way" "@$server" web)"
		for name in captured plain; do
			expect_eq "$(short $name "$way" "@$server" www.example.test)" 192.0.2.7 "$name $way @$server"
		done
	done
done
[[ $(resolve captured getent ahostsv4 web | awk '{ print $1; exit }') == 10.96.* ]] || fail "getent"
# no rule, no capture: the answer is the nameserver's, which has no such name
expect_foreign plain web "where names are not captured"
nameserver_end

raw serve $NS4 $NS6
for server in "$NS4" "$NS6"; do
	for way in udp tcp; do
		before=$(wc -l <"$names_tmp/raw")
		option=()
		[[ $way == udp ]] || option=(-t)
		# shellcheck disable=SC2086 # words
		sent=$(pod captured $DNS ask "${option[@]}" "$server") || fail "$way $server: $sent"
		expect_eq "$(tail -n +$((before + 1)) "$names_tmp/raw" | awk '{ print $3 }')" "$sent" \
			"messages over $way to $server"
	done
done
expect_eq "$(event node1 dns_captured)" 0 "questions that the hooks took"
