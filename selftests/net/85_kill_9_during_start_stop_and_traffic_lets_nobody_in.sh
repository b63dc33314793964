#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at any moment of a start, of a stop, and of traffic: a pod whose policies refuse plaintext
# never gets any, and after the next start every pod is there and nothing is left over.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

TRIES=${TRIES:-8}

lab_up - <<EOF
$(crew)
policies:
  - {name: members, namespace: default, scope: Global, action: Allow, rules: [[[{namespaces: [default]}]]]}
EOF
ip=$(ip_of server)
works() {
	peer client who server 80 && peer near who server 80
}
wait_for 5 works
expect_fail peer outsider -t 2 who "$ip" 9000

# A stranger tries all the time.
while :; do
	peer outsider -t 2 who "$ip" 9000 && echo "got through" >>"$peers_tmp/through"
done >/dev/null 2>&1 &
background+=($!)
disown

left() {
	find "$(pins node1)" -mindepth 1 | sed 's|.*/||' | sort | tr '\n' ' '
}
at_first=$(left)
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/$LAB-lab/node1/weftd
# Also what a start under way adds meanwhile.
gone() {
	local pid
	while read -r pid; do
		kill -9 "$pid" 2>/dev/null
	done <"$cgroup/cgroup.procs"
	grep -q 'populated 0' "$cgroup/cgroup.events"
}
kill_all() {
	wait_for 5 gone
}
whole() {
	expect_ok lab start node1
	wait_for 10 works
	expect_eq "$(left)" "$at_first" "pins after $1"
	expect_eq "$(weft_json node1 pods | jq '.pods | length')" 2 "pods after $1"
}

for ((i = 0; i < TRIES; i++)); do
	ms=$((RANDOM % 250))
	lab kill node1 >/dev/null
	lab start node1 >/dev/null 2>&1 &
	tick "0.$(printf %03d $ms)"
	kill_all
	wait $!
	kill_all
	whole "a kill $ms ms after the start"
done
for ((i = 0; i < TRIES; i++)); do
	ms=$((RANDOM % 30))
	pid=$(pid_of node1)
	peer client -t 5 both 3000000 server 80 >/dev/null 2>&1 &
	traffic=$!
	((i % 2)) && kill -TERM "$pid"
	tick "0.$(printf %03d $ms)"
	kill_all
	wait "$traffic"
	whole "a kill $ms ms after $( ((i % 2)) && echo SIGTERM || echo traffic began)"
done
[[ ! -e $peers_tmp/through ]] || fail "a stranger got through $(wc -l <"$peers_tmp/through") times"
echo "$((2 * TRIES)) kills"
