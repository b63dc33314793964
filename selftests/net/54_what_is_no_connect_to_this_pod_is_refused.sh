#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whom a CONNECT may reach: this pod, by its address or by a service it belongs to, and none of
# weftd's ports. Everything else is answered with an error and reaches no application.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

hostile_up
neighbour=$(ip_of neighbour)
client_ip=$(ip_of client)

asked() { # EXPECTED AUTHORITY...: each of them is answered like this
	local want=$1 out i=0 line
	shift
	out=$(attack ask "$@") || fail "h2raw: $out"
	while read -r line; do
		i=$((i + 1))
		[[ $line =~ ^($want)$ ]] || fail "CONNECT \"${!i}\": $line, not $want"
	done <<<"$out"
	expect_eq "$i" $# "answers to $*"
}

asked status:200 "$app" web.default.svc.cluster.local:80
# other pods, on this node, on the other, and the node itself
asked status:400 "$neighbour:9000" "$client_ip:9000" 127.0.0.1:9000 "[::1]:9000" 0.0.0.0:9000 \
	172.31.250.1:15020 169.254.169.254:80 "[$(ip_of server 6)]:9000"
asked status:503 "$server:15008" "$server:15001" "$server:15006" "$server:1"
# what is no address with a port
asked status:400 "$server:0" "$server:70000" "$server" "$server:" ":9000" "$server:9000:9000" \
	"$server:+9000" "$server:0x2328" "$server:-1" "[$server]:9000" "user@$app" \
	"$server:99999999999999999999"
# hosts: unknown ones, a service of nobody, the port of no service
asked 'status:(400|503)' example.com:80 web.default.svc.cluster.local:81 localhost:9000 web:80 \
	"$(printf '%0255d' 0):80"
# not even a field value of HTTP/2, or too much of one
asked 'status:(400|503)|rst:[0-9]+|goaway:[0-9]+|closed|reset' $'\xc3\xa4.example:80' '' \
	x.example:80,y.example:80 "http://$app/" "$app " $'a\nb:80' $'\xff\xfe:80' '%00:80' \
	@300 @5000 @15000 @65536
harmless 8 "authorities"

out=$(attack method "$app" GET POST OPTIONS PUT HEAD TRACE x)
expect_eq "$(sort -u <<<"$out")" status:400 "methods that are not CONNECT"
expect_eq "$(wc -l <<<"$out")" 7 "answers to them"

# bytes behind the request, before it is answered, all come back: "hold" says them again
expect_eq "$(attack early "$app" 500000)" all "early data"
harmless 8 "early data"
grep -q 'bad_destination' "$LAB_DIR/node1/access.log" || fail "refusals are not in the access log"
