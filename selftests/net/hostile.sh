# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Scenarios with hostile input on port 15008, on top of lib.sh, peers.sh and h2raw.py.
#
#   node1: server (port 9000)      node2: client; attacker (not enrolled)
#
#   hostile_up               that lab (with $hostile_weftd as keys of weftd.yaml), a first honest connection, certificates issued
#   issue NAME URI [CA]      $tmp/NAME.pem, $tmp/NAME.key signed by $CA.pem (node2's intermediate)
#   attack CASE ARGUMENT...  h2raw.py against the server with the certificate of NAME=$as (client)
#   remember                 what weftd has now; done by hostile_up
#   attack_and_stay CASE ... the same until it is killed: in the background, its pid is $!
#                            MEMORY_FACTOR: for a weftd whose freed memory is kept, to find uses of it
#   harmless MB WHAT         the same weftd, not more than so many MB more, no descriptor more, an
#                            honest connection works
#
# $server: address of the server, $app: with its port.

H2RAW=$ROOT/selftests/net/h2raw.py
# shellcheck disable=SC2154 # of peers.sh
tmp=$peers_tmp
as=client

issue() {
	local name=$1 uri=$2 ca=${3:-$LAB_DIR/ca/node2} out
	local cert=$ca-cert.pem key=$ca-key.pem
	cat >"$tmp/$name.ext" <<-END
		basicConstraints = critical, CA:FALSE
		keyUsage = critical, digitalSignature
		extendedKeyUsage = serverAuth, clientAuth
		${uri:+subjectAltName = critical, URI:$uri}
	END
	out=$({
		openssl ecparam -name prime256v1 -genkey -noout -out "$tmp/$name.key" &&
			openssl req -new -key "$tmp/$name.key" -subj / -out "$tmp/$name.csr" &&
			openssl x509 -req -in "$tmp/$name.csr" -CA "$cert" -CAkey "$key" \
				-set_serial "0x$RANDOM$RANDOM" -days 1 -extfile "$tmp/$name.ext" \
				-out "$tmp/$name.leaf"
	} 2>&1) || fail "openssl: $out"
	cat "$tmp/$name.leaf" "$cert" >"$tmp/$name.pem"
}

attack() {
	pod attacker /usr/bin/python3 -S "$H2RAW" -c "$tmp/$as.pem" -k "$tmp/$as.key" "$server" "$@"
}

# exec, so that the pid of the background job is that of the attacker
attack_and_stay() {
	exec "$WEFT" lab --name "$LAB" exec attacker -- /usr/bin/python3 -S "$H2RAW" \
		-c "$tmp/$as.pem" -k "$tmp/$as.key" "$server" "$@"
}

rss_kb() {
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

fds() {
	find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

fds_at_most() {
	local now
	now=$(fds "$weftd_pid")
	((now <= $1)) || { echo "$now descriptors, $1 before"; false; }
}

# Each worker of the client's node has a tunnel of its own, which may be made later.
remember() {
	weftd_pid=$(pid_of node1)
	fds_before=$(($(fds "$weftd_pid") + $(weft_json node2 status | jq '.workers | length')))
	rss_before=$(rss_kb "$weftd_pid")
}

grown_at_most() { # MB
	local now
	now=$(rss_kb "$weftd_pid")
	((now - rss_before <= $1 * 1024 * ${MEMORY_FACTOR:-1})) || { echo "$rss_before kB before, $now kB now"; false; }
}

harmless() {
	expect_eq "$(pid_of node1)" "$weftd_pid" "pid of weftd after $2"
	expect_ok peer client who "$server" 9000
	wait_for 20 fds_at_most "$fds_before"
	# what the allocator keeps it gives back when weftd is idle
	wait_for 20 grown_at_most "$1"
}

hostile_up() {
	lab_up - <<-END
		nodes: [node1, node2]
		weftd: ${hostile_weftd:-{\}}
		pods:
		  - {name: server, node: node1, labels: {app: server}, command: exec $PEER serve 9000}
		  - {name: neighbour, node: node1, command: exec $PEER serve 9000}
		  - {name: client, node: node2}
		  - {name: attacker, node: node2, enrol: false}
		services:
		  - {name: web, ports: {80: 9000}, selector: {app: server}}
	END
	server=$(ip_of server)
	# shellcheck disable=SC2034 # for scenarios
	app=$server:9000
	issue client spiffe://cluster.local/ns/default/sa/client
	wait_for 5 peer client who "$server" 9000
	expect_eq "$(attack good)" open "a valid certificate"
	remember
}
