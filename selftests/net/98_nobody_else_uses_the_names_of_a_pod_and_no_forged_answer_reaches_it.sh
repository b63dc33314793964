#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weftd answers names on a pod's own loopback only: strangers, other pods and the node get nothing from it,
# by whatever address. Pods outside of the mesh ask as they always did. Answers that are not the nameserver's
# do not pass. With dns: off nothing is done to names at all.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/names.sh"

lab_file() {
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: web, node: node1, labels: {app: web}, command: exec $PEER serve 9000}
	  - {name: client, node: node1}
	  - {name: near, node: node1}
	  - {name: far, node: node2}
	  - {name: outsider, node: node1, enrol: false}
	services:
	  - {name: web, ports: {80: 9000}, selector: {app: web}}
	weftd: {dns: $1}
	EOF
}
lab_up - < <(lab_file on)
nameserver
[[ $(short client "@$NS4" web) == 10.96.* ]] || fail "names do not work"

# ---- by no address and from nowhere
nothing_from() { # PLACE ADDRESS [OPTION...]
	local line
	line=$(pod "$1" dig +tries=1 +time=1 -p 15053 "${@:3}" "@$2" web) && fail "$1 asked $2 ${*:3}: $line"
	[[ $line == *"no servers could be reached"* ]] || fail "$1 asked $2 ${*:3}: $line"
}
ip6=$(ip_of client 6)
pod @node1 ip -6 route add fd57:6566:7464:6e73::/120 via "$ip6" onlink \
	dev "$(pod @node1 ip -o -6 route get "$ip6" | sed 's/.* dev \([^ ]*\) .*/\1/')" || fail "route"
for address in "$(ip_of client)" "$ip6"; do
	for place in @fabric @node1 near far outsider; do
		nothing_from $place "$address"
		nothing_from $place "$address" +tcp
	done
done
for option in +notcp +tcp; do
	nothing_from @node1 fd57:6566:7464:6e73::1 $option
done
expect_eq "$(metric node1 'istio_dns_requests_total{request_query_type="A"}')" \
	"$(metric node1 'istio_dns_requests_total{source_canonical_service="client"}')" "who was answered"

# ---- a pod that is not in the mesh
before=$(event node1 dns_captured)
expect_eq "$(short outsider "@$NS4" www.example.test)" 192.0.2.7 "outside of the mesh"
expect_foreign outsider web "a name of the mesh, outside of it"
expect_eq "$(event node1 dns_captured)" "$before" "questions that weftd took"

# ---- a pod in which somebody has the port asks its nameserver, until it is free
unenrol node1 near
"$WEFT" lab --name "$LAB" exec near -- nc -n -4 -u -l -p 15053 >/dev/null 2>&1 &
names_pids+=($!)
taken() {
	[[ -n $(pod near ss -Hlnu sport = 15053) ]]
}
wait_for 5 taken
enrol node1 near
expect_foreign near web "with a port that is in use"
kill "${names_pids[-1]}"
wait "${names_pids[-1]}" 2>/dev/null
unset "names_pids[-1]"
answered() {
	[[ $(short near "@$NS4" web) == 10.96.* ]]
}
wait_for 15 answered

# ---- nobody there: the next nameserver of resolv.conf has its turn at once
nameserver_end
expect_eq "$(status client "@$NS4" www.example.test)" SERVFAIL "no nameserver"

# ---- forged answers come first, the right one is what arrives
raw spoof $NS4
# shellcheck disable=SC2086 # words
out=$(pod client $DNS ask $NS4) || fail "forged answers: $out"
[[ $(grep -c answered "$names_tmp/raw") -ge 10 ]] || fail "what was forged: $(cat "$names_tmp/raw")"
kill "${names_pids[0]}"
wait "${names_pids[0]}" 2>/dev/null
names_pids=()

# ---- off
lab_down
lab_up - < <(lab_file off)
nameserver
expect_eq "$(short client "@$NS4" www.example.test)" 192.0.2.7 "dns: off"
expect_foreign client web "a name of the mesh with dns: off"
expect_eq "$(pod client ss -Hlnu sport = 15053)$(pod client ss -Hlnt sport = 15053)" "" "sockets with dns: off"
expect_eq "$(event node1 dns_captured)" 0 "questions that weftd took with dns: off"
