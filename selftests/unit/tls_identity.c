// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/identity and tls/cert. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "tls/identity.h"
#include "unit/tls_pki.h"

#define SERIAL 0xfedcba9876543210ull /* does not fit a long */
#define URI "spiffe://cluster.local/ns/demo/sa/web"

static struct pki_ca ca;
static struct pki_leaf leaf;

static int group_setup(void **state)
{
	(void)state;
	pki_ca_init(&ca, "root");
	pki_leaf_init(&leaf, &ca, &(struct pki_opts){ .uri = URI, .serial = SERIAL });
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	pki_leaf_fini(&leaf);
	pki_ca_fini(&ca);
	return 0;
}

static int make(const char *chain, const char *key, const char *roots, struct errbuf *err,
		struct tls_identity **ret)
{
	*err = (struct errbuf){ 0 };
	return tls_identity_new(str_of(chain), str_of(key), str_of(roots), err, ret);
}

/* Must fail with this in its sentence. */
static void refuse(const char *chain, const char *key, const char *roots, const char *why)
{
	struct tls_identity *id = NULL;
	struct errbuf err;

	assert_int_equal(make(chain, key, roots, &err, &id), -EINVAL);
	assert_null(id);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
	assert_int_equal(tls_identity_new(str_of(chain), str_of(key), str_of(roots), NULL, &id),
			 -EINVAL);
}

static void an_identity_knows_its_own_leaf(void **state)
{
	struct tls_identity *id = pki_identity(&leaf, &ca);
	uint64_t now = clock_wall_s();

	(void)state;
	assert_string_equal(tls_identity_uri(id), URI);
	assert_string_equal(tls_identity_serial(id), "18364758544493064720");
	assert_in_range(tls_identity_not_before(id), now - 3700, now - 3500);
	assert_in_range(tls_identity_not_after(id), now + 86300, now + 86500);
	tls_identity_put(&id);
	assert_null(id);
}

static void an_identity_lives_as_long_as_somebody_holds_it(void **state)
{
	struct tls_identity *id = pki_identity(&leaf, &ca), *other = tls_identity_get(id);

	(void)state;
	tls_identity_put(&id);
	assert_string_equal(tls_identity_uri(other), URI);
	tls_identity_put(&other);
	tls_identity_put(&other);
}

static void a_leaf_without_uri_has_an_empty_one(void **state)
{
	struct tls_identity *id = pki_quick(&ca, NULL);

	(void)state;
	assert_string_equal(tls_identity_uri(id), "");
	tls_identity_put(&id);
}

static void text_around_the_certificates_is_skipped(void **state)
{
	_free_ char *chain = str_printf("# the leaf\n%s\nand its CA\n%s\nend\n", leaf.chain_pem,
					ca.pem);
	struct tls_identity *id;
	struct errbuf err;

	(void)state;
	assert_int_equal(make(chain, leaf.key_pem, chain, &err, &id), 0);
	tls_identity_put(&id);
}

static void text_need_not_end_with_a_nul(void **state)
{
	size_t n = strlen(leaf.chain_pem);
	_free_ char *chain = malloc(n);
	struct tls_identity *id;

	(void)state;
	memcpy(chain, leaf.chain_pem, n);
	assert_int_equal(tls_identity_new((struct str){ chain, n }, str_of(leaf.key_pem),
					  str_of(ca.pem), NULL, &id),
			 0);
	tls_identity_put(&id);
}

static void a_missing_part_is_named(void **state)
{
	(void)state;
	refuse("", leaf.key_pem, ca.pem, "certificate chain");
	refuse(NULL, leaf.key_pem, ca.pem, "certificate chain");
	refuse("nothing here\n", leaf.key_pem, ca.pem, "certificate chain: no certificate in it");
	refuse(leaf.chain_pem, "", ca.pem, "private key");
	refuse(leaf.chain_pem, ca.pem, ca.pem, "private key: no unencrypted key in it");
	refuse(leaf.chain_pem, leaf.key_pem, "", "root certificates");
	refuse(leaf.chain_pem, leaf.key_pem, leaf.key_pem, "root certificates");
}

static void a_broken_certificate_is_counted(void **state)
{
	_free_ char *chain = str_printf(
		"%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", leaf.chain_pem);
	_free_ char *cut = str_dup((struct str){ leaf.chain_pem, strlen(leaf.chain_pem) / 2 });

	(void)state;
	refuse(chain, leaf.key_pem, ca.pem, "certificate chain: certificate 2 is broken");
	refuse(cut, leaf.key_pem, ca.pem, "certificate chain: certificate 1 is broken");
	refuse(leaf.chain_pem, leaf.key_pem, cut, "root certificates: certificate 1 is broken");
}

static void a_foreign_key_is_refused(void **state)
{
	struct pki_leaf other;

	(void)state;
	pki_leaf_init(&other, &ca, &(struct pki_opts){ .uri = URI });
	refuse(leaf.chain_pem, other.key_pem, ca.pem, "not that of the chain's first certificate");
	pki_leaf_fini(&other);
}

