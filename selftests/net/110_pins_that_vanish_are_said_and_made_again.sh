#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The bpffs is unmounted under a running weftd, or its folder of pins emptied: traffic goes on and
# strangers stay out; status, check and a metric say it; the pins come back as soon as there is a
# bpffs, so that a kill -9 still leaves pods closed. Without one, pods are open from the end of weftd
# on, unless some mount namespace still has the old one, and the next weftd mounts one, closes them, and
# takes the old hooks away.
#
# In a mount namespace of its own: the machine's bpffs, and other labs' pins, are not touched.
if [[ ${IN_OWN_MOUNTS:-} != 1 ]]; then
	exec env IN_OWN_MOUNTS=1 unshare --mount --propagation private "$BASH" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

is_bpffs() {
	[[ $(stat -f -c %T /sys/fs/bpf) == bpf_fs ]]
}
unmount() {
	while is_bpffs; do
		umount -l /sys/fs/bpf || fail "cannot unmount the bpffs"
	done
}
unmount
mount -t bpf bpf /sys/fs/bpf || skip "cannot mount a bpffs"

lab_up - <<EOF
$(crew)
policies:
  - {name: members, namespace: default, scope: Global, action: Allow, rules: [[[{namespaces: [default]}]]]}
EOF
ip=$(ip_of server)
works() {
	peer client -t 5 who server 80 && peer near -t 5 who server 80
}
closed() { # does the server's pod let no stranger in?
	! peer outsider -t 2 who "$ip" 9000
}
left() {
	find "$(pins node1)" -mindepth 1 2>/dev/null | sed 's|.*/||' | sort | tr '\n' ' '
}
all_pins() {
	is_bpffs && [[ $(left) == "$at_first" ]]
}
link_ids() {
	local path
	for path in "$(pins node1)"/link_*; do
		bpftool -j link show pinned "$path" | jq -r --arg name "${path##*/}" '"\($name) \(.id)"'
	done
}
says() { # TEXT of status, check and metric; empty: all is well
	local status check
	status=$(weft_json node1 status | jq -r .pins.error)
	check=$(weft_json node1 check |
		jq -r '.checks[] | select(.group == "daemon" and .name == "pins") | .state + " " + .text')
	if [[ $1 ]]; then
		[[ $status == *"$1"* && $check == "fail "*"$1"* && $(metric node1 weft_pins_missing) == 1 ]]
	else
		[[ ! $status && $check == "ok "* && $(metric node1 weft_pins_missing) == 0 ]]
	fi
}
tried=0
said_and_closed() { # WHAT
	tried=$((tried + 1))
	expect_ok works
	expect_ok closed
	hold_ok direct
	hold_ok tunnel
}

wait_for 5 works
expect_ok closed
at_first=$(left)
ids=$(link_ids)
hold direct near "$ip" 9000
hold tunnel client "$ip" 9000
expect_ok says ""

# ---- emptied: made again at once
rm -r "/sys/fs/bpf/$LAB/node1"
expect_ok closed
wait_for 15 all_pins
expect_eq "$(link_ids)" "$ids" "links after their pins were removed"
said_and_closed

# ---- unmounted: said, and made again when there is a bpffs
unmount
said_and_closed
wait_for 15 says "no bpffs at /sys/fs/bpf"
"$WEFT" --socket "$LAB_DIR/node1/weftd.sock" status | grep -q 'Pins .*no bpffs' || fail "weft status"
# a pod that would be open from the end of weftd on is not enrolled
unenrol node1 near
out=$(weft_on node1 pod enrol default/near --netns "/var/run/netns/$LAB-default-near" 2>&1) &&
	fail "a pod is enrolled without pins"
[[ $out == *"the folder of pins is gone"* ]] || fail "enrolment: $out"
mount -t bpf bpf /sys/fs/bpf
wait_for 15 says ""
enrol node1 near
wait_for 15 all_pins
said_and_closed

# ---- and they are worth something
expect_ok lab kill node1
expect_ok closed
expect_ok peer near who "$ip" 9000
expect_ok lab start node1
wait_for 10 works
expect_ok closed
expect_eq "$(left)" "$at_first" "pins after a restart"
expect_eq "$(weft_json node1 pods | jq '.pods | length')" 2 "pods after a restart"
hold_ok direct

# ---- a pod that could not be enrolled again, and so is only kept closed by its pins
expect_ok lab kill node1
serve_in near 15008
wait_for 5 pod near sh -c 'ss -Htln sport = :15008 | grep -q .'
expect_ok lab start node1
expect_eq "$(weft_json node1 pods | jq '.pods | length')" 1 "pods while the port is taken"
unmount
wait_for 15 says "no bpffs"
mount -t bpf bpf /sys/fs/bpf
wait_for 15 all_pins
tried=$((tried + 1))
kill "${background[-1]}"
enrolled_again() {
	[[ $(weft_json node1 pods | jq '.pods | length') == 2 ]]
}
wait_for 15 enrolled_again
wait_for 10 works

# ---- a start without a bpffs
unmount
wait_for 15 says "no bpffs"
expect_ok lab kill node1
# Pods of the lab have mounts of their own, and so the old bpffs and its hooks outlive even this: a new
# weftd must take its place beside hooks that no path leads to.
peer outsider -t 2 who "$ip" 9000 && fail "here the old hooks were expected to stay"
expect_ok lab start node1
wait_for 10 works
expect_ok closed
expect_ok is_bpffs
expect_eq "$(left)" "$at_first" "pins after a start without a bpffs"
hooks() { # programs of ours on the hooks' control group
	bpftool -j cgroup show "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)/$LAB-lab/node1" |
		jq '[.[] | select(.name | startswith("weft_"))] | length'
}
expect_eq "$(hooks)" 9 "hooks after a start beside hooks without pins"
tried=$((tried + 1))
wait_for 15 says ""
echo "fault: pins vanish: $tried tried, $tried survived, 0 lost"
