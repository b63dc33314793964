/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A certificate authority for tests and fuzzers: P-256, made afresh in memory. Everything here
 * aborts when OpenSSL fails; the caller frees what it gets with the pki_*_fini() functions.
 *
 *	struct pki_ca ca;
 *	struct pki_leaf leaf;
 *
 *	pki_ca_init(&ca, "root");
 *	pki_leaf_init(&leaf, &ca, &(struct pki_opts){ .uri = "spiffe://td/ns/a/sa/b" });
 *	id = pki_identity(&leaf, &ca);
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/str.h"
#include "tls/handshake.h"

#define PKI_FN __attribute__((unused)) static
#define PKI_CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "pki: %s (%s:%d)\n", #cond, __FILE__, __LINE__); \
			abort(); \
		} \
	} while (0)

struct pki_ca {
	EVP_PKEY *key;
	X509 *cert;
	char *pem; /* of cert */
};

struct pki_leaf {
	EVP_PKEY *key;
	X509 *cert;
	char *chain_pem, *key_pem;
};

enum pki_eku { PKI_EKU_BOTH, PKI_EKU_SERVER, PKI_EKU_CLIENT, PKI_EKU_NONE };

struct pki_opts {
	const char *uri;      /* first URI SAN, NULL none */
	const char *san;      /* whole SAN in OpenSSL's notation instead ("URI:a,DNS:b") */
	long from_s, until_s; /* validity relative to now; both 0: an hour ago to in one day */
	enum pki_eku eku;
	uint64_t serial; /* 0: 4711 */
};

PKI_FN char *pki_bio_text(BIO *bio)
{
	char *p, *text;
	long n = BIO_get_mem_data(bio, &p);

	PKI_CHECK(n > 0);
	text = strndup(p, (size_t)n);
	PKI_CHECK(text);
	BIO_free(bio);
	return text;
}

PKI_FN char *pki_cert_text(X509 *x)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PKI_CHECK(bio && PEM_write_bio_X509(bio, x) == 1);
	return pki_bio_text(bio);
}

PKI_FN void pki_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	PKI_CHECK(ext && X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

PKI_FN X509 *pki_cert(EVP_PKEY *key, const char *cn, uint64_t serial, long from_s, long until_s)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();

	PKI_CHECK(x && name && key);
	PKI_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn,
					     -1, -1, 0) == 1);
	PKI_CHECK(X509_set_version(x, X509_VERSION_3) == 1);
	PKI_CHECK(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) == 1);
	PKI_CHECK(X509_gmtime_adj(X509_getm_notBefore(x), from_s));
	PKI_CHECK(X509_gmtime_adj(X509_getm_notAfter(x), until_s));
	PKI_CHECK(X509_set_subject_name(x, name) == 1 && X509_set_issuer_name(x, name) == 1);
	PKI_CHECK(X509_set_pubkey(x, key) == 1);
	X509_NAME_free(name);
	return x;
}

