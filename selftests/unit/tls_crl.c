// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/crl: lists, handshakes under them, chains that are looked at again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "tls/crl.h"
#include "unit/tls_pki.h"

#define URI_A "spiffe://cluster.local/ns/demo/sa/a"
#define URI_B "spiffe://cluster.local/ns/demo/sa/b"

/* a is signed by the root; b by an intermediate. Serials 10 and 20, the intermediate's is 2. */
static struct pki_ca root, middle, stranger;
static struct pki_leaf leaf_a, leaf_b;
static struct tls_identity *id_a, *id_b;

static int group_setup(void **state)
{
	(void)state;
	pki_ca_init(&root, "root");
	pki_ca_init(&stranger, "root"); /* of the same name */
	pki_intermediate_init(&middle, &root, "middle");
	pki_leaf_init(&leaf_a, &root, &(struct pki_opts){ .uri = URI_A, .serial = 10 });
	pki_leaf_init(&leaf_b, &middle, &(struct pki_opts){ .uri = URI_B, .serial = 20 });
	pki_leaf_append(&leaf_b, &middle);
	id_a = pki_identity(&leaf_a, &root);
	id_b = pki_identity(&leaf_b, &root);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	tls_identity_put(&id_a);
	tls_identity_put(&id_b);
	pki_leaf_fini(&leaf_a);
	pki_leaf_fini(&leaf_b);
	pki_ca_fini(&middle);
	pki_ca_fini(&stranger);
	pki_ca_fini(&root);
	return 0;
}

/* A list of ca that revokes a serial (0: none), signed by key, due in so many seconds. */
static X509_CRL *list_by(const struct pki_ca *ca, EVP_PKEY *key, uint64_t serial, long due_s)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = X509_gmtime_adj(NULL, -7 * 86400), *due = X509_gmtime_adj(NULL, due_s);

	PKI_CHECK(crl && from && due && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
	PKI_CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) == 1);
	PKI_CHECK(X509_CRL_set1_lastUpdate(crl, from) == 1);
	PKI_CHECK(X509_CRL_set1_nextUpdate(crl, due) == 1);
	if (serial) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *n = ASN1_INTEGER_new();

		PKI_CHECK(r && n && ASN1_INTEGER_set_uint64(n, serial) == 1);
		PKI_CHECK(X509_REVOKED_set_serialNumber(r, n) == 1);
		PKI_CHECK(X509_REVOKED_set_revocationDate(r, from) == 1);
		PKI_CHECK(X509_CRL_add0_revoked(crl, r) == 1);
		ASN1_INTEGER_free(n);
	}
	PKI_CHECK(X509_CRL_sort(crl) == 1 && X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	ASN1_TIME_free(from);
	ASN1_TIME_free(due);
	return crl;
}

static char *pem_of(X509_CRL *crl)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PKI_CHECK(bio && PEM_write_bio_X509_CRL(bio, crl) == 1);
	X509_CRL_free(crl);
	return pki_bio_text(bio);
}

static struct tls_crl *lists(struct str text)
{
	struct errbuf err = { 0 };
	struct tls_crl *crl = NULL;

	if (tls_crl_new(text, &err, &crl) < 0)
		fail_msg("%s", err.text);
	return crl;
}

static struct tls_crl *revokes(const struct pki_ca *ca, uint64_t serial)
{
	char *pem = pem_of(list_by(ca, ca->key, serial, 86400));
	struct tls_crl *crl = lists(str_of(pem));

	free(pem);
	return crl;
}

struct pair {
	struct tls_hs *client, *server;
	int client_r, server_r;
};

static void move(struct tls_hs *from, struct tls_hs *to, int *r)
{
	uint8_t buf[32768];
	size_t n = tls_hs_output(from, buf, sizeof(buf));

	if (n && *r == 0)
		*r = tls_hs_step(to, buf, n);
}

