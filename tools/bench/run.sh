#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The benchmark: puts the same load on every mode (tools/bench/modes/) in labs on this machine,
# in turns, and leaves the lines of all measurements in OUT/raw.jsonl; `weft bench report` makes
# table, JSON, CSV and page of them. See docs/benchmark.md.

set -u -o pipefail

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=${BENCH%/tools/bench}
O=${O:-$ROOT/build}
[[ $O == /* ]] || O=$PWD/$O
WEFT=${WEFT:-$O/weft}
WEFTD=${WEFTD:-$O/weftd}
LOAD=$O/weft-bench-load
# shellcheck disable=SC2034 # of modes/relay.sh
RELAY=$O/weft-bench-relay
LIMITS=$O/weft-bench-limits
LAB=${LAB:-bench}
CONGESTION=${CONGESTION:-reno}
WORK=/run/$LAB-bench
PATH=$PATH:/usr/sbin

# shellcheck source=tools/bench/lib.sh
. "$BENCH/lib.sh"
# shellcheck source=tools/bench/memory.sh
. "$BENCH/memory.sh"

usage() {
	cat <<-EOF
	usage: weft bench [OPTION...]
	       weft bench report [--all] OUT
	       weft bench compare OLD NEW

	  --quick            a few minutes: fewer figures, short windows
	  --modes A,B,...    of: $(mode_names)
	                     or the path of a script with another one, DIR/NAME.sh
	  --figures A,B,...  of: ${all_tests[*]}
	                     or groups of them: ${!groups[*]}
	  --reps N           repetitions, in turns (5; with --quick 2)
	  --seconds S        window of a measurement (2; with --quick 1)
	  --out DIR          where the results go (a new folder under $O/bench)
	  --append           into a folder that has results: adds other figures to them
	EOF
}

all_tests=(bulk-{1,4,16,64}{,-down} bulk-{1,4,16,64}-1k{,-down} rtt-1 rtt-1k rtt-16k
	paced-1 paced-1k paced-16k conn-1 conn-16 ttfb http1 http2 req-1000 idle rest pods crowd
	workloads limits)
quick_tests=(bulk-1 bulk-16 rtt-1 paced-1k conn-1 conn-16 http1 req-1000 idle limits)
# aims: what the table "against the aims" needs
declare -A groups=(
	[aims]='bulk-1 bulk-16 rtt-1 paced-1k conn-1 conn-16 http1 req-1000 crowd limits'
	[bulk]=$(printf '%s ' bulk-{1,4,16,64}{,-down} bulk-{1,4,16,64}-1k{,-down})
	[rtt]='rtt-1 rtt-1k rtt-16k'
	[paced]='paced-1 paced-1k paced-16k'
	[conn]='conn-1 conn-16 ttfb'
	[http]='http1 http2 req-1000'
	[memory]='idle rest pods crowd workloads'
)
all_modes=(plain relay sidecar direct hbone splice passthrough unpooled)
quick_modes=(plain relay sidecar direct hbone)
quick='' append='' modes=() tests=() reps='' seconds='' out='' failed=''
declare -A mode_path=() mode_title=() mode_places=() mode_figures=() mode_lost=()

# Groups become their figures; in the order of all_tests, each once.
figures_of() {
	local word want=' ' list=() name
	for word in "$@"; do
		want+="${groups[$word]:-$word} "
		[[ ${groups[$word]:-} || " ${all_tests[*]} " == *" $word "* ]] ||
			die "no such figure: $word (there are: ${all_tests[*]}, and in groups: ${!groups[*]})"
	done
	for name in "${all_tests[@]}"; do
		[[ $want != *" $name "* ]] || list+=("$name")
	done
	tests=("${list[@]}")
}

# Modes that were given as the path of a script become a name and its path.
mode_paths() {
	local i path
	for i in "${!modes[@]}"; do
		path=${modes[i]}
		[[ $path == */* ]] || continue
		modes[i]=$(basename "$path" .sh)
		mode_path[${modes[i]}]=$path
	done
}

