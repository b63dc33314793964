#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs test stages and counts: selftests/run.sh all|build|lint|unit|policy|bpf|net|interop|fuzz|vm
# ...
#
# One line per test, output only of failures; the last line of all is "N passed, N failed" or
# "N passed, N failed, N skipped", and the exit status is 0 only if nothing failed. Programs
# and scripts end with 0 for pass, 4 for skip (their last line says why), anything else is a
# failure; a program that speaks TAP counts once per test in it.
#
# Environment: O (build folder), FUZZ_SECONDS, ONLY (only tests whose name has this in it),
# POLICY_PAIRS, JOBS (parallel compilers, unit tests and fuzzers), WERROR, TEST_TIMEOUT (seconds
# per test), NET (only these scenarios, "10,11,30"), KERNEL (of vm; all of vm/scenarios without
# it), BUILT (1: what is not built is not there to be tested, as in a virtual machine), REPORT (a
# device that gets the results, too), REPEAT (of each scenario), SAN_WEFTD (a weftd built with sanitizers,
# for the scenarios).

set -u
cd "$(dirname "$0")/.." || exit 1
# Called from make: what is built below must not wait for the outer make's job slots.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

O=${O:-build}
ONLY=${ONLY:-}
ONLY=${ONLY//_/ }
JOBS=${JOBS:-$(nproc)}
WERROR=${WERROR:-0}
FUZZ_SECONDS=${FUZZ_SECONDS:-20}
CLANG=${CLANG:-clang-19}
BUILT=${BUILT:-0}
REPORT=${REPORT:-}
NET=${NET:-}
KERNEL=${KERNEL:-}
SKIP_STATUS=4
SAN_UNIT=address,undefined
SAN_FUZZ=fuzzer-no-link,address,undefined
OUT=$O/test
RESULTS=$OUT/results

mkdir -p "$OUT"
: >"$RESULTS"
rm -f "$OUT/summary"

stop_all()
{
	local pids
	pids=$(jobs -p)
	# timeout(1) passes the signal on to everything below it
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$pids" ] || kill -TERM $pids 2>/dev/null
	wait
	exit 130
}
trap stop_all INT TERM

# ---- printing and counting -------------------------------------------------------------------

# result ok|FAIL|SKIP name [detail]: one write each, so that parallel tests do not mix
result()
{
	printf '%s\t%s\n' "$1" "$2" >>"$RESULTS"
	[ -z "$REPORT" ] || printf '%s\t%s\n' "$1" "$2" >>"$REPORT"
	printf '%-4s %s%s\n' "$1" "$2" "${3:+ ($3)}"
}

show_log()
{
	printf -- '---- last lines of %s\n%s\n----\n' "$1" "$(tail -n 80 "$1")"
}

summary()
{
	local passed failed skipped
	passed=$(grep -c ^ok "$RESULTS")
	failed=$(grep -c ^FAIL "$RESULTS")
	skipped=$(grep -c ^SKIP "$RESULTS")
	[ "$failed" -eq 0 ] || { echo; echo 'failed:'; sed -n 's/^FAIL\t/  /p' "$RESULTS"; }
	printf '%d passed, %d failed%s\n' "$passed" "$failed" \
		"$([ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped")" | tee "$OUT/summary"
	# no test at all is not a success
	[ "$failed" -eq 0 ] && [ "$((passed + skipped))" -gt 0 ]
}

seconds_since()
{
	local now=${EPOCHREALTIME/[.,]/} then=${1/[.,]/}
	printf '%d.%ds' $(((now - then) / 1000000)) $(((now - then) / 100000 % 10))
}

# ---- running ---------------------------------------------------------------------------------

# spawn n command...: in the background, at most n at a time
spawn()
{
	local max=$1
	shift
	while [ "$(jobs -rp | wc -l)" -ge "$max" ]; do
		wait -n
	done
	"$@" &
}

