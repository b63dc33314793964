#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ZDS, message by message over its socket: what each does before and after the end of a snapshot,
# and that whatever breaks the rules is answered, ends the connection, costs no descriptor, and
# touches no pod that is served.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/zds.sh"

lab_up - <<-EOF
nodes: [node1]
pods:
  - {name: a, node: node1, serviceAccount: a, enrol: false, protocol: HBONE}
  - {name: b, node: node1, serviceAccount: b, enrol: false, protocol: HBONE}
  - {name: c, node: node1, serviceAccount: c, enrol: false, protocol: HBONE}
  - {name: busy, node: node1, serviceAccount: busy, enrol: false, protocol: HBONE}
EOF
zds_agent node1
expect_ok cni node1 '{"manual": true}'

ready() { # [what is pending]
	local said
	said=$(lab exec @node1 -- curl -s -m 5 http://127.0.0.1:15021/healthz/ready)
	[[ $said == "${1:+not ready, pending: }${1:-ready}" ]] || {
		echo "$said"
		return 1
	}
}
served() { weft_json node1 pods | jq -r '[.pods[].name] | sort | join(" ")'; }
slot() { weft_json node1 pods | jq ".pods[] | select(.name == \"$1\") | .slot"; }
tell() { cni_tell node1 "$1"; }
add() { tell "{\"add\": $(cni_pod "$@")}"; }
connected() { cni_state node1 ".connections == $1 and .open == 1" && zds_is node1 '.state == "snapshot"'; }
snapshot() { expect_eq "$(tell '{"snapshot_sent": true}')" "" "snapshot_sent"; }

# ---- off: nobody is connected to, and nothing is waited for
ready || fail "not ready without ZDS"
expect_eq "$(weft_json node1 status | jq .zds)" null "status without ZDS"

# ---- on: weftd is not ready until the first snapshot is complete
expect_ok lab stop node1
echo "zds: $zds/node1/ztunnel.sock" >>"$LAB_DIR/node1/weftd.yaml"
"$WEFT" lab --name "$LAB" start node1 >"$peers_tmp/start" 2>&1 & # waits until it is ready
start=$!
wait_for 10 connected 1
wait_for 5 ready zds
cni_state node1 '.hello == "0801" and .unsolicited == []' || fail "hello: $(cni node1 '{"state": true}')"

# ---- before the end of the snapshot
expect_eq "$(add a)" "" "add"
expect_eq "$(served)" a "served at once"
weft_json node1 pods | jq -e '.pods[0] | .state == "enrolled" and .uid == "uid-a" and .by == "zds" and
	.service_account == "a"' >/dev/null || fail "$(weft_json node1 pods)"
before=$(slot a)
expect_eq "$(add a)" "" "add again"
expect_eq "$(slot a)" "$before" "the slot after add again"
expect_eq "$(add b)" "" "add"
expect_eq "$(tell '{"del": "uid-b"}')" "" "del before the end"
expect_eq "$(served)" "a b" "del waits for the end"
expect_eq "$(tell '{"del": "uid-nobody"}')" "" "del of nobody"
expect_eq "$(tell '{"keep": "uid-a"}')" "" "keep"
ready zds || fail "ready before the end of the snapshot"
snapshot
expect_eq "$(served)" a "what is not in the snapshot left"
wait_for 5 ready
wait "$start" || fail "lab start: $(cat "$peers_tmp/start")"
"$WEFT" --socket "$LAB_DIR/node1/weftd.sock" status | grep -q 'istio-cni .*ztunnel.sock, synced .*1 served' ||
	fail "$("$WEFT" --socket "$LAB_DIR/node1/weftd.sock" status)"

# ---- after
expect_eq "$(add b)" "" "add"
expect_eq "$(served)" "a b" "served"
expect_eq "$(tell '{"del": "uid-b"}')" "" "del"
expect_eq "$(served)" a "del is at once"
expect_eq "$(tell '{"del": "uid-b"}')" "" "del again"
# the same pod in another namespace: the one of before is served no more
before=$(slot a)
expect_eq "$(tell "$(jq -c '{add: (.netns |= sub("-a$"; "-b"))}' <<<"$(cni_pod a)")")" "" "another namespace"
[[ $(slot a) != "$before" ]] || fail "the old namespace is still served"
! pod a ss -Htln 'sport = 15008' | grep -q . || fail "a listener is left in the old namespace"
pod b ss -Htln 'sport = 15008' | grep -q . || fail "no listener in the new one"
expect_eq "$(add a)" "" "and back"
# a new pod of the name of one that has not been told to be gone
expect_eq "$(add a uid-a2)" "" "the next pod of that name"
expect_eq "$(tell '{"del": "uid-a"}')" "" "del of the one before"
expect_eq "$(weft_json node1 pods | jq -r '.pods[].uid')" uid-a2 "the next one stays"

# ---- what cannot be served is said, waited for, and tried again
echo 'import socket, signal; s = socket.create_server(("", 15008)); signal.pause()' >"$peers_tmp/taken.py"
"$WEFT" lab --name "$LAB" exec busy -- /usr/bin/python3 "$peers_tmp/taken.py" &
taken=$!
background+=("$taken")
taken() { pod busy ss -Htln 'sport = 15008' | grep -q .; }
wait_for 10 taken
[[ $(add busy) == *"cannot listen on port 15008"* ]] || fail "add of a pod whose port is taken"
expect_eq "$(metric node1 weft_zds_connected) $(metric node1 weft_zds_pods_waiting) $(metric node1 weft_zds_refused_total)" \
	"1 1 1" "metrics"
zds_is node1 '.state == "synced" and .pending == 1 and .served == 1' || fail "$(weft_json node1 status | jq .zds)"
ready "zds pods" || fail "ready with a pod that is not served"
kill "$taken"
free() { ! taken; }
wait_for 10 free
wait_for 15 zds_is node1 '.pending == 0 and .served == 2'
ready || fail "not ready: $(ready)"
expect_eq "$(tell '{"del": "uid-busy"}')" "" "del"

# ---- what breaks the rules: an answer that says why, then the end; the pod is served all the time
fds() { ls "/proc/$(pid_of node1)/fd" | wc -l; }
n=1
file=/etc/passwd
breach() { # WHAT COMMAND
	local out
	out=$(cni node1 "$2") || fail "$1: $out"
	[[ $(jq -r .ack <<<"$out") == *"$1"* ]] || fail "$1: $out"
	((++n))
	wait_for 20 connected "$n"
	expect_eq "$(served)" a "served after: $1"
	expect_eq "$(tell '{"keep": "uid-a2"}')" "" keep
	snapshot # the pause before the next connection is short again
}
add_hex=0a0b0a01611206 # add, uid a, info
before=$(fds)
breach "keep after the snapshot" '{"tell": {"keep": "uid-a2"}}'
breach "snapshot_sent after the snapshot" '{"tell": {"snapshot_sent": true}}'
breach "without the descriptor" "{\"tell\": {\"add\": $(cni_pod b), \"netns\": []}}"
breach "more than one descriptor" "{\"tell\": {\"add\": $(cni_pod b), \"netns\": [\"$file\", \"$file\"]}}"
breach "more than one descriptor" "{\"tell\": {\"add\": $(cni_pod b), \"netns\":
	[$(printf "\"$file\", %.0s" {1..100}) \"$file\"]}}"
breach "del with a descriptor" "{\"tell\": {\"del\": \"uid-a2\", \"netns\": [\"$file\"]}}"
breach "without namespace and name" "{\"send\": {\"hex\": \"0a030a0161\", \"netns\": [\"/run/netns/$LAB-default-b\"]}}"
breach "without a uid" '{"send": {"hex": "0a00"}}'
breach "broken" "{\"send\": {\"hex\": \"$add_hex\"}}"
breach "broken" '{"send": {"hex": "ffffffffffffffff"}}'
breach "no payload" '{"send": {"hex": "7a00"}}'
breach "more than 1024 bytes" '{"send": {"hex": "00", "pad": 1024}}'
breach "more than 1024 bytes" "{\"send\": {\"hex\": \"00\", \"pad\": 60000, \"netns\": [\"$file\"]}}"
# no breach of the protocol, but no pod either
refused() {
	local out
	out=$(cni node1 "$2")
	[[ $(jq -r .ack <<<"$out") == *"$1"* ]] || fail "$1: $out"
	zds_is node1 '.pending == 0 and .served == 1' || fail "$1: $(weft_json node1 status | jq .zds)"
}
refused "no network namespace" "{\"tell\": {\"add\": $(cni_pod b), \"netns\": [\"$file\"]}}"
refused "no network namespace" "{\"tell\": {\"add\": $(cni_pod b), \"netns\": [\"/proc/self/ns/mnt\"]}}"
refused "node's own" "{\"tell\": {\"add\": $(cni_pod b), \"netns\": [\"/run/netns/$LAB-node1\"]}}"
refused "none of Kubernetes" "{\"tell\": {\"add\": $(cni_pod b | sed 's/"name": "b"/"name": "..\/b"/')}}"
cni_state node1 ".connections == $n and .open == 1 and .unsolicited == []" || fail "$(cni node1 '{"state": true}')"
expect_eq "$(fds)" "$before" "descriptors of weftd"

# ---- the agent goes: not ready, but served
expect_ok cni node1 '{"restart": {"down": true}}'
wait_for 5 ready zds
zds_is node1 '.state == "down" and .served == 1' || fail "$(weft_json node1 status | jq .zds)"
expect_eq "$(served)" a "served without an agent"