options() {
	while (($#)); do
		case $1 in
		--quick) quick=1 ;;
		--append) append=1 ;;
		--modes) IFS=, read -ra modes <<<"${2:-}"; shift ;;
		--figures) IFS=, read -ra tests <<<"${2:-}"; shift ;;
		--reps) reps=${2:-}; shift ;;
		--seconds) seconds=${2:-}; shift ;;
		--out) out=${2:-}; shift ;;
		-h | --help) usage; exit 0 ;;
		*) usage >&2; exit 2 ;;
		esac
		shift || { usage >&2; exit 2; }
	done
	if [[ $quick ]]; then
		((${#modes[@]})) || modes=("${quick_modes[@]}")
		((${#tests[@]})) || tests=("${quick_tests[@]}")
		reps=${reps:-2} seconds=${seconds:-1}
	else
		((${#modes[@]})) || modes=("${all_modes[@]}")
		((${#tests[@]})) || tests=("${all_tests[@]}")
		reps=${reps:-5} seconds=${seconds:-2}
	fi
	figures_of "${tests[@]}"
	mode_paths
	[[ $reps =~ ^[1-9][0-9]?$ ]] || die "--reps wants 1 to 99, not $reps"
	[[ $seconds =~ ^[0-9]+(\.[0-9]+)?$ && ! $seconds =~ ^0+(\.0+)?$ ]] ||
		die "--seconds wants a number above 0, not $seconds"
	[[ ! $append || -s $out/raw.jsonl ]] || die "--append wants --out DIR with results in it"
	out=${out:-$O/bench/$(date -u +%Y%m%d-%H%M%S)}
	mem_reps=$((reps < 3 ? reps : 3))
}

# What a figure asks of the load generator; bulk-STREAMS[-1k][-down].
test_args() {
	local n
	case $1 in
	bulk-*)
		n=${1#bulk-}
		echo bulk --streams "${n%%-*}" --size "$([[ $1 == *-1k* ]] && echo 1024 || echo 65536)" \
			"$([[ $1 == *-down ]] && echo --down)"
		;;
	rtt-1) echo pingpong --size 1 ;;
	rtt-1k) echo pingpong --size 1024 ;;
	rtt-16k) echo pingpong --size 16384 ;;
	paced-1) echo pingpong --size 1 --streams 16 --rate 2000 ;;
	paced-1k) echo pingpong --size 1024 --streams 16 --rate 2000 ;;
	paced-16k) echo pingpong --size 16384 --streams 16 --rate 2000 ;;
	conn-1) echo connect --size 64 ;;
	conn-16) echo connect --size 64 --streams 16 ;;
	ttfb) echo connect --size 1 --streams 16 --rate 200 ;;
	http1) echo http --tool wrk --streams 64 --url "http://$aim_http1/" ;;
	http2) echo http --tool h2load --streams 16 --inner 10 --url "http://$aim_http2/" ;;
	req-1000) echo request --streams 64 --rate 1000 ;;
	idle) echo hold --steps "$([[ $quick ]] && echo 1000 || echo 1000,2000,4000,8000)" ;;
	rest) echo rest --streams 1000 ;;
	esac
}

test_port() {
	case $1 in
	http1 | req-*) echo "$aim_http1" ;;
	http2) echo "$aim_http2" ;;
	*) echo "$aim_to" ;;
	esac
}

# lost FIGURE MODE PLACE REP WHY: what is not in the results is in the report as missing
lost() {
	failed=1
	note "$1 of $2${3:+ ($3)}: $5"
	"$LOAD" note --tag kind=lost --tag test="$1" --tag mode="$2" --tag place="$3" --tag rep="$4" \
		--tag why="$5" --out "$out/raw.jsonl"
}

# aim_tell MODE PLACE: leaves what its target says in $WORK/aim
aim_tell() {
	"$1_target" "$2"
	declare -p aim_lab aim_pod aim_to aim_http1 aim_http2 aim_pids aim_roles >"$WORK/aim"
}

