#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `weft ca revoke` takes back the certificate of a pod, which gets another one while its tunnels are
# closed, and that of a node, whose pods then reach nobody; others go on. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

ca=$peers_tmp/ca

ca_tool() {
	"$WEFT" ca "$1" --dir "$ca" "${@:2}"
}

serial() {
	weft_json node2 certs | jq -r '.certs[] | select(.identity | endswith("sa/client")) | .serial'
}

entries_are() {
	[[ $(metric node1 weft_crl_entries) == "$1" && $(metric node2 weft_crl_entries) == "$1" ]]
}

is_cut() {
	[[ $(hold_error "$1") == E* ]] || fail "$1 was not cut"
	hold_end "$1"
}

expect_ok ca_tool init --node node1 --node node2
expect_eq "$(ca_tool revoked)" "nothing is revoked" "before anything is revoked"
weftd="{certificates_dir: $ca, ca_crl: $ca/crl.pem}"
shop_up
hold near near web.shop 80
hold far far web.shop 80
hold_ok far

# ---- a pod: by its serial, as `weft certs` shows it
old=$(serial)
expect_ok ca_tool revoke "$old" --node node2
expect_eq "$(stat -c %a "$ca/crl.pem")" 600 "mode of the list"
wait_for 5 entries_are 1
is_cut far
hold_ok near
is_another() {
	[[ $(serial) != "$old" && $(says far web.shop 80) == ok ]]
}
wait_for 10 is_another
sum=$(sha256sum "$ca/crl.pem")
[[ $(ca_tool revoke "$old" --node node2) == *"was revoked before" ]] || fail "revoked twice"
expect_eq "$(sha256sum "$ca/crl.pem")" "$sum" "the list after revoking again"

# ---- a node: by the file of its intermediate, with the root's key
hold far far web.shop 80
expect_ok ca_tool revoke "$ca/node2-cert.pem"
expect_eq "$(ca_tool revoked -o json | jq -c '[.[] | .issuer] | sort')" '["node2","root"]' "issuers"
expect_ok openssl crl -in "$ca/crl.pem" -noout
wait_for 5 entries_are 2
is_cut far
[[ $(says far web.shop 80) != ok ]] || fail "a pod of a revoked node gets in"
hold_ok near

# ---- a new intermediate has the name of the old one, and not its list
rm "$ca"/node2-{cert,key}.pem
expect_ok ca_tool init --node node2
expect_ok lab stop node2
expect_ok lab start node2
is_in() {
	[[ $(says far web.shop 80) == ok ]]
}
wait_for 10 is_in
expect_ok ca_tool revoke 0x1234 --node node2
expect_eq "$(ca_tool revoked -o json | jq length)" 3 "entries of both intermediates and the root"
wait_for 5 entries_are 3
is_in || fail "the list of the old intermediate counts for the new one"

# ---- what cannot be revoked, or not safely, is said and changes nothing
sum=$(sha256sum "$ca/crl.pem")
refuses() { # SENTENCE ARGUMENT...
	local said
	said=$(ca_tool revoke "${@:2}" 2>&1) && fail "revoke ${*:2}: accepted"
	[[ $said == *"$1"* ]] || fail "revoke ${*:2}: $said"
}
refuses 'name the node (--node)' 77
refuses 'node9-cert.pem: No such file' 77 --node node9
refuses 'is a root' "$ca/root-cert.pem"
refuses 'neither a serial nor a certificate' "$ca/nothing"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -days 1 \
	-addext basicConstraints=critical,CA:TRUE -keyout "$peers_tmp/x.key" -out "$peers_tmp/x.pem" 2>/dev/null
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=y \
	-keyout "$peers_tmp/y.key" 2>/dev/null | openssl x509 -req -CA "$peers_tmp/x.pem" \
	-CAkey "$peers_tmp/x.key" -CAcreateserial -days 1 -out "$peers_tmp/y.pem" 2>/dev/null
refuses 'was issued by nobody' "$peers_tmp/y.pem"
expect_eq "$(sha256sum "$ca/crl.pem")" "$sum" "the list after what was refused"
truncate -s -60 "$ca/crl.pem"
refuses 'cannot be read' 78 --node node1
is_in || fail "let out by a broken list"
