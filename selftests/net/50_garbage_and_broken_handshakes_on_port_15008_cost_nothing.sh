#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is no TLS 1.3 with ALPN h2 and a certificate of this mesh does not get to HTTP/2: raw
# bytes, a ClientHello cut anywhere, other protocols and strangers. Each is ended by weftd, and
# weftd is as before.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

all() { # WORD WORD2 WHAT OUTPUT: nothing but these words, and at least one
	[[ -n $4 ]] || fail "$3: no output"
	! grep -qvE "^($1|$2)\$" <<<"$4" || fail "$3: $(sort <<<"$4" | uniq -c | xargs)"
}

hostile_up

all closed reset "raw bytes" "$(attack raw)"
harmless 4 "raw bytes"
all closed reset "cut hellos" "$(attack cut)"
harmless 4 "cut hellos"
expect_eq "$(attack drip)" answered "a hello byte by byte"
all closed reset "flipped hellos" "$(attack flipped)"
harmless 4 "flipped hellos"

out=$(pod attacker curl -s -m 5 -o /dev/null -w '%{http_code}' "http://$server:15008/") &&
	fail "plain HTTP on 15008: $out"
all refused refused "wrong ALPN" "$(attack alpn)"
expect_eq "$(attack no-certificate)" refused "no certificate"
expect_eq "$(attack tls12)" refused "TLS 1.2"
harmless 4 "handshakes"

# certificates: of another trust domain, without an identity, of another CA with our names
issue other spiffe://example.org/ns/default/sa/client
issue nobody ""
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 \
	-subj '/O=cluster.local/CN=node2' -addext 'subjectAltName = URI:spiffe://cluster.local' \
	-keyout "$tmp/false-key.pem" -out "$tmp/false-cert.pem" 2>/dev/null || fail "openssl req"
issue forged spiffe://cluster.local/ns/default/sa/client "$tmp/false"
# signed by a pod's certificate, which is no CA
cp "$tmp/client.pem" "$tmp/leaf-cert.pem"
cp "$tmp/client.key" "$tmp/leaf-key.pem"
issue grandchild spiffe://cluster.local/ns/default/sa/client "$tmp/leaf"
for as in other nobody forged grandchild; do
	expect_eq "$(attack good)" refused "certificate \"$as\""
done
as=client
expect_eq "$(attack good)" open "a valid certificate"
harmless 4 "certificates"
failed=$(weft_json node1 drops | jq '[.drops[] | select(.reason == "tls_failed") | .count] | add')
((failed > 50)) ||
	fail "broken handshakes are not counted"