measure() {
	local case=$1 test=$2 rep=$3 mode=${1%-*} place=${1##*-} args window=$seconds warm=0.3
	local why=''
	if [[ ${mode_lost[$mode]:-} ]]; then
		lost "$test" "$mode" "$place" "$rep" "${mode_lost[$mode]}"
		return
	fi
	if ! try aim_tell "$mode" "$place"; then
		lost "$test" "$mode" "$place" "$rep" "target: $why"
		return
	fi
	# shellcheck source=/dev/null
	. "$WORK/aim"
	read -ra args < <(test_args "$test")
	[[ -z $aim_pids ]] || args+=(--pids "$aim_pids")
	case $test in
	# What daemons do now and then must be in the window.
	rest) window=$([[ $quick ]] && echo 5 || echo 10) warm=1 ;;
	# The machine is nearly idle, and the kernel counts its CPU in ticks.
	req-*) window=$(awk -v s="$seconds" 'BEGIN { print 3 * s }') ;;
	esac
	lab "$aim_lab" exec "$aim_pod" -- timeout -k 5 180 "$LOAD" "${args[@]}" \
		--to "$(test_port "$test")" "${aim_roles[@]}" --seconds "$window" --warmup "$warm" \
		--tag case="$case" --tag mode="$mode" --tag place="$place" --tag test="$test" \
		--tag rep="$rep" --out "$out/raw.jsonl" 2>"$WORK/why" && return
	cat "$WORK/why" >>"$out/errors.log"
	lost "$test" "$mode" "$place" "$rep" "$(tail -n 1 "$WORK/why")"
}

# mode_start MODE: its up(); if that fails, all that follows of this mode is lost
mode_start() {
	local why=''
	[[ ! ${mode_lost[$1]:-} ]] || return 1
	try "$1_up" && return 0
	mode_lost[$1]="cannot start: $why"
	note "mode $1 ${mode_lost[$1]}"
	return 1
}

# A build while the benchmark runs must not change what is measured.
keep_programs() {
	local name
	mkdir -p "$WORK" "$out/bin" || die "cannot make $WORK"
	for name in WEFT WEFTD LOAD RELAY LIMITS; do
		cp --remove-destination "${!name}" "$out/bin/" || die "cannot copy ${!name}"
		printf -v "$name" %s "$out/bin/${!name##*/}"
	done
}

# ---- progress: how long steps take is known roughly, and how wrong that is, is seen ----
step=0 steps=0 begun=$SECONDS
guess_done=0 guess_all=0 guess_last=0

# Tenths of a second that one step of a figure takes.
guess() {
	local window
	window=$(awk -v s="$seconds" 'BEGIN { printf "%d", s * 10 }')
	case $1 in
	idle) [[ $quick ]] && echo 80 || echo 200 ;;
	rest) [[ $quick ]] && echo 110 || echo 160 ;;
	pods) echo 80 ;;
	crowd) echo 120 ;;
	workloads) echo 200 ;;
	limits) echo 20 ;;
	req-*) echo $((3 * window + 8)) ;;
	*) echo $((window + 8)) ;;
	esac
}

# plan FIGURE COUNT
plan() {
	steps=$((steps + $2))
	guess_all=$((guess_all + $2 * $(guess "$1")))
}

time_left() {
	local took=$((SECONDS - begun)) left
	if ((guess_done < 100 || took < 10)); then
		left=$(((guess_all - guess_done) / 10))
	else
		left=$((took * (guess_all - guess_done) / guess_done))
	fi
	((left < 90)) && echo "${left} s left" || echo "$(((left + 30) / 60)) min left"
}

progress() {
	local case=$1 test=$2 rep=$3 text
	guess_done=$((guess_done + guess_last))
	guess_last=$(guess "$test")
	((++step))
	text="[$step/$steps] $(time_left), repetition $rep: $test${case:+ $case}"
	if [[ -t 2 ]]; then
		printf '\r\e[K%s' "$text" >&2
	else
		echo "$text" >&2
	fi
}

