#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a machine crash of everything but the kernel leaves behind does not stop the next lab.
. "$(dirname "$0")/lib.sh"

[[ -x $WEFTD ]] || LAB_OPTIONS=(--no-weftd)

lab_file() {
	cat <<-'EOF'
	nodes: [node1, node2]
	pods:
	  - {name: server, node: node1, labels: {app: server}, command: [nc, -lk, -p, "9000"]}
	  - {name: client, node: node2, command: "exec tail -f /dev/null"}
	services:
	  - {name: server, ports: {80: 9000}, selector: {app: server}}
	EOF
}

cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/$LAB-lab

everything_is_dead() {
	grep -q 'populated 0' "$cgroup/cgroup.events"
}

lab_up - < <(lab_file)
mapfile -t pids < <(find "$cgroup" -name cgroup.procs -exec cat {} +)
kill -9 "${pids[@]}"
wait_for 5 everything_is_dead

lab_up - < <(lab_file)
wait_for 5 pod client nc -z "$(lab status -o json |
	jq -r '.pods[] | select(.name == "server") | .ips[0]')" 9000
expect_ok lab status

# killed in the middle of coming up: no record says that it is complete
for step in 1 2 3 4; do
	lab_down
	"$WEFT" lab --name "$LAB" up "${LAB_OPTIONS[@]}" - >/dev/null 2>&1 < <(lab_file) &
	pid=$!
	for ((i = 0; i < step; i++)); do tick 0.005; done
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	lib_lab_stands=1
	# it was faster than the kill: nothing to see this time
	grep -qs '"complete": true' "$LAB_DIR/state.json" && continue
	lab_up - < <(lab_file)
done
expect_ok lab status
