#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Once it runs, every thread of weftd has seven capabilities, a seccomp filter and no way to new
# privileges; traffic flows all the same. (What the filter refuses: selftests/unit/daemon_confine.c)
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

lab_up - <<EOF
nodes: [node1, node2]
pods:
  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
  - {name: client, node: node2}
services:
  - {name: server, ports: {80: 9000}, selector: {app: server}}
EOF
wait_for 5 peer client who server 80

# net_bind_service dac_override net_admin sys_ptrace sys_admin perfmon bpf
kept=$((1 << 10 | 1 << 1 | 1 << 12 | 1 << 19 | 1 << 21 | 1 << 38 | 1 << 39))

value() { # FIELD FILE
	awk -v field="$1:" '$1 == field { print $2 }' "$2"
}

confined() { # PID
	local task field n=0
	for task in /proc/"$1"/task/*/status; do
		n=$((n + 1))
		expect_eq "$(value NoNewPrivs "$task")" 1 "$task: no new privileges"
		expect_eq "$(value Seccomp "$task")" 2 "$task: seccomp filter"
		expect_eq "$(value CapInh "$task")" 0000000000000000 "$task: inheritable"
		expect_eq "$(value CapAmb "$task")" 0000000000000000 "$task: ambient"
		for field in CapEff CapPrm CapBnd; do
			((0x$(value $field "$task") & ~kept)) &&
				fail "$task: $field $(value $field "$task")"
		done
	done
	((n >= 3)) || fail "only $n threads"
}
pid=$(pid_of node1)
confined "$pid"
confined "$(pid_of node2)"

expect_ok peer client who server 80

# ---- the other way, for machines where that cannot be
expect_ok lab kill node1
printf '\nconfine: "off"\n' >>"$LAB_DIR/node1/weftd.yaml"
expect_ok lab start node1
expect_eq "$(value Seccomp "/proc/$(pid_of node1)/status")" 0 "seccomp with confine: off"
wait_for 10 peer client who server 80
