// SPDX-License-Identifier: Apache-2.0
/* Certificate signing requests; see request.h. */
#include "ident/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/own.h"
#include "base/str.h"
#include "tls/identity.h"

static void own_req(X509_REQ **r)
{
	X509_REQ_free(*r);
}

static void own_extension(X509_EXTENSION **e)
{
	X509_EXTENSION_free(*e);
}

/* By the DER of it: the text form would read commas in the id as separators. */
static X509_EXTENSION *san_extension(const char *uri)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	X509_EXTENSION *e = NULL;

	if (names && name && text && ASN1_STRING_set(text, uri, -1)) {
		GENERAL_NAME_set0_value(name, GEN_URI, TAKE_PTR(text));
		if (sk_GENERAL_NAME_push(names, name)) {
			name = NULL;
			e = X509V3_EXT_i2d(NID_subject_alt_name, 1, names);
		}
	}
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	GENERAL_NAMES_free(names);
	return e;
}

static int add_san(X509_REQ *req, const char *uri)
{
	cleanup_with(own_extension) X509_EXTENSION *e = san_extension(uri);
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	int ok = e && all && sk_X509_EXTENSION_push(all, e) && X509_REQ_add_extensions(req, all);

	sk_X509_EXTENSION_free(all);
	return ok ? 0 : -ENOMEM;
}

int request_make(EVP_PKEY *key, const char *uri, char **ret_pem)
{
	cleanup_with(own_req) X509_REQ *req = X509_REQ_new();
	_bio_ BIO *bio = BIO_new(BIO_s_mem());
	char *p, *text;
	long n;
	int r;

	if (!req || !bio || !X509_REQ_set_version(req, X509_REQ_VERSION_1) ||
	    !X509_REQ_set_pubkey(req, key))
		return -ENOMEM;
	r = add_san(req, uri);
	if (r < 0)
		return r;
	if (X509_REQ_sign(req, key, EVP_sha256()) <= 0) {
		ERR_clear_error();
		return -EKEYREJECTED;
	}
	if (!PEM_write_bio_X509_REQ(bio, req))
		return -ENOMEM;
	n = BIO_get_mem_data(bio, &p);
	text = n > 0 ? str_dup((struct str){ p, (size_t)n }) : NULL;
	if (!text)
		return -ENOMEM;
	*ret_pem = text;
	return 0;
}
