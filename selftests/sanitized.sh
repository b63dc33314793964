#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One network scenario with a weftd that was built with sanitizers: sanitized.sh WEFTD SCENARIO. What they
# report, leaks at its end among it, is a failure of the scenario, whatever it says itself.
# Deadlines are six times as long and limits of memory wide: it is a slow and large weftd. Built and called by `make net-san`.
#
# Environment: O (build folder), as the scenarios

set -u
export O=${O:-build} WAIT_FACTOR=${WAIT_FACTOR:-6} MEMORY_FACTOR=${MEMORY_FACTOR:-20}
weftd=$1
scenario=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# At its end it looks for leaks by means that a confined weftd has given up.
cat >"$dir/weftd" <<END
#!/bin/bash
export ASAN_OPTIONS=detect_stack_use_after_return=1:log_path=$dir/report
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$dir/report
export TSAN_OPTIONS=suppressions=$PWD/selftests/tsan.supp:second_deadlock_stack=1:log_path=$dir/report
[[ " \$* " != *' --check '* ]] || exec "$(realpath "$weftd")" "\$@"
exec "$(realpath "$weftd")" "\$@" --confine off
END
chmod +x "$dir/weftd"
WEFTD=$dir/weftd bash "$scenario"
status=$?
for report in "$dir"/report.*; do
	[ -s "$report" ] || continue
	echo "--- a sanitizer of weftd reports:" >&2
	head -n 80 "$report" >&2
	status=1
done
exit $status