/* a dials b; each side with these lists (NULL none; the references are taken). */
static void meet(struct pair *p, struct tls_crl *client_lists, struct tls_crl *server_lists)
{
	*p = (struct pair){ 0 };
	assert_int_equal(tls_hs_new(id_a, TLS_CLIENT, &p->client), 0);
	assert_int_equal(tls_hs_new(id_b, TLS_SERVER, &p->server), 0);
	tls_hs_use_crl(p->client, client_lists);
	tls_hs_use_crl(p->server, server_lists);
	tls_crl_put(&client_lists);
	tls_crl_put(&server_lists);
	p->client_r = tls_hs_step(p->client, NULL, 0);
	for (int i = 0; i < 6; i++) {
		move(p->client, p->server, &p->server_r);
		move(p->server, p->client, &p->client_r);
	}
}

static void part(struct pair *p)
{
	tls_hs_free(&p->client);
	tls_hs_free(&p->server);
}

static void what_is_not_on_a_list_gets_by(void **state)
{
	struct pair p;

	(void)state;
	meet(&p, revokes(&middle, 99), revokes(&root, 99));
	assert_int_equal(p.client_r, 1);
	assert_int_equal(p.server_r, 1);
	part(&p);
	/* nobody has a list for the root, or for the intermediate: not known, so not revoked */
	meet(&p, revokes(&middle, 10), NULL);
	assert_int_equal(p.client_r, 1);
	assert_int_equal(p.server_r, 1);
	part(&p);
}

static void a_revoked_client_is_refused(void **state)
{
	struct pair p;

	(void)state;
	meet(&p, NULL, revokes(&root, 10));
	assert_int_equal(p.server_r, -EPROTO);
	assert_true(tls_hs_peer_revoked(p.server));
	assert_non_null(strstr(tls_hs_error(p.server), "client refused: certificate revoked"));
	part(&p);
}

static void a_revoked_server_is_refused_and_told(void **state)
{
	struct pair p;

	(void)state;
	meet(&p, revokes(&middle, 20), NULL);
	assert_int_equal(p.client_r, -EPROTO);
	assert_true(tls_hs_peer_revoked(p.client));
	assert_int_equal(p.server_r, -EPROTO);
	assert_false(tls_hs_peer_revoked(p.server));
	assert_non_null(strstr(tls_hs_error(p.server), "certificate revoked"));
	part(&p);
}

static void a_revoked_intermediate_takes_its_leaves_along(void **state)
{
	struct pair p;

	(void)state;
	meet(&p, revokes(&root, 2), NULL);
	assert_int_equal(p.client_r, -EPROTO);
	assert_true(tls_hs_peer_revoked(p.client));
	part(&p);
}

static void a_list_past_its_time_still_counts(void **state)
{
	char *pem = pem_of(list_by(&root, root.key, 10, -86400));
	struct pair p;

	(void)state;
	meet(&p, NULL, lists(str_of(pem)));
	free(pem);
	assert_int_equal(p.server_r, -EPROTO);
	assert_true(tls_hs_peer_revoked(p.server));
	part(&p);
	pem = pem_of(list_by(&root, root.key, 99, -86400));
	meet(&p, NULL, lists(str_of(pem)));
	free(pem);
	assert_int_equal(p.server_r, 1);
	part(&p);
}

static void a_list_with_a_wrong_signature_lets_nobody_in(void **state)
{
	char *pem = pem_of(list_by(&root, stranger.key, 99, 86400));
	struct pair p;

	(void)state;
	meet(&p, NULL, lists(str_of(pem)));
	free(pem);
	assert_int_equal(p.server_r, -EPROTO);
	assert_false(tls_hs_peer_revoked(p.server));
	part(&p);
}

