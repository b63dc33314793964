#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A list of revoked certificates holds in both roles, for new tunnels and for those that are open;
# whatever happens to its file, nothing that was revoked is let in again, unless the file is
# emptied. The same for a root that is taken out of the bundle.
#
#        node1                         node2
#   web                            good, bad (clients of web); fake (openssl s_server on 15008)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"

certs=$peers_tmp/certs
other=$peers_tmp/other
list=$peers_tmp/crl.pem
mesh_id=spiffe://cluster.local/ns/default/sa

shop_file() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {name: web, serviceAccount: web, node: node1, start: before,
	     command: $PEER serve 9000 9001 9002}
	  - {name: good, serviceAccount: good, node: node2}
	  - {name: bad, serviceAccount: bad, node: node2}
	  - {name: fake, serviceAccount: fake, node: node2, enrol: false, protocol: HBONE}
	weftd: {certificates: files, certificates_dir: $certs, ca_crl: $list, access_log_format: json}
	END
}

revoke() { # CERT...: of $certs
	pki_crl "$certs" "$list.new" 10 "${@/#/$certs/}"
	mv "$list.new" "$list"
}

entries_are() {
	[[ $(metric node1 weft_crl_entries) == "$1" && $(metric node2 weft_crl_entries) == "$1" ]]
}

is_cut() {
	local line
	line=$(hold_error "$1")
	[[ $line == E* ]] || fail "$1 was not cut: \"$line\""
	hold_end "$1"
}

bad_is_out() {
	[[ $(says bad "$web" 9000) != ok ]]
}

# A stranger with the certificate $1 at web's tunnel port: does TLS let it in?
greets() {
	pod @fabric timeout 5 openssl s_client -connect "$web:15008" -alpn h2 -tls1_3 -quiet \
		-cert "$certs/$1.cert.pem" -key "$certs/$1.key.pem" </dev/null 2>&1 | tr -d "\0"
}

rejections() { # NODE REPORTER
	metric "$1" "istio_crl_policy_rejections_total{reporter=\"$2\"}"
}

# The node that sees a list or a bundle first closes the tunnel and says why; the other one only
# sees it closed.
told() { # POD
	local node
	for node in node1 node2; do
		! log_has "$node" "((.error // \"\") | startswith(\"cert_revoked\"))
			and .\"src.workload\" == \"$1\"" || return 0
	done
	return 1
}

error_at() { # NODE FILTER
	wait_for 5 log_has "$1" "((.error // \"\") | startswith(\"cert_revoked\")) and $2"
}

pki_root "$certs"
for name in web good bad fake; do
	pki_leaf "$certs" "default.$name" "$mesh_id/$name"
done
pki_leaf "$certs" stranger "$mesh_id/stranger"

# ---- a file that is missing does not stop the daemon
shop_up
web=$(ip_of web)
mkfifo "$peers_tmp/silence"
hold good good "$web" 9000
hold bad bad "$web" 9000
hold_ok good
hold_ok bad
grep -q "$list: there is no such file yet" "$LAB_DIR/node1/weftd.log" || fail "no word about the file"

# ---- revoked: open tunnels are closed, new ones refused, on either side
new_drops node1
new_drops node2
revoke default.bad.cert.pem
wait_for 5 entries_are 1
is_cut bad
hold_ok good
wait_for 5 told bad
wait_for 5 bad_is_out
weft_json node2 certs | jq -e '.certs[] | select(.identity | endswith("/bad")) |
	.state | startswith("failed: certificate 1 of the own chain: certificate revoked")' >/dev/null ||
	fail "the own certificate: $(weft_json node2 certs)"
(($(rejections node1 destination) + $(rejections node2 source) >= 1)) || fail "not counted"

# ---- who dials: refused in the handshake
[[ $(greets stranger) != *revoked* ]] || fail "a stranger with a good certificate is refused"
before=$(rejections node1 destination)
tunnels=$(weft_json node1 status | jq .tunnels.server)
pod @fabric openssl s_client -connect "$web:15008" -alpn h2 -tls1_3 -quiet \
	-cert "$certs/stranger.cert.pem" -key "$certs/stranger.key.pem" <"$peers_tmp/silence" \
	>"$peers_tmp/stranger" 2>&1 &
