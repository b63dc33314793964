#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A daemon that starts before its mesh file waits for it and says so; pods that were enrolled
# before are cut off until then, not let out unprotected. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

ready_code() {
	pod @node2 curl -s -m 5 -o /dev/null -w '%{http_code}' http://127.0.0.1:15021/healthz/ready
}

waits_for_mesh() {
	[[ $(weft_json node2 status | jq -c '[.ready, .pending[0], .mesh.workloads]') == \
		'[false,"mesh file",0]' ]]
}

shop_up
expect_eq "$(ready_code)" 200 "ready"
expect_eq "$(says far web.shop 80)" ok "far"

mv "$LAB_DIR/mesh.yaml" "$LAB_DIR/away.yaml"
expect_ok lab stop node2
lab start node2 >"$peers_tmp/start" 2>&1 &
start=$!
wait_for 5 waits_for_mesh
expect_eq "$(ready_code)" 500 "not ready"
pod @node2 curl -s -m 5 http://127.0.0.1:15021/healthz/ready | grep -q 'mesh file' ||
	fail "/healthz/ready does not say what it waits for"
weft_on node2 status | grep -q 'not ready.*mesh file' || fail "weft status: $(weft_on node2 status)"
grep -q "mesh.yaml: No such file" "$LAB_DIR/node2/weftd.log" || fail "nothing in the log"
kill -0 "$start" || fail "lab start did not wait: $(cat "$peers_tmp/start")"
[[ $(peer far -t 1 who web.shop 80) != own=* ]] || fail "far gets out without a mesh"

mv "$LAB_DIR/away.yaml" "$LAB_DIR/mesh.yaml"
wait "$start" || fail "lab start: $(cat "$peers_tmp/start")"
expect_eq "$(ready_code)" 200 "ready again"
expect_eq "$(says far web.shop 80)" ok "far, again"
