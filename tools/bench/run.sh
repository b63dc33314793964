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
	       weft bench report OUT
	       weft bench compare OLD NEW

	  --quick            two minutes: fewer figures, short windows
	  --modes A,B,...    of: $(cd "$BENCH/modes" && echo *.sh | sed 's/\.sh//g')
	  --figures A,B,...  of: ${all_tests[*]}
	  --reps N           repetitions, in turns (5; with --quick 2)
	  --seconds S        window of a measurement (3; with --quick 1)
	  --out DIR          where the results go (a new folder under $O/bench)
	EOF
}

all_tests=(idle bulk-1 bulk-16 bulk-1-down rtt-1 rtt-1k rtt-16k paced conn-1 conn-16 http1 http2
	limits pods)
quick_tests=(idle bulk-1 bulk-16 rtt-1 conn-1 conn-16 limits)
all_modes=(plain relay sidecar direct hbone splice)
quick_modes=(plain relay direct hbone)
quick='' modes=() tests=() reps='' seconds='' out=''
declare -A mode_title=() mode_places=()

options() {
	while (($#)); do
		case $1 in
		--quick) quick=1 ;;
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
		reps=${reps:-5} seconds=${seconds:-3}
	fi
	[[ $reps =~ ^[1-9][0-9]*$ && $seconds =~ ^[0-9]+(\.[0-9]+)?$ ]] || die "bad --reps or --seconds"
	out=${out:-$O/bench/$(date -u +%Y%m%d-%H%M%S)}
}

# What a figure asks of the load generator.
test_args() {
	case $1 in
	bulk-1) echo bulk --streams 1 ;;
	bulk-16) echo bulk --streams 16 ;;
	bulk-1-down) echo bulk --streams 1 --down ;;
	rtt-1) echo pingpong --size 1 ;;
	rtt-1k) echo pingpong --size 1024 ;;
	rtt-16k) echo pingpong --size 16384 ;;
	paced) echo pingpong --size 1024 --streams 16 --rate 2000 ;;
	conn-1) echo connect --size 64 ;;
	conn-16) echo connect --size 64 --streams 16 ;;
	http1) echo http --tool wrk --streams 64 --url "$aim_url1" ;;
	http2) echo http --tool h2load --streams 16 --inner 10 --url "$aim_url2" ;;
	idle) echo hold --steps "$([[ $quick ]] && echo 1000 || echo 1000,5000)" ;;
	*) die "no such figure: $1" ;;
	esac
}