stranger=$!
background+=("$stranger")
exec 7>"$peers_tmp/silence"
has_tunnel() { # the stranger's, beside those of good
	(($(weft_json node1 status | jq .tunnels.server) > tunnels))
}
wait_for 5 has_tunnel
revoke default.bad.cert.pem stranger.cert.pem default.fake.cert.pem
wait_for 5 entries_are 3
wait "$stranger" # its tunnel is closed
exec 7>&-
(($(rejections node1 destination) > before)) || fail "the closed tunnel is not counted"
before=$(rejections node1 destination)
new_drops node1
[[ $(greets stranger) == *"certificate revoked"* ]] || fail "no alert: $(greets stranger)"
error_at node1 '.direction == "inbound"'
wait_for 5 drop_has node1 '.reason == "cert_revoked" and .dst_workload == "default/web"'
(($(rejections node1 destination) > before)) ||
	fail "refused handshakes are not counted"

# ---- who answers: refused as well
"$WEFT" lab --name "$LAB" exec fake -- openssl s_server -accept 15008 -alpn h2 -quiet \
	-cert "$certs/default.fake.cert.pem" -key "$certs/default.fake.key.pem" \
	-CAfile "$certs/root-cert.pem" -Verify 2 >/dev/null 2>&1 </dev/zero &
background+=($!)
wait_for 5 pod fake nc -z 127.0.0.1 15008
new_drops node1
peer web -t 3 who "$(ip_of fake)" 9000 >/dev/null
error_at node1 '.direction == "outbound" and ."dst.workload" == "fake"'
hold_ok good

# ---- the file breaks, vanishes, is past its time: what was revoked stays revoked
echo rubbish >"$list"
rejected() {
	(($(metric node1 weft_crl_rejected_total) > $1))
}
wait_for 5 rejected 0
bad_is_out || fail "let in by a broken file"
rm "$list"
wait_for 5 rejected 1
bad_is_out || fail "let in because the file vanished"
expect_eq "$(metric node1 weft_crl_entries)" 3 "entries in force"
pki_crl "$certs" "$list.new" -1 "$certs/default.bad.cert.pem"
mv "$list.new" "$list"
wait_for 5 entries_are 1
bad_is_out || fail "let in because the list is old"
awk -v left="$(metric node1 weft_crl_next_update_seconds)" 'BEGIN { exit !(left < 0) }' ||
	fail "weft_crl_next_update_seconds: $(metric node1 weft_crl_next_update_seconds)"
: >"$list"
wait_for 5 entries_are 0
bad_is_in() {
	[[ $(says bad "$web" 9000) == ok ]]
}
wait_for 10 bad_is_in
hold_ok good

# ---- another root: both for a while, then only the new one; who still shows the old is cut
mkdir "$other"
pki_root "$other"
hold old good "$web" 9000
cat "$other/root-cert.pem" >>"$certs/root-cert.pem"
for name in web bad; do
	pki_leaf "$peers_tmp" "default.$name" "$mesh_id/$name" "$other"
	mv "$peers_tmp/default.$name".{key,cert}.pem "$certs"
done
serial_of() {
	weft_json "$1" certs | jq -r --arg n "/$2" '.certs[] | select(.identity | endswith($n)) | .serial'
}
two_roots() {
	[[ $(serial_of node1 web) == "$1" ]]
}
wait_for 10 two_roots "$(/usr/bin/python3 -S -c 'import sys; print(int(sys.argv[1], 16))' \
	"$(openssl x509 -in "$certs/default.web.cert.pem" -noout -serial | cut -d= -f2)")"
hold_ok good
hold new bad "$web" 9000
hold_ok new
cp "$other/root-cert.pem" "$certs/root-new" && mv "$certs/root-new" "$certs/root-cert.pem"
wait_for 10 told good
is_cut good
is_cut old
hold_ok new
