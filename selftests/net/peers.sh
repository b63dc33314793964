# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Clients and servers of the network scenarios, on top of lib.sh and peer.py.
#
#   peer POD ARGUMENT...         peer.py in a pod; with $PEER in the command of a pod
#   field NAME TEXT              one of own, peer, seen, at, host of `peer POD who`
#   seen_as POD NAME HOST PORT   that field of a new connection
#   hold NAME POD HOST PORT      a connection that stays open; hold_ok NAME: bytes go both ways
#   hold_said NAME               what `peer POD who` would have said of it
#   hold_error NAME              why it broke; hold_end NAME: ends it
#   serve_in PLACE PORT...       a server there, until the script ends
#   crew                         beginning of a lab file: a server, two clients, an outsider
#   friends                      a lab file: servers on both nodes that let in only friend, of node1
#   ip_of POD [4|6], pid_of NODE, cookie_of NODE POD, pins NODE
#   paths NODE                   paths of the open connections, one per line
#   event NODE NAME              counter of the BPF programs, as in `weft drops`
#   last_drop NODE REASON [POLICY]   is this the newest refusal?
#   map_is_empty NODE MAP
#   enrol NODE [NS/]POD, unenrol NODE [NS/]POD
#   mesh_applied NODE, mesh_rejected NODE   how many mesh files
#   mesh_change CMD...           CMD, and all nodes have it; apply ARGUMENT...: a changed lab_file
#   mesh_edit CMD...             what CMD makes of the mesh file is the mesh file, in one piece
#   weft_on NODE ARGUMENT...     the weft command with that node's daemon

[[ -x /usr/bin/python3 ]] || skip "no /usr/bin/python3"
PEER="/usr/bin/python3 -S $ROOT/selftests/net/peer.py"
peers_tmp=$(mktemp -d)
declare -A hold_in=() hold_out=() hold_pid=() hold_line=()
hold_count=0
background=()

crew() {
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
	  - {name: near, node: node1}
	  - {name: client, node: node2}
	  - {name: outsider, node: node2, enrol: false}
	services:
	  - {name: server, ports: {80: 9000}, selector: {app: server}}
	EOF
}

friends() {
	cat <<-EOF
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, policies: [friends], command: exec $PEER serve 9000}
	  - {name: friend, node: node1, serviceAccount: friend}
	  - {name: remote, node: node2, policies: [friends], command: exec $PEER serve 9000}
	policies:
	  - name: friends
	    namespace: default
	    scope: WorkloadSelector
	    action: Allow
	    rules:
	      - - - principals: [cluster.local/ns/default/sa/friend]
	EOF
}

peer() {
	local where=$1
	shift
	# shellcheck disable=SC2086 # words
	pod "$where" $PEER "$@"
}

serve_in() {
	local where=$1
	shift
	# shellcheck disable=SC2086 # words
	"$WEFT" lab --name "$LAB" exec "$where" -- $PEER serve "$@" >/dev/null 2>&1 &
	background+=($!)
	disown
}

field() {
	local word
	for word in $2; do
		[[ $word != "$1="* ]] || echo "${word#*=}"
	done
}

seen_as() {
	field "$2" "$(peer "$1" who "$3" "$4")"
}

hold() {
	local name=$1 where=$2 in out line=""
	shift 2
	mkfifo "$peers_tmp/$name.in" "$peers_tmp/$name.out"
	# opened for both directions, so that neither this nor the client waits for the other
	exec {in}<>"$peers_tmp/$name.in" {out}<>"$peers_tmp/$name.out"
	# a simple command, so that its pid is that of the client
	# shellcheck disable=SC2086 # words
	"$WEFT" lab --name "$LAB" exec "$where" -- $PEER hold "$@" \
		<&"$in" >&"$out" &
	hold_pid[$name]=$!
	hold_in[$name]=$in
	hold_out[$name]=$out
	rm "$peers_tmp/$name.in" "$peers_tmp/$name.out"
	read -t 10 -r -u "$out" line || true
	[[ $line == own=* ]] || fail "$name: $where cannot dial $*: ${line:-no answer}"
	hold_line[$name]=$line
}

