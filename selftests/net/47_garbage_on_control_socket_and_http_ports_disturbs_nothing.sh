#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Noise, half requests and floods on the control socket and the HTTP ports are refused by
# themselves: traffic, scrapes and readiness go on, and the daemon is the same afterwards.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

[[ -x /usr/bin/python3 ]] || skip "no /usr/bin/python3"

# flood PLACE N ADDRESS: N connections that stay open, each with half a request
cat >"$tmp/flood.py" <<'EOT'
import signal, socket, sys
n, to = int(sys.argv[1]), sys.argv[2]
host, _, port = to.partition(":")
held = []
for _ in range(n):
    s = socket.socket(socket.AF_INET if port else socket.AF_UNIX)
    s.settimeout(5)
    try:
        s.connect((host, int(port)) if port else host)
        s.send(b"GET /metrics HTTP/1.1\r\nHo" if port else b'{"cmd": "sta')
        held.append(s)
    except OSError:
        pass
print(len(held), flush=True)
signal.pause()
EOT
flood() {
	: >"$tmp/background.$1"
	background "$1" /usr/bin/python3 -S "$tmp/flood.py" "$2" "$3"
	wait_for 20 grep -Eq '^[0-9]+$' "$tmp/background.$1"
}

noise() {
	head -c "$1" /dev/urandom
}

http() {
	pod "$1" curl -sS -m 5 -o /dev/null -w '%{http_code}' "http://$2"
}

is_200() {
	[[ $(http "$@") == 200 ]]
}

answers() {
	jq -e .ok < <(weft_json node1 status)
}

telemetry_up
path=$(socket node1)
weftd=$(weft_json node1 status | jq .pid)
wire direct client near 80
wire hbone client far 80
echo_both() {
	wire_echo direct 20000
	wire_echo hbone 20000
}
echo_both

# -- the control socket
refused() {
	local out
	out=$(socat -t 5 - "UNIX-CONNECT:$path" 2>/dev/null) || true
	jq -es 'length >= 1 and all(.ok == false and (.error | length) > 5)' <<<"$out" >/dev/null ||
		fail "$1: answered \"${out:0:300}\""
}
refused "no JSON" <<<'hello'
refused "an array" <<<'[1, 2]'
refused "no cmd" <<<'{"command": "status"}'
refused "unknown cmd" <<<'{"cmd": "explode"}'
refused "cmd is a number" <<<'{"cmd": 7}'
refused "deep JSON" < <(head -c 100000 /dev/zero | tr '\0' '['; echo)
refused "bad arguments" <<<'{"cmd": "pod.enrol", "namespace": 3, "name": [], "netns": {}}'
refused "no such netns" <<<'{"cmd": "pod.enrol", "namespace": "a", "name": "b", "netns": "/nowhere"}'
refused "a line without an end" < <(printf '{"cmd": "status"')
refused "noise" < <(noise 100000; echo)
# cut off at 1 MB: who still writes may miss the answer
head -c 2000000 /dev/zero | tr '\0' x | socat - "UNIX-CONNECT:$path" >/dev/null 2>&1
expect_ok answers
out=$(printf '{"cmd":"status"}\n{"cmd":"nonsense"}\n{"cmd":"pods"}\n' | socat -t 5 - "UNIX-CONNECT:$path")
expect_eq "$(jq -c .ok <<<"$out" | tr '\n' ' ')" "true false true " "three requests in one write"
flood @node1 200 "$path"
flood_pid=$pid
echo_both
end_child "$flood_pid"
wait_for 10 answers

# -- HTTP
for port in 15020 15021; do
	noise 200000 | pod @fabric socat -t 2 - TCP4:172.31.250.1:$port >/dev/null 2>&1
	printf 'GET /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n' |
		pod @fabric socat -t 2 - TCP4:172.31.250.1:$port >/dev/null 2>&1
	{ printf 'GET /'; head -c 200000 /dev/zero | tr '\0' a; printf ' HTTP/1.1\r\n\r\n'; } |
		pod @fabric socat -t 2 - TCP4:172.31.250.1:$port >/dev/null 2>&1
	printf 'BREW / HTTP/1.1\r\nHost: pot\r\n\r\n' |
		pod @fabric socat -t 2 - TCP4:172.31.250.1:$port >/dev/null 2>&1
done
noise 200000 | pod @node1 socat -t 2 - TCP4:127.0.0.1:15000 >/dev/null 2>&1
expect_ok is_200 @fabric 172.31.250.1:15020/metrics
flood @fabric 200 172.31.250.1:15020
flood_pid=$pid
# the flood fills its own share: others scrape, and readiness has a port of its own
expect_ok is_200 @node1 127.0.0.1:15020/metrics
expect_ok is_200 @fabric 172.31.250.1:15021/healthz/ready
echo_both
end_child "$flood_pid"
wait_for 15 is_200 @fabric 172.31.250.1:15020/metrics

# -- nobody else may speak to the admin page
code=$(http @fabric 172.31.250.1:15000/config_dump 2>/dev/null)
expect_eq "$code" 000 "the admin page from outside"

expect_eq "$(weft_json node1 status | jq .pid)" "$weftd" "pid of weftd"
expect_eq "$(weft_json node1 status | jq -c '[.ready, .pods]')" '[true,3]'
grep -E 'BUG|WARN_ON|AddressSanitizer|runtime error' "$LAB_DIR/node1/weftd.log" && fail "complaints in the log"
wire_end direct
wire_end hbone