PKI_FN void pki_ca_init(struct pki_ca *ca, const char *cn)
{
	ca->key = EVP_EC_gen("P-256");
	ca->cert = pki_cert(ca->key, cn, 1, -86400, 10 * 86400);
	pki_ext(ca->cert, ca->cert, NID_basic_constraints, "critical,CA:TRUE");
	pki_ext(ca->cert, ca->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	pki_ext(ca->cert, ca->cert, NID_subject_key_identifier, "hash");
	PKI_CHECK(X509_sign(ca->cert, ca->key, EVP_sha256()) > 0);
	ca->pem = pki_cert_text(ca->cert);
}

/* A CA below another one; its pem is what a leaf's chain needs behind the leaf. */
PKI_FN void pki_intermediate_init(struct pki_ca *ca, const struct pki_ca *above, const char *cn)
{
	ca->key = EVP_EC_gen("P-256");
	ca->cert = pki_cert(ca->key, cn, 2, -86400, 10 * 86400);
	PKI_CHECK(X509_set_issuer_name(ca->cert, X509_get_subject_name(above->cert)) == 1);
	pki_ext(ca->cert, above->cert, NID_basic_constraints, "critical,CA:TRUE");
	pki_ext(ca->cert, above->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	pki_ext(ca->cert, above->cert, NID_subject_key_identifier, "hash");
	pki_ext(ca->cert, above->cert, NID_authority_key_identifier, "keyid");
	PKI_CHECK(X509_sign(ca->cert, above->key, EVP_sha256()) > 0);
	ca->pem = pki_cert_text(ca->cert);
}

PKI_FN void pki_ca_fini(struct pki_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->cert);
	free(ca->pem);
	memset(ca, 0, sizeof(*ca));
}

PKI_FN void pki_leaf_exts(X509 *x, X509 *issuer, const struct pki_opts *o)
{
	static const char *const eku[] = { [PKI_EKU_BOTH] = "serverAuth,clientAuth",
					   [PKI_EKU_SERVER] = "serverAuth",
					   [PKI_EKU_CLIENT] = "clientAuth",
					   [PKI_EKU_NONE] = NULL };
	char san[1024];

	pki_ext(x, issuer, NID_basic_constraints, "critical,CA:FALSE");
	pki_ext(x, issuer, NID_key_usage, "critical,digitalSignature");
	pki_ext(x, issuer, NID_subject_key_identifier, "hash");
	pki_ext(x, issuer, NID_authority_key_identifier, "keyid");
	if (eku[o->eku])
		pki_ext(x, issuer, NID_ext_key_usage, eku[o->eku]);
	if (o->san)
		pki_ext(x, issuer, NID_subject_alt_name, o->san);
	if (o->uri) {
		snprintf(san, sizeof(san), "critical,URI:%s", o->uri);
		pki_ext(x, issuer, NID_subject_alt_name, san);
	}
}

PKI_FN void pki_leaf_init(struct pki_leaf *l, const struct pki_ca *ca, const struct pki_opts *o)
{
	bool plain = o->from_s == 0 && o->until_s == 0;
	BIO *bio = BIO_new(BIO_s_mem());

	l->key = EVP_EC_gen("P-256");
	l->cert = pki_cert(l->key, "leaf", o->serial ? o->serial : 4711, plain ? -3600 : o->from_s,
			   plain ? 86400 : o->until_s);
	PKI_CHECK(X509_set_issuer_name(l->cert, X509_get_subject_name(ca->cert)) == 1);
	pki_leaf_exts(l->cert, ca->cert, o);
	PKI_CHECK(X509_sign(l->cert, ca->key, EVP_sha256()) > 0);
	l->chain_pem = pki_cert_text(l->cert);
	PKI_CHECK(bio && PEM_write_bio_PrivateKey(bio, l->key, NULL, NULL, 0, NULL, NULL) == 1);
	l->key_pem = pki_bio_text(bio);
}

/* Puts a CA certificate behind the leaf. */
PKI_FN void pki_leaf_append(struct pki_leaf *l, const struct pki_ca *ca)
{
	char *both = str_printf("%s%s", l->chain_pem, ca->pem);

	PKI_CHECK(both);
	free(l->chain_pem);
	l->chain_pem = both;
}

PKI_FN void pki_leaf_fini(struct pki_leaf *l)
{
	EVP_PKEY_free(l->key);
	X509_free(l->cert);
	free(l->chain_pem);
	free(l->key_pem);
	memset(l, 0, sizeof(*l));
}

/* The leaf as an identity that trusts roots. */
PKI_FN struct tls_identity *pki_identity(const struct pki_leaf *l, const struct pki_ca *roots)
{
	struct errbuf err = { 0 };
	struct tls_identity *id;

	if (tls_identity_new(str_of(l->chain_pem), str_of(l->key_pem), str_of(roots->pem), &err,
			     &id) < 0) {
		fprintf(stderr, "pki: %s\n", err.text);
		abort();
	}
	return id;
}

/* CA, leaf and identity in one go; the identity trusts its own CA. */
PKI_FN struct tls_identity *pki_quick(const struct pki_ca *ca, const char *uri)
{
	struct tls_identity *id;
	struct pki_leaf leaf;

	pki_leaf_init(&leaf, ca, &(struct pki_opts){ .uri = uri });
	id = pki_identity(&leaf, ca);
	pki_leaf_fini(&leaf);
	return id;
}