static void an_encrypted_key_is_refused_without_asking_for_a_passphrase(void **state)
{
	BIO *bio = BIO_new(BIO_s_mem());
	_free_ char *pem = NULL;

	(void)state;
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, leaf.key, EVP_aes_128_cbc(), "pass", 4,
						       NULL, NULL),
			 1);
	pem = pki_bio_text(bio);
	refuse(leaf.chain_pem, pem, ca.pem, "private key: no unencrypted key in it");
}

static void a_chain_of_too_many_certificates_is_refused(void **state)
{
	_free_ char *chain = NULL;

	(void)state;
	for (int i = 0; i < 11; i++) {
		char *longer = str_printf("%s%s", chain ? chain : "", leaf.chain_pem);

		free(chain);
		chain = longer;
	}
	refuse(chain, leaf.key_pem, ca.pem, "more than 10");
}

static void the_same_root_twice_is_fine(void **state)
{
	_free_ char *roots = str_printf("%s%s", ca.pem, ca.pem);
	struct tls_identity *id;
	struct errbuf err;

	(void)state;
	assert_int_equal(make(leaf.chain_pem, leaf.key_pem, roots, &err, &id), 0);
	tls_identity_put(&id);
}

static void all_uris_come_in_order_and_other_names_are_left_out(void **state)
{
	struct cert_uris u;
	struct pki_leaf l;

	(void)state;
	pki_leaf_init(&l, &ca,
		      &(struct pki_opts){
			      .san = "DNS:a,URI:spiffe://a/b,IP:10.0.0.1,URI:spiffe://c/d" });
	assert_int_equal(cert_uris(l.cert, &u), 0);
	assert_int_equal(u.n, 2);
	assert_string_equal(u.p[0], "spiffe://a/b");
	assert_string_equal(u.p[1], "spiffe://c/d");
	cert_uris_fini(&u);
	pki_leaf_fini(&l);
}

/* A certificate whose only SAN is a URI of these bytes. */
static X509 *odd_cert(const char *uri, int n)
{
	X509 *x = pki_cert(leaf.key, "odd", 1, -60, 60);
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	assert_int_equal(ASN1_STRING_set(s, uri, n), 1);
	GENERAL_NAME_set0_value(g, GEN_URI, s);
	assert_true(sk_GENERAL_NAME_push(names, g) > 0);
	assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
	return x;
}

static void a_uri_with_a_nul_or_control_bytes_is_refused(void **state)
{
	static const struct {
		const char *p;
		int n;
	} odd[] = { { "spiffe://a\0/b", 13 },
		    { "spiffe://a\n", 11 },
		    { "spiffe://a b", 12 },
		    { "spiffe://\xc3\xa4", 11 },
		    { "spiffe://\x7f", 10 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct cert_uris u = { 0 };
		X509 *x = odd_cert(odd[i].p, odd[i].n);

		assert_int_equal(cert_uris(x, &u), -EPROTO);
		assert_null(u.p);
		X509_free(x);
	}
}

static void a_doubled_san_extension_is_refused(void **state)
{
	struct cert_uris u = { 0 };
	X509 *x = pki_cert(leaf.key, "twice", 1, -60, 60);

	(void)state;
	pki_ext(x, x, NID_subject_alt_name, "URI:spiffe://a/b");
	pki_ext(x, x, NID_subject_alt_name, "URI:spiffe://c/d");
	assert_int_equal(cert_uris(x, &u), -EPROTO);
	X509_free(x);
}

static void times_before_1970_are_zero(void **state)
{
	ASN1_TIME *t = ASN1_TIME_new();

	(void)state;
	assert_int_equal(ASN1_TIME_set_string(t, "19600101000000Z"), 1);
	assert_int_equal(cert_unix(t), 0);
	assert_int_equal(ASN1_TIME_set_string(t, "20380119031408Z"), 1);
	assert_int_equal(cert_unix(t), 2147483648u);
	ASN1_TIME_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_identity_knows_its_own_leaf),
		cmocka_unit_test(an_identity_lives_as_long_as_somebody_holds_it),
		cmocka_unit_test(a_leaf_without_uri_has_an_empty_one),
		cmocka_unit_test(text_around_the_certificates_is_skipped),
		cmocka_unit_test(text_need_not_end_with_a_nul),
		cmocka_unit_test(a_missing_part_is_named),
		cmocka_unit_test(a_broken_certificate_is_counted),
		cmocka_unit_test(a_foreign_key_is_refused),
		cmocka_unit_test(an_encrypted_key_is_refused_without_asking_for_a_passphrase),
		cmocka_unit_test(a_chain_of_too_many_certificates_is_refused),
		cmocka_unit_test(the_same_root_twice_is_fine),
		cmocka_unit_test(all_uris_come_in_order_and_other_names_are_left_out),
		cmocka_unit_test(a_uri_with_a_nul_or_control_bytes_is_refused),
		cmocka_unit_test(a_doubled_san_extension_is_refused),
		cmocka_unit_test(times_before_1970_are_zero),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
