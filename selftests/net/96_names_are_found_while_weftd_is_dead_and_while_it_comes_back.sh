#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names are no traffic of the mesh: a pod whose weftd was killed, or ended in peace, asks its nameserver
# directly, at once, over UDP and TCP, IPv4 and IPv6, and gets the mesh's names again when weftd is back. A
# client that asks all the time loses no question in any of that.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/names.sh"

lab_up - <<EOF
nodes: [node1]
pods:
  - {name: web, node: node1, labels: {app: web}, command: exec $PEER serve 9000}
  - {name: client, node: node1}
services:
  - {name: web, ports: {80: 9000}, selector: {app: web}}
EOF
nameserver

own() {
	[[ $(short client "@$NS4" web) == 10.96.* ]]
}

foreign() {
	local server way
	for server in "$NS4" "$NS6"; do
		for way in +notcp +tcp; do
			expect_eq "$(short client "$way" "@$server" www.example.test)" 192.0.2.7 "$1: $way @$server"
		done
	done
	expect_eq "$(resolve client getent ahostsv4 www.example.test | awk '{ print $1; exit }')" 192.0.2.7 \
		"$1: getent"
}

# dns.py watch, and a socket that stays connected all the time
mkfifo "$names_tmp/ask"
# shellcheck disable=SC2086 # words
pod client $DNS watch "$NS4" www.example.test "$names_tmp/stop" >"$names_tmp/watch" 2>&1 &
# shellcheck disable=SC2086 # words
pod client $DNS held "$NS4" www.example.test <"$names_tmp/ask" >"$names_tmp/held" 2>&1 &
exec {held}>"$names_tmp/ask"
wait_for 5 grep -q watching "$names_tmp/watch"
wait_for 5 grep -q ready "$names_tmp/held"

held_said() {
	(($(wc -l <"$names_tmp/held") > $1))
}

# held_says NUMBER TEXT: what the connected socket gets for its question of that number
held_says() {
	echo ask >&"$held"
	wait_for 7 held_said "$1"
	expect_eq "$(sed -n "$(($1 + 1))p" "$names_tmp/held")" "$2" "a socket from before"
}

wait_for 5 own
foreign "with weftd"
held_says 1 rcode=0

lab kill node1
direct=$(event node1 dns_direct 2>/dev/null) # no weftd, no answer: 0
expect_eq "${direct:-0}" 0 "questions that went around weftd"
foreign "after kill -9"
expect_foreign client web "a name that only weftd knows"
# of a pod that goes away meanwhile nothing is left
gone=(01 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00)
expect_ok bpftool map update pinned "$(pins node1)/weft_dns" key hex "${gone[@]}" value hex "${gone[@]}"
# it is told, and so opens another one
held_says 2 error=ConnectionRefusedError
lab start node1 >/dev/null
wait_for 5 own
foreign "with weftd again"
expect_fail bpftool map lookup pinned "$(pins node1)/weft_dns" key hex "${gone[@]}"
# the address that it was given stands for the same nameserver
held_says 3 rcode=0

lab stop node1 >/dev/null
foreign "after the end"
lab start node1 >/dev/null
wait_for 5 own
for ((i = 0; i < 3; i++)); do
	lab kill node1
	foreign "after kill $i"
	lab start node1 >/dev/null
	wait_for 5 own
done

# out of the mesh and in again
unenrol node1 client
map_is_empty node1 weft_dns || fail "nameservers of a pod that has left"
foreign "not in the mesh"
expect_foreign client web "a name of the mesh, outside of it"
enrol node1 client
wait_for 5 own
foreign "in the mesh again"

: >"$names_tmp/stop"
wait_for 10 grep -q asked= "$names_tmp/watch"
line=$(tail -n 1 "$names_tmp/watch")
[[ $(field asked "$line") -ge 100 ]] || fail "asked too little: $line"
expect_eq "$(field lost "$line")" 0 "questions without an answer: $line"
