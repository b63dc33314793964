/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * X.509 of the embedded CA: one function that makes a certificate of a kind from a plain
 * description, keys, PEM both ways. Stateless. Any thread.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/own.h"
#include "tls/identity.h"

static inline void own_x509(X509 **x)
{
	X509_free(*x);
	*x = NULL;
}

static inline void own_pkey(EVP_PKEY **k)
{
	EVP_PKEY_free(*k);
	*k = NULL;
}

#define _x509_ cleanup_with(own_x509)
#define _pkey_ cleanup_with(own_pkey)

enum cert_kind { CERT_ROOT, CERT_NODE, CERT_LEAF, CERT_KIND_MAX };

struct cert_spec {
	enum cert_kind kind;
	const char *org, *cn;  /* cut at 64 bytes; NULL both: empty subject */
	const char *uri;  /* the one SAN; critical where the subject is empty */
	const char *permit_host; /* name constraint on the host of URIs; NULL: none */
	int64_t not_before_s, not_after_s;
};

struct cert_signer { /* NULL members: self-signed by the certificate's own key */
	X509 *cert;
	EVP_PKEY *key;
};

EVP_PKEY *cert_key_new(void); /* P-256; NULL when OpenSSL fails */
int cert_make(const struct cert_spec *spec, EVP_PKEY *key, const struct cert_signer *by, X509 **ret);

int cert_to_pem(X509 *x, char **ret, size_t *ret_n);
int cert_key_to_pem(EVP_PKEY *key, char **ret, size_t *ret_n); /* PKCS#8; caller wipes */
int cert_from_pem(const char *pem, size_t n, X509 **ret); /* the first one */
int cert_key_from_pem(const char *pem, size_t n, EVP_PKEY **ret);

int64_t cert_not_before(const X509 *x); /* Unix seconds; INT64_MIN if unreadable */
int64_t cert_not_after(const X509 *x);
/* First URI SAN, malloc'ed; -ENOENT if there is none, -EBADMSG with a NUL inside. */
int cert_uri(const X509 *x, char **ret);
/* Text of the newest OpenSSL error of this thread; clears the queue. Into buf; returns buf. */
const char *cert_error(char *buf, size_t cap);
