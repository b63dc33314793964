#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Two nodes under churn for HOURS (0.5): connections on every path without pause, a pod that joins
# and leaves, policies that come and go, certificates of two minutes' life, a weftd that is read
# again. Every ten seconds memory, descriptors, threads and table entries of each weftd go to
# build/soak/samples.csv; at the end soak.py draws graphs and judges: nothing may grow.
# Not part of make test. Root. Environment: HOURS, O.

HOURS=${HOURS:-0.5}
. "$(dirname "$0")/net/lib.sh"
OUT=$BUILD/soak
mkdir -p "$OUT"
cd "$ROOT/selftests/net" || exit 1
. ./peers.sh

lab_file() { # with a policy or without
	crew
	[[ $1 != with ]] || cat <<-EOF
	policies:
	  - {name: deny, namespace: default, scope: Global, action: Deny, rules: [[[{destinationPorts: [9999]}]]]}
	EOF
	[[ $1 != first ]] || echo 'weftd: {certificate_ttl: 2m}'
}
lab_up - < <(lab_file first)
ip=$(ip_of server)
wait_for 10 peer client who server 80

load() { # POD HOST PORT
	while :; do
		peer "$1" -t 5 many 20 "$2" "$3"
		peer "$1" -t 5 both 1000000 "$2" "$3"
	done >/dev/null 2>&1
}
load client server 80 &
background+=($!)
load near server 80 &
background+=($!)
load outsider "$ip" 9000 &
background+=($!)
disown -a

sample() {
	local node pid
	for node in node1 node2; do
		pid=$(pid_of $node)
		printf '%s,%s,%s,%s,%s,%s,%s\n' "$(($(now_ms) / 1000))" $node "$pid" \
			"$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")" \
			"$(find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l)" \
			"$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)" \
			"$(weft_json $node bpf | jq '[.maps[] | select(.name | IN("weft_approved", "weft_origdst", "weft_pods", "weft_addrs")) | .entries] | add')"
	done >>"$OUT/samples.csv"
}
echo 'second,node,pid,rss_kb,fds,threads,entries' >"$OUT/samples.csv"
first=("$(pid_of node1)" "$(pid_of node2)")
end=$(($(now_ms) + $(awk -v h="$HOURS" 'BEGIN { printf "%d", h * 3600000 }')))
for ((round = 0; $(now_ms) < end; round++)); do
	unenrol node1 near
	enrol node1 near
	lab_file "$( ((round % 2)) && echo with || echo without)" >"$peers_tmp/lab.yaml"
	lab apply "$peers_tmp/lab.yaml" >/dev/null || fail "apply in round $round"
	weft_on node2 reload >/dev/null || fail "reload in round $round"
	tick 8
	sample
done
expect_eq "$(pid_of node1) $(pid_of node2)" "${first[*]}" "the same daemons"
for node in node1 node2; do
	echo "$node: $(weft_json $node status | jq -c '{uptime_s, connections}')"
done
/usr/bin/python3 "$ROOT/selftests/soak.py" "$OUT/samples.csv" "$OUT"
case $? in
0) ;;
1) fail "something grows" ;;
*) fail "nothing can be said of this run" ;;
esac
