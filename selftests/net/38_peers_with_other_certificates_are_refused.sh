#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever dials the tunnel port of a pod needs a certificate of the mesh's CA, valid now, for an
# id of its trust domain; whoever answers there needs that of the pod that was dialled.
#
#        node1                     node2
#   web (in the mesh)          fake-* (openssl s_server on 15008; the mesh file says HBONE)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"

certs=$peers_tmp/certs
other=$peers_tmp/other
mesh_id=spiffe://cluster.local/ns

shop_file() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {name: web, serviceAccount: web, node: node1, start: before,
	     command: $PEER serve 9000 9001 9002}
	  - {name: fake-right, serviceAccount: right, $fake}
	  - {name: fake-id, serviceAccount: id, $fake}
	  - {name: fake-ca, serviceAccount: ca, $fake}
	  - {name: fake-old, serviceAccount: old, $fake}
	weftd: $weftd
	END
}
fake='node: node2, enrol: false, protocol: HBONE'

# What a stranger on the fabric gets from web's port 15008 with these certificates.
greets() {
	pod @fabric /usr/bin/python3 -S -c '
import socket, ssl, sys
ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ctx.check_hostname = False
ctx.verify_mode = ssl.CERT_NONE
ctx.minimum_version = ssl.TLSVersion.TLSv1_2
if sys.argv[3] != "tls1.3":
    ctx.maximum_version = ssl.TLSVersion.TLSv1_2
ctx.set_alpn_protocols(["h2"])
if sys.argv[2]:
    ctx.load_cert_chain(sys.argv[2] + ".cert.pem", sys.argv[2] + ".key.pem")
try:
    with socket.create_connection((sys.argv[1], 15008), 10) as raw:
        with ctx.wrap_socket(raw) as s:
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            print("h2" if s.recv(9)[3:4] == b"\x04" else "closed")
except ssl.SSLError as e:
    print("alert" if "ALERT" in str(e) else e)
except OSError as e:
    print("closed")
' "$(ip_of web)" "${1:+$certs/$1}" "${2:-tls1.3}"
}

refused() {
	local got
	new_drops node1
	got=$(greets "$@")
	[[ $got == alert || $got == closed ]] || fail "$*: got $got"
	wait_for 5 log_has node1 '.direction == "inbound" and ((.error // "") | startswith("tls_failed"))'
	wait_for 5 drop_has node1 '.reason == "tls_failed" and .dst_workload == "default/web"'
}

serves() {
	"$WEFT" lab --name "$LAB" exec "fake-$1" -- openssl s_server -accept 15008 -alpn h2 -quiet \
		-cert "$certs/$1.cert.pem" -key "$certs/$1.key.pem" -CAfile "$certs/root-cert.pem" \
		-Verify 2 >/dev/null 2>&1 </dev/zero &
	background+=($!)
	wait_for 5 pod "fake-$1" nc -z 127.0.0.1 15008
}

error_of() {
	log_lines node1 | jq -rs --arg to "fake-$1" \
		'[.[] | select(."dst.workload" == $to) | .error] | last // empty'
}

has_error() {
	# shellcheck disable=SC2053 # a pattern
	[[ $(error_of "$1") == $2 ]]
}

pki_root "$certs"
pki_root "$other"
now=$(date +%s)
ago() {
	date -u -d "@$((now - $1))" +%Y%m%d%H%M%SZ
}
pki_leaf "$certs" mine "$mesh_id/default/sa/somebody"
pki_leaf "$certs" foreign-ca "$mesh_id/default/sa/somebody" "$other"
pki_leaf "$certs" expired "$mesh_id/default/sa/somebody" "$certs" "$(ago 7200)" "$(ago 3600)"
pki_leaf "$certs" future "$mesh_id/default/sa/somebody" "$certs" "$(ago -3600)" "$(ago -7200)"
pki_leaf "$certs" foreign-domain spiffe://elsewhere/ns/default/sa/somebody
pki_leaf "$certs" no-spiffe https://cluster.local/ns/default/sa/somebody
pki_leaf "$certs" right "$mesh_id/default/sa/right"
pki_leaf "$certs" id "$mesh_id/default/sa/somebody-else"
pki_leaf "$certs" ca "$mesh_id/default/sa/ca" "$other"
pki_leaf "$certs" old "$mesh_id/default/sa/old" "$certs" "$(ago 7200)" "$(ago 3600)"
pki_leaf "$certs" default.web "$mesh_id/default/sa/web"
weftd="{certificates: files, certificates_dir: $certs}"
shop_up

# ---- who dials
expect_eq "$(greets mine)" h2 "a certificate of the mesh"
refused ''
refused foreign-ca
refused expired
refused future
refused foreign-domain
refused no-spiffe
refused mine tls1.2
expect_eq "$(greets mine)" h2 "a certificate of the mesh, after all that"

# ---- who answers
for name in right id ca old; do
	serves "$name"
done
new_drops node1
for name in right id ca old; do
	peer web -t 3 who "$(ip_of "fake-$name")" 9000 >/dev/null
done
wait_for 5 has_error id "tls_failed: the peer is $mesh_id/default/sa/somebody-else, expected $mesh_id/default/sa/id"
wait_for 5 has_error ca 'tls_failed: *'
wait_for 5 has_error old 'tls_failed: *expired*'
! has_error right 'tls_failed*' || fail "the right certificate was refused: $(error_of right)"
