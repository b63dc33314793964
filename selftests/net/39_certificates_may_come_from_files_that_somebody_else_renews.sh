#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# certificates: files. A pod without its file has no identity until the file comes; files that
# are replaced, and a change of the root, are taken over while connections go on; broken ones
# are reported and the good ones stay in use. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"
. "$ROOT/selftests/net/pki.sh"

certs=$peers_tmp/certs
next=$peers_tmp/next
client_id=spiffe://cluster.local/ns/shop/sa/client
web_id=spiffe://cluster.local/ns/shop/sa/web

cert() {
	weft_json "$1" certs | jq -r --arg id "spiffe://cluster.local/ns/$2" \
		".certs[] | select(.identity == \$id) | $3"
}

cert_is() {
	# shellcheck disable=SC2053 # a pattern
	[[ $(cert "$1" "$2" "$3") == $4 ]]
}

# replace DIR NAME: as a tool that renews would do it, one file after the other
replace() {
	mv "$1/$2.key.pem" "$certs/$2.key.pem"
	mv "$1/$2.cert.pem" "$certs/$2.cert.pem"
}

# Serial in decimal, as `weft certs` has it.
serial_of() {
	local hex
	hex=$(openssl x509 -noout -serial -in "$1")
	/usr/bin/python3 -S -c 'import sys; print(int(sys.argv[1], 16))' "${hex#serial=}"
}

is_ready() {
	weft_json "$1" status | jq -e .ready >/dev/null
}

shop_says() {
	local who
	hold_ok near
	hold_ok far
	for who in near far; do
		expect_eq "$(says "$who" web.shop 80)" ok "$1: $who"
	done
}

pki_root "$certs"
mv "$certs/root-key.pem" "$peers_tmp/root-key.pem" # the daemon needs no such thing
mkdir "$peers_tmp/ca"
cp "$certs/root-cert.pem" "$peers_tmp/root-key.pem" "$peers_tmp/ca"
pki_leaf "$certs" shop.web "$web_id" "$peers_tmp/ca"
pki_leaf "$certs" shop.client "$client_id" "$peers_tmp/ca"
weftd="{certificates: files, certificates_dir: $certs}"
shop_up

# ---- one is not there
expect_eq "$(cert node1 shop/sa/web .state)" ready "web"
cert_is node2 other/sa/stranger .state 'failed: *other.stranger.cert.pem: No such file*' ||
	fail "stranger: $(cert node2 other/sa/stranger .state)"
! is_ready node2 || fail "ready without a certificate"
weft_on node2 status | grep -q '1 failed' || fail "weft status: $(weft_on node2 status)"
new_drops node2
[[ $(says far-stranger web.shop 80) != ok ]] || fail "a pod without certificate gets through"
wait_for 5 log_has node2 '."src.workload" == "far-stranger"
	and ((.error // "") | startswith("no_identity"))'
pki_leaf "$certs" other.stranger spiffe://cluster.local/ns/other/sa/stranger "$peers_tmp/ca"
wait_for 10 cert_is node2 other/sa/stranger .state ready
wait_for 10 is_ready node1
wait_for 10 is_ready node2
expect_eq "$(says far-stranger web.shop 80)" ok "far-stranger"

# ---- new leafs
hold near near web.shop 80
hold far far web.shop 80
for name in web client; do
	pki_leaf "$next" "shop.$name" "spiffe://cluster.local/ns/shop/sa/$name" "$peers_tmp/ca"
	serial=$(serial_of "$next/shop.$name.cert.pem")
	replace "$next" "shop.$name"
	for node in node1 node2; do
		[[ $node$name != node2web ]] || continue
		wait_for 10 cert_is "$node" "shop/sa/$name" .serial "$serial"
		wait_for 10 cert_is "$node" "shop/sa/$name" .error ''
		(($(cert "$node" "shop/sa/$name" .rotations) >= 1)) || fail "no rotation is shown"
	done
done
shop_says 'new leafs'

# ---- broken ones: not PEM, the key of another one, for another identity
serial=$(cert node1 shop/sa/web .serial)
cp -r "$certs" "$peers_tmp/good"
cp_back() {
	cp "$peers_tmp/good"/shop.web.* "$certs"
	wait_for 10 cert_is node1 shop/sa/web .error ''
}
echo garbage >"$certs/shop.web.cert.pem"
wait_for 10 cert_is node1 shop/sa/web .error '*shop.web.*certificate chain*'
cert_is node1 shop/sa/web '"\(.state) \(.serial)"' "ready $serial" || fail "the good one is gone"
shop_says 'no PEM'
cp_back
cp "$certs/shop.client.key.pem" "$certs/shop.web.key.pem"
wait_for 10 cert_is node1 shop/sa/web .error '*private key*'
shop_says 'the wrong key'
cp_back
cp "$certs/shop.client.key.pem" "$certs/shop.web.key.pem"
cp "$certs/shop.client.cert.pem" "$certs/shop.web.cert.pem"
wait_for 10 cert_is node1 shop/sa/web .error "*shop.web.cert.pem is for*$client_id*"
shop_says 'for another identity'
cp_back

# ---- another root: first both are trusted, then leafs change, then the old root goes
pki_root "$peers_tmp/ca2"
cat "$peers_tmp/ca/root-cert.pem" "$peers_tmp/ca2/root-cert.pem" >"$peers_tmp/both"
one=$(cert node1 shop/sa/web .rotations)
two=$(cert node2 shop/sa/client .rotations)
mv "$peers_tmp/both" "$certs/root-cert.pem"
rotated() {
	(($(cert node1 shop/sa/web .rotations) > one && $(cert node2 shop/sa/client .rotations) > two))
}
wait_for 10 rotated
shop_says 'two roots'
for name in shop.web shop.client other.stranger; do
	pki_leaf "$next" "$name" "spiffe://cluster.local/ns/${name/.//sa/}" "$peers_tmp/ca2"
	serial=$(serial_of "$next/$name.cert.pem")
	replace "$next" "$name"
	wait_for 10 cert_is node1 "${name/.//sa/}" .serial "$serial"
done
shop_says 'leafs of the other root'
cp "$peers_tmp/ca2/root-cert.pem" "$certs/root-cert.new"
mv "$certs/root-cert.new" "$certs/root-cert.pem"
wait_for 10 cert_is node2 shop/sa/client .serial "$(serial_of "$certs/shop.client.cert.pem")"
shop_says 'the other root only'
expect_eq "$(says far "$(ip_of web 6)" 9000)" ok "in a new tunnel"
