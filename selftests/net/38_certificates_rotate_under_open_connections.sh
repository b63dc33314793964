#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Certificates of 4 s by a CA that was made by hand: connections live on through several of
# them, new ones show the new one; keys are for root's eyes only. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

ca=$peers_tmp/ca
TTL=4

cert() {
	weft_json "$1" certs | jq -r --arg id "spiffe://cluster.local/ns/shop/sa/$2" \
		".certs[] | select(.identity == \$id) | $3"
}

rotated() {
	(($(cert node1 web .rotations) >= $1 && $(cert node2 client .rotations) >= $1))
}

# Serial that web shows to a stranger, before it asks the stranger for a certificate.
shown_serial() {
	local hex
	hex=$(pod @fabric timeout 5 openssl s_client -connect "$(ip_of web):15008" -alpn h2 \
		</dev/null 2>/dev/null | openssl x509 -noout -serial) || return
	/usr/bin/python3 -S -c 'import sys; print(int(sys.argv[1], 16))' "${hex#serial=}"
}

# A renewal may come between the question and the answer.
shows_current() {
	local before shown
	before=$(cert node1 web .serial)
	shown=$(shown_serial) || return
	[[ $shown == "$before" || $shown == "$(cert node1 web .serial)" ]]
}

# ---- the CA
expect_ok "$WEFT" ca init --dir "$ca" --node node1
root=$(sha256sum "$ca"/root-*.pem)
expect_ok "$WEFT" ca init --dir "$ca" --node node2
expect_eq "$(sha256sum "$ca"/root-*.pem)" "$root" "root after the second ca init"
expect_eq "$(stat -c %a:%U "$ca")" 700:root "mode of the folder"
expect_eq "$(stat -c %a:%U "$ca"/*.pem | sort | uniq -c | xargs)" '6 600:root' "modes of the files"
expect_ok openssl verify -CAfile "$ca/root-cert.pem" "$ca/node1-cert.pem" "$ca/node2-cert.pem"

# ---- rotations
weftd="{certificate_ttl: ${TTL}s, certificates_dir: $ca}"
shop_up
hold near near web.shop 80
hold far far web.shop 80
serial=$(cert node1 web .serial)
end=$(cert node1 web .not_after_s)
expect_eq "$(cert node1 web .state)" ready "state"
left=$(metric node1 'weft_certificate_expiry_seconds{identity="spiffe://cluster.local/ns/shop/sa/web"}')
awk -v left="$left" -v ttl=$TTL 'BEGIN { exit !(left > 0 && left <= ttl) }' ||
	fail "weft_certificate_expiry_seconds is $left"

wait_for 20 rotated 3
hold_ok near
hold_ok far
(($(cert node1 web .not_after_s) > end)) || fail "the certificate did not change"
[[ $(cert node1 web .serial) != "$serial" ]] || fail "the serial did not change"
wait_for 15 shows_current
expect_eq "$(says far web.shop 80)" ok "new connection"
weft_on node1 certs | grep -q 'sa/web.*ready' || fail "weft certs: $(weft_on node1 certs)"

# a tunnel that is new: the address of the other family has none
expect_eq "$(says far "$(ip_of web 6)" 9000)" ok "new connection in a new tunnel"
hold_ok far

# ---- a CA that others could have read is not used
expect_ok lab stop node2
chmod 755 "$ca"
expect_fail lab start node2
grep -q "$ca has mode 0755" "$LAB_DIR/node2/weftd.log" || fail "no word about the mode in the log"
chmod 700 "$ca"
chmod 644 "$ca/node2-key.pem"
expect_fail lab start node2
grep -q 'node2-key.pem has mode 0644' "$LAB_DIR/node2/weftd.log" || fail "no word about the key"
chmod 600 "$ca/node2-key.pem"
expect_ok lab start node2
expect_eq "$(says far web.shop 80)" ok "after a restart"
