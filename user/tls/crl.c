// SPDX-License-Identifier: Apache-2.0
/*
 * Revocation lists (RFC 5280 section 5) as OpenSSL checks them, and chains that are checked again.
 * Used by tls/ctx in handshakes, by ident/ for the own certificates and by tunnel/ for live
 * connections. What is tolerated is what ztunnel tolerates: an issuer without a list, a list
 * past its nextUpdate. A list whose signature or extensions are wrong refuses the chains of its
 * issuer.
 */
#include "tls/crl.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/own.h"
#include "tls/identity.h"

#define LISTS_MAX 256
#define CHAIN_CERTS_MAX 16

struct tls_crl {
	atomic_uint refs;
	STACK_OF(X509_CRL) *list;
	size_t entries;
	uint64_t next_update;
};

static void own_crl(struct tls_crl **c)
{
	tls_crl_put(c);
}

static void own_store_ctx(X509_STORE_CTX **c)
{
	X509_STORE_CTX_free(*c);
}

static void own_certs(STACK_OF(X509) **s)
{
	sk_X509_pop_free(*s, X509_free);
}

#define _crl_ cleanup_with(own_crl)
#define _store_ctx_ cleanup_with(own_store_ctx)
#define _certs_ cleanup_with(own_certs)

static int list_add(struct tls_crl *c, X509_CRL *x)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(x);
	uint64_t due = next ? cert_unix(next) : 0;
	int n = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(x));

	if (sk_X509_CRL_push(c->list, x) <= 0)
		return -ENOMEM;
	c->entries += n > 0 ? (size_t)n : 0;
	if (due && (!c->next_update || due < c->next_update))
		c->next_update = due;
	return 0;
}

static bool is_blank(struct str s)
{
	return str_trim(s).n == 0;
}

static int read_der(struct tls_crl *c, struct str text, struct errbuf *err)
{
	const unsigned char *p = (const unsigned char *)text.p;
	X509_CRL *x = d2i_X509_CRL(NULL, &p, (long)text.n);

	if (!x || p != (const unsigned char *)text.p + text.n) {
		X509_CRL_free(x);
		return errbuf_set(err, -EINVAL, "is no revocation list in PEM or DER");
	}
	if (list_add(c, x) == 0)
		return 0;
	X509_CRL_free(x);
	return -ENOMEM;
}

static int read_pem(struct tls_crl *c, struct str text, struct errbuf *err)
{
	_bio_ BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	if (!bio)
		return -ENOMEM;
	for (;;) {
		X509_CRL *x = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);

		if (!x)
			break;
		if (sk_X509_CRL_num(c->list) >= LISTS_MAX || list_add(c, x) < 0) {
			X509_CRL_free(x);
			return errbuf_set(err, -EINVAL, "more than %d lists", LISTS_MAX);
		}
	}
	if (!pem_ended())
		return errbuf_set(err, -EINVAL, "list %d is broken: %s",
				  sk_X509_CRL_num(c->list) + 1, ERR_reason_error_string(ERR_peek_last_error()));
	if (sk_X509_CRL_num(c->list) == 0)
		return errbuf_set(err, -EINVAL, "there is no revocation list in it");
	return 0;
}

int tls_crl_new(struct str text, struct errbuf *err, struct tls_crl **ret)
{
	_crl_ struct tls_crl *c = calloc(1, sizeof(*c));
	bool pem = text.n >= 5 && memmem(text.p, text.n, "-----", 5);
	int r = 0;

	if (!c)
		return -ENOMEM;
	atomic_init(&c->refs, 1);
	c->list = sk_X509_CRL_new_null();
	if (!c->list)
		return -ENOMEM;
	if (text.n > INT32_MAX)
		return errbuf_set(err, -EINVAL, "is too large");
	ERR_clear_error();
	if (!is_blank(text))
		r = pem ? read_pem(c, text, err) : read_der(c, text, err);
	ERR_clear_error();
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

struct tls_crl *tls_crl_get(struct tls_crl *crl)
{
	if (crl)
		atomic_fetch_add_explicit(&crl->refs, 1, memory_order_relaxed);
	return crl;
}

void tls_crl_put(struct tls_crl **cp)
{
	struct tls_crl *c = TAKE_PTR(*cp);

	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	sk_X509_CRL_pop_free(c->list, X509_CRL_free);
	free(c);
}

size_t tls_crl_lists(const struct tls_crl *crl)
{
	return (size_t)sk_X509_CRL_num(crl->list);
}

size_t tls_crl_entries(const struct tls_crl *crl)
{
	return crl->entries;
}

uint64_t tls_crl_next_update(const struct tls_crl *crl)
{
	return crl->next_update;
}

static int tolerate(int ok, X509_STORE_CTX *ctx)
{
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	default:
		return ok;
	}
}

