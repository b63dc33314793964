# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab of the telemetry and command line scenarios, on top of lib.sh: one pod per path.
#
#   client (node1) --direct--> near (node1)         intruder (node1) --denied--> near, far
#   client (node1) --hbone---> far (node2)          outsider (node2, not enrolled) --plain--> near
#   client (node1) --passthrough--> 172.31.250.254 (fabric)
#
# Port 9000 echoes (80 of the services near and far), 9001 sends BULK bytes and closes (81).
#
#   telemetry_up [OPTION...]     lab with servers that answer; OPTIONS: more keys of weftd.yaml
#   bulk POD HOST PORT           reads all that the server sends; prints how many bytes it was
#   wire NAME POD HOST PORT      a connection that stays open; wire_echo NAME BYTES; wire_end NAME
#   wire_all, wire_end_all       direct, hbone, plain and passthrough, by these names
#   churn POD HOST PORT N        N short connections, one after the other
#   background PLACE CMD...      a command there until the script ends; its pid is in $pid
#   ip_of POD                    IPv4 address
#   socket NODE                  path of the control socket

# shellcheck disable=SC2034 # for scenarios
BULK=10000000
FABRIC=172.31.250.254
tmp=$(mktemp -d)
pids=()
declare -A wire_in=() wire_out=() wire_pid=()

# The number of a child that is gone may belong to somebody else by now.
end_child() {
	[[ $(ps -o ppid= -p "$1") -eq $$ ]] && kill "$1" 2>/dev/null
}

telemetry_end() {
	local code=$? pid
	for pid in "${pids[@]}"; do
		end_child "$pid"
	done
	[[ $tmp == /tmp/* ]] && rm -rf "$tmp"
	(exit "$code")
	lib_end
}
trap telemetry_end EXIT

background() {
	local where=$1
	shift
	"$WEFT" lab --name "$LAB" exec "$where" -- "$@" >"$tmp/background.$where" 2>&1 </dev/null &
	pid=$!
	pids+=("$pid")
	disown "$pid" # no word about it if the end of the lab kills it
}

server_command() {
	printf '%s' "socat TCP6-LISTEN:9000,ipv6only=0,fork,reuseaddr,backlog=64 PIPE & " \
		"exec socat TCP6-LISTEN:9001,ipv6only=0,fork,reuseaddr,backlog=64 " \
		"SYSTEM:'head -c $BULK /dev/zero'"
}

telemetry_lab() {
	local option
	cat <<-EOT
	nodes: [node1, node2]
	pods:
	  - {name: near, serviceAccount: near, node: node1, labels: {app: near}, command: "$(server_command)"}
	  - {name: far, serviceAccount: far, node: node2, labels: {app: far}, command: "$(server_command)"}
	  - {name: client, serviceAccount: client, node: node1, revision: v7}
	  - {name: intruder, serviceAccount: intruder, node: node1}
	  - {name: outsider, serviceAccount: outsider, node: node2, enrol: false, policies: [not-there]}
	services:
	  - {name: near, ports: {80: 9000, 81: 9001}, selector: {app: near}}
	  - {name: far, ports: {80: 9000, 81: 9001}, selector: {app: far}}
	policies:
	  - name: no-intruder
	    namespace: default
	    scope: Namespace
	    action: Deny
	    rules:
	      - - - principals: [cluster.local/ns/default/sa/intruder]
	EOT
	(($# == 0)) || echo "weftd:"
	for option; do
		echo "  $option"
	done
}

listens() {
	pod "$1" ss -Htln "( sport = :9000 or sport = :9001 )" | awk 'END { exit NR < 2 }'
}

telemetry_up() {
	lab_up - < <(telemetry_lab "$@")
	background @fabric sh -c "$(server_command)"
	wait_for 10 listens near
	wait_for 10 listens far
	wait_for 10 listens @fabric
}

ip_of() {
	lab status -o json | jq -r --arg pod "$1" '.pods[] | select(.name == $pod) | .ips[0]'
}

socket() {
	echo "$LAB_DIR/$1/weftd.sock"
}

bulk() {
	pod "$1" socat -u "TCP4:$2:$3" - | wc -c
}

churn() {
	pod "$1" sh -c 'i=0; while [ $i -lt '"$4"' ]; do i=$((i + 1))
		echo $i | socat -t 5 - TCP4:'"$2:$3"'; done' >/dev/null
}

wire() {
	local name=$1 in out
	mkfifo "$tmp/$name.in" "$tmp/$name.out"
	# both directions, so that nobody waits for the other one to open it
	exec {in}<>"$tmp/$name.in" {out}<>"$tmp/$name.out"
	"$WEFT" lab --name "$LAB" exec "$2" -- socat - "TCP4:$3:$4" <&"$in" >&"$out" &
	wire_pid[$name]=$!
	pids+=($!)
	wire_in[$name]=$in
	wire_out[$name]=$out
	rm "$tmp/$name.in" "$tmp/$name.out"
}

# Sends bytes and takes them back.
wire_echo() {
	local got
	head -c "$2" /dev/zero | tr '\0' x >&"${wire_in[$1]}" &
	got=$(timeout 20 head -c "$2" <&"${wire_out[$1]}" | wc -c)
	expect_eq "$got" "$2" "bytes that came back over $1"
}

wire_end() {
	local in=${wire_in[$1]} out=${wire_out[$1]}
	end_child "${wire_pid[$1]}"
	wait "${wire_pid[$1]}" 2>/dev/null
	exec {in}>&- {out}>&-
	unset "wire_pid[$1]" "wire_in[$1]" "wire_out[$1]"
}

wire_all() {
	wire direct client near 80
	wire hbone client far 80
	wire plain outsider "$(ip_of near)" 9000
	wire passthrough client "$FABRIC" 9000
}

wire_end_all() {
	local name
	for name in direct hbone plain passthrough; do
		wire_end "$name"
	done
}
