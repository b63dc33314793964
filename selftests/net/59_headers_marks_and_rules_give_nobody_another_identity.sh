#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who somebody is: its certificate, or its network namespace. Nothing else that a peer says or that
# the root of a pod can do in its own namespace: headers of a CONNECT, socket marks, addresses,
# nftables rules, BPF, the daemon's socket, the 4-tuple of a connection that was approved.
#
#   node1: server (only sa/friend may), friend, foe     node2: client, attacker (not enrolled)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, policies: [friends], command: exec $PEER serve 9000}
  - {name: friend, node: node1, serviceAccount: friend}
  - {name: foe, node: node1, serviceAccount: foe}
  - {name: client, node: node2, serviceAccount: friend}
  - {name: attacker, node: node2, enrol: false}
policies:
  - name: friends
    namespace: default
    scope: WorkloadSelector
    action: Allow
    rules: [[[{principals: [cluster.local/ns/default/sa/friend]}]]]
weftd: {access_log_format: json}
EOF
server=$(ip_of server)
friend=$(ip_of friend)
wait_for 5 peer client who "$server" 9000
wait_for 5 peer friend who "$server" 9000

# ---- headers ---------------------------------------------------------------------------------
issue foe spiffe://cluster.local/ns/default/sa/foe
issue friend spiffe://cluster.local/ns/default/sa/friend
lines() {
	jq -c 'select(.direction == "inbound" and .path == "hbone")' "$LAB_DIR/node1/access.log"
}
said=$(lines | wc -l)
as=foe
client=$(ip_of client)
forged=(
	"forwarded=for=\"$client:1234\";host=server.default.svc.cluster.local"
	"forwarded=for=\"$friend:1234\";by=spiffe://cluster.local/ns/default/sa/friend"
	"x-forwarded-for=$friend" "x-real-ip=$client"
	"x-forwarded-client-cert=By=spiffe://cluster.local/ns/default/sa/server;URI=spiffe://cluster.local/ns/default/sa/friend"
	"baggage=k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.pod.name=friend,service.name=friend"
	"x-istio-source=waypoint" "x-forwarded-network=other"
	"traceparent=00-00000000000000000000000000000001-0000000000000001-00"
)
for field in "${forged[@]}"; do
	expect_eq "$(attack say "$server:9000" "$field")" status:401 "the foe, with $field"
done
expect_eq "$(attack say "$server:9000" "${forged[@]}")" status:401 "the foe, with all of them"
new() {
	lines | tail -n "+$((said + 1))"
}
all_logged() {
	(($(new | wc -l) == ${#forged[@]} + 1))
}
wait_for 10 all_logged
new | jq -es 'all(.[]; ."src.identity" == "spiffe://cluster.local/ns/default/sa/foe" and
	."src.workload" == null and (.error | startswith("policy_denied")))' >/dev/null ||
	fail "the log believes the headers: $(new | tail -n 1)"
weft_json node1 drops | jq -e 'all(.recent[]; .src_workload == "" or .src_workload == "default/foe")' \
	>/dev/null || fail "drops believe the headers"
# whoever may, may whatever it says
as=friend
expect_eq "$(attack say "$server:9000" "baggage=k8s.namespace.name=default,k8s.pod.name=foe")" \
	status:200 "the friend's certificate"
as=foe
expect_eq "$(attack say "$friend:9000")" status:400 "the authority of another pod"

# ---- a pod's root ----------------------------------------------------------------------------
root_of() { # POD CMD...: uid 0 with two capabilities, and files like in a container
	local where=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	pod "$where" unshare -m sh -c 'mount -t tmpfs none /run && mount -t tmpfs none /sys/fs/bpf &&
		exec setpriv --bounding-set=-all,+net_admin,+net_raw \
			--inh-caps=-all,+net_admin,+net_raw "$@"' sh "$@"
}
# no service declares the port: the relay decides the first time, and tells the kernel
peer foe who "$server" 9000 >/dev/null && fail "the foe is let in"
sock=$LAB_DIR/node1/weftd.sock
got=$(root_of foe /usr/bin/python3 -S "$ROOT/selftests/net/escape.py" "$server" 9000 "$friend" \
	"$sock" "$(pins node1)/weft_pods")
expect_eq "$got" "plain ECONNREFUSED
mark ECONNREFUSED
mark-15001 ECONNREFUSED
mark-15006 ECONNREFUSED
mark-15008 ECONNREFUSED
transparent ECONNREFUSED
maps EPERM
progs EPERM
pinned ENOENT
bpffs EPERM
control ENOENT
abstract ECONNREFUSED
listed ENOENT" "what the foe's root tried"
# the same, with the friend's address as one of its own
expect_ok root_of foe ip addr add "$friend/32" dev eth0
expect_eq "$(pod foe /usr/bin/python3 -S -c 'import errno, socket, sys
s = socket.socket()
s.bind((sys.argv[1], 0))
print(errno.errorcode.get(s.connect_ex((sys.argv[2], 9000)), "ok"))' "$friend" "$server")" \
	ECONNREFUSED "the foe, with the friend's address"
expect_ok root_of foe ip addr del "$friend/32" dev eth0

# its own address translation: what leaves is plaintext of a stranger
if root_of foe nft -f - <<<"table ip t { chain c { type nat hook output priority -100; ip daddr 192.0.2.1 dnat to $server:9000; } }"; then
	expect_eq "$(peer foe -t 3 who 192.0.2.1 80)" ECONNREFUSED "around by nftables"
	wait_for 5 last_drop node1 policy_denied
	root_of foe nft delete table ip t
fi
expect_eq "$(peer foe who "$server" 9000)" ECONNREFUSED "the foe, after all that"

# ---- the 4-tuple of an approved connection, again --------------------------------------------
at_port() { # PORT [around]: from that port of the friend
	"${@:2}" /usr/bin/python3 -S -c 'import errno, socket, struct, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.bind(("", int(sys.argv[2])))
r = s.connect_ex((sys.argv[1], 9000))
print(errno.errorcode.get(r, "ok") if r or s.recv(1) else "EOF")' "$server" "$1"
}
direct=$(event node1 connect_direct)
expect_eq "$(at_port 23456 pod friend)" ok "the friend"
(($(event node1 connect_direct) > direct)) || fail "that was not direct"
# a socket of the same namespace that did not go through the hooks
expect_eq "$(at_port 23456 nsenter --net="/var/run/netns/$LAB-default-friend")" ECONNREFUSED \
	"the same 4-tuple, without an approval"
expect_eq "$(at_port 23456 pod friend)" ok "the friend, again"
wait_for 5 map_is_empty node1 weft_approved