void crl_apply(X509_STORE_CTX *ctx, struct tls_crl *crl)
{
	if (!crl || sk_X509_CRL_num(crl->list) == 0)
		return;
	X509_STORE_CTX_set0_crls(ctx, crl->list);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_STORE_CTX_set_verify_cb(ctx, tolerate);
}

/* ---- chains ---- */

struct tls_chain {
	size_t n, bytes; /* certificates, leaf first; all their DER together */
	size_t len[CHAIN_CERTS_MAX];
	unsigned char der[];
};

int chain_make(const STACK_OF(X509) *certs, struct tls_chain **ret)
{
	int n = sk_X509_num(certs);
	struct tls_chain *c;
	size_t total = 0;
	unsigned char *p;

	if (n < 1 || n > CHAIN_CERTS_MAX)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		int len = i2d_X509(sk_X509_value(certs, i), NULL);

		if (len <= 0)
			return -ENOMEM;
		total += (size_t)len;
	}
	c = calloc(1, sizeof(*c) + total);
	if (!c)
		return -ENOMEM;
	p = c->der;
	c->n = (size_t)n;
	c->bytes = total;
	for (int i = 0; i < n; i++)
		c->len[i] = (size_t)i2d_X509(sk_X509_value(certs, i), &p);
	*ret = c;
	return 0;
}

void tls_chain_free(struct tls_chain **c)
{
	free(*c);
	*c = NULL;
}

struct str tls_chain_bytes(const struct tls_chain *c)
{
	return (struct str){ (const char *)c->der, c->bytes };
}

static STACK_OF(X509) *chain_certs(const struct tls_chain *c)
{
	_certs_ STACK_OF(X509) *certs = sk_X509_new_null();
	const unsigned char *p = c->der;

	for (size_t i = 0; certs && i < c->n; i++) {
		X509 *x = d2i_X509(NULL, &p, (long)c->len[i]);

		if (!x || sk_X509_push(certs, x) <= 0) {
			X509_free(x);
			return NULL;
		}
	}
	return TAKE_PTR(certs);
}

/* certs: leaf first, then what may be needed to get to a root; none of it is trusted. */
static int certs_check(STACK_OF(X509) *certs, X509_STORE *roots, int purpose, struct tls_crl *crl,
		       const char *whose, struct errbuf *err)
{
	_store_ctx_ X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int code;

	if (!ctx || X509_STORE_CTX_init(ctx, roots, sk_X509_value(certs, 0), certs) != 1)
		return -ENOMEM;
	if (purpose && X509_STORE_CTX_set_purpose(ctx, purpose) != 1)
		return -ENOMEM;
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
	crl_apply(ctx, crl);
	if (X509_verify_cert(ctx) == 1)
		return 0;
	code = X509_STORE_CTX_get_error(ctx);
	ERR_clear_error();
	if (code == X509_V_ERR_OUT_OF_MEM)
		return -ENOMEM;
	return errbuf_set(err, code == X509_V_ERR_CERT_REVOKED ? -EKEYREVOKED : -EKEYREJECTED,
			  "certificate %d of %s: %s", X509_STORE_CTX_get_error_depth(ctx) + 1, whose,
			  X509_verify_cert_error_string(code));
}

int tls_chain_check(const struct tls_chain *c, const struct tls_identity *id, enum tls_role role,
		    struct tls_crl *crl, struct errbuf *err)
{
	_certs_ STACK_OF(X509) *certs = chain_certs(c);

	if (!certs)
		return -ENOMEM;
	return certs_check(certs, SSL_CTX_get_cert_store(identity_ctx(id, role)),
			   role == TLS_SERVER ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER,
			   crl, "the peer's chain", err);
}

int tls_identity_check(const struct tls_identity *id, struct tls_crl *crl, struct errbuf *err)
{
	SSL_CTX *ctx = identity_ctx(id, TLS_SERVER);
	_certs_ STACK_OF(X509) *certs = NULL;
	STACK_OF(X509) *behind = NULL;
	X509 *leaf = SSL_CTX_get0_certificate(ctx);
	int r;

	if (!crl || sk_X509_CRL_num(crl->list) == 0)
		return 0;
	SSL_CTX_get0_chain_certs(ctx, &behind);
	certs = behind ? X509_chain_up_ref(behind) : sk_X509_new_null();
	if (!certs || sk_X509_unshift(certs, leaf) <= 0)
		return -ENOMEM;
	X509_up_ref(leaf);
	r = certs_check(certs, SSL_CTX_get_cert_store(ctx), 0, crl, "the own chain", err);
	/* Whether the own roots lead to it is for the peers to judge. */
	return r == -EKEYREJECTED ? 0 : r;
}
