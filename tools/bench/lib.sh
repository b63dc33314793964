# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Library of the benchmark: labs, processes in pods, modes. Sourced by run.sh; the modes use
#
#   lab_need plain|mesh|fresh   the lab without weftd, the one with it, or the one whose tunnels
#                           carry one connection each; made when first asked for
#   pod_ip LAB POD          its IPv4 address
#   pod_spawn LAB POD NAME CMD...   a process that lives as long as the lab; pid in $WORK/NAME.pid
#   weftd_pids LAB          of both nodes
#   aim LAB POD HOST PORT_OFFSET PIDS [SERVER_POD]   what `target` is for
#
# What a mode is stands in docs/benchmark.md. Its functions run in subshells: what goes wrong in
# one (die) is the failure of that mode and not of the run, and what is to be remembered is
# a file in $WORK.

declare -A lab_suffix=([mesh]='' [plain]=p [fresh]=f [crowd]=c)

lab_name() {
	echo "$LAB${lab_suffix[$1]}"
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

# serve LAB POD: command of a pod with the servers of the benchmark
serve() {
	local dir=$WORK/server/$1/$2
	mkdir -p "$dir/html"
	head -c 1024 /dev/zero | tr '\0' x >"$dir/html/1k"
	# shellcheck disable=SC2016
	echo "nginx -p $dir -c $BENCH/nginx.conf & echo \$\$ >$dir/pid; exec $LOAD server --port 9000"
}

lab_file() {
	local p
	echo "nodes: [node1, node2]"
	echo "congestion: $CONGESTION"
	[[ $1 != fresh ]] || echo "weftd: {tunnel_connections: 1}"
	echo "pods:"
	if [[ $1 == plain ]]; then
		for p in plain relay sidecar; do
			echo "  - {name: $p-client, node: node1}"
			echo "  - {name: $p-near, node: node1, command: '$(serve plain $p-near)'}"
			echo "  - {name: $p-far, node: node2, command: '$(serve plain $p-far)'}"
		done
		return
	fi
	echo "  - {name: client, node: node1}"
	echo "  - {name: outside, node: node1, enrol: false}"
	echo "  - {name: near, node: node1, labels: {app: near}, command: '$(serve "$1" near)'}"
	echo "  - {name: far, node: node2, labels: {app: far}, command: '$(serve "$1" far)'}"
	echo "  - {name: stranger, node: node2, enrol: false, command: '$(serve "$1" stranger)'}"
	# The ports belong to services, as nearly all do in a cluster: weft decides about them before
	# the first connection, which would be relayed otherwise.
	echo "services:"
	for p in near far; do
		echo "  - {selector: {app: $p}, ports: {9000: 9000, 8080: 8080, 8081: 8081}, name: $p-service}"
	done
}

# TIME_WAIT must not end the measurement of short connections: all of the port range, and ports
# are used again after a second. The same for every mode, but for clients outside of the mesh: weft
# relays them from ports below 32768 (docs/decisions/0010-source-ports.md).
lab_tune() {
	local which=$1 where from
	for where in "${@:2}"; do
		[[ $where == outside ]] && from=32768 || from=1024
		# shellcheck disable=SC2016
		lab "$which" exec "$where" -- sh -c '
			cd /proc/sys/net/ipv4
			echo "$1 65535" >ip_local_port_range && echo 1 >tcp_tw_reuse' sh $from || die "cannot tune $where"
	done
}

# lab_make LAB FILE [OPTION...]: makes it from that lab file, waits for its servers
lab_make() {
	local which=$1 file=$2 out where pods
	shift 2
	lab "$which" down >/dev/null 2>&1
	: >"$WORK/lab-$which.up" # from here on there is something to take down
	out=$(lab "$which" up "$@" "$file" 2>&1) || die "lab up: $out"
	mapfile -t pods < <(sed -n 's/.*{name: \([^,]*\),.*/\1/p' "$file")
	lab_tune "$which" @node1 @node2 "${pods[@]}"
	for where in "${pods[@]}"; do
		grep -q "name: $where,.*command" "$file" || continue
		wait_port "$which" "$where" 9000
		! grep -q "name: $where,.*nginx" "$file" || wait_port "$which" "$where" 8080
	done
}

lab_need() {
	local which=$1 options=(--weftd "$WEFTD")
	[[ ! -e $WORK/lab-$which.up ]] || return 0
	[[ $which != plain ]] || options=(--no-weftd)
	lab_file "$which" >"$WORK/lab-$which.yaml"
	lab_make "$which" "$WORK/lab-$which.yaml" "${options[@]}"
}

lab_drop() {
	local which
	for which in "${!lab_suffix[@]}"; do
		[[ -e $WORK/lab-$which.up ]] || continue
		lab "$which" down >/dev/null || note "lab down failed"
		rm -f "$WORK/lab-$which.up"
	done
}

# What a run that was killed has left.
lab_sweep() {
	local which
	for which in "${!lab_suffix[@]}"; do
		[[ ! -e /run/$(lab_name "$which") ]] || lab "$which" down >/dev/null 2>&1
	done
}

# Waits until something listens on that port in the pod.
wait_port() {
	local i
	for ((i = 0; i < 200; i++)); do
		[[ -z $(lab "$1" exec "$2" -- ss -Hltn "sport = :$3") ]] || return 0
		sleep 0.05
	done
	die "nothing listens on port $3 of $2"
}

pod_ip() {
	# shellcheck disable=SC2016
	lab "$1" exec "$2" -- awk -v name="$2" '$3 == name && $1 !~ /:/ { print $1; exit }' /etc/hosts
}

pod_spawn() {
	local which=$1 pod=$2 name=$3
	shift 3
	rm -f "$WORK/$name.pid"
	# shellcheck disable=SC2016
	lab "$which" exec "$pod" -- sh -c 'echo $$ >"$1"; shift; exec "$@"' sh "$WORK/$name.pid" "$@" \
		>"$WORK/$name.log" 2>&1 </dev/null 9>&- &
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
	cat "$mount/$(lab_name "$1")-lab"/*/weftd/cgroup.procs | paste -sd,
}

# With two processes in PIDS the first is the proxy of the client, the second that of the server.
aim() {
	local pid=$WORK/server/$1/${6:-}/pid
	aim_lab=$1 aim_pod=$2
	aim_to=$3:$((9000 + $4))
	aim_http1=$3:$((8080 + $4))
	aim_http2=$3:$((8081 + $4))
	aim_pids=${5:-}
	aim_roles=()
	[[ $aim_pids != *,* || $aim_pids == *,*,* ]] ||
		aim_roles+=(--role "proxy_client=${aim_pids%,*}" --role "proxy_server=${aim_pids#*,}")
	[[ ! -s $pid ]] || aim_roles+=(--role "app_server=$(<"$pid")")
}

# Functions and variables of modes/NAME.sh get the prefix NAME_.
mode_load() {
	local name=$1 f path=${mode_path[$1]:-$BENCH/modes/$1.sh}
	unset -f up target down crowd
	title='' places='' figures='*'
	[[ -r $path ]] || die "no such mode: $name, $path cannot be read (there are: $(mode_names))"
	[[ $name =~ ^[a-z][a-z0-9_]*$ ]] || die "mode $name: a name is of a-z, 0-9 and _"
	# shellcheck source=/dev/null
	. "$path" || die "mode $name: $path has errors"
	for f in up target down crowd; do
		if declare -F "$f" >/dev/null; then
			eval "${name}_$(declare -f "$f")"
		elif [[ $f == down ]]; then
			eval "${name}_$f() { :; }"
		elif [[ $f != crowd ]]; then
			die "mode $name: $path has no function $f"
		fi
	done
	[[ $title && $places ]] || die "mode $name: $path must set title and places"
	mode_title[$name]=$title
	mode_places[$name]=$places
	mode_figures[$name]=$figures
}

mode_names() {
	(cd "$BENCH/modes" && echo *.sh | sed 's/\.sh//g')
}

# mode_runs MODE FIGURE: whether it takes part in that one
mode_runs() {
	local pattern list
	read -ra list <<<"${mode_figures[$1]}"
	for pattern in "${list[@]}"; do
		# shellcheck disable=SC2053
		[[ $2 != $pattern ]] || return 0
	done
	return 1
}

# try COMMAND...: in a subshell, so that it may die; its last words on stderr are then in $why
try() {
	(trap - EXIT INT TERM HUP; "$@") 2>"$WORK/why" && return 0
	why=$(tail -n 1 "$WORK/why" | sed 's/^bench: //')
	[[ $why ]] || why="$1 failed and said nothing"
	cat "$WORK/why" >>"$out/errors.log"
	return 1
}
