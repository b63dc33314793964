// SPDX-License-Identifier: Apache-2.0
/* Certificates and keys as they lie in the folder of the CA. No state. */
#include "ident/ca_pair.h"

#include <openssl/err.h>
#include <string.h>

#include "base/str.h"
#include "ident/keydir.h"

void ca_pair_fini(struct ca_pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	*p = (struct ca_pair){ 0 };
}

void own_secret(char **z)
{
	if (*z)
		explicit_bzero(*z, strlen(*z));
	free(*z);
	*z = NULL;
}

int ca_read_cert(int dirfd, const char *dir, const char *base, struct errbuf *err, char **ret_pem,
		 X509 **ret)
{
	_free_ char *pem = NULL;
	char name[256];
	size_t n;
	int r;

	snprintf(name, sizeof(name), "%s-cert.pem", base);
	r = keydir_read(dirfd, dir, name, err, &pem, &n);
	if (r < 0)
		return r;
	r = cert_from_pem(pem, n, ret);
	if (r < 0)
		return errbuf_set(err, r, "%s/%s is not a certificate in PEM", dir, name);
	if (ret_pem)
		*ret_pem = TAKE_PTR(pem);
	return 0;
}

static int read_key(int dirfd, const char *dir, const char *base, struct errbuf *err, EVP_PKEY **ret)
{
	_secret_ char *pem = NULL;
	char name[256];
	size_t n;
	int r;

	snprintf(name, sizeof(name), "%s-key.pem", base);
	r = keydir_read(dirfd, dir, name, err, &pem, &n);
	if (r < 0)
		return r;
	r = cert_key_from_pem(pem, n, ret);
	if (r < 0)
		return errbuf_set(err, r, "%s/%s is not a private key in PEM", dir, name);
	return 0;
}

int ca_read_pair(int dirfd, const char *dir, const char *base, struct errbuf *err, struct ca_pair *ret)
{
	_pair_ struct ca_pair p = { 0 };
	int r = ca_read_cert(dirfd, dir, base, err, NULL, &p.cert);

	if (r == 0)
		r = read_key(dirfd, dir, base, err, &p.key);
	if (r < 0)
		return r;
	if (X509_check_private_key(p.cert, p.key) != 1) {
		ERR_clear_error();
		return errbuf_set(err, -EINVAL, "%s/%s-key.pem is not the key of %s-cert.pem", dir,
				  base, base);
	}
	*ret = p;
	p = (struct ca_pair){ 0 };
	return 0;
}

int ca_write_pair(int dirfd, const char *dir, const char *base, const struct ca_pair *p,
		  struct errbuf *err)
{
	_secret_ char *key = NULL;
	_free_ char *cert = NULL;
	size_t n_key, n_cert;
	char name[256];
	int r;

	r = cert_to_pem(p->cert, &cert, &n_cert);
	if (r == 0)
		r = cert_key_to_pem(p->key, &key, &n_key);
	if (r < 0)
		return r;
	/* The certificate last: where it is, there was a key. */
	snprintf(name, sizeof(name), "%s-key.pem", base);
	r = keydir_write(dirfd, dir, name, key, n_key, err);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s-cert.pem", base);
	return keydir_write(dirfd, dir, name, cert, n_cert, err);
}
