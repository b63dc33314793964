// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates and keys: from PEM text, and the few facts the mesh wants of them. Used by
 * tls/identity for the own chain and by tls/handshake for the peer's leaf. Pure functions, any
 * thread; what they return belongs to the caller.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/own.h"
#include "tls/identity.h"

#define PEM_MAX (4u << 20)
#define CERTS_MAX 4096 /* trust bundles of federated meshes have hundreds */

static void own_certs(STACK_OF(X509) **s)
{
	sk_X509_pop_free(*s, X509_free);
}

static void own_names(GENERAL_NAMES **n)
{
	GENERAL_NAMES_free(*n);
}

/* Instead of OpenSSL's own callback, which would ask at the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

static BIO *pem_bio(struct str pem)
{
	return pem.n > 0 && pem.n <= PEM_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
}

bool pem_ended(void)
{
	unsigned long e = ERR_peek_last_error();

	return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static const char *pem_reason(void)
{
	const char *s = ERR_reason_error_string(ERR_peek_last_error());

	return s ? s : "unreadable";
}

int pem_certs(struct str pem, const char *what, struct errbuf *err, STACK_OF(X509) **ret)
{
	_bio_ BIO *bio = NULL;
	cleanup_with(own_certs) STACK_OF(X509) *certs = sk_X509_new_null();
	X509 *x;
	int n = 0;

	if (!certs)
		return -ENOMEM;
	bio = pem_bio(pem);
	if (!bio)
		return errbuf_set(err, -EINVAL, "%s: no certificate, or over 4 MB of text", what);
	ERR_clear_error();
	while ((x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
		if (++n > CERTS_MAX || sk_X509_push(certs, x) <= 0) {
			X509_free(x);
			return errbuf_set(err, -EINVAL, "%s: more than %d certificates", what,
					  CERTS_MAX);
		}
	}
	if (!pem_ended()) {
		errbuf_set(err, 0, "%s: certificate %d is broken: %s", what, n + 1, pem_reason());
		n = 0;
	}
	ERR_clear_error();
	if (n == 0)
		return errbuf_set(err, -EINVAL, "%s: no certificate in it", what);
	*ret = TAKE_PTR(certs);
	return 0;
}

int pem_key(struct str pem, struct errbuf *err, EVP_PKEY **ret)
{
	_bio_ BIO *bio = pem_bio(pem);
	EVP_PKEY *key;

	if (!bio)
		return errbuf_set(err, -EINVAL, "private key: none given");
	ERR_clear_error();
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	ERR_clear_error();
	if (!key)
		return errbuf_set(err, -EINVAL, "private key: no unencrypted key in it");
	*ret = key;
	return 0;
}

static int uri_push(struct cert_uris *u, const ASN1_IA5STRING *uri)
{
	const struct str s = { (const char *)ASN1_STRING_get0_data(uri),
			       (size_t)ASN1_STRING_length(uri) };
	char **p;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
			return -EPROTO;
	p = reallocarray(u->p, u->n + 1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	u->p = p;
	p[u->n] = str_dup(s);
	if (!p[u->n])
		return -ENOMEM;
	u->n++;
	return 0;
}

int cert_uris(X509 *cert, struct cert_uris *ret)
{
	cleanup_with(own_names) GENERAL_NAMES *names = NULL;
	cleanup_with(cert_uris_fini) struct cert_uris u = { 0 };
	int r, crit;

	names = X509_get_ext_d2i(cert, NID_subject_alt_name, &crit, NULL);
	/* -1: there is none. Anything else without names is a broken or doubled extension. */
	if (!names && crit != -1)
		return -EPROTO;
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type != GEN_URI)
			continue;
		r = uri_push(&u, g->d.uniformResourceIdentifier);
		if (r < 0)
			return r;
	}
	*ret = u;
	u = (struct cert_uris){ 0 };
	return 0;
}

void cert_uris_fini(struct cert_uris *u)
{
	for (size_t i = 0; i < u->n; i++)
		free(u->p[i]);
	free(u->p);
	*u = (struct cert_uris){ 0 };
}

char *serial_text(const ASN1_INTEGER *serial)
{
	BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
	char *text = bn ? BN_bn2dec(bn) : NULL;

	BN_free(bn);
	return text;
}

uint64_t cert_unix(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s;

	if (ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	s = timegm(&tm);
	return s > 0 ? (uint64_t)s : 0;
}
