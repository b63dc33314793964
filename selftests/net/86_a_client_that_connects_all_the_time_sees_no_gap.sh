#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client that connects every millisecond sees only what is allowed, counted: while its pod joins
# and leaves the mesh, every connection works; while weftd restarts, it works or is refused, and a
# stranger never gets in; after a policy is in force, nothing that it denies works any more.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

ROUNDS=${ROUNDS:-4}
lab_file() { # ACTION of the policy
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
	  - {name: open, node: node1, labels: {app: open}, command: exec $PEER serve 9000}
	  - {name: near, node: node1}
	  - {name: client, node: node2}
	  - {name: outsider, node: node2, enrol: false}
	policies:
	  - {name: members, namespace: default, scope: WorkloadSelector, action: Allow,
	     rules: [[[{namespaces: [$1]}]]]}
	EOF
}
lab_file default >"$peers_tmp/lab.yaml"
# the policy binds server alone
sed -i 's/labels: {app: server}, command/labels: {app: server}, policies: [default\/members], command/' \
	"$peers_tmp/lab.yaml"
lab_up "$peers_tmp/lab.yaml"
server=$(ip_of server) open=$(ip_of open)
wait_for 5 peer client who "$server" 9000
wait_for 5 peer near who "$server" 9000
wait_for 5 peer client who "$open" 9000
expect_fail peer outsider -t 2 who "$server" 9000

probe() { # NAME POD HOST
	rm -f "$peers_tmp/stop"
	"$WEFT" lab --name "$LAB" exec "$2" -- /usr/bin/python3 -S "$ROOT/selftests/net/prober.py" \
		"$3" 9000 "$peers_tmp/stop" >"$peers_tmp/$1" 2>&1 &
	probes+=("$!")
	wait_for 10 grep -q started "$peers_tmp/$1"
}
probes_end() {
	touch "$peers_tmp/stop"
	wait "${probes[@]}"
	probes=()
}
outcomes() {
	tail -n 1 "$peers_tmp/$1"
}
only() { # NAME WHAT OUTCOME...: nothing else, and some of it
	local name=$1 what=$2 bad
	shift 2
	bad=$(outcomes "$name" | jq -c --args '[to_entries[] | select(.key as $k | $ARGS.positional | index($k) | not)]' "$@")
	expect_eq "$bad" "[]" "$what, $name: $(outcomes "$name")"
	echo "$what, $name: $(outcomes "$name")"
}

# ---- the clients' pods join and leave: every connection works, by the mesh or without
probe client client "$open"
probe near near "$open"
for ((i = 0; i < ROUNDS; i++)); do
	unenrol node2 client
	unenrol node1 near
	enrol node2 client
	enrol node1 near
done
probes_end
only client "joining and leaving" ok
only near "joining and leaving" ok

# ---- weftd is killed and comes back: a member gets in or is refused, a stranger never gets in
wait_for 5 peer client who "$server" 9000
probe member client "$server"
probe neighbour near "$server"
probe stranger outsider "$server"
for ((i = 0; i < ROUNDS; i++)); do
	expect_ok lab kill node1
	expect_ok lab start node1
done
wait_for 10 peer client who "$server" 9000
probes_end
only member "restarts" ok ECONNREFUSED ECONNRESET EOF EPIPE
only neighbour "restarts" ok ECONNREFUSED ECONNRESET EOF EPIPE
only stranger "restarts" ECONNREFUSED ECONNRESET EOF EPIPE
(($(outcomes member | jq .ok) > 0)) || fail "no connection of a member worked"

# ---- a policy: before it is in force connections work, afterwards none does
probe before client "$server"
probe beside near "$server"
sed 's/namespaces: \[default\]/namespaces: [nobody]/' "$peers_tmp/lab.yaml" >"$peers_tmp/denied.yaml"
expect_ok lab apply "$peers_tmp/denied.yaml"
probes_end
only before "a policy comes" ok ECONNREFUSED ECONNRESET EOF EPIPE
# direct connections that are open are aborted in the kernel
only beside "a policy comes" ok ECONNABORTED ECONNREFUSED ECONNRESET EOF EPIPE
probe after client "$server"
probe behind near "$server"
probe stranger outsider "$server"
expect_ok lab apply "$peers_tmp/denied.yaml"
probes_end
only after "a policy is in force" ECONNREFUSED ECONNRESET EOF EPIPE
only behind "a policy is in force" ECONNREFUSED ECONNRESET EOF EPIPE
only stranger "a policy is in force" ECONNREFUSED ECONNRESET EOF EPIPE