# The cases "MODE-PLACE" of a figure, same node first.
cases_of() {
	local place mode
	cases=()
	for place in same cross; do
		for mode in "${modes[@]}"; do
			mode_runs "$mode" "$1" || continue
			[[ " ${mode_places[$mode]} " != *" $place "* ]] || cases+=("$mode-$place")
		done
	done
}

# What has proxies, for figures of memory.
proxies_of() {
	local case all=()
	cases_of "$1"
	for case in "${cases[@]}"; do
		[[ $case == plain-* ]] || all+=("$case")
	done
	cases=("${all[@]}")
}

all_down() {
	local mode
	for mode in "${modes[@]}"; do
		try "${mode}_down"
	done
	lab_drop
	rm -f "$WORK"/*.pid
}

# Memory is measured on processes that have seen nothing else.
run_fresh() {
	local case rep test
	for ((rep = 1; rep <= mem_reps; rep++)); do
		for test in "${fresh[@]}"; do
			proxies_of "$test"
			for case in "${cases[@]}"; do
				progress "$case" "$test" "$rep"
				all_down
				mode_start "${case%-*}"
				measure "$case" "$test" "$rep"
			done
		done
	done
	all_down
}

run_loads() {
	local mode case rep test
	for mode in "${modes[@]}"; do
		mode_start "$mode"
	done
	for ((rep = 1; rep <= reps; rep++)); do
		[[ ! $limits ]] || run_limits "$rep"
		for test in "${loads[@]}"; do
			cases_of "$test"
			for case in "${cases[@]}"; do
				progress "$case" "$test" "$rep"
				measure "$case" "$test" "$rep"
			done
		done
	done
	all_down
}

run_limits() {
	progress "" limits "$1"
	"$LIMITS" --rep "$1" >>"$out/raw.jsonl" 2>"$WORK/why" ||
		lost limits core '' "$1" "$(tail -n 1 "$WORK/why")"
}

# own MODE FIGURE REP COMMAND...: a figure that makes its own labs
own() {
	local mode=$1 test=$2 rep=$3 why=''
	shift 3
	progress "$mode" "$test" "$rep"
	all_down
	try "$@" || lost "$test" "$mode" '' "$rep" "$why"
	all_down
}

has() {
	[[ " $2 " == *" $1 "* ]]
}

run_own() {
	local rep mode
	for ((rep = 1; rep <= mem_reps; rep++)); do
		if has pods "${tests[*]}"; then
			for mode in relay sidecar; do
				! has $mode "${modes[*]}" || own $mode pods "$rep" pods_processes $mode "$rep"
			done
			! has hbone "${modes[*]}" || own weft pods "$rep" pods_weft "$rep"
		fi
		if has crowd "${tests[*]}"; then
			for mode in "${modes[@]}"; do
				! declare -F "${mode}_crowd" >/dev/null ||
					own "$mode" crowd "$rep" crowd_measure "$mode" "$rep"
			done
		fi
		if has workloads "${tests[*]}" && has hbone "${modes[*]}"; then
			own weft workloads "$rep" workloads_weft "$rep"
		fi
	done
}

plan_all() {
	local test mode n
	for test in "${tests[@]}"; do
		n=0
		case $test in
		limits) plan limits "$reps" ;;
		idle | rest) proxies_of "$test"; plan "$test" $((${#cases[@]} * mem_reps)) ;;
		workloads) ! has hbone "${modes[*]}" || plan "$test" $mem_reps ;;
		pods)
			for mode in relay sidecar hbone; do
				! has $mode "${modes[*]}" || n=$((n + mem_reps))
			done
			plan pods $n
			;;
		crowd)
			for mode in "${modes[@]}"; do
				! declare -F "${mode}_crowd" >/dev/null || n=$((n + mem_reps))
			done
			plan crowd $n
			;;
		*) cases_of "$test"; plan "$test" $((${#cases[@]} * reps)) ;;
		esac
	done
}

describe() {
	local tags=() mode
	for mode in "${modes[@]}"; do
		tags+=(--tag "mode.$mode=${mode_title[$mode]}")
	done
	"$LOAD" machine --tag kind=run --tag quick="${quick:-0}" --tag reps="$reps" \
		--tag mem_reps="$mem_reps" --tag seconds="$seconds" --tag congestion="$CONGESTION" \
		--tag mtu=1500 --tag modes="${modes[*]}" --tag figures="${tests[*]}" "${tags[@]}" \
		--tag version.weft="$("$WEFT" version | head -n 1)" \
		--tag engine="$("$LIMITS" --engine)" --tag version.nginx="$(nginx -v 2>&1 | sed 's|.*/||')" \
		--tag version.wrk="$(wrk -v 2>&1 | sed -n '1s/ \[.*//p')" \
		--tag version.h2load="$(h2load --version)" \
		--tag version.envoy="$([[ ! -x $O/bench/envoy/bin/envoy ]] ||
			"$O/bench/envoy/bin/envoy" --version | sed -n 's|.*/\([0-9.]*\)/.*|\1|p')" \
		--out "$out/raw.jsonl"
}

