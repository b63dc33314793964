# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Library of the benchmark: labs, processes in pods, modes. Sourced by run.sh; the modes use
#
#   lab_need mesh|plain     the lab with weftd, or the one without, made when first asked for
#   pod_ip LAB POD          its IPv4 address
#   pod_spawn LAB POD NAME CMD...   a process that lives as long as the lab; pid in $WORK/NAME.pid
#   weftd_pids              of the mesh lab
#   aim LAB POD HOST PORT_OFFSET PIDS   what `target` is for
#
# A mode is modes/NAME.sh with
#   title="one line"  places="same cross"   # same node, between nodes
#   up                 what it needs, once
#   target PLACE       calls aim
#   down               optional

lab_name() {
	if [[ $1 == mesh ]]; then
		echo "$LAB"
	else
		echo "${LAB}p"
	fi
}

lab() {
	local which=$1
	shift
	# Daemons must not inherit the lock of the benchmark.
	"$WEFT" lab --name "$(lab_name "$which")" "$@" 9>&-
}

die() {
	echo "bench: $*" >&2
	exit 1
}

note() {
	echo "bench: $*" >&2
}

# serve NAME: command of a pod with the servers of the benchmark
serve() {
	mkdir -p "$WORK/$1/html"
	head -c 1024 /dev/zero | tr '\0' x >"$WORK/$1/html/1k"
	echo "nginx -p $WORK/$1 -c $BENCH/nginx.conf & exec $LOAD server --port 9000"
}

lab_file() {
	local p
	echo "nodes: [node1, node2]"
	echo "congestion: $CONGESTION"
	echo "pods:"
	if [[ $1 == mesh ]]; then
		echo "  - {name: client, node: node1}"
		echo "  - {name: outside, node: node1, enrol: false}"
		echo "  - {name: near, node: node1, command: \"$(serve mesh-near)\"}"
		echo "  - {name: far, node: node2, command: \"$(serve mesh-far)\"}"
		return
	fi
	for p in plain relay sidecar; do
		echo "  - {name: $p-client, node: node1}"
		echo "  - {name: $p-near, node: node1, command: \"$(serve $p-near)\"}"
		echo "  - {name: $p-far, node: node2, command: \"$(serve $p-far)\"}"
	done
}

# TIME_WAIT must not end the measurement of short connections: all of the port range, and ports
# are used again after a second. The same for every mode.
lab_tune() {
	local which=$1 where
	for where in "${@:2}"; do
		# shellcheck disable=SC2016
		lab "$which" exec "$where" -- sh -c '
			cd /proc/sys/net/ipv4
			echo 1024 65535 >ip_local_port_range
			echo 1 >tcp_tw_reuse
			echo 9000 8080 8081 15001 15006 >ip_local_reserved_ports 2>/dev/null
			exit 0' || die "cannot tune $where"
	done
}

declare -A lab_stands=()

lab_need() {
	local which=$1 out where pods
	[[ -z ${lab_stands[$which]:-} ]] || return 0
	lab_file "$which" >"$WORK/lab-$which.yaml"
	lab "$which" down >/dev/null 2>&1
	local options=(--weftd "$WEFTD")
	[[ $which == mesh ]] || options=(--no-weftd)
	out=$(lab "$which" up "${options[@]}" "$WORK/lab-$which.yaml" 2>&1) || die "lab up: $out"
	lab_stands[$which]=1
	mapfile -t pods < <(sed -n 's/.*{name: \([^,]*\),.*/\1/p' "$WORK/lab-$which.yaml")
	lab_tune "$which" @node1 @node2 "${pods[@]}"
	for where in "${pods[@]}"; do
		grep -q "name: $where,.*command" "$WORK/lab-$which.yaml" || continue
		wait_port "$which" "$where" 9000
		wait_port "$which" "$where" 8080
	done
}

lab_drop() {
	local which
	for which in "${!lab_stands[@]}"; do
		lab "$which" down >/dev/null || note "lab down failed"
		unset "lab_stands[$which]"
	done
}

# Waits until something listens on that port in the pod.
wait_port() {
	local i
	for ((i = 0; i < 100; i++)); do
		[[ -z $(lab "$1" exec "$2" -- ss -Hltn "sport = :$3") ]] || return 0
		sleep 0.05
	done
	die "nothing listens on port $3 of $2"
}

pod_ip() {
	lab "$1" exec "$2" -- awk -v name="$2" '$3 == name && $1 !~ /:/ { print $1; exit }' /etc/hosts
}

pod_spawn() {
	local which=$1 pod=$2 name=$3
	shift 3
	rm -f "$WORK/$name.pid"
	# shellcheck disable=SC2016
	lab "$which" exec "$pod" -- sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$WORK/$name.pid" "$@" \
		>"$WORK/$name.log" 2>&1 </dev/null &
	disown
	local i
	for ((i = 0; i < 100; i++)); do
		[[ ! -s $WORK/$name.pid ]] || return 0
		sleep 0.02
	done
	die "cannot start $name"
}

pids_of() {
	local name list=
	for name in "$@"; do
		list+=${list:+,}$(<"$WORK/$name.pid")
	done
	echo "$list"
}

weftd_pids() {
	local mount
	mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	cat "$mount/$LAB-lab"/*/weftd/cgroup.procs | paste -sd,
}

aim() {
	aim_lab=$1 aim_pod=$2
	aim_to=$3:$((9000 + $4))
	aim_url1=http://$3:$((8080 + $4))/
	aim_url2=http://$3:$((8081 + $4))/
	aim_pids=${5:-}
}

# Functions and variables of modes/NAME.sh get the prefix NAME_.
mode_load() {
	local name=$1 f
	unset -f up down target
	title='' places=''
	[[ -r $BENCH/modes/$name.sh ]] || die "no such mode: $name"
	# shellcheck source=/dev/null
	. "$BENCH/modes/$name.sh"
	for f in up target down; do
		if declare -F "$f" >/dev/null; then
			eval "${name}_$(declare -f "$f")"
		else
			eval "${name}_$f() { :; }"
		fi
	done
	mode_title[$name]=$title
	mode_places[$name]=$places
}
