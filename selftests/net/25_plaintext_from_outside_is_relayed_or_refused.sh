#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client outside the mesh reaches a pod in plain text: through the relay (path plain), byte for
# byte. With a policy that demands an identity it does not, and connections it has are cut.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up
size=$((1 << 30))
head -c $size /dev/zero | openssl enc -aes-128-ctr -K "$(printf '%032d' 1)" \
	-iv "$(printf '%032d' 0)" >"$WORK/big"
head -c $((32 << 20)) "$WORK/big" >"$WORK/small"
read -r sum _ < <(sha256sum "$WORK/big")

# ---- permissive
expect_eq "$(relay outsider sendfile "$FAR4" "$WORK/big")" "$size $sum" "a gigabyte by IPv4"
got=$(relay outsider splice "$FAR6" "$WORK/small" "$WORK/back") || fail "IPv6: $got"
expect_ok cmp "$WORK/small" "$WORK/back"

for address in "$FAR4" "$FAR6"; do
	expect_ok relay outsider ends "$address"
	expect_ok relay outsider abort "$address" "$address"
	wait_for 5 said far "fate $address ECONNRESET"
done
wait_for 5 no_connections node2

held() { # WANTED
	expect_eq "$(open_connections node2 plain)" "$1" "plain connections"
}
relay outsider silence "$FAR4" stays "$WORK/go" >/dev/null 2>&1 &
silent=$!
wait_for 5 held 1
weft_json node2 connections | jq -e --arg src "$OUTSIDER4:" '.connections[0] |
	.path == "plain" and .direction == "inbound" and .pod == "t/far" and
	(.src | startswith($src)) and (.src_identity // "" | . == "")' >/dev/null ||
	fail "$(weft_json node2 connections)"

# ---- strict
relay_policies='[{name: strict, namespace: t, scope: Namespace, action: Deny,
                  rules: [[[{notPrincipals: ["*"]}]]]}]'
relay_lab_text >"$WORK/lab.yaml"
expect_ok lab apply "$WORK/lab.yaml"
wait_for 5 held 0
touch "$WORK/go"
wait "$silent" && fail "the connection was not cut"
for address in "$FAR4" "$FAR6"; do
	expect_ok relay outsider refused "$address" 9003
	expect_ok relay client ends "$address"
done
refused() {
	weft_json node2 drops | jq -e '[.recent[] | select(.reason == "policy_denied" and
		.policy == "t/strict" and .src_workload == "t/outsider")] | length == 2'
}
wait_for 5 refused

# ---- permissive again
relay_policies='[]'
relay_lab_text >"$WORK/lab.yaml"
expect_ok lab apply "$WORK/lab.yaml"
wait_for 5 relay outsider whoami "$FAR4" 9004
