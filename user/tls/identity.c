// SPDX-License-Identifier: Apache-2.0
/*
 * A workload identity ready for handshakes: certificate chain, key and roots in two SSL_CTX.
 * Made by ident/store on the control thread, used by handshakes on every worker; immutable
 * behind an atomic reference count.
 */
#include "tls/identity.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/own.h"

#define CHAIN_MAX 10

struct tls_identity {
	atomic_uint refs;
	SSL_CTX *ctx[2]; /* by enum tls_role */
	struct cert_uris uris;
	char *serial; /* of OpenSSL's allocator */
	uint64_t not_before, not_after;
};

/* What tls_identity_new() reads before it builds. */
struct parts {
	STACK_OF(X509) *chain, *roots;
	EVP_PKEY *key;
	X509_STORE *store;
};

static void parts_fini(struct parts *p)
{
	sk_X509_pop_free(p->chain, X509_free);
	sk_X509_pop_free(p->roots, X509_free);
	EVP_PKEY_free(p->key);
	X509_STORE_free(p->store);
}

static int parts_store(struct parts *p)
{
	p->store = X509_STORE_new();
	if (!p->store)
		return -ENOMEM;
	for (int i = 0; i < sk_X509_num(p->roots); i++)
		if (X509_STORE_add_cert(p->store, sk_X509_value(p->roots, i)) != 1)
			return -ENOMEM;
	return 0;
}

static int parts_read(struct parts *p, struct str chain_pem, struct str key_pem,
		      struct str roots_pem, struct errbuf *err)
{
	int r;

	r = pem_certs(chain_pem, "certificate chain", err, &p->chain);
	if (r == 0)
		r = pem_key(key_pem, err, &p->key);
	if (r == 0)
		r = pem_certs(roots_pem, "root certificates", err, &p->roots);
	if (r < 0)
		return r;
	if (sk_X509_num(p->chain) > CHAIN_MAX)
		return errbuf_set(err, -EINVAL, "certificate chain: more than %d certificates",
				  CHAIN_MAX);
	if (X509_check_private_key(sk_X509_value(p->chain, 0), p->key) != 1) {
		ERR_clear_error();
		return errbuf_set(err, -EINVAL,
				  "private key: not that of the chain's first certificate");
	}
	return parts_store(p);
}

static int ctx_fill(SSL_CTX *ctx, const struct parts *p, struct errbuf *err)
{
	if (SSL_CTX_use_certificate(ctx, sk_X509_value(p->chain, 0)) != 1) {
		unsigned long e = ERR_peek_last_error();

		ERR_clear_error();
		return errbuf_set(err, -EINVAL, "certificate chain: leaf refused: %s",
				  ERR_reason_error_string(e));
	}
	if (SSL_CTX_use_PrivateKey(ctx, p->key) != 1)
		return -ENOMEM;
	for (int i = 1; i < sk_X509_num(p->chain); i++)
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(p->chain, i)) != 1)
			return -ENOMEM;
	/* The peer has its own roots: only what was given is sent, nothing is looked up. */
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	return 0;
}

static int identity_build(struct tls_identity *id, const struct parts *p, struct errbuf *err)
{
	X509 *leaf = sk_X509_value(p->chain, 0);
	int r;

	r = cert_uris(leaf, &id->uris);
	if (r < 0)
		return r == -ENOMEM ? r : errbuf_set(err, -EINVAL, "leaf with a broken URI SAN");
	id->not_before = cert_unix(X509_get0_notBefore(leaf));
	id->not_after = cert_unix(X509_get0_notAfter(leaf));
	id->serial = serial_text(X509_get0_serialNumber(leaf));
	if (!id->serial)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(id->ctx); i++) {
		id->ctx[i] = ctx_new((enum tls_role)i, p->store);
		if (!id->ctx[i])
			return -ENOMEM;
		r = ctx_fill(id->ctx[i], p, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int tls_identity_new(struct str chain_pem, struct str key_pem, struct str roots_pem,
		     struct errbuf *err, struct tls_identity **ret)
{
	cleanup_with(parts_fini) struct parts parts = { 0 };
	struct tls_identity *id;
	int r;

	r = parts_read(&parts, chain_pem, key_pem, roots_pem, err);
	if (r < 0)
		return r;
	id = calloc(1, sizeof(*id));
	if (!id)
		return -ENOMEM;
	atomic_init(&id->refs, 1);
	r = identity_build(id, &parts, err);
	if (r < 0) {
		tls_identity_put(&id);
		return r;
	}
	*ret = id;
	return 0;
}

struct tls_identity *tls_identity_get(struct tls_identity *id)
{
	atomic_fetch_add_explicit(&id->refs, 1, memory_order_relaxed);
	return id;
}

void tls_identity_put(struct tls_identity **idp)
{
	struct tls_identity *id = TAKE_PTR(*idp);

	if (!id || atomic_fetch_sub_explicit(&id->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < ARRAY_LEN(id->ctx); i++)
		SSL_CTX_free(id->ctx[i]);
	cert_uris_fini(&id->uris);
	OPENSSL_free(id->serial);
	free(id);
}

const char *tls_identity_uri(const struct tls_identity *id)
{
	return id->uris.n ? id->uris.p[0] : "";
}

uint64_t tls_identity_not_before(const struct tls_identity *id)
{
	return id->not_before;
}

uint64_t tls_identity_not_after(const struct tls_identity *id)
{
	return id->not_after;
}

const char *tls_identity_serial(const struct tls_identity *id)
{
	return id->serial;
}

SSL_CTX *identity_ctx(const struct tls_identity *id, enum tls_role role)
{
	return id->ctx[role];
}
