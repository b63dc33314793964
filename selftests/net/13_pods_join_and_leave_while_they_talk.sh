#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Enrolment at run time: connections that are open go on untouched, new ones are captured;
# leaving is the same in reverse. Doing it twice is doing it once. A pod that is made anew under
# its old name replaces the old one, and one that vanishes is noticed.
#
#   node1: server, near    node2: client    (none of them enrolled at first)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - name: server
    node: node1
    enrol: false
    labels: {app: server}
    mesh: {protocol: HBONE}
    command: exec $PEER serve 9000
  - {name: near, node: node1, enrol: false, mesh: {protocol: HBONE}}
  - {name: client, node: node2, enrol: false, mesh: {protocol: HBONE}}
services: # declared ports are direct from the first connection on
  - {name: server, ports: {80: 9000}, selector: {app: server}}
EOF

ip=$(ip_of server)
path_of() { # POD, on NODE: path of a new connection of it
	local name=new_$1_$2
	hold "$name" "$1" "$ip" 9000
	hold_ok "$name"
	weft_json "$2" connections | jq -r --arg pod "default/$1" \
		'[.connections[] | select(.pod == $pod and .direction == "outbound") | .path] | last'
	hold_end "$name"
}

all_ok() {
	local name
	for name in "$@"; do
		hold_ok "$name"
	done
}

# ---- in: open connections of all pods stay what they are
wait_for 5 peer near who "$ip" 9000
hold far client "$ip" 9000
hold close near "$ip" 9000
for name in far close; do
	hold_ok $name
	line=$(hold_said $name)
	expect_eq "$(field seen "$line")" "$(field own "$line")" "$name: before the mesh"
done

enrol node1 server
all_ok far close
enrol node2 client
all_ok far close
enrol node1 near
all_ok far close
expect_eq "$(paths node1)$(paths node2)" "" "connections that are none of weftd's"

# ---- new ones are captured
wait_for 5 peer client who "$ip" 9000
wait_for 5 peer near who "$ip" 9000
expect_eq "$(path_of client node2)" hbone "path from the other node"
expect_eq "$(path_of near node1)" direct "path on the same node"
all_ok far close
hold far_hbone client "$ip" 9000
hold close_direct near "$ip" 9000
all_ok far close far_hbone close_direct

# ---- once more: nothing happens
state=$(weft_json node1 pods)
enrol node1 server
enrol node1 near
expect_eq "$(weft_json node1 pods)" "$state" "pods after enrolling them twice"
all_ok far close far_hbone close_direct

# ---- out: the same in reverse
unenrol node2 client
all_ok far close far_hbone close_direct
unenrol node1 near
all_ok far close far_hbone close_direct
unenrol node1 server
all_ok far close far_hbone close_direct
expect_eq "$(weft_json node1 pods | jq '.pods | length')" 0 "pods on node1"
for pod in client near; do
	line=$(peer $pod who "$ip" 9000) || fail "$pod after it left: $line"
	expect_eq "$(field seen "$line")" "$(field own "$line")" "$pod after it left"
done
expect_fail weft_on node1 pod unenrol default/server
hold_end close_direct
hold_end far_hbone
hold_end close
hold_end far
left=$(find "$(pins node1)" -name 'link_sklookup_*' -o -name 'link_guard_*')
expect_eq "$left" "" "links of pods that left"
expect_eq "$(find "$LAB_DIR/node1/pods" -name '*.json')" "" "records of pods that left"

# ---- a pod made anew: same name and address, another namespace
enrol node1 server
enrol node1 near
enrol node2 client
wait_for 5 peer client who "$ip" 9000
old=$(cookie_of node1 near)
near_ip=$(ip_of near)
host_if=$(pod @node1 ip -o route get "$near_ip" | grep -o 'dev [^ ]*')
host_if=${host_if#dev }
netns=$LAB-near-again # the lab takes it down: it has its prefix

in_new_near() {
	bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec ip netns exec "$@"' - \
		"$cgroup" "$netns" "$@"
}

new_netns() {
	ip netns add "$netns"
	ip netns exec "$netns" ip link set lo up
	pod @node1 ip link del "$host_if" 2>/dev/null
	pod @node1 ip link add "$host_if" type veth peer name eth0 netns "$netns"
	pod @node1 ip link set "$host_if" up
	ip -n "$netns" addr add "$near_ip/32" dev eth0
	ip -n "$netns" link set eth0 up
	pod @node1 ip route add "$near_ip/32" dev "$host_if"
	ip -n "$netns" route add 169.254.1.1 dev eth0
	ip -n "$netns" route add default via 169.254.1.1 dev eth0
	ip -n "$netns" neigh add 169.254.1.1 dev eth0 nud permanent lladdr \
		"$(pod @node1 ip -j link show "$host_if" | jq -r '.[].address')"
}

cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/$LAB-lab/node1/pods/default_near
expect_ok new_netns
expect_ok weft_on node1 pod enrol default/near --netns "/var/run/netns/$netns"
[[ $(cookie_of node1 near) != "$old" ]] || fail "the pod is still the old one"
expect_eq "$(weft_json node1 pods | jq '[.pods[] | select(.name == "near")] | length')" 1 \
	"pods of that name"
[[ ! -e $(pins node1)/link_sklookup_$old ]] || fail "the old pod's link is still there"
before=$(event node1 connect_direct)
# shellcheck disable=SC2086 # words
wait_for 5 in_new_near $PEER who "$ip" 9000
[[ $(event node1 connect_direct) -gt $before ]] || fail "the new pod is not direct"

# ---- a namespace that goes without a word
new=$(cookie_of node1 near)
near_is_gone() {
	weft_json node1 pods | jq -e '[.pods[] | select(.name == "near")] == []'
}
near_link_is_gone() {
	! pod @node1 ip link show "$host_if"
}
ip netns del "$netns"
wait_for 20 near_is_gone
wait_for 5 near_link_is_gone # so nothing holds the namespace any more
[[ ! -e $(pins node1)/link_sklookup_$new ]] || fail "the link of a pod that is gone"
[[ ! -e $LAB_DIR/node1/pods/default_near.json ]] || fail "the record of a pod that is gone"
expect_ok peer client who "$ip" 9000
