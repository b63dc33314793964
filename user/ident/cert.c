// SPDX-License-Identifier: Apache-2.0
/*
 * Making and reading certificates with OpenSSL 3. Used by ca.c and by tests. Owns nothing.
 *
 * Extensions with names of foreign origin are built as structures, not through OpenSSL's
 * "URI:..." mini language, where a comma in a name would start another name.
 */
#include "ident/cert.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "base/str.h"

#define SERIAL_BYTES 16
#define SUBJECT_MAX 64 /* ub-common-name and ub-organization-name of RFC 5280 */

struct ext {
	int nid;
	const char *value;
};

static const struct ext ext_root[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:1" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ 0, NULL },
};

static const struct ext ext_node[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0, NULL },
};

static const struct ext ext_leaf[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth,clientAuth" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0, NULL },
};

static const struct ext *const ext_of[] = {
	[CERT_ROOT] = ext_root,
	[CERT_NODE] = ext_node,
	[CERT_LEAF] = ext_leaf,
};
_Static_assert(ARRAY_LEN(ext_of) == CERT_KIND_MAX, "extensions for every kind");

static void own_gens(GENERAL_NAMES **g)
{
	GENERAL_NAMES_free(*g);
}

static void own_constraints(NAME_CONSTRAINTS **n)
{
	NAME_CONSTRAINTS_free(*n);
}

#define _gens_ cleanup_with(own_gens)
#define _constraints_ cleanup_with(own_constraints)

const char *cert_error(char *buf, size_t cap)
{
	unsigned long code = ERR_peek_last_error();

	if (code)
		ERR_error_string_n(code, buf, cap);
	else
		snprintf(buf, cap, "no detail");
	ERR_clear_error();
	return buf;
}

EVP_PKEY *cert_key_new(void)
{
	return EVP_EC_gen("P-256");
}

static int set_serial(X509 *x)
{
	uint8_t bytes[SERIAL_BYTES];
	BIGNUM *bn;
	int ok;

	rand_secure(bytes, sizeof(bytes));
	bn = BN_bin2bn(bytes, sizeof(bytes), NULL);
	if (!bn)
		return -ENOMEM;
	ok = BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;
	BN_free(bn);
	return ok ? 0 : -ENOMEM;
}

static int set_time(X509 *x, int64_t not_before_s, int64_t not_after_s)
{
	ASN1_TIME *nb = ASN1_TIME_set(NULL, not_before_s), *na = ASN1_TIME_set(NULL, not_after_s);
	int ok = nb && na && X509_set1_notBefore(x, nb) && X509_set1_notAfter(x, na);

	ASN1_TIME_free(nb);
	ASN1_TIME_free(na);
	return ok ? 0 : -EINVAL;
}

static int add_subject(X509_NAME *name, const char *field, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n == 0)
		return 0;
	if (n > SUBJECT_MAX)
		n = SUBJECT_MAX;
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const uint8_t *)text, (int)n,
					  -1, 0)
		       ? 0
		       : -EINVAL;
}

static GENERAL_NAME *uri_name(const char *text)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	if (!g || !s || !ASN1_STRING_set(s, text, -1)) {
		GENERAL_NAME_free(g);
		ASN1_IA5STRING_free(s);
		return NULL;
	}
	GENERAL_NAME_set0_value(g, GEN_URI, s);
	return g;
}

static int add_san(X509 *x, const char *uri, int critical)
{
	_gens_ GENERAL_NAMES *gens = GENERAL_NAMES_new();
	GENERAL_NAME *g = uri_name(uri);

	if (!gens || !g || !sk_GENERAL_NAME_push(gens, g)) {
		GENERAL_NAME_free(g);
		return -ENOMEM;
	}
	return X509_add1_ext_i2d(x, NID_subject_alt_name, gens, critical, X509V3_ADD_APPEND) == 1
		       ? 0
		       : -ENOMEM;
}

static int add_constraint(X509 *x, const char *host)
{
	_constraints_ NAME_CONSTRAINTS *nc = NAME_CONSTRAINTS_new();
	GENERAL_SUBTREE *sub = GENERAL_SUBTREE_new();
	GENERAL_NAME *base = uri_name(host);

	if (nc && !nc->permittedSubtrees)
		nc->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
	if (sub && base) {
		GENERAL_NAME_free(sub->base);
		sub->base = TAKE_PTR(base);
	}
	if (!nc || !nc->permittedSubtrees || !sub || !sub->base || base ||
	    !sk_GENERAL_SUBTREE_push(nc->permittedSubtrees, sub)) {
		GENERAL_NAME_free(base);
		GENERAL_SUBTREE_free(sub);
		return -ENOMEM;
	}
	return X509_add1_ext_i2d(x, NID_name_constraints, nc, 1, X509V3_ADD_APPEND) == 1 ? 0
											 : -ENOMEM;
}

