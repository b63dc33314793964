#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod that is allowed to talk to the server goes away, and another one with another identity
# gets its address, interface name and namespace path at once. What was decided, cached or open
# for the old one does not hold for the new one: neither before it is enrolled, nor when the mesh
# file has its name, nor between two enrolments.
#
#   node1: server, friend -> foe (same address)      node2: remote      only sa/friend may
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - < <(friends)
ip=$(ip_of server)
remote=$(ip_of remote)
old=$(ip_of friend)
old6=$(ip_of friend 6)
ns=$LAB-default-friend
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$LAB-lab/node1/pods/default_friend

direct() {
	local before
	before=$(event node1 connect_direct)
	peer friend who "$ip" 9000 && (($(event node1 connect_direct) > before))
}
wait_for 5 direct
wait_for 5 peer friend who "$remote" 9000
hold near friend "$ip" 9000
hold_ok near
hold far friend "$remote" 9000
hold_ok far

# ---- the friend dies and the foe takes its place ---------------------------------------------
link=$(ip -n "$LAB-node1" -j route show "$old" | jq -r '.[0].dev')
mac=$(ip -n "$LAB-node1" -j link show "$link" | jq -r '.[0].address')
pod_mac=$(ip -n "$ns" -j link show eth0 | jq -r '.[0].address')
hold_end near
hold_end far
ip netns del "$ns" || fail "ip netns del"
gone() {
	! ip -n "$LAB-node1" link show "$link" >/dev/null 2>&1
}
wait_for 10 gone
{
	ip netns add "$ns" &&
		ip -n "$ns" link set lo up &&
		ip -n "$LAB-node1" link add "$link" address "$mac" type veth peer name eth0 \
			address "$pod_mac" netns "$ns" &&
		ip -n "$LAB-node1" link set "$link" up &&
		ip -n "$ns" addr add "$old/32" dev eth0 &&
		ip -n "$ns" addr add "$old6/128" dev eth0 nodad &&
		ip -n "$ns" link set eth0 up &&
		ip -n "$ns" neigh add 169.254.1.1 lladdr "$mac" dev eth0 nud permanent &&
		ip -n "$ns" route add default via 169.254.1.1 dev eth0 onlink &&
		ip -n "$LAB-node1" neigh replace "$old" lladdr "$pod_mac" dev "$link" nud permanent &&
		ip -n "$LAB-node1" route replace "$old" dev "$link"
} || fail "the new pod's network"

# like pod(), in the new namespace and the old pod's control group
foe() {
	# shellcheck disable=SC2016,SC2086 # for the inner shell; words
	sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$cgroup" \
		ip netns exec "$ns" $PEER -t 3 who "$@" 2>&1
}

refused() { # WHEN
	local to out
	for to in "$ip" "$remote"; do
		! out=$(foe "$to" 9000) || fail "$1: the foe reached $to: $out"
		[[ $out == E* ]] || fail "$1: $to: $out"
	done
}

refused "before it is enrolled"
enrol node1 friend
# the same name, the same file: for the mesh it is the friend, as the platform said; and this
# shows that the new pod's network works
wait_for 10 foe "$ip" 9000
wait_for 10 foe "$remote" 9000
mesh=$LAB_DIR/mesh.yaml
renamed() {
	weft_json node1 workloads | jq -e '.workloads[] | select(.name == "foe")' >/dev/null
}
# ---- the platform says who it is -------------------------------------------------------------
sed -e 's|Pod/default/friend$|Pod/default/foe|' -e 's|name: friend$|name: foe|' \
	-e 's|serviceAccount: friend$|serviceAccount: foe|' "$mesh" >"$mesh.new" && mv "$mesh.new" "$mesh"
wait_for 10 renamed
refused "while it is enrolled under a name that is gone"
unenrol node1 friend
refused "between two enrolments"
expect_ok weft_on node1 pod enrol default/foe --netns "/var/run/netns/$ns"
certified() {
	weft_json node1 certs | jq -e '.certs[] | select((.identity | endswith("/foe")) and
		.state == "ready")' >/dev/null
}
wait_for 10 certified
before=$(event node1 connect_direct)
for ((i = 0; i < 5; i++)); do
	refused "enrolled as foe"
done
expect_eq "$(event node1 connect_direct)" "$before" "direct connections of the foe"
wait_for 10 map_is_empty node1 weft_approved
weft_json node1 drops | jq -e '.recent[] | select(.src_workload == "default/foe" and
	.reason == "policy_denied")' >/dev/null || fail "no refusal names the foe"
