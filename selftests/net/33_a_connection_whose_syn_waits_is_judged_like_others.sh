#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With TCP Fast Open a program may connect and leave the SYN for its first bytes: the connect hook has decided
# long before anything is sent. A policy that denies it in between holds for it, also one that looks at
# addresses; what is not denied goes on.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

wait_py=$peers_tmp/wait.py
cat >"$wait_py" <<'EOF2'
import os, socket, sys, time
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, 34, 1) # TCP_FASTOPEN_NO_COOKIE
s.setsockopt(socket.IPPROTO_TCP, 30, 1) # TCP_FASTOPEN_CONNECT
s.settimeout(5)
s.connect((sys.argv[1], 9000))
print("connected", flush=True)
sys.stdin.readline()
try:
    s.sendall(b"hold\n")
    print(s.recv(100).decode().split()[0], flush=True)
except (OSError, IndexError) as e:
    print("E", e, flush=True)
EOF2

# waiting NAME POD: a connection whose SYN is not sent
waiting() {
	local in
	mkfifo "$peers_tmp/$1.in"
	pod "$2" python3 "$wait_py" "$(ip_of web)" <"$peers_tmp/$1.in" >"$peers_tmp/$1.out" &
	background+=($!)
	exec {in}>"$peers_tmp/$1.in"
	go[$1]=$in
	wait_for 10 grep -q connected "$peers_tmp/$1.out" || fail "$1: $(cat "$peers_tmp/$1.out")"
}
has_more() {
	(($(wc -l <"$peers_tmp/$1.out") > 1))
}
# sent NAME: what became of it when it was sent
sent() {
	echo >&"${go[$1]}"
	wait_for 10 has_more "$1" || fail "$1: nothing came"
	tail -n 1 "$peers_tmp/$1.out"
}
declare -A go=()

policies='[]'
shop_up
expect_eq "$(says near "$(ip_of web)" 9000)" ok "near"
for who in near near-stranger; do
	waiting "$who" "$who"
	pod "$who" ss -Htn state syn-sent | grep -q 9000 || skip "connect() does not leave the SYN for later here"
done
waiting other near-stranger

# The other family is not denied, so no verdict holds for all connections of the two.
policies="[{name: address, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{sourceIps: [$(ip_of near-stranger)/32]}]]]}]"
shop_apply
line=$(sent near-stranger)
[[ $line == E* ]] || fail "near-stranger got in by its address: \"$line\""
expect_eq "$(sent near)" web "near"

# And for the whole pair.
policies='[{name: strangers, namespace: shop, scope: Namespace, action: Deny, rules: [[[{namespaces: [other]}]]]}]'
shop_apply
line=$(sent other)
[[ $line == E* ]] || fail "other got in: \"$line\""