static void files_have_many_lists_or_one_or_none(void **state)
{
	char *one = pem_of(list_by(&root, root.key, 10, 86400));
	char *two = pem_of(list_by(&middle, middle.key, 20, 3600));
	char *both = str_printf("# by hand\n%s\n%s", one, two);
	X509_CRL *x = list_by(&root, root.key, 10, 86400);
	unsigned char *der = NULL;
	int n = i2d_X509_CRL(x, &der);
	struct tls_crl *crl = lists(str_of(both));

	(void)state;
	assert_int_equal(tls_crl_lists(crl), 2);
	assert_int_equal(tls_crl_entries(crl), 2);
	assert_true(tls_crl_next_update(crl) > (uint64_t)time(NULL) + 3000);
	assert_true(tls_crl_next_update(crl) < (uint64_t)time(NULL) + 4000);
	tls_crl_put(&crl);
	crl = lists((struct str){ (char *)der, (size_t)n });
	assert_int_equal(tls_crl_entries(crl), 1);
	tls_crl_put(&crl);
	crl = lists(STR(" \n"));
	assert_int_equal(tls_crl_lists(crl), 0);
	tls_crl_put(&crl);
	OPENSSL_free(der);
	X509_CRL_free(x);
	free(one);
	free(two);
	free(both);
}

static void what_is_no_list_is_refused_whole(void **state)
{
	char *one = pem_of(list_by(&root, root.key, 10, 86400));
	char *half = str_printf("%s%.100s", one, one), *cert = str_printf("%s", root.pem);
	const struct str bad[] = { STR("rubbish"), STR("-----BEGIN X509 CRL-----\nAA\n"),
				   str_of(half), str_of(cert),
				   STR("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct errbuf err = { 0 };
		struct tls_crl *crl = NULL;

		if (tls_crl_new(bad[i], &err, &crl) != -EINVAL)
			fail_msg("text %zu is taken for a list", i);
		assert_true(err.text[0]);
		assert_null(crl);
	}
	free(one);
	free(half);
	free(cert);
}

static void a_chain_is_judged_again_by_other_lists_and_roots(void **state)
{
	struct tls_identity *moved = pki_identity(&leaf_a, &stranger);
	struct tls_crl *crl = revokes(&middle, 20);
	struct errbuf err = { 0 };
	struct tls_chain *chain;
	struct pair p;

	(void)state;
	meet(&p, NULL, NULL);
	assert_int_equal(p.client_r, 1);
	assert_int_equal(tls_chain_new(p.client, &chain), 0);
	part(&p);
	assert_int_equal(tls_chain_check(chain, id_a, TLS_CLIENT, NULL, &err), 0);
	assert_int_equal(tls_chain_check(chain, id_a, TLS_CLIENT, crl, &err), -EKEYREVOKED);
	assert_non_null(strstr(err.text, "certificate 1 of the peer's chain: certificate revoked"));
	/* the root has gone; one of the same name is not it */
	assert_int_equal(tls_chain_check(chain, moved, TLS_CLIENT, NULL, &err), -EKEYREJECTED);
	tls_chain_free(&chain);
	tls_crl_put(&crl);
	tls_identity_put(&moved);
}

static void the_own_certificate_may_be_on_a_list(void **state)
{
	struct tls_crl *crl = revokes(&root, 2);
	struct errbuf err = { 0 };

	(void)state;
	assert_int_equal(tls_identity_check(id_a, crl, &err), 0);
	assert_int_equal(tls_identity_check(id_b, crl, &err), -EKEYREVOKED);
	assert_int_equal(tls_identity_check(id_b, NULL, &err), 0);
	tls_crl_put(&crl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_on_a_list_gets_by),
		cmocka_unit_test(a_revoked_client_is_refused),
		cmocka_unit_test(a_revoked_server_is_refused_and_told),
		cmocka_unit_test(a_revoked_intermediate_takes_its_leaves_along),
		cmocka_unit_test(a_list_past_its_time_still_counts),
		cmocka_unit_test(a_list_with_a_wrong_signature_lets_nobody_in),
		cmocka_unit_test(files_have_many_lists_or_one_or_none),
		cmocka_unit_test(what_is_no_list_is_refused_whole),
		cmocka_unit_test(a_chain_is_judged_again_by_other_lists_and_roots),
		cmocka_unit_test(the_own_certificate_may_be_on_a_list),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
