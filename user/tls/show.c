// SPDX-License-Identifier: Apache-2.0
/* Certificates of an identity as text, for the admin page. No state; any thread. */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/own.h"
#include "tls/identity.h"

static char *pem_base64(X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *pem = NULL, *text = NULL;
	long n = b && PEM_write_bio_X509(b, x) == 1 ? BIO_get_mem_data(b, &pem) : 0;

	if (n > 0)
		text = malloc(4 * ((size_t)n + 2) / 3 + 4);
	if (text)
		EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)pem, (int)n);
	BIO_free(b);
	return text;
}

static int show(X509 *x, bool root, void (*fn)(void *arg, const struct tls_cert_text *c), void *arg)
{
	_free_ char *pem = pem_base64(x);
	char *serial = serial_text(X509_get0_serialNumber(x));
	const struct tls_cert_text c = { .root = root,
					 .pem_base64 = pem,
					 .serial = serial,
					 .not_before = cert_unix(X509_get0_notBefore(x)),
					 .not_after = cert_unix(X509_get0_notAfter(x)) };
	int r = pem && serial ? 0 : -ENOMEM;

	if (r == 0)
		fn(arg, &c);
	OPENSSL_free(serial);
	return r;
}

int tls_identity_certs(const struct tls_identity *id,
		       void (*fn)(void *arg, const struct tls_cert_text *c), void *arg)
{
	SSL_CTX *ctx = identity_ctx(id, TLS_SERVER);
	STACK_OF(X509) *chain = NULL, *roots;
	int r = show(SSL_CTX_get0_certificate(ctx), false, fn, arg);

	SSL_CTX_get0_chain_certs(ctx, &chain);
	for (int i = 0; r == 0 && i < sk_X509_num(chain); i++)
		r = show(sk_X509_value(chain, i), false, fn, arg);
	roots = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));
	for (int i = 0; r == 0 && i < sk_X509_num(roots); i++)
		r = show(sk_X509_value(roots, i), true, fn, arg);
	sk_X509_pop_free(roots, X509_free);
	return r;
}
