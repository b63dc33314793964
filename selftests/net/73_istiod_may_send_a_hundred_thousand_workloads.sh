#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mesh of 100,000 workloads comes in one message; connections go on meanwhile, memory stays
# bounded, and on the way back the list of what is held is not too long for istiod. Prints what
# docs/performance.md has. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

mkdir -p "$istiod"
has() { weft_json node1 status | jq -e ".mesh.workloads == $1" >/dev/null; }
# Kilobytes: VmRSS, or VmHWM for the most there ever was
memory() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$(pid_of node1)/status"; }
synced() { xds node1 .synced; }

shop_up
istiod_start
istiod_use node1
expect_ok lab start node1
hold near near web.shop 80
weft_json node1 status >/dev/null
before=$(memory VmRSS)

# ---- all of them into a running daemon
expect_ok istiod_says '{"generate": {"workloads": 100000, "services": 2000}}'
wait_for 60 has 100005
hold_ok near
expect_eq "$(says near web.shop 80)" ok "near"
weft_json node1 status | jq -r '"apply " + (.mesh.istiod.apply_ns / 1e6 | floor | tostring) + " ms, longest turn of a worker " +
	([.workers[].max_lag_ns] | max / 1e6 | tostring) + " ms"'

# ---- a restart with all of them
expect_ok lab stop node1
start=$(now_ms)
expect_ok lab start node1
echo "start to ready $(($(now_ms) - start)) ms"
has 100005 || fail "ready without the mesh"
expect_eq "$(says near web.shop 80)" ok "near"
peak=$(memory VmHWM)

# ---- and the way back: less than 4 MiB are claimed, nothing is lost
istiod_forget
expect_ok istiod_says '{"end": ""}'
wait_for 5 istiod_seen '.type == "Address" and .claims > 20000 and .bytes < 4194304'
wait_for 60 synced
has 100005 || fail "lost on the way back"
expect_eq "$(says near web.shop 80)" ok "near"

# ---- one change of it
expect_ok istiod_says '{"put": {"workloads": [{"name": "late", "namespace": "shop", "workloadIps": ["10.244.9.9"]}]}}'
wait_for 10 has 100006
weft_json node1 status | jq -r '"one change: apply " + (.mesh.istiod.apply_ns / 1e6 | floor | tostring) + " ms"'
# weftd gives back what only applying needed, ten seconds later
settled() { (($(date +%s) > $(weft_json node1 status | jq .mesh.last_applied_s) + 12)); }
wait_for 30 settled
echo "resident: $before KB with a small mesh, peak $peak KB at the start," \
	"$(memory VmHWM) KB with a change, $(memory VmRSS) KB steady"
((peak < 200000)) || fail "the peak is $peak KB"
