# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Library of the network scenarios: source it first. A scenario is a sentence in its file name,
# ends with 0 (proved), 1 (not) or 4 (cannot be tried here), and never sleeps blindly.
#
#   lab_up FILE|- [OPTION...]   a lab that goes away with the script
#   pod POD CMD...              in a pod; @NODE and @fabric are outside of pods
#   wait_for SECONDS CMD...     until CMD succeeds, tried every 50 ms
#   expect_ok CMD...            fails the scenario unless CMD succeeds
#   expect_fail CMD...          fails the scenario if CMD succeeds
#   expect_eq A B WHAT          fails the scenario unless both texts are the same
#   metric NODE 'NAME{L="v"}'   sum of the series that have these labels; 0 if there is none
#   weft_json NODE CMD...       JSON of `weft CMD` from that node
#   fail MSG, skip MSG
#
# BUILD (or O): build folder (build). LAB: name of the lab (weft). LAB_KEEP=1: leave it standing.
# Each scenario ends with `weft maps check` on all nodes whose weftd answers; MAPS_CHECK=0: not this one.
# WAIT_FACTOR: multiplies the deadlines of wait_for, for machines that are emulated.

set -u -o pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-${O:-$ROOT/build}}
[[ $BUILD == /* ]] || BUILD=$ROOT/$BUILD
WEFT=${WEFT:-$BUILD/weft}
WEFTD=${WEFTD:-$BUILD/weftd}
LAB=${LAB:-weft}
LAB_DIR=/run/$LAB/lab
LAB_OPTIONS=(--weftd "$WEFTD") # of lab up; (--no-weftd) makes pods without a mesh
lib_lab_stands=0
lib_failed=0

# An end of a pipe that never has anything: read -t on it is a wait without a process.
exec {lib_tick}<> <(:)

tick() {
	read -r -t "${1:-0.05}" -u "$lib_tick" _ || true
}

fail() {
	local i
	lib_failed=1
	echo "FAIL: $*" >&2
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		[[ ${BASH_SOURCE[i]} == "${BASH_SOURCE[0]}" ]] ||
			echo "  at ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}" >&2
	done
	exit 1
}

skip() {
	echo "SKIP: $*" >&2
	exit 4
}

lab() {
	"$WEFT" lab --name "$LAB" "$@"
}

lib_logs() {
	local log
	for log in "$LAB_DIR"/*/weftd.log; do
		[[ -e $log ]] || continue
		echo "--- last lines of $log" >&2
		tail -n "${LAB_LOG_LINES:-40}" "$log" >&2
	done
}

# Whatever a scenario did to it: in the end the kernel has what the mesh asks for.
lib_maps_check() {
	local socket n
	((${MAPS_CHECK:-1})) || return 0
	for socket in "$LAB_DIR"/*/weftd.sock; do
		n=$("$WEFT" --socket "$socket" -o json maps check 2>/dev/null | jq .differences 2>/dev/null)
		((${n:-0} == 0)) && continue
		echo "FAIL: the kernel's tables are not what the mesh asks for:" >&2
		"$WEFT" --socket "$socket" maps check >&2
		lib_failed=1
		return 1
	done
}

lib_end() {
	local code=$?
	trap - EXIT INT TERM HUP
	((lib_lab_stands && code == 0)) && { lib_maps_check || code=1; }
	((lib_failed || (code != 0 && code != 4))) && lib_logs
	if ((lib_lab_stands)) && [[ ${LAB_KEEP:-0} != 1 ]]; then
		lab down >/dev/null || code=1
	fi
	exit "$code"
}
trap lib_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

lab_up() {
	local file=${1:--} out
	shift || true
	lib_lab_stands=1
	if [[ $file == - ]]; then
		out=$(lab up "${LAB_OPTIONS[@]}" "$@" - 2>&1) || fail "lab up: $out"
	else
		out=$(lab up "${LAB_OPTIONS[@]}" "$@" "$file" 2>&1) || fail "lab up: $out"
	fi
}

lab_down() {
	lab down >/dev/null || fail "lab down"
	lib_lab_stands=0
}

pod() {
	local where=$1
	shift
	lab exec "$where" -- "$@"
}

# Milliseconds of a clock that nobody sets.
now_ms() {
	local up
	read -r up _ </proc/uptime
	echo "$((10#${up/./}))0"
}

wait_for() {
	local seconds=$1 end out
	shift
	end=$(($(now_ms) + seconds * 1000 * ${WAIT_FACTOR:-1}))
	until out=$("$@" 2>&1); do
		(($(now_ms) < end)) || fail "not within $seconds s: $*${out:+ ($out)}"
		tick 0.05
	done
}

expect_ok() {
	local out
	out=$("$@" 2>&1) || fail "exit code $?: $*${out:+ ($out)}"
}

expect_fail() {
	local out
	! out=$("$@" 2>&1) || fail "should have failed: $*${out:+ ($out)}"
}

expect_eq() {
	[[ $1 == "$2" ]] || fail "${3:-values}: \"$1\" is not \"$2\""
}

metrics() {
	lab exec "@$1" -- curl -sS -m 5 "http://127.0.0.1:${METRICS_PORT:-15020}/metrics"
}

metric() {
	local node=$1 query=$2 text
	text=$(metrics "$node") || fail "no metrics from $node"
	awk -v query="$query" '
	BEGIN {
		name = query
		sub(/\{.*/, "", name)
		rest = query
		while (match(rest, /[A-Za-z_][A-Za-z0-9_]*="[^"]*"/)) {
			want[substr(rest, RSTART, RLENGTH)] = 1
			rest = substr(rest, RSTART + RLENGTH)
		}
	}
	/^#/ { next }
	{
		brace = index($0, "{")
		space = index($0, " ")
		end = brace && brace < space ? brace : space
		if (substr($0, 1, end - 1) != name)
			next
		labels = "," substr($0, end + 1)
		for (w in want)
			if (!index(labels, "," w))
				next
		value = $0
		sub(/^.*} */, "", value)
		if (end == space)
			value = substr($0, space + 1)
		sum += value
	}
	END { printf "%.15g\n", sum }' <<<"$text"
}

weft_json() {
	local node=$1
	shift
	"$WEFT" --socket "$LAB_DIR/$node/weftd.sock" -o json "$@"
}

((EUID == 0)) || skip "must be root"
[[ -x $WEFT ]] || skip "$WEFT is not built"
