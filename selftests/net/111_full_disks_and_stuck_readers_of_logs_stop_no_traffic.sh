#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The disk of both logs is full, or who reads them as a pipe does not read: connections are made and
# go on, lost lines are counted, and said as soon as there is room; no line is glued to a cut one;
# weftd can be stopped.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

disk=$peers_tmp/disk
pipe=$peers_tmp/pipe
tried=0

# node1 with its logs elsewhere: $peers_tmp/to says where
cat >"$peers_tmp/weftd" <<EOF
#!/bin/bash
[[ \$* == *node1* ]] || exec "$WEFTD" "\$@"
read -r where <"$peers_tmp/to"
case \$where in
disk) exec "$WEFTD" "\$@" --log_level debug --access_log "$disk/access.log" 2>>"$disk/weftd.log" ;;
pipe) exec "$WEFTD" "\$@" --log_level debug --access_log - 2>"$pipe" ;;
esac
EOF
chmod +x "$peers_tmp/weftd"
LAB_OPTIONS=(--weftd "$peers_tmp/weftd")

# shellcheck disable=SC2329 # by trap
ends() {
	local code=$?
	umount -l "$disk" 2>/dev/null
	(exit "$code")
	peers_end
}
trap ends EXIT

mkdir "$disk"
mount -t tmpfs -o size=64k tmpfs "$disk" || skip "cannot mount a tmpfs"
mkfifo "$pipe"
exec {reader}<>"$pipe"

lost() { # of node1's logs, both
	weft_json node1 status | jq -r '"\(.access_log.dropped) \(.log.dropped)"'
}
busy() { # lines for both logs
	peer client many 200 server 80 >/dev/null || fail "connections while the logs are stuck"
	kill -HUP "$(weft_json node1 status | jq .pid)"
}
loses() { # [log]: until both logs, or weftd's own one, lose lines
	local access log
	busy
	read -r access log <<<"$(lost)"
	(((access > 0 || $# > 0) && log > 0))
}
goes_on() {
	hold_ok tunnel
	hold_ok direct
	peer client -t 5 who server 80 && peer near -t 5 who server 80
}
counted() { # when it is over: metrics and status say the same
	local access log
	read -r access log <<<"$(lost)"
	expect_eq "$(metric node1 weft_access_log_dropped_total)" "$access" "lost lines of the access log"
	expect_eq "$(metric node1 weft_log_dropped_total)" "$log" "lost lines of the log"
	weft_on node1 status | grep -qE "^Log +$log lines lost" || fail "weft status"
}
# Each line has a time in front, and none in its middle.
whole() { # FILE
	! grep -avE '^(20[0-9-]+T[0-9:.]+Z	|$)' "$1" &&
		! grep -aE '.20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z	' "$1"
}

# ---- a full disk
echo disk >"$peers_tmp/to"
lab_up - < <(crew)
ip=$(ip_of server)
wait_for 5 peer client who server 80
hold direct near "$ip" 9000
hold tunnel client "$ip" 9000
wait_for 20 loses
expect_ok goes_on
# what was cut stays cut; the room is made behind it
cp "$disk/weftd.log" "$peers_tmp/cut"
truncate -s 0 "$disk/access.log" "$disk/weftd.log"
said() {
	grep -q 'lines of this log were lost: No space left' "$disk/weftd.log" &&
		grep -q 'lines of the access log were lost: No space left' "$disk/weftd.log"
}
wait_for 15 said
expect_ok goes_on
counted
has_new() {
	grep -q 'connection complete' "$disk/access.log"
}
wait_for 5 has_new
expect_ok whole "$disk/access.log"
expect_ok whole "$disk/weftd.log"
tried=$((tried + 1))
hold_end direct
hold_end tunnel

# ---- a pipe that nobody reads
echo pipe >"$peers_tmp/to"
expect_ok lab stop node1
expect_ok lab start node1
wait_for 10 peer client who server 80
hold direct near "$ip" 9000
hold tunnel client "$ip" 9000
wait_for 20 loses log
expect_ok goes_on
cat <&"$reader" >"$peers_tmp/read" &
cat=$!
said() {
	grep -aq 'lines of this log were lost: Resource temporarily' "$peers_tmp/read"
}
wait_for 20 said
expect_ok goes_on
counted
kill "$cat"
expect_ok whole "$peers_tmp/read"
tried=$((tried + 1))

# ---- and its end does not wait for a reader
more() {
	local access log
	read -r access log <<<"$(lost)"
	busy
	(($(lost | cut -d' ' -f2) > log))
}
wait_for 20 more
expect_ok timeout 10 "$WEFT" lab --name "$LAB" stop node1
tried=$((tried + 1))
cat <&"$reader" >"$peers_tmp/read" &
background+=($!)
expect_ok lab start node1
wait_for 10 peer client who server 80
echo "fault: logs that cannot be written: $tried tried, $tried survived, 0 lost"