static int add_fixed(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
	if (!e)
		return -EINVAL;
	ok = X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	return ok ? 0 : -ENOMEM;
}

static int add_extensions(X509 *x, const struct cert_spec *spec, X509 *issuer)
{
	int r = add_fixed(x, issuer, NID_subject_key_identifier, "hash");

	for (const struct ext *e = ext_of[spec->kind]; r == 0 && e->value; e++)
		r = add_fixed(x, issuer, e->nid, e->value);
	if (r == 0 && spec->uri)
		r = add_san(x, spec->uri, !spec->org && !spec->cn);
	if (r == 0 && spec->permit_host)
		r = add_constraint(x, spec->permit_host);
	return r;
}

int cert_make(const struct cert_spec *spec, EVP_PKEY *key, const struct cert_signer *by, X509 **ret)
{
	_x509_ X509 *x = X509_new();
	X509 *issuer;
	int r;

	if (!x)
		return -ENOMEM;
	issuer = by->cert ? by->cert : x;
	if (!X509_set_version(x, X509_VERSION_3) || !X509_set_pubkey(x, key))
		return -ENOMEM;
	r = set_serial(x);
	if (r == 0)
		r = set_time(x, spec->not_before_s, spec->not_after_s);
	if (r == 0)
		r = add_subject(X509_get_subject_name(x), "O", spec->org);
	if (r == 0)
		r = add_subject(X509_get_subject_name(x), "CN", spec->cn);
	if (r < 0)
		return r;
	if (!X509_set_issuer_name(x, X509_get_subject_name(issuer)))
		return -ENOMEM;
	r = add_extensions(x, spec, issuer);
	if (r < 0)
		return r;
	if (X509_sign(x, by->key ? by->key : key, EVP_sha256()) <= 0)
		return -EKEYREJECTED;
	*ret = TAKE_PTR(x);
	return 0;
}

static int bio_to_text(BIO *b, char **ret, size_t *ret_n)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	char *z;

	if (n <= 0)
		return -ENOMEM;
	z = str_dup((struct str){ p, (size_t)n });
	if (!z)
		return -ENOMEM;
	*ret = z;
	*ret_n = (size_t)n;
	return 0;
}

int cert_to_pem(X509 *x, char **ret, size_t *ret_n)
{
	_bio_ BIO *b = BIO_new(BIO_s_mem());

	if (!b || !PEM_write_bio_X509(b, x))
		return -ENOMEM;
	return bio_to_text(b, ret, ret_n);
}

int cert_key_to_pem(EVP_PKEY *key, char **ret, size_t *ret_n)
{
	_bio_ BIO *b = BIO_new(BIO_s_mem());

	if (!b || !PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL))
		return -ENOMEM;
	return bio_to_text(b, ret, ret_n);
}

int cert_from_pem(const char *pem, size_t n, X509 **ret)
{
	_bio_ BIO *b = n <= INT32_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
	X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;

	if (!x)
		return -EINVAL;
	*ret = x;
	return 0;
}

/* Without it OpenSSL would ask for the password of an encrypted key on the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	(void)buf, (void)size, (void)rwflag, (void)arg;
	return -1;
}

int cert_key_from_pem(const char *pem, size_t n, EVP_PKEY **ret)
{
	_bio_ BIO *b = n <= INT32_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;

	if (!k)
		return -EINVAL;
	*ret = k;
	return 0;
}

static int64_t unix_of(const ASN1_TIME *t)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm))
		return INT64_MIN;
	return (int64_t)timegm(&tm);
}

int64_t cert_not_before(const X509 *x)
{
	return unix_of(X509_get0_notBefore(x));
}

int64_t cert_not_after(const X509 *x)
{
	return unix_of(X509_get0_notAfter(x));
}

int cert_uri(const X509 *x, char **ret)
{
	_gens_ GENERAL_NAMES *gens = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; gens && i < sk_GENERAL_NAME_num(gens); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(gens, i);
		struct str s;

		if (g->type != GEN_URI)
			continue;
		s.p = (const char *)ASN1_STRING_get0_data(g->d.uniformResourceIdentifier);
		s.n = (size_t)ASN1_STRING_length(g->d.uniformResourceIdentifier);
		if (memchr(s.p, '\0', s.n))
			return -EBADMSG;
		*ret = str_dup(s);
		return *ret ? 0 : -ENOMEM;
	}
	return -ENOENT;
}
