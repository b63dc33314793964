#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 5,000 connections of one client in tunnels to one server are open at once and work; afterwards
# nothing is left of them.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

count=5000
(($(ulimit -H -n) >= 3 * count)) || skip "needs $((3 * count)) open files"
ulimit -n "$(ulimit -H -n)"
relay_lab_up

# Descriptors of a weftd; tunnels stay for a while, for the next connections.
open_files() { # NODE
	local all tunnels
	all=$(find "/proc/$(weft_json "$1" status | jq .pid)/fd" -mindepth 1 | wc -l)
	tunnels=$(weft_json "$1" status | jq '.tunnels.client + .tunnels.server')
	echo $((all - tunnels))
}
as_before() {
	expect_eq "$(open_files node1) $(open_files node2)" "$files1 $files2" "open files"
}

expect_ok relay client upload "$FAR4" 20 100000
before1=$(rss node1) before2=$(rss node2)
files1=$(open_files node1) files2=$(open_files node2)
relay client hold "$FAR4" $count "$WORK/told" "$WORK/go" &
pid=$!
wait_for 40 test -e "$WORK/told"
for node in node1 node2; do
	expect_eq "$(open_connections $node hbone)" $count "open connections of $node"
done
now1=$(rss node1) now2=$(rss node2)
touch "$WORK/go"
wait $pid || fail "the connections do not work any more"
for node in node1 node2; do
	wait_for 10 no_connections $node
done
wait_for 10 as_before
echo "weftd of node1: $before1 KiB, $now1 with $count connections, $(rss node1) afterwards"
echo "weftd of node2: $before2 KiB, $now2 with $count connections, $(rss node2) afterwards"
# 10 KiB for each of them, and something for the tunnels
((now1 - before1 < 10 * count && now2 - before2 < 10 * count)) || fail "weftd grew too much"
