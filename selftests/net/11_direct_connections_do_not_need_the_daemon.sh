#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two pods of one node, allowed: the kernel alone carries the bytes. weftd is stopped while
# hundreds of MB go over new connections, and while it runs it does not touch them either.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000 9001}
  - {name: client, node: node1}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
EOF

pid=$(pid_of node1)
ip=$(ip_of server)

# what weftd read and wrote by system calls, splice and sendfile apart
io_bytes() {
	awk '/^[rw]char/ { sum += $2 } END { print sum }' "/proc/$pid/io"
}

worker_events() {
	weft_json node1 status | jq '[.workers[].events] | add'
}

wait_for 5 peer client who "$ip" 9000

# a declared port is direct from the first connection on, another one after the first
expect_ok peer client who "$ip" 9001
before=$(event node1 connect_direct)
line=$(peer client who "$ip" 9001) || fail "port 9001: $line"
line=$(peer client who server 80) || fail "service: $line"
expect_eq $(($(event node1 connect_direct) - before)) 2 "direct connections"
expect_eq "$(field seen "$line")" "$(field own "$line")" "direct: the client's address"
expect_eq "$(field at "$line")" "$ip:9000" "direct: the server's address"

# new connections with a lot of bytes, daemon stopped
before=$(event node1 connect_direct)
kill -STOP "$pid"
for what in up down; do
	for port in 9000 9001; do
		out=$(peer client $what 100000000 "$ip" $port) ||
			fail "$what to $port with weftd stopped: $out"
	done
done
out=$(peer client both 50000000 server 80) || fail "both ways by VIP, weftd stopped: $out"
kill -CONT "$pid"

# and with the daemon awake: it neither copies nor splices
before_io=$(io_bytes)
before_events=$(worker_events)
expect_eq "$(peer client both 200000000 "$ip" 9000)" "both 200000000" "both ways"
[[ $(($(io_bytes) - before_io)) -lt 1000000 ]] || fail "weftd read or wrote the bytes"
[[ $(($(worker_events) - before_events)) -lt 20 ]] || fail "workers were busy with it"
expect_eq $(($(event node1 connect_direct) - before)) 6 "direct connections of 6 transfers"

# what it does know comes from the kernel
hold live client "$ip" 9000
hold_ok live
expect_eq "$(paths node1 | uniq -c | xargs)" "2 direct" "paths of the open connection"
bytes='istio_tcp_received_bytes_total{reporter="source",source_workload="client"'
[[ $(metric node1 "$bytes}") -gt 450000000 ]] || fail "bytes in the metrics: $(metric node1 "$bytes}")"
expect_fail map_is_empty node1 weft_approved
hold_end live

# the approvals went with their connections
wait_for 5 map_is_empty node1 weft_approved
wait_for 5 map_is_empty node1 weft_origdst