# TAP lines of a log -> "ok|FAIL|SKIP<tab>test name<tab>why skipped", and a FAIL if fewer ran than
# planned
tap_results()
{
	awk '
	/^1\.\.[0-9]+/ { plan += substr($1, 4) }
	/SKIP: / { why = substr($0, index($0, "SKIP: ") + 6) }
	/^(not )?ok [0-9]+/ {
		seen++
		what = /^not/ ? "FAIL" : "ok"
		sub(/^(not )?ok [0-9]+ *-? */, "")
		if (sub(/^# *[Ss][Kk][Ii][Pp] */, "")) # cmocka has the name behind it
			what = "SKIP"
		sub(/ *#.*/, "")
		gsub(/_/, " ")
		print what "\t" $0 (what == "SKIP" ? "\t" why : "")
	}
	END { if (seen && seen < plan) print "FAIL\tended after " seen " of " plan " tests" }' "$1"
}

# judge name log status start: lines for one finished program or script
judge()
{
	local name=$1 log=$2 status=$3 took results what test why bad=0
	took=$(seconds_since "$4")
	results=$(tap_results "$log")
	if [ -n "$results" ]; then
		while IFS=$'\t' read -r what test why; do
			result "$what" "$name: $test" "$why"
			[ "$what" != FAIL ] || bad=1
		done <<<"$results"
		if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
			result FAIL "$name: ended with status $status" "$took"
			bad=1
		fi
	elif [ "$status" -eq 0 ]; then
		result ok "$name" "$took"
	elif [ "$status" -eq "$SKIP_STATUS" ]; then
		result SKIP "$name" "$(tail -n 1 "$log")"
	elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		result FAIL "$name" "no end after $took"
		bad=1
	else
		result FAIL "$name" "status $status, $took"
		bad=1
	fi
	[ "$bad" -eq 0 ] || show_log "$log"
}

# run_test stage file-name timeout command...
run_test()
{
	local name=$1/${2//_/ } log=$OUT/$1/$2.log limit=${TEST_TIMEOUT:-$3} start=$EPOCHREALTIME
	local status
	shift 3
	[[ $name == *"$ONLY"* ]] || return
	mkdir -p "${log%/*}"
	timeout -k 20 "$limit" "$@" >"$log" 2>&1 </dev/null &
	wait $!
	status=$?
	judge "$name" "$log" "$status" "$start"
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# build_for stage target variables...: silent when it works; a failure is a test of its own,
# but what could be built is still run
build_for()
{
	local stage=$1 log=$OUT/$1/build.log
	[ "$BUILT" -eq 0 ] || return
	shift
	mkdir -p "${log%/*}"
	make -k -j"$JOBS" O="$O" WERROR="$WERROR" CLANG="$CLANG" "$@" >"$log" 2>&1 &
	wait $! && return
	result FAIL "$stage/build"
	show_log "$log"
}

# ---- stages ----------------------------------------------------------------------------------

stage_build()
{
	run_test build gcc 1500 make -j"$JOBS" all O="$O" WERROR="$WERROR" CLANG="$CLANG" CC=gcc
	run_test build clang 1500 make -j"$JOBS" all O="$O/clang" WERROR="$WERROR" \
		CLANG="$CLANG" CC="$CLANG"
}

stage_lint()
{
	local f
	for f in tools/lint/*.sh; do
		O=$O run_test lint "$(basename "$f" .sh)" 300 bash "$f"
	done
}

# run_programs stage folder at-once timeout: one program per source file
run_programs()
{
	local src prog name
	for src in selftests/"$1"/*.c; do
		name=$(basename "$src" .c)
		prog=$2/$name
		case $name in h | h_* | *.bpf | '*') continue ;; esac
		if [ -x "$prog" ]; then
			CMOCKA_MESSAGE_OUTPUT=tap spawn "$3" run_test "$1" "$name" "$4" "$prog"
		elif [ "$BUILT" -eq 0 ] && [[ $1/${name//_/ } == *"$ONLY"* ]]; then
			result FAIL "$1/${name//_/ }" "not built"
		fi
	done
	wait
}

stage_unit()
{
	local dir=$O/san-${SAN_UNIT//,/-}
	build_for unit unit-progs CC=gcc SAN="$SAN_UNIT"
	export ASAN_OPTIONS=detect_stack_use_after_return=1
	export UBSAN_OPTIONS=print_stacktrace=1
	run_programs unit "$dir/unit" "$JOBS" 120
}

# The evaluator of policies against the one in selftests/policy/reference.py.
stage_policy()
{
	build_for policy policy-evaluate
	run_test policy the_evaluator_agrees_with_the_reference 600 selftests/policy/check.py \
		--evaluator "$O/policy-evaluate" --pairs "${POLICY_PAIRS:-1000000}"
}

stage_bpf()
{
	is_root || { result SKIP bpf "needs root"; return; }
	build_for bpf all bpftest-progs
	run_programs bpf "$O/bpftest" 1 180
}

# is_wanted file: is its number among those of NET?
is_wanted()
{
	[ -z "$NET" ] || [[ ,$NET, == *",${1%%_*},"* ]]
}

# run_scenario file: what it says of faults is kept in $OUT/faults
run_scenario()
{
	local name with=() limit=180
	name=$(basename "$1" .sh)
	[ -z "${SAN_WEFTD:-}" ] || with=(selftests/sanitized.sh "$SAN_WEFTD") limit=900
	O=$(realpath "$O") run_test net "$name" "$limit" bash "${with[@]}" "$1"
	grep -s '^fault: ' "$OUT/net/$name.log" >>"$OUT/faults"
}

# One after the other: scenarios measure and count, and two daemons share one kernel.
stage_net()
{
	local f i
	is_root || { result SKIP net "needs root"; return; }
	build_for net all bench-programs faults-weftd
	mkdir -p "$OUT/net"
	: >"$OUT/faults"
	for f in selftests/net/[0-9]*.sh; do
		[ -e "$f" ] || continue
		is_wanted "$(basename "$f")" || continue
		for ((i = 0; i < ${REPEAT:-1}; i++)); do
			run_scenario "$f"
		done
	done
}

# Against programs of others, which are fetched: not part of all.
stage_interop()
{
	local f
	is_root || { result SKIP interop "needs root"; return; }
	build_for interop all
	run_test interop "istiod is built" 3600 bash selftests/interop/istiod/build.sh
	for f in selftests/interop/*.sh; do
		O=$(realpath "$O") run_test interop "$(basename "$f" .sh)" 600 bash "$f"
	done
}

# run_fuzzer program name: findings and new inputs go below $O, never into the source tree
run_fuzzer()
{
	local work=$OUT/fuzz/$2 folders=("$OUT/fuzz/$2/corpus")
	local options=(-max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048
		-max_len=16384 -print_final_stats=1 -verbosity=0 -artifact_prefix="$work/")
	mkdir -p "$work/corpus"
	[ ! -d "selftests/fuzz/corpus/$2" ] || folders+=("selftests/fuzz/corpus/$2")
	[ ! -f "selftests/fuzz/$2.dict" ] || options+=("-dict=selftests/fuzz/$2.dict")
	run_test fuzz "$2" $((FUZZ_SECONDS + 120)) "$1" "${options[@]}" "${folders[@]}"
}

stage_fuzz()
{
	local src name prog
	build_for fuzz fuzz-progs CC="$CLANG" SAN="$SAN_FUZZ"
	for src in selftests/fuzz/fuzz_*.c; do
		[ -e "$src" ] || continue
		name=$(basename "$src" .c)
		prog=$O/san-${SAN_FUZZ//,/-}/fuzz/$name
		if [ -x "$prog" ]; then
			spawn "$JOBS" run_fuzzer "$prog" "${name#fuzz_}"
		else
			result FAIL "fuzz/${name#fuzz_}" "not built"
		fi
	done
	wait
}

# The same programs on other kernels. Debian's are booted in qemu; "host" is this machine.
stage_vm()
{
	local k kernels
	is_root || { result SKIP vm "needs root"; return; }
	build_for vm all bpftest-progs bench-programs
	build_for vm unit-progs CC=gcc SAN="$SAN_UNIT"
	# shellcheck source=selftests/vm/scenarios
	. selftests/vm/scenarios
	read -r -a kernels <<<"${KERNEL:-$vm_kernels}"
	for k in "${kernels[@]}"; do
		if [ "$k" = host ]; then
			NET=${VM_NET:-${vm_scenarios// /,}}
			mkdir -p "$O/vm/host/test"
			"$O/weft" -o json check --pre >"$O/vm/host/test/check.json"
			stage_bpf
			stage_net
			continue
		fi
		O=$O bash selftests/vm/run.sh "$k" "$RESULTS" &
		wait $! || true
	done
}

run_stage()
{
	case $1 in
	build | lint | unit | policy | bpf | net | interop | fuzz | vm)
		echo "== $1"
		"stage_$1"
		;;
	all)
		WERROR=1
		echo '== set-up'
		tools/setup.sh || { result FAIL set-up; return; }
		for stage in build lint unit policy bpf net fuzz; do
			run_stage "$stage"
		done
		;;
	*)
		echo "unknown stage $1" >&2
		exit 2
		;;
	esac
}

for stage in "${@:-all}"; do
	run_stage "$stage"
done
summary
