#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pod that may be all but root of the node moves its eth0 into a network namespace of its own, or
# makes one behind it: there it has no identity, is a stranger to policies on its node and on others,
# cannot take anybody's address, and finds no way to enrol itself. Enrolled again by the node, in the
# new namespace, it is who it was.
#
#   node1: server (only sa/friend may), open, friend, victim      node2: remote (only sa/friend may)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, policies: [friends], command: exec $PEER serve 9000}
  - {name: open, node: node1, command: exec $PEER serve 9000}
  - {name: friend, node: node1, serviceAccount: friend}
  - {name: victim, node: node1, serviceAccount: friend}
  - {name: remote, node: node2, policies: [friends], command: exec $PEER serve 9000}
policies:
  - name: friends
    namespace: default
    scope: WorkloadSelector
    action: Allow
    rules: [[[{principals: [cluster.local/ns/default/sa/friend]}]]]
weftd: {access_log_format: json}
EOF
server=$(ip_of server) open=$(ip_of open) remote=$(ip_of remote)
friend=$(ip_of friend) friend6=$(ip_of friend 6) victim=$(ip_of victim)
ns=$LAB-default-friend
moved=$LAB-moved
nested=$LAB-nested
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$LAB-lab/node1/pods/default_friend
for to in "$server" "$open" "$remote"; do
	wait_for 5 peer friend who "$to" 9000
done

# In that namespace and the pod's control group, with the files of a container, as its root.
in_ns() { # NETNS CMD...
	# shellcheck disable=SC2016 # for the inner shells
	sh -c 'echo $$ >"$1/cgroup.procs" && net=$2 && shift 2 &&
		exec nsenter --net="/var/run/netns/$net" unshare -m sh -c "
			mount -t tmpfs none /run && mount -t tmpfs none /sys/fs/bpf && exec \"\$@\"" sh "$@"' \
		sh "$cgroup" "$@" 2>&1
}

dials() { # NETNS HOST [SOURCE]
	in_ns "$1" /usr/bin/python3 -S -c 'import errno, socket, sys
s = socket.socket()
s.settimeout(3)
try:
    if len(sys.argv) > 2:
        s.bind((sys.argv[2], 0))
    s.connect((sys.argv[1], 9000))
    print("ok" if s.recv(1) else "EOF")
except OSError as e:
    print(errno.errorcode.get(e.errno, "timeout"))' "${@:2}"
}

# plaintext, and nobody: the address alone says nothing
logged() {
	jq -es --arg from "$friend:" 'any(.[]; .direction == "inbound" and .path == "plain" and
		(."src.addr" | startswith($from)) and ."dst.workload" == "open" and
		."src.identity" == null)' "$LAB_DIR/node1/access.log" >/dev/null
}

stranger_in() { # NETNS WHAT
	local to out
	: >"$LAB_DIR/node1/access.log"
	for to in "$server" "$remote"; do
		out=$(dials "$1" "$to")
		[[ $out != ok ]] || fail "$2: it reaches $to"
	done
	expect_eq "$(dials "$1" "$open")" ok "$2: what is open to all"
	wait_for 5 logged
}

# ---- a namespace behind the pod --------------------------------------------------------------
end() {
	local code=$?
	ip netns del "$moved" 2>/dev/null
	ip netns del "$nested" 2>/dev/null
	(exit "$code")
	lib_end
}
trap end EXIT
{
	ip netns add "$nested" &&
		ip -n "$ns" link add n0 type veth peer name eth0 netns "$nested" &&
		ip -n "$ns" addr add 10.99.0.1/30 dev n0 && ip -n "$ns" link set n0 up &&
		ip -n "$nested" addr add 10.99.0.2/30 dev eth0 && ip -n "$nested" link set eth0 up &&
		ip -n "$nested" route add default via 10.99.0.1 &&
		ip netns exec "$ns" sysctl -qw net.ipv4.ip_forward=1
} || fail "a namespace behind the pod"
spoofed=$(event node1 guard_spoofed)
expect_eq "$(dials "$nested" "$open")" timeout "an address that nobody gave"
(($(event node1 guard_spoofed) > spoofed)) || fail "not counted as spoofed"
if [[ -x /usr/sbin/nft ]] && ip netns exec "$ns" nft -f - <<<'table ip t { chain c { type nat hook postrouting priority 100; oifname "eth0" ip saddr 10.99.0.2 masquerade; } }'; then
	stranger_in "$nested" "behind the pod"
	ip netns exec "$ns" nft delete table ip t
fi
ip netns del "$nested"
expect_ok peer friend who "$server" 9000

# ---- the interface itself --------------------------------------------------------------------
link=$(ip -n "$LAB-node1" -j route show "$friend" | jq -r '.[0].dev')
mac=$(ip -n "$LAB-node1" -j link show "$link" | jq -r '.[0].address')
{
	ip netns add "$moved" && ip -n "$moved" link set lo up &&
		ip -n "$ns" link set eth0 netns "$moved" &&
		ip -n "$moved" addr add "$friend/32" dev eth0 &&
		ip -n "$moved" addr add "$friend6/128" dev eth0 nodad &&
		ip -n "$moved" link set eth0 up &&
		ip -n "$moved" neigh add 169.254.1.1 lladdr "$mac" dev eth0 nud permanent &&
		ip -n "$moved" route add default via 169.254.1.1 dev eth0 onlink
} || fail "eth0 into another namespace"
direct=$(event node1 connect_direct)
stranger_in "$moved" "with the interface"
expect_eq "$(event node1 connect_direct)" "$direct" "direct connections"
weft_json node1 drops | jq -e --arg from "$friend" 'any(.recent[]; .reason == "policy_denied" and
	(.src | startswith($from)) and .dst_workload == "default/server")' >/dev/null ||
	fail "no refusal tells of it: $(weft_json node1 drops | jq -c '.recent[-3:]')"

# somebody else's address
spoofed=$(event node1 guard_spoofed)
expect_ok ip -n "$moved" addr add "$victim/32" dev eth0
expect_eq "$(dials "$moved" "$server" "$victim")" timeout "by the victim's address"
(($(event node1 guard_spoofed) > spoofed)) || fail "not counted as spoofed"
expect_ok ip -n "$moved" addr del "$victim/32" dev eth0

# weftd's own ports, and its socket
for port in 15001 15006; do
	expect_fail in_ns "$moved" nc -z -w 2 "$server" $port
done
expect_fail in_ns "$moved" "$WEFT" --socket "$LAB_DIR/node1/weftd.sock" pod enrol default/friend \
	--netns /proc/self/ns/net
weft_json node1 pods | jq -e --arg ns "$moved" 'all(.pods[]; (.netns | contains($ns)) | not)' \
	>/dev/null || fail "it enrolled itself"

# ---- the node says that this is where the pod is now ------------------------------------------
expect_ok weft_on node1 pod enrol default/friend --netns "/var/run/netns/$moved"
again() {
	[[ $(dials "$moved" "$server") == ok && $(dials "$moved" "$remote") == ok ]]
}
wait_for 10 again
is_direct() { # no service declares the port: the first goes by the relay
	[[ $(dials "$moved" "$server") == ok ]] && (($(event node1 connect_direct) > direct))
}
wait_for 5 is_direct