# shellcheck disable=SC2317 # called by the trap
finish() {
	local code=$?
	trap - EXIT INT TERM HUP
	[[ ! -t 2 ]] || printf '\r\e[K' >&2
	all_down
	((code < 128)) || note "stopped; weft bench report $out shows what was measured so far"
	rm -rf "$WORK" "${out:?}/bin"
	exit "$code"
}

prepare() {
	local mode
	((EUID == 0)) || die "must be root"
	((${#LAB} <= 7)) || die "LAB has at most 7 characters"
	# The same name of the folder as in other builds: another one would rebuild everything.
	[[ ${BENCH_NO_BUILD:-0} == 1 ]] || make -s -C "$ROOT" O="${O#"$ROOT"/}" weft weftd bench-programs || die "cannot build"
	for mode in "${modes[@]}"; do
		mode_load "$mode"
	done
	mkdir -p "$out" || die "cannot make $out"
	out=$(cd "$out" && pwd)
	mkdir -p /run/lock
	exec 9>"/run/lock/$LAB-bench.lock" || die "cannot write into /run/lock"
	flock -n 9 || die "another benchmark is running"
	lab_sweep
	keep_programs
	[[ $append ]] || rm -f "$out/raw.jsonl" "$out/errors.log"
	rm -f "$WORK"/lab-*.up
	if has sidecar "${modes[*]}" && ! O=$O "$BENCH/setup.sh" 2> >(tee "$WORK/setup" >&2); then
		mode_lost[sidecar]="no Envoy: $(tail -n 1 "$WORK/setup")"
		note "mode sidecar: ${mode_lost[sidecar]}"
	fi
	awk '$1 > 0.7 { exit 1 }' /proc/loadavg ||
		note "the machine is not idle (load $(cut -d' ' -f1 /proc/loadavg)): expect noise"
}

main() {
	local test
	options "$@"
	prepare
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	loads=() fresh=() limits=''
	for test in "${tests[@]}"; do
		case $test in
		idle | rest) fresh+=("$test") ;;
		limits) limits=1 ;;
		pods | crowd | workloads) ;;
		*) loads+=("$test") ;;
		esac
	done
	plan_all
	describe
	begun=$SECONDS
	((${#loads[@]} == 0)) && [[ ! $limits ]] || run_loads
	((${#fresh[@]} == 0)) || run_fresh
	run_own
	[[ ! -t 2 ]] || printf '\r\e[K' >&2
	"$WEFT" bench report "$out" || exit
	[[ ! $failed ]] || exit 1
}

# In one piece, so that bash does not read on in a file that was changed meanwhile.
{ main "$@"; exit; }
