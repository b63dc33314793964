#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mesh of 100,000 workloads comes in one message; connections go on meanwhile, memory stays
# bounded, and on the way back the list of what is held is not too long for istiod. Prints what
# docs/performance.md has, of WORKLOADS and SERVICES, a tenth of them. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"
. "$ROOT/selftests/net/istiod.sh"

workloads=${WORKLOADS:-100000}
services=${SERVICES:-$((workloads / 10))}
patience=$((60 + workloads / 5000))
mkdir -p "$istiod"
# ns: the longest turn of a worker, of which each look at the status begins anew
slow=$peers_tmp/slow
echo 0 >"$slow"
status() { # EXPRESSION OF JQ: its value
	local turn
	weft_json node1 status >"$peers_tmp/status" || return
	turn=$(jq '[.workers[].max_lag_ns] | max' "$peers_tmp/status")
	((turn <= $(<"$slow"))) || echo "$turn" >"$slow"
	jq -e "$1" "$peers_tmp/status"
}
has() { status ".mesh.workloads == $1" >/dev/null; }
# Kilobytes: VmRSS, or VmHWM for the most there ever was
memory() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$(pid_of node1)/status"; }
tables() { weft_json node1 bpf | jq '[.maps[].memory_bytes] | add / 1024 | floor'; }
synced() { status .mesh.istiod.synced >/dev/null; }
ready() { status .ready >/dev/null; }
moved() { status ".mesh.applied > $count" >/dev/null; }
# weftd gives back what only applying needed, ten seconds later
settled() { status ".mesh.last_applied_s + 12 < $(date +%s)" >/dev/null; }
says_how() { # WHAT: how long applying took and how long the workers
	status .ready >/dev/null
	jq -r --arg what "$1" --argjson slow "$(<"$slow")" '$what + ": apply " + (.mesh.istiod.apply_ns / 1e6 | floor | tostring) +
		" ms, longest turn of a worker " + ($slow / 1e6 | tostring) + " ms"' "$peers_tmp/status"
	echo 0 >"$slow"
}
generate() { # MORE: of the order
	expect_ok istiod_says "{\"generate\": {\"workloads\": $workloads, \"services\": $services$1}}"
}

shop_up
istiod_start
istiod_use node1 mesh_addresses $((workloads * 2 > 262144 ? workloads * 2 : 262144))
expect_ok lab start node1
hold near near web.shop 80
status .ready >/dev/null
echo 0 >"$slow"
before=$(memory VmRSS)

# ---- all of them into a running daemon
generate ""
wait_for $patience has $((workloads + 5))
hold_ok near
expect_eq "$(says near web.shop 80)" ok "near"
says_how "all at once"

# ---- a restart with all of them
expect_ok lab stop node1
start=$(now_ms)
lab start node1 || wait_for $patience ready
says_how "start to ready $(($(now_ms) - start)) ms"
has $((workloads + 5)) || fail "ready without the mesh"
expect_eq "$(says near web.shop 80)" ok "near"
peak=$(memory VmHWM)

# ---- and the way back: less than 4 MiB are claimed, nothing is lost
istiod_forget
expect_ok istiod_says '{"end": ""}'
wait_for 5 istiod_seen '.type == "Address" and .claims > 20000 and .bytes < 4194304'
wait_for $patience synced
has $((workloads + 5)) || fail "lost on the way back"
expect_eq "$(says near web.shop 80)" ok "near"

# ---- changes of it: one more, and another address for one of a hundred
expect_ok istiod_says '{"put": {"workloads": [{"name": "late", "namespace": "shop", "workloadIps": ["10.244.9.9"]}]}}'
wait_for $patience has $((workloads + 6))
says_how "one more"
count=$(status .mesh.applied)
generate ', "moved": 100'
wait_for $patience moved
says_how "1 % of them"
wait_for 60 settled
echo "resident: $before KB with a small mesh, peak $peak KB at the start," \
	"$(memory VmHWM) KB with changes, $(memory VmRSS) KB steady; $(tables) KB of tables in the kernel"
((peak < workloads * 6 / 5 + 40000)) || fail "the peak is $peak KB"