hold_said() {
	echo "${hold_line[$1]}"
}

# A line that was never sent before comes back.
hold_ok() {
	local line="" text
	text="$1 $((++hold_count)) $RANDOM"
	echo "$text" >&"${hold_in[$1]}"
	read -t 10 -r -u "${hold_out[$1]}" line || true
	[[ $line == "$text" ]] || fail "$1: sent \"$text\", got \"$line\""
}

# The name of the error that a broken connection ends with.
hold_error() {
	local line=""
	echo "$1 anybody there?" >&"${hold_in[$1]}"
	read -t 10 -r -u "${hold_out[$1]}" line || true
	echo "$line"
}

hold_end() {
	local in=${hold_in[$1]} out=${hold_out[$1]}
	kill "${hold_pid[$1]}" 2>/dev/null
	wait "${hold_pid[$1]}" 2>/dev/null
	exec {in}>&- {out}>&-
	unset "hold_pid[$1]" "hold_in[$1]" "hold_out[$1]"
}

peers_end() {
	local code=$? pid
	for pid in "${hold_pid[@]}" "${background[@]}"; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$peers_tmp"
	(exit "$code")
	lib_end
}
trap peers_end EXIT

ip_of() {
	lab status -o json |
		jq -r --arg pod "$1" --argjson i "$((${2:-4} == 6))" \
			'.pods[] | select(.name == $pod) | .ips[$i]'
}

pid_of() {
	lab status -o json | jq -r --arg node "$1" '.nodes[] | select(.name == $node) | .pid'
}

cookie_of() {
	weft_json "$1" pods | jq -r --arg pod "$2" '.pods[] | select(.name == $pod) | .cookie'
}

pins() {
	echo "/sys/fs/bpf/$LAB/$1"/v*
}

paths() {
	weft_json "$1" connections | jq -r '.connections[].path' | sort
}

event() {
	weft_json "$1" drops | jq --arg name "$2" '.events[] | select(.name == $name) | .count'
}

last_drop() {
	[[ $(weft_json "$1" drops | jq -r '.recent[-1] | .reason + " " + .policy') == "$2 ${3:-}"* ]]
}

map_is_empty() {
	local out
	out=$(bpftool -j map dump pinned "$(pins "$1")/$2") || return
	[[ $(jq length <<<"$out") == 0 ]]
}

weft_on() {
	local node=$1
	shift
	"$WEFT" --socket "$LAB_DIR/$node/weftd.sock" "$@"
}

enrol() {
	local pod=$2
	[[ $pod == */* ]] || pod=default/$pod
	expect_ok weft_on "$1" pod enrol "$pod" --netns "/var/run/netns/$LAB-${pod/\//-}"
}

unenrol() {
	local pod=$2
	[[ $pod == */* ]] || pod=default/$pod
	expect_ok weft_on "$1" pod unenrol "$pod"
}

mesh_applied() {
	weft_json "$1" status | jq .mesh.applied
}

mesh_rejected() {
	weft_json "$1" status | jq .mesh.rejected
}

has_applied() { # NODE COUNT
	(($(mesh_applied "$1") > $2))
}

mesh_change() {
	local node
	local -A had=()
	for node in $(lab status -o json | jq -r '.nodes[].name'); do
		had[$node]=$(mesh_applied "$node")
	done
	expect_ok "$@"
	for node in "${!had[@]}"; do
		wait_for 10 has_applied "$node" "${had[$node]}"
	done
}

mesh_write() {
	"$@" "$LAB_DIR/mesh.yaml" >"$LAB_DIR/mesh.new" && mv "$LAB_DIR/mesh.new" "$LAB_DIR/mesh.yaml"
}

mesh_edit() {
	mesh_change mesh_write "$@"
}

apply() {
	lab_file "$@" >"$peers_tmp/lab.yaml"
	mesh_change lab apply "$peers_tmp/lab.yaml"
}
