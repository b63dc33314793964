#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 20000 workloads behind 200 services come and go; open connections go on, new ones are made, and
# nothing is left behind in the kernel. Prints times and memory. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

mesh=$LAB_DIR/mesh.yaml

# grown REVISION: the small mesh and 20000 workloads
grown() {
	awk -v revision="$1" '
	{ print }
	/^workloads:/ {
		for (i = 0; i < 20000; i++)
			printf "  - {name: w-%d, namespace: big, serviceAccount: sa-%d, " \
				"workloadIps: [10.%d.%d.%d, \"fd00:b:%x::%x\"], protocol: HBONE, " \
				"node: far-away-%d, canonicalName: app-%d, canonicalRevision: v%d, " \
				"services: {big/s-%d.big.svc.cluster.local: {80: 8080}}}\n",
				i, i % 500, 64 + i / 65536, i / 256 % 256, i % 256, i / 256, i % 256,
				i % 100, i % 200, i == 777 ? revision : 1, i % 200
	}
	/^services:/ {
		for (i = 0; i < 200; i++)
			printf "  - {name: s-%d, namespace: big, hostname: s-%d.big.svc.cluster.local, " \
				"vips: [/10.97.0.%d], ports: {80: 8080}}\n", i, i, i
	}' "$LAB_DIR/small.yaml" >"$mesh.new"
}

rss_kb() {
	awk '$1 == "VmRSS:" { print $2 }' "/proc/$(pid_of "$1")/status"
}

put() {
	mv "$mesh.new" "$mesh"
}

timed_change() {
	local what=$1 begin
	shift
	begin=$(now_ms)
	mesh_change put
	echo "$what: $(($(now_ms) - begin)) ms until both nodes have it, weftd of node1 $(rss_kb node1) kB"
	hold_ok near
	hold_ok far
}

entries() {
	metric node1 "weft_map_entries{map=\"$1\"}"
}

shop_up
cp "$mesh" "$LAB_DIR/small.yaml"
hold near near web.shop 80
hold far far web.shop 80
addrs=$(entries weft_addrs)
slots=$(entries weft_slots)
echo "5 workloads: weftd of node1 $(rss_kb node1) kB"

# a simple command, so that its pid is that of the client
"$WEFT" lab --name "$LAB" exec far -- /usr/bin/python3 -S -c '
import signal, socket, sys
made = 0
def end(*_):
    print(made)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
while True:
    with socket.create_connection((sys.argv[1], 9000), 20) as s:
        if not s.recv(100):
            sys.exit("no answer")
    made += 1
' "$(ip_of web)" >"$peers_tmp/made" 2>"$peers_tmp/lost" &
clients=$!
background+=("$clients")

grown 1
timed_change '20000 workloads'
expect_eq "$(weft_json node1 status | jq -c '[.mesh.workloads, .mesh.services]')" '[20005,201]' "the mesh"
expect_eq "$(entries weft_addrs)" $((addrs + 40000 + 200)) "addresses in the kernel"
expect_eq "$(entries weft_slots)" $((slots + 20000)) "endpoints in the kernel"
grown 2
timed_change 'one workload of them changed'
weft_json node2 workloads | jq -e '.workloads | length == 20005' >/dev/null || fail "weft workloads"
for ((i = 0; i < 3; i++)); do
	grown "$((i + 3))"
	timed_change 'and again'
done
cp "$LAB_DIR/small.yaml" "$mesh.new"
timed_change '5 workloads again'
expect_eq "$(entries weft_addrs)" "$addrs" "addresses in the kernel"
expect_eq "$(entries weft_slots)" "$slots" "endpoints in the kernel"

kill "$clients"
wait "$clients" || fail "a new connection failed: $(cat "$peers_tmp/lost")"
echo "$(cat "$peers_tmp/made") connections were made meanwhile"
! grep -q 'cannot write' "$LAB_DIR"/*/weftd.log || fail "a map was full"