measure() {
	local case=$1 test=$2 rep=$3 mode=${1%-*} place=${1##*-} args
	"${mode}_target" "$place" || die "mode $mode has no target $place"
	read -ra args < <(test_args "$test")
	[[ ${args[0]} == http ]] || args+=(--to "$aim_to")
	[[ -z $aim_pids ]] || args+=(--pids "$aim_pids")
	lab "$aim_lab" exec "$aim_pod" -- "$LOAD" "${args[@]}" --seconds "$seconds" --warmup 0.3 \
		--tag case="$case" --tag mode="$mode" --tag place="$place" --tag test="$test" \
		--tag rep="$rep" --out "$out/raw.jsonl" 2>>"$out/errors.log" ||
		note "$test $case failed, see $out/errors.log"
}

# A build while the benchmark runs must not change what is measured.
keep_programs() {
	local name
	mkdir -p "$WORK" "$out/bin" || die "cannot make $WORK"
	for name in WEFT WEFTD LOAD RELAY LIMITS; do
		cp "${!name}" "$out/bin/" || die "cannot copy ${!name}"
		printf -v "$name" %s "$out/bin/${!name##*/}"
	done
}

step=0 steps=0
progress() {
	((++step))
	if [[ -t 2 ]]; then
		printf '\r\e[K[%d/%d] repetition %s: %s %s' "$step" "$steps" "$3" "$2" "$1" >&2
	else
		echo "[$step/$steps] repetition $3: $2${1:+ $1}" >&2
	fi
}

# The cases "MODE-PLACE", same node first.
make_cases() {
	local place mode
	cases=()
	for place in same cross; do
		for mode in "${modes[@]}"; do
			[[ " ${mode_places[$mode]} " != *" $place "* ]] || cases+=("$mode-$place")
		done
	done
}

all_down() {
	local mode
	for mode in "${modes[@]}"; do
		"${mode}_down"
	done
	lab_drop
	rm -f "$WORK"/*.pid
}

# Memory is measured on processes that have seen nothing else.
run_idle() {
	local case rep
	for ((rep = 1; rep <= reps; rep++)); do
		for case in "${cases[@]}"; do
			progress "$case" idle "$rep"
			[[ $case != plain-* ]] || continue
			all_down
			"${case%-*}_up"
			measure "$case" idle "$rep"
		done
	done
	all_down
}

run_loads() {
	local mode case rep test
	for mode in "${modes[@]}"; do
		"${mode}_up"
	done
	for ((rep = 1; rep <= reps; rep++)); do
		for test in "${loads[@]}"; do
			for case in "${cases[@]}"; do
				progress "$case" "$test" "$rep"
				measure "$case" "$test" "$rep"
			done
		done
	done
	all_down
}

run_limits() {
	local rep
	for ((rep = 1; rep <= reps; rep++)); do
		progress "" limits "$rep"
		"$LIMITS" --rep "$rep" >>"$out/raw.jsonl" || note "limits failed"
	done
}

describe() {
	local tags=() mode
	for mode in "${modes[@]}"; do
		tags+=(--tag "mode.$mode=${mode_title[$mode]}")
	done
	"$LOAD" machine --tag kind=run --tag quick="${quick:-0}" --tag reps="$reps" \
		--tag seconds="$seconds" --tag congestion="$CONGESTION" --tag modes="${modes[*]}" \
		--tag figures="${tests[*]}" "${tags[@]}" \
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
	rm -rf "$WORK" "${out:?}/bin"
	exit "$code"
}

main() {
	local mode test idle='' limits='' per_pod=''
	options "$@"
	((EUID == 0)) || die "must be root"
	# The same name of the folder as in other builds: another one would rebuild everything.
	[[ ${BENCH_NO_BUILD:-0} == 1 ]] || make -s -C "$ROOT" O="${O#"$ROOT"/}" weft weftd bench-programs || die "cannot build"
	if [[ " ${modes[*]} " == *" sidecar "* ]] && ! O=$O "$BENCH/setup.sh"; then
		note "no sidecar mode: set-up failed"
		read -ra modes <<<"$(printf '%s ' "${modes[@]/#sidecar/}")"
	fi
	for mode in "${modes[@]}"; do
		mode_load "$mode"
	done
	mkdir -p "$out" || die "cannot make $out"
	out=$(cd "$out" && pwd)
	mkdir -p /run/lock
	exec 9>"/run/lock/$LAB-bench.lock" || die "cannot write into /run/lock"
	flock -n 9 || die "another benchmark is running"
	keep_programs
	rm -f "$out/raw.jsonl" "$out/errors.log"
	trap finish EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	make_cases
	awk '$1 > 0.7 { exit 1 }' /proc/loadavg ||
		note "the machine is not idle (load $(cut -d' ' -f1 /proc/loadavg)): expect noise"
	loads=()
	for test in "${tests[@]}"; do
		case $test in
		idle) idle=1 ;;
		limits) limits=1 ;;
		pods) per_pod=1 ;;
		*) loads+=("$test") ;;
		esac
	done
	steps=$((reps * (${#cases[@]} * (${#loads[@]} + ${idle:-0}) + ${limits:-0} + ${per_pod:-0})))
	describe
	[[ ! $limits ]] || run_limits
	[[ ! $idle ]] || run_idle
	[[ ! $per_pod ]] || run_pods
	((${#loads[@]} == 0)) || run_loads
	"$WEFT" bench report "$out"
}

main "$@"
