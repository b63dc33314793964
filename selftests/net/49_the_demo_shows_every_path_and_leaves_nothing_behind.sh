#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weft demo without a terminal ends by itself with a summary; in one it draws a picture that fits
# 80 columns, until Ctrl-C. Both remove all they made.
. "$(dirname "$0")/lib.sh"

command -v tmux >/dev/null || skip "no tmux"
for program in redis-server redis-cli iperf3 python3 curl; do
	command -v $program >/dev/null || skip "no $program"
done

tmp=$(mktemp -d)
term() {
	tmux -L "weft-$LAB-49" -f /dev/null "$@"
}

demo_end() {
	local code=$?
	term kill-server 2>/dev/null
	[[ $tmp == /tmp/* ]] && rm -rf "$tmp"
	(exit "$code")
	lib_end
}
trap demo_end EXIT

traces() {
	ip netns list | awk -v p="$LAB-" 'index($1, p) == 1 { print "netns", $1 }'
	find "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)" -maxdepth 1 \
		-name "$LAB-lab"
	find "/run/$LAB" "/sys/fs/bpf/$LAB" 2>/dev/null
	true
}

lab_down
lib_lab_stands=1 # a demo that hangs leaves one
before=$(traces)

# -- without a terminal
"$WEFT" demo --name "$LAB" --weftd "$WEFTD" --duration 8 >"$tmp/out" 2>&1 </dev/null ||
	fail "exit code $?: $(cat "$tmp/out")"
grep -q $'\e' "$tmp/out" && fail "escapes without a terminal: $(cat -v "$tmp/out")"
summary=$(sed -n '/^Weft demo: /,$p' "$tmp/out")
grep -Eq '^Weft demo: [0-9]+s$' <<<"$summary" || fail "no summary: $(cat "$tmp/out")"
for path in direct hbone plain; do
	grep -Eq "^$path +[1-9][0-9]* +[0-9.]+ [kM]?B +[0-9]+\$" <<<"$summary" ||
		fail "no traffic on path $path: $summary"
done
grep -Eq '^ +denied [0-9]+ x +demo/intruder -> demo/echo-1 +demo/no-intruder$' <<<"$summary" ||
	fail "nobody was denied: $summary"
grep -q 'is down' <<<"$summary" || fail "no word about the end: $summary"
expect_eq "$(traces)" "$before" "after the demo"

# -- in a terminal
screen() {
	term capture-pane -t demo -p
}
shows() {
	screen | grep -Eq "$1" || { screen; return 1; }
}
term new-session -d -s demo -x 120 -y 40 "$WEFT" demo --name "$LAB" --weftd "$WEFTD"
wait_for 30 shows '^Weft demo  [0-9]+s  Ctrl-C ends it'
for node in 1 2; do
	wait_for 10 shows "^node$node 172.31.250.$node  ready  open [0-9]+, opened [0-9]+  tunnels [0-9]+ out, [0-9]+ in  weftd [0-9.]+ MB\$"
done
wait_for 10 shows '^ +pods +\[mesh\] echo-1 \[mesh\] client-a'
wait_for 10 shows '\[-\] outsider'
wait_for 10 shows '^ +direct +client-a +echo-1 +echo.demo.svc.cluster.local +[0-9.]+ kB +[0-9.]+ [kM]B'
wait_for 10 shows '^ +hbone out +client-b +iperf '
wait_for 10 shows '^ +hbone in +client-b +iperf '
wait_for 10 shows '^ +plain in +outsider +echo-1 '
wait_for 10 shows '^ +denied [0-9]+ x +demo/intruder -> demo/echo-1 +demo/no-intruder'
wait_for 10 shows '^metrics +weft lab .*/metrics$'

# a smaller window: all of a node's line is there, and both nodes are
term resize-window -t demo -x 80 -y 24
wait_for 10 shows '^ +PATH +SOURCE +DESTINATION +BYTES/S +BYTES +AGE$'
for node in 1 2; do
	wait_for 10 shows "^node$node 172.31.250.$node  ready  open [0-9]+, opened [0-9]+  tunnels [0-9]+ out, [0-9]+ in"
done
wait_for 10 shows '^ +and [0-9]+ more'

term send-keys -t demo C-c
gone() {
	! term has-session -t demo 2>/dev/null
}
wait_for 15 gone
expect_eq "$(traces)" "$before" "after Ctrl-C"
