#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mesh_addresses says for how many addresses the kernel's tables have room. A mesh with more is
# refused, seen and counted, and the one of before stays. A restart with another number exchanges the tables
# with what is in them: hooks stay, direct connections go on. Too small for what is in force: weftd
# does not start, says so, and nothing gets out meanwhile.
#
#   node1: near, server    node2: client
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

command -v bpftool >/dev/null || skip "no bpftool"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: near, node: node1}
  - {name: client, node: node2}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
EOF
ip=$(ip_of server)
mesh=$LAB_DIR/mesh.yaml
cp "$mesh" "$peers_tmp/small"

links() {
	local path
	for path in "$(pins node1)"/link_*; do
		bpftool -j link show pinned "$path" | jq -r --arg name "${path##*/}" '"\($name) \(.id)"'
	done
}

# Room in weft_addrs, weft_services and weft_slots
sizes() {
	weft_json node1 bpf | jq -c '.maps | map({(.name): .max_entries}) | add
		| [.weft_addrs, .weft_services, .weft_slots]'
}

sized() { # NUMBER: the configuration from the next start on
	sed -i '/^mesh_addresses:/d' "$LAB_DIR/node1/weftd.yaml"
	echo "mesh_addresses: $1" >>"$LAB_DIR/node1/weftd.yaml"
}

mesh_with() { # NUMBER: of more workloads elsewhere
	awk -v n="$1" '{ print } /^workloads:/ { for (i = 0; i < n; i++)
		printf "  - {uid: x//Pod/big/p%d, name: p%d, namespace: big, workloadIps: [10.100.%d.%d], node: other, protocol: HBONE}\n",
			i, i, i / 256, i % 256 }' "$peers_tmp/small" >"$mesh.new"
	mv "$mesh.new" "$mesh"
}

has() { # NUMBER: workloads, at least
	jq -e ".mesh.workloads >= $1" < <(weft_json node1 status) >/dev/null
}

refused() {
	[[ $(weft_json node1 status) == *"at most 1024 fit (mesh_addresses)"* ]]
}

wait_for 5 peer near who "$ip" 9000
wait_for 5 peer client who server 80
expect_eq "$(sizes)" "[262144,65536,262144]"
hold direct near "$ip" 9000
before=$(links)

# ---- smaller, with all that is in them
expect_ok lab kill node1
sized 1024
expect_ok lab start node1
expect_eq "$(sizes)" "[1024,256,1024]"
expect_eq "$(links)" "$before" "pinned links"
hold_ok direct
expect_ok peer near who server 80
wait_for 5 peer client who server 80

# ---- a mesh that does not fit
count=$(metric node1 weft_mesh_rejected_total)
mesh_with 1500
wait_for 10 refused
(($(metric node1 weft_mesh_rejected_total) > count)) || fail "it is not counted"
expect_fail has 1500
hold_ok direct
expect_ok peer client who server 80

# ---- larger: now it does
expect_ok lab kill node1
sized 4096
expect_ok lab start node1
wait_for 10 has 1500
expect_eq "$(sizes)" "[4096,1024,4096]"
expect_eq "$(links)" "$before" "pinned links"
hold_ok direct
expect_ok peer near who server 80
wait_for 5 peer client who server 80

# ---- too small for what the kernel has: the hooks go by that, and there is no daemon
expect_ok lab kill node1
sized 1024
expect_fail lab start node1
grep -q 'mesh_addresses: weft_addrs, of the last weftd, has more than the 1024 entries' \
	"$LAB_DIR/node1/weftd.log" || fail "it does not say why"
hold_ok direct
expect_eq "$(links)" "$before" "pinned links"
[[ $(peer client -t 5 who server 80) =~ ^ECONN(REFUSED|RESET)$ ]] || fail "a tunnel to nobody"
sized 262144
expect_ok lab start node1
expect_eq "$(sizes)" "[262144,65536,262144]"
hold_ok direct
wait_for 5 peer client who server 80
hold_end direct
