#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The clocks of both nodes jump more than a day forwards, and back again, and one of them alone: open
# connections live on; certificates that are past or of the future by then are replaced by themselves,
# once; new connections work, by tunnels that stand and by new ones. While clocks differ by a day, new
# tunnels between them are refused and say why.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

command -v "${CC:=gcc}" >/dev/null || skip "no C compiler for the clock"
tried=0
"$CC" -D_GNU_SOURCE -O1 -shared -fPIC -o "$peers_tmp/clock.so" "$ROOT/selftests/faults/clock.c" ||
	fail "cannot build the clock"
cat >"$peers_tmp/weftd" <<EOF
#!/bin/bash
node=node2
[[ \$* != *node1* ]] || node=node1
CLOCK_OFFSET="$peers_tmp/\$node" LD_PRELOAD="$peers_tmp/clock.so" exec "$WEFTD" "\$@"
EOF
chmod +x "$peers_tmp/weftd"
LAB_OPTIONS=(--weftd "$peers_tmp/weftd")

jump() { # SECONDS NODE...: from the true time
	local node seconds=$1
	shift
	for node; do
		python3 -c 'import os, struct, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.pwrite(fd, struct.pack("=q", int(sys.argv[2])), 0)' "$peers_tmp/$node" "$seconds"
	done
}
DAY=$((25 * 3600))
jump 0 node1 node2

lab_up - < <(crew)
ip=$(ip_of server)
wait_for 10 peer client who server 80
hold tunnel client "$ip" 9000
hold direct near "$ip" 9000
lives() {
	hold_ok tunnel
	hold_ok direct
}
expect_eq "$(weft_json node2 certs | jq '.certs | length')" 1 "identities of node2"

rotations() {
	weft_json "$1" certs | jq '[.certs[].rotations] | add'
}
fits() { # NODE SECONDS: all its certificates hold at that time, and are ready
	weft_json "$1" certs | jq -e --argjson now "$(($(date +%s) + $2))" \
		'all(.certs[]; .state == "ready" and .not_before_s <= $now and .not_after_s > $now)' \
		>/dev/null
}
works() {
	peer client -t 5 who server 80 && peer near -t 5 who server 80
}

# ---- both forwards, and back
for to in $DAY 0; do
	before="$(rotations node1) $(rotations node2)"
	jump "$to" node1 node2
	lives
	for node in node1 node2; do
		wait_for 15 fits "$node" "$to"
	done
	wait_for 15 works
	lives
	read -r one two <<<"$before"
	# once each; one more if the jump came in the middle of it
	for what in "node1 $one" "node2 $two"; do
		read -r node n <<<"$what"
		(($(rotations "$node") - n <= 2)) || fail "$node: $(rotations "$node") renewals, $n before"
	done
	tried=$((tried + 1))
done

# ---- one alone, so far that no tunnel that stands has certificates for it: a connection that needs a new
# one fails, with the reason
jump $((3 * DAY)) node2
wait_for 15 fits node2 $((3 * DAY))
apart() {
	! peer client -t 5 who server 80
}
wait_for 15 apart
lives
expect_ok peer near -t 5 who server 80
said() {
	grep -qE 'error="tls_failed: .*(not yet valid|expired)' "$LAB_DIR"/node[12]/access.log ||
		grep -qE '(not yet valid|expired)' "$LAB_DIR"/node[12]/weftd.log
}
wait_for 5 said
jump 0 node2
wait_for 15 fits node2 0
wait_for 15 works
lives
tried=$((tried + 1))
echo "fault: clocks that jump: $tried tried, $tried survived, 0 lost"
