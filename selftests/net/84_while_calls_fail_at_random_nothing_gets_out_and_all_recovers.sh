#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# While one of a hundred calls of weftd fails (no memory, no descriptors, no room in epoll or in
# maps, interrupted), and while pods come and go and policies change, it lives, lets nothing out in
# plain text and nobody in who is not allowed; afterwards all is as before, and nothing has leaked.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

FAULTY=$BUILD/faults/weftd
[[ -x $FAULTY ]] || skip "not built: make faults-weftd"
SECONDS_OF=${FAULT_SECONDS:-8}
cat >"$peers_tmp/weftd" <<EOF
#!/bin/bash
export WEFT_FAULTS_SEED=${FAULT_SEED:-1} WEFT_FAULTS_EVERY=${FAULT_EVERY:-100} WEFT_FAULTS_REPORT=$peers_tmp/report
exec $FAULTY "\$@"
EOF
chmod +x "$peers_tmp/weftd"
LAB_OPTIONS=(--weftd "$peers_tmp/weftd")

lab_file() {
	crew
	cat <<-EOF
	policies:
	  - name: members
	    namespace: default
	    scope: Global
	    action: Allow
	    rules: [[[{namespaces: [default]}]]]
	EOF
}
lab_up - < <(lab_file)
ip=$(ip_of server)
works() {
	peer client who server 80 && peer near who server 80
}
wait_for 5 works
expect_fail peer outsider -t 2 who "$ip" 9000
pids=("$(pid_of node1)" "$(pid_of node2)")

"$WEFT" lab --name "$LAB" exec @node2 -- tcpdump -i eth0 -nlU --immediate-mode \
	"tcp[tcpflags] & tcp-syn != 0 and src host $(ip_of client) and not dst port 15008" \
	>"$peers_tmp/syns" 2>"$peers_tmp/tcpdump" &
background+=($!)
disown
wait_for 10 grep -q 'listening on' "$peers_tmp/tcpdump"

fds() {
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}
before=("$(fds "${pids[0]}")" "$(fds "${pids[1]}")")

tried=0 ok=0
attempt() {
	tried=$((tried + 1))
	"$@" >/dev/null 2>&1 && ok=$((ok + 1))
}
kill -USR1 "${pids[@]}"
end=$(($(now_ms) + SECONDS_OF * 1000))
while (($(now_ms) < end)); do
	attempt peer client -t 2 who server 80
	attempt peer near -t 2 who server 80
	attempt peer client -t 2 both 300000 server 80
	! peer outsider -t 2 who "$ip" 9000 >/dev/null 2>&1 || fail "a stranger got through"
	weft_on node1 pod unenrol default/near >/dev/null 2>&1
	weft_on node1 pod enrol default/near --netns "/var/run/netns/$LAB-default-near" >/dev/null 2>&1
	weft_on node1 reload >/dev/null 2>&1
	for pid in "${pids[@]}"; do
		[[ -d /proc/$pid ]] || fail "weftd has died"
	done
done
kill -USR2 "${pids[@]}"

# ---- it recovers by itself; who asked for an enrolment that failed asks again
enrol node1 near || fail "near cannot be enrolled"
expect_ok weft_on node1 reload
expect_ok weft_on node2 reload
wait_for 20 works
expect_fail peer outsider -t 2 who "$ip" 9000
expect_ok peer client both 3000000 server 80
expect_eq "$(cat "$peers_tmp/syns")" "" "SYNs of client that are not for a tunnel"
few_fds() {
	local i now
	for i in 0 1; do
		now=$(fds "${pids[i]}")
		((now <= before[i] + 8)) || { echo "$now descriptors, ${before[i]} before"; return 1; }
	done
}
wait_for 30 few_fds
injected=$(od -An -v -t u8 "$peers_tmp/report" | awk '{ for (i = 1; i <= NF; i++) n += $i } END { print n }')
((injected > 20)) || fail "only $injected calls failed"
echo "$injected calls failed, $ok of $tried connections worked meanwhile"
