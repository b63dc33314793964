#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# /healthz/ready is 500 and names what is missing until the daemon can do its work, then 200.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

URL=http://172.31.250.1:15021

ask() {
	pod @fabric curl -sS -m 5 -w ' %{http_code}' "$@" 2>&1 | tr '\n' ' '
}

says() {
	local got
	got=$(ask "$URL/healthz/ready")
	[[ $got == "$1" ]] || { echo "$got"; return 1; }
}

telemetry_up
expect_ok says "ready  200"
expect_eq "$(ask -I -o /dev/null "$URL/healthz/ready")" " 200" HEAD
expect_eq "$(ask -o /dev/null "$URL/")" " 404"
expect_eq "$(ask -o /dev/null "$URL/metrics")" " 404"
expect_eq "$(ask -o /dev/null -X POST "$URL/healthz/ready")" " 405"

# a start without a mesh file
lab stop node1 >/dev/null || fail "weft lab stop"
mv "$LAB_DIR/mesh.yaml" "$LAB_DIR/away.yaml"
lab start node1 >"$tmp/start" 2>&1 & # waits until it is ready
wait_for 10 says "not ready, pending: mesh file  500"
jq -e '.ready == false and .pending == ["mesh file"] and .mesh.last_error != ""' \
	< <(weft_json node1 status) >/dev/null || fail "status: $(weft_json node1 status)"
"$WEFT" --socket "$(socket node1)" status | grep -q 'not ready, waiting for mesh file' ||
	fail "status: $("$WEFT" --socket "$(socket node1)" status)"
mv "$LAB_DIR/away.yaml" "$LAB_DIR/mesh.yaml"
wait_for 10 says "ready  200"
wait $! || fail "weft lab start: $(cat "$tmp/start")"

# a mesh file that breaks later takes no readiness away: the last good one is in force
echo 'workloads: [' >"$LAB_DIR/broken" && mv "$LAB_DIR/broken" "$LAB_DIR/mesh.yaml"
rejected() {
	jq -e '.mesh.rejected >= 1' < <(weft_json node1 status)
}
wait_for 10 rejected
expect_ok says "ready  200"
