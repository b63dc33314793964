#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The control socket belongs to root alone, by its mode and, if somebody widens that, by weftd.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

command -v setpriv >/dev/null || skip "no setpriv"

telemetry_up
path=$(socket node1)
expect_eq "$(stat -c '%a %U:%G %F' "$path")" "600 root:root socket"

as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

request() { # nobody is told before it has asked
	as_nobody socat -u "UNIX-CONNECT:$path" - 2>&1
}

out=$(request) && fail "nobody was let in: $out"
grep -q 'Permission denied' <<<"$out" || fail "not refused by the mode: $out"
cp "$WEFT" "$tmp/weft" && chmod 755 "$tmp" "$tmp/weft"
code=0
out=$(as_nobody "$tmp/weft" --socket "$path" status 2>&1) || code=$?
expect_eq "$code" 3 "exit code for nobody: $out"
grep -q 'are you root' <<<"$out" || fail "no hint: $out"

# the mode is not all that protects it
chmod 666 "$path"
out=$(request) || fail "no answer at all: $out"
jq -e '.ok == false and .error == "only root may talk to weftd"' <<<"$out" >/dev/null ||
	fail "nobody was let in: $out"
out=$(as_nobody "$tmp/weft" --socket "$path" status 2>&1) && fail "weft as nobody: $out"
expect_ok "$WEFT" --socket "$path" status
