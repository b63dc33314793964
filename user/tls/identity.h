/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What tls/handshake.c needs of an identity beyond handshake.h; nobody else includes this. */
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/errbuf.h"
#include "base/own.h"
#include "base/str.h"
#include "tls/handshake.h"

SSL_CTX *identity_ctx(const struct tls_identity *id, enum tls_role role);

/* A context with the protocol policy of the mesh for one role, without any certificate. Chains
 * are checked against roots (shared, not taken). NULL when out of memory or when the library
 * lacks what the policy asks for. */
SSL_CTX *ctx_new(enum tls_role role, X509_STORE *roots);
/* Certificate verification of every context: OpenSSL's, and by the lists of the struct tls_hs. */
int hs_verify(X509_STORE_CTX *ctx, void *arg);
/* crl.c: makes a verification that is about to begin look at these lists. */
struct tls_crl;
void crl_apply(X509_STORE_CTX *ctx, struct tls_crl *crl);
struct tls_chain;
int chain_make(const STACK_OF(X509) * certs, struct tls_chain **ret);
/* Keylog callback of every context: hands traffic secrets to the struct tls_hs that is the
 * SSL's app data. */
void hs_keylog(const SSL *ssl, const char *line);
/* Whether the protocol agreed on is the one of the policy. */
bool ctx_alpn_ok(const SSL *ssl);

static inline void own_bio(BIO **b)
{
	BIO_free(*b);
	*b = NULL;
}

#define _bio_ cleanup_with(own_bio)

/* Whether reading PEM stopped because nothing is left, not because of something broken; looks at the
 * newest OpenSSL error of this thread. */
bool pem_ended(void);
/* Takes all certificates out of PEM text, in order. -EINVAL with a sentence that begins with
 * what, also for none at all; -ENOMEM. */
int pem_certs(struct str pem, const char *what, struct errbuf *err, STACK_OF(X509) * *ret);
int pem_key(struct str pem, struct errbuf *err, EVP_PKEY **ret);

/* URI SANs of a certificate. -EPROTO if one holds anything but printable ASCII (or a NUL, which
 * would cut it for C); -ENOMEM. */
struct cert_uris {
	char **p;
	size_t n;
};
int cert_uris(X509 *cert, struct cert_uris *ret);
void cert_uris_fini(struct cert_uris *u);
uint64_t cert_unix(const ASN1_TIME *t); /* 0 before 1970 */
/* Decimal; for OPENSSL_free(). NULL: out of memory. */
char *serial_text(const ASN1_INTEGER *serial);
