#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# curl, wrk, iperf3, redis and programs that use sendfile(2) and splice(2) work as without a
# mesh: on one node and between nodes, IPv4 and IPv6.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

for program in curl wrk iperf3 redis-server redis-cli redis-benchmark nginx; do
	command -v "$program" >/dev/null || skip "$program is not installed"
done

relay_lab_up
head -c 3000000 /dev/urandom >"$WORK/file"
read -r sum _ < <(sha256sum "$WORK/file")
cat >"$WORK/nginx.conf" <<END
worker_processes 1;
user root;
daemon off;
events { worker_connections 500; }
http {
	access_log off;
	server {
		listen 8080;
		listen [::]:8080;
		root $WORK;
		location = /hello { return 200 "hello\n"; }
	}
}
END

serve() { # POD
	pod "t/$1" sh -c "
		nginx -c $WORK/nginx.conf -e stderr -g 'pid $WORK/nginx-$1.pid;' &
		redis-server --port 6379 --bind 0.0.0.0 :: --save '' --protected-mode no --dir $WORK &
		iperf3 -s -p 5201 &
		wait" >"$WORK/servers-$1.log" 2>&1 &
}

web() { # ADDRESS
	local got
	expect_eq "$(pod t/client curl -sS -m 10 "http://$1:8080/hello")" hello "curl $1"
	got=$(pod t/client curl -sS -m 10 "http://$1:8080/file" | sha256sum)
	expect_eq "${got%% *}" "$sum" "3 MB by curl from $1"
	got=$(pod t/client wrk -t 1 -c 20 -d 1 "http://$1:8080/hello") || fail "wrk: $got"
	grep -q 'requests in' <<<"$got" || fail "wrk: $got"
	! grep -E 'Socket errors|Non-2xx' <<<"$got" || fail "wrk to $1"
}

stream() { # ADDRESS
	local out
	out=$(pod t/client iperf3 -J -c "$1" -p 5201 -P 8 -t 1) || fail "iperf3 to $1: $out"
	jq -e '.end.sum_received.bytes > 1000000 and (.end.streams | length == 8)' <<<"$out" \
		>/dev/null || fail "iperf3 to $1: $out"
	out=$(pod t/client iperf3 -J -c "$1" -p 5201 -P 8 -n 64M -R) || fail "iperf3 -R: $out"
}

redis() { # ADDRESS
	local out
	expect_eq "$(pod t/client redis-cli -h "$1" set "key$1" "value $1")" OK "redis set"
	expect_eq "$(pod t/client redis-cli -h "$1" get "key$1")" "value $1" "redis get"
	out=$(pod t/client redis-benchmark -h "$1" -n 10000 -c 30 -P 4 -d 2000 -t set,get -q) ||
		fail "redis-benchmark: $out"
	expect_eq "$(grep -c 'requests per second' <<<"${out//$'\r'/$'\n'}")" 2 "redis-benchmark"
}

zero_copy() { # ADDRESS
	expect_eq "$(relay client sendfile "$1" "$WORK/file")" "3000000 $sum" "sendfile to $1"
	expect_eq "$(relay client splice "$1" "$WORK/file" "$WORK/back")" "3000000 $sum" \
		"splice to $1"
	expect_ok cmp "$WORK/file" "$WORK/back"
}

for server in near far; do
	serve $server
	wait_for 10 listens $server 8080 6379 5201
	for family in 4 6; do
		address=${server^^}$family
		address=${!address}
		[[ $address == *:* ]] && bracketed="[$address]" || bracketed=$address
		web "$bracketed"
		stream "$address"
		redis "$address"
		zero_copy "$address"
	done
done
