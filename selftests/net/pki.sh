# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Certificates by openssl, for the scenarios that bring their own.
#
#   pki_root DIR                       DIR/root-cert.pem, DIR/root-key.pem
#   pki_leaf DIR NAME URI [CA-DIR [BEGIN END]]
#                                      DIR/NAME.cert.pem, DIR/NAME.key.pem for a SPIFFE id, by
#                                      the root in CA-DIR (DIR); times as 20260101000000Z
#   pki_crl DIR OUT DAYS CERT...       OUT is a list of DIR's root that revokes these; negative DAYS:
#                                      it is past its time

# On top of peers.sh, whose folder for temporary files is used.
: "${peers_tmp:?}"

pki_key() {
	openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null
}

pki_root() {
	mkdir -p "$1"
	pki_key "$1/root-key.pem" &&
		openssl req -x509 -new -key "$1/root-key.pem" -subj '/O=test' -days 10 \
			-addext keyUsage=critical,keyCertSign,cRLSign -out "$1/root-cert.pem" ||
		fail "openssl cannot make a root"
}

pki_leaf() {
	local dir=$1 name=$2 uri=$3 ca=${4:-$1} begin=${5:-} end=${6:-} work
	work=$(mktemp -d -p "$peers_tmp")
	cat >"$work/conf" <<-END
	[ca]
	default_ca = own
	[own]
	database = $work/index
	new_certs_dir = $work
	rand_serial = yes
	default_md = sha256
	default_days = 1
	policy = any
	x509_extensions = leaf
	[any]
	organizationName = optional
	[leaf]
	basicConstraints = critical,CA:FALSE
	keyUsage = critical,digitalSignature
	extendedKeyUsage = serverAuth,clientAuth
	subjectAltName = critical,URI:$uri
	END
	: >"$work/index"
	pki_key "$work/key.pem" &&
		openssl req -new -key "$work/key.pem" -subj '/O=test' -out "$work/req.pem" &&
		openssl ca -batch -notext -config "$work/conf" -cert "$ca/root-cert.pem" \
			-keyfile "$ca/root-key.pem" -in "$work/req.pem" -out "$work/cert.pem" \
			${begin:+-startdate "$begin" -enddate "$end"} 2>"$work/said" ||
		fail "openssl cannot make a certificate for $uri: $(cat "$work/said")"
	mkdir -p "$dir"
	mv "$work/key.pem" "$dir/$name.key.pem"
	mv "$work/cert.pem" "$dir/$name.cert.pem"
	rm -r "$work"
}

pki_crl() {
	local dir=$1 out=$2 days=$3 work cert
	shift 3
	work=$(mktemp -d -p "$peers_tmp")
	cat >"$work/conf" <<-END
	[ca]
	default_ca = own
	[own]
	database = $work/index
	default_md = sha256
	END
	: >"$work/index"
	for cert in "$@"; do
		openssl ca -config "$work/conf" -cert "$dir/root-cert.pem" \
			-keyfile "$dir/root-key.pem" -revoke "$cert" 2>"$work/said" ||
			fail "openssl cannot revoke $cert: $(cat "$work/said")"
	done
	openssl ca -config "$work/conf" -cert "$dir/root-cert.pem" -keyfile "$dir/root-key.pem" \
		-gencrl -crl_lastupdate "$(date -u -d "now -10 days" +%Y%m%d%H%M%SZ)" \
		-crl_nextupdate "$(date -u -d "now $days days" +%Y%m%d%H%M%SZ)" \
		-out "$work/crl" 2>"$work/said" || fail "openssl makes no list: $(cat "$work/said")"
	mv "$work/crl" "$out"
	rm -r "$work"
}
