#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a person sees of weft connections -w in a terminal, wide and narrow: pod, peer, path,
# identity, bytes, rate and age of direct and tunnelled connections, until they press q.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

command -v tmux >/dev/null || skip "no tmux"

term() {
	tmux -L "weft-$LAB-44" -f /dev/null "$@"
}

term_end() {
	local code=$?
	term kill-server 2>/dev/null
	(exit "$code")
	telemetry_end
}
trap term_end EXIT

screen() {
	term capture-pane -t "$1" -p
}

shows() {
	screen "$1" | grep -Eq "$2" || { screen "$1"; return 1; }
}

telemetry_up
wire direct client near 80
wire hbone client far 80
echo_always() {
	while :; do
		wire_echo direct 5000
		wire_echo hbone 5000
		tick 0.05
	done
}
echo_always 2>/dev/null &
pids+=($!)
disown $!

bytes='[0-9.]+ k?M?B'
rate="$bytes/s"
age='[0-9]+m?s'

term new-session -d -s wide -x 120 -y 40 "$WEFT" --socket "$(socket node1)" connections -w
wait_for 10 shows wide "^default/client +out +default/near:80 +direct +.*sa/near +$bytes +$bytes +$rate +$age +[0-9.]+ms"
wait_for 10 shows wide "^default/near +in +default/client +direct +.*sa/client +$bytes +$bytes +$rate +$age +[0-9.]+ms"
wait_for 10 shows wide "^default/client +out +default/far:80 +hbone +.*sa/far +$bytes +$bytes +$rate +$age +-"
expect_ok shows wide '^2 connections, [0-9.]+ kB/s   \(q ends\)'
expect_ok shows wide '^POD +DIR +PEER +PATH +IDENTITY +SENT +RECEIVED +RATE +AGE +RTT'

term new-session -d -s narrow -x 80 -y 24 "$WEFT" --socket "$(socket node1)" connections -w
wait_for 10 shows narrow "^client +out +near:80 +direct +default/near +$bytes +$rate +$age\$"
wait_for 10 shows narrow "^client +out +far:80 +hbone +default/far +$bytes +$rate +$age\$"
expect_ok shows narrow '^POD +DIR +PEER +PATH +IDENTITY +BYTES +RATE +AGE$'

term new-session -d -s one -x 120 -y 40 "$WEFT" --socket "$(socket node1)" connections -w \
	--pod default/near
wait_for 10 shows one '^1 connection of default/near, '
screen one | grep -q hbone && fail "--pod default/near shows others: $(screen one)"

# without a terminal it is plain text, one picture a second
out=$(timeout 3 "$WEFT" --socket "$(socket node1)" connections -w </dev/null)
grep -q $'\e' <<<"$out" && fail "escapes without a terminal"
grep -Eq "^default/client +out +default/near:80 +direct .*$rate" <<<"$out" || fail "no rate: $out"

# a connection that ends goes away, and so does the screen with q or Ctrl-C
wire_end hbone
wait_for 10 shows narrow '^1 connection, '
gone() {
	! term has-session -t "$1" 2>/dev/null
}
term send-keys -t narrow q
wait_for 5 gone narrow
term send-keys -t wide C-c
wait_for 5 gone wide
lab stop node1 >/dev/null || fail "weft lab stop"
wait_for 5 gone one
