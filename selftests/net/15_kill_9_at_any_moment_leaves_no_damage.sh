#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 while a pod is being enrolled or leaves, and while a mesh file is being applied: after
# the next start, tables and links are exactly those of the pods and of the last file.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

TRIES=${TRIES:-8}

lab_file() { # NUMBER of services besides the first
	local i
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
	  - {name: near, node: node1}
	  - {name: client, node: node2}
	services:
	  - {name: server, ports: {80: 9000}, selector: {app: server}}
	EOF
	for ((i = 0; i < $1; i++)); do
		echo "  - {name: more-$i, ports: {80: 9000, 81: 9000}, selector: {app: server}}"
	done
}

entries() {
	bpftool -j map dump pinned "$(pins node1)/$1" | jq length
}

pod_links() {
	find "$(pins node1)" -name "link_$1_*" | wc -l
}

# Nothing is left of a pod that is not enrolled, and nothing is missing of one that is.
consistent() {
	local pods what
	pods=$(weft_json node1 pods | jq '.pods | length')
	for what in "weft_pods $(entries weft_pods)" "sk_lookup links $(pod_links sklookup)" \
		"guards $(pod_links guard)" "weft_veths $(entries weft_veths)"; do
		expect_eq "${what##* }" "$pods" "$1: ${what% *}"
	done
}

works() {
	local before
	wait_for 5 peer client who "$ip" 9000
	before=$(event node1 connect_direct)
	expect_ok peer near who server 80
	expect_eq $(($(event node1 connect_direct) - before)) 1 "$1: direct connections"
}

ip=""
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/$LAB-lab
killed() { # steps of 1 ms before it
	local pid
	pid=$(<"$peers_tmp/pid")
	tick "0.0$(printf %02d "$1")"
	kill -9 "$pid"
	wait_for 5 grep -q 'populated 0' "$cgroup/node1/weftd/cgroup.events"
}

start() {
	expect_ok lab start node1
	pid_of node1 >"$peers_tmp/pid"
}

lab_up - < <(lab_file 0)
ip=$(ip_of server)
pid_of node1 >"$peers_tmp/pid"
works "at first"

# ---- while a pod comes
for ((i = 0; i < TRIES; i++)); do
	unenrol node1 near
	weft_on node1 pod enrol default/near --netns "/var/run/netns/$LAB-default-near" \
		>/dev/null 2>&1 &
	killed $((i * 2))
	wait $!
	start
	consistent "kill while enrolling, try $i"
	enrol node1 near
	consistent "enrolled after all, try $i"
done
works "after kills while enrolling"

# ---- while it goes
for ((i = 0; i < TRIES / 2; i++)); do
	weft_on node1 pod unenrol default/near >/dev/null 2>&1 &
	killed $i
	wait $!
	start
	consistent "kill while leaving, try $i"
	enrol node1 near
done
works "after kills while leaving"

# ---- while a mesh file is applied: many services, or few again
for ((i = 0; i < TRIES; i++)); do
	many=$((i % 2 ? 0 : 300))
	lab_file $many >"$peers_tmp/lab.yaml"
	expect_ok lab apply "$peers_tmp/lab.yaml"
	killed $((i * 3))
	start
	# each service has a VIP of both families, the first one port, the others two
	expect_eq "$(entries weft_services)" $((2 + many * 4)) "try $i: services"
	expect_eq "$(entries weft_slots)" $((2 + many * 4)) "try $i: endpoints of services"
	consistent "kill while applying, try $i"
done
works "after kills while applying"
