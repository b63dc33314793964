// SPDX-License-Identifier: Apache-2.0
/* Certificate signing requests: what istiod and istio-csr look at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/own.h"
#include "ident/cert.h"
#include "ident/request.h"

static void the_request_has_the_id_as_its_only_and_critical_name(void **state)
{
	const char *uri = "spiffe://cluster.local/ns/shop,DNS:evil/sa/web";
	_pkey_ EVP_PKEY *key = cert_key_new();
	_free_ char *pem = NULL;
	STACK_OF(X509_EXTENSION) * ext;
	GENERAL_NAMES *names;
	X509_REQ *req;
	int critical = 0;
	BIO *bio;

	(void)state;
	assert_int_equal(request_make(key, uri, &pem), 0);
	assert_memory_equal(pem, "-----BEGIN CERTIFICATE REQUEST-----\n", 36);
	bio = BIO_new_mem_buf(pem, -1);
	req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, key), 1);
	assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 0);
	ext = X509_REQ_get_extensions(req);
	assert_int_equal(sk_X509_EXTENSION_num(ext), 1);
	names = X509V3_get_d2i(ext, NID_subject_alt_name, &critical, NULL);
	assert_int_equal(critical, 1);
	assert_int_equal(sk_GENERAL_NAME_num(names), 1);
	assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_URI);
	assert_int_equal(
		ASN1_STRING_length(sk_GENERAL_NAME_value(names, 0)->d.uniformResourceIdentifier),
		strlen(uri));
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(ext, X509_EXTENSION_free);
	X509_REQ_free(req);
	BIO_free(bio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_has_the_id_as_its_only_and_critical_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
