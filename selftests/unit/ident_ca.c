// SPDX-License-Identifier: Apache-2.0
/* What ident/ca promises: files and their modes, chains that verify, constraints that hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "ident/ca.h"
#include "ident/cert.h"

#define YEAR_S (365ull * 86400)
#define URI "spiffe://cluster.local/ns/shop/sa/front"

struct fixture {
	char base[64], dir[80];
	struct errbuf err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->base, sizeof(f->base), "%s", "/tmp/weft-ca-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->dir, sizeof(f->dir), "%s/ca", f->base);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->base);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static char *path_of(struct fixture *f, const char *name)
{
	char *p = str_printf("%s/%s", f->dir, name);

	assert_non_null(p);
	return p;
}

static char *slurp(struct fixture *f, const char *name)
{
	_free_ char *path = path_of(f, name);
	_fclose_ FILE *in = fopen(path, "re");
	char *text = calloc(1, 65536);

	assert_non_null(in);
	assert_true(fread(text, 1, 65535, in) > 0);
	return text;
}

static X509 *cert_at(struct fixture *f, const char *name)
{
	_free_ char *pem = slurp(f, name);
	X509 *x = NULL;

	assert_int_equal(cert_from_pem(pem, strlen(pem), &x), 0);
	return x;
}

static EVP_PKEY *key_at(struct fixture *f, const char *name)
{
	_free_ char *pem = slurp(f, name);
	EVP_PKEY *k = NULL;

	assert_int_equal(cert_key_from_pem(pem, strlen(pem), &k), 0);
	return k;
}

static void make_ca(struct fixture *f)
{
	assert_int_equal(ca_init_root(f->dir, "cluster.local", 10 * YEAR_S, false, &f->err), 0);
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, &f->err), 0);
}

/* X509_V_OK or the error of a strict verification with the node's intermediate in between. */
static int verify(struct fixture *f, X509 *leaf, int purpose)
{
	_x509_ X509 *root = cert_at(f, "root-cert.pem"), *node = cert_at(f, "n1-cert.pem");
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	int r;

	X509_STORE_add_cert(store, root);
	sk_X509_push(between, node);
	X509_STORE_CTX_init(ctx, store, leaf, between);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_set_purpose(ctx, purpose);
	r = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	sk_X509_free(between);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return r;
}

static X509 *issue(struct fixture *f, const char *uri, uint64_t valid_s)
{
	_free_ char *chain = NULL, *key = NULL;
	struct ca *ca = NULL;
	X509 *leaf = NULL;

	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), 0);
	assert_int_equal(ca_issue(ca, uri, valid_s, &f->err, &chain, &key), 0);
	assert_int_equal(cert_from_pem(chain, strlen(chain), &leaf), 0);
	ca_free(&ca);
	assert_null(ca);
	return leaf;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void the_folder_is_0700_and_every_file_in_it_0600(void **state)
{
	static const char *const names[] = { "root-cert.pem", "root-key.pem", "n1-cert.pem",
					     "n1-key.pem" };
	struct fixture *f = *state;
	mode_t old = umask(0);

	make_ca(f);
	umask(old);
	assert_int_equal(mode_of(f->dir), 0700);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		_free_ char *p = path_of(f, names[i]);

		assert_int_equal(mode_of(p), 0600);
	}
}

static void a_folder_or_key_that_others_can_read_is_refused_with_a_sentence(void **state)
{
	struct fixture *f = *state;
	struct errbuf dir = { 0 }, file = { 0 }, init = { 0 };
	_free_ char *key = NULL;
	struct ca *ca = NULL;

	make_ca(f);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(ca_open(f->dir, "n1", &dir, &ca), -EPERM);
	assert_non_null(strstr(dir.text, "mode 0755"));
	assert_int_equal(chmod(f->dir, 0700), 0);
	key = path_of(f, "n1-key.pem");
	assert_int_equal(chmod(key, 0640), 0);
	assert_int_equal(ca_open(f->dir, "n1", &file, &ca), -EPERM);
	assert_non_null(strstr(file.text, "n1-key.pem has mode 0640"));
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, &init), -EPERM);
	assert_null(ca);
}

static void a_key_that_is_a_symlink_is_refused(void **state)
{
	struct fixture *f = *state;
	_free_ char *key = NULL, *moved = NULL;
	struct ca *ca = NULL;

	make_ca(f);
	key = path_of(f, "n1-key.pem");
	moved = path_of(f, "elsewhere");
	assert_int_equal(rename(key, moved), 0);
	assert_int_equal(symlink(moved, key), 0);
	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), -ELOOP);
}

static void an_existing_root_is_kept_or_refused_but_never_replaced(void **state)
{
	struct fixture *f = *state;
	_free_ char *before = NULL, *after = NULL;
	struct errbuf other = { 0 };

	make_ca(f);
	before = slurp(f, "root-key.pem");
	assert_int_equal(ca_init_root(f->dir, "cluster.local", YEAR_S, true, &f->err), 0);
	assert_int_equal(ca_init_root(f->dir, "cluster.local", YEAR_S, false, &f->err), -EEXIST);
	assert_int_equal(ca_init_root(f->dir, "other.mesh", YEAR_S, true, &other), -EINVAL);
	assert_non_null(strstr(other.text, "cluster.local, not of other.mesh"));
	after = slurp(f, "root-key.pem");
	assert_string_equal(before, after);
}

static void an_issued_chain_verifies_strictly_for_client_and_server(void **state)
{
	struct fixture *f = *state;
	_x509_ X509 *leaf = NULL;

	make_ca(f);
	leaf = issue(f, URI, 3600);
	assert_int_equal(verify(f, leaf, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
	assert_int_equal(verify(f, leaf, X509_PURPOSE_SSL_SERVER), X509_V_OK);
}

static void a_leaf_has_an_empty_subject_and_one_critical_uri(void **state)
{
	struct fixture *f = *state;
	_x509_ X509 *leaf = NULL;
	GENERAL_NAMES *gens;
	char *uri = NULL;
	int critical;

	make_ca(f);
	leaf = issue(f, URI, 3600);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(leaf)), 0);
	gens = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
	assert_non_null(gens);
	assert_int_equal(critical, 1);
	assert_int_equal(sk_GENERAL_NAME_num(gens), 1);
	GENERAL_NAMES_free(gens);
	assert_int_equal(cert_uri(leaf, &uri), 0);
	assert_string_equal(uri, URI);
	free(uri);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER | XKU_SSL_CLIENT);
	assert_non_null(X509_get0_subject_key_id(leaf));
	assert_non_null(X509_get0_authority_key_id(leaf));
	assert_int_equal(X509_check_ca(leaf), 0);
}

static void a_leaf_begins_a_minute_ago_and_ends_when_asked(void **state)
{
	struct fixture *f = *state;
	int64_t before, after;
	_x509_ X509 *leaf = NULL;

	make_ca(f);
	before = (int64_t)clock_wall_s();
	leaf = issue(f, URI, 3600);
	after = (int64_t)clock_wall_s();
	assert_in_range(cert_not_before(leaf) + 60, before, after);
	assert_in_range(cert_not_after(leaf) - 3600, before, after);
}

static void serials_and_keys_are_never_the_same_twice(void **state)
{
	struct fixture *f = *state;
	_x509_ X509 *a = NULL, *b = NULL;

	make_ca(f);
	a = issue(f, URI, 3600);
	b = issue(f, URI, 3600);
	assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)),
			     0);
	assert_int_not_equal(EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)), 1);
	assert_true(ASN1_STRING_length(X509_get0_serialNumber(a)) <= 17);
}

static void the_intermediate_has_path_length_0_and_the_root_1(void **state)
{
	struct fixture *f = *state;
	_x509_ X509 *root = NULL, *node = NULL;

	make_ca(f);
	root = cert_at(f, "root-cert.pem");
	node = cert_at(f, "n1-cert.pem");
	assert_int_equal(X509_get_pathlen(root), 1);
	assert_int_equal(X509_get_pathlen(node), 0);
	assert_int_equal(X509_get_key_usage(node), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_true(X509_get_extension_flags(node) & EXFLAG_CA);
}

/* A leaf as a thief of the node's key would make it. */
static int verify_forged(struct fixture *f, const char *uri)
{
	_x509_ X509 *node = cert_at(f, "n1-cert.pem"), *leaf = NULL;
	_pkey_ EVP_PKEY *node_key = key_at(f, "n1-key.pem"), *key = cert_key_new();
	struct cert_spec spec = {
		.kind = CERT_LEAF,
		.uri = uri,
		.not_before_s = (int64_t)clock_wall_s() - 60,
		.not_after_s = (int64_t)clock_wall_s() + 3600,
	};

	assert_int_equal(cert_make(&spec, key, &(struct cert_signer){ node, node_key }, &leaf), 0);
	return verify(f, leaf, X509_PURPOSE_SSL_CLIENT);
}

static void the_name_constraint_refuses_another_trust_domain(void **state)
{
	struct fixture *f = *state;

	make_ca(f);
	assert_int_equal(verify_forged(f, URI), X509_V_OK);
	assert_int_equal(verify_forged(f, "spiffe://other.mesh/ns/shop/sa/front"),
			 X509_V_ERR_PERMITTED_VIOLATION);
	assert_int_equal(verify_forged(f, "spiffe://a.cluster.local/ns/shop/sa/front"),
			 X509_V_ERR_PERMITTED_VIOLATION);
	assert_int_equal(verify_forged(f, "spiffe://cluster.local.evil/ns/shop/sa/front"),
			 X509_V_ERR_PERMITTED_VIOLATION);
}

static void the_ca_itself_issues_nothing_outside_its_trust_domain(void **state)
{
	static const char *const bad[] = {
		"spiffe://other.mesh/ns/shop/sa/front",
		"spiffe://cluster.local/ns/shop",
		"https://cluster.local/ns/shop/sa/front",
		"spiffe://cluster.local/ns/shop/sa/a,URI:spiffe://cluster.local/ns/x/sa/y",
		"",
	};
	struct fixture *f = *state;
	struct ca *ca = NULL;

	make_ca(f);
	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *chain = NULL, *key = NULL;
		struct errbuf err = { 0 };

		assert_int_equal(ca_issue(ca, bad[i], 60, &err, &chain, &key), -EINVAL);
		assert_true(err.text[0]);
		assert_null(chain);
		assert_null(key);
	}
	ca_free(&ca);
}

static void a_leaf_never_outlives_the_intermediate(void **state)
{
	struct fixture *f = *state;
	_x509_ X509 *leaf = NULL, *node = NULL;

	assert_int_equal(ca_init_root(f->dir, "cluster.local", YEAR_S, false, &f->err), 0);
	assert_int_equal(ca_init_node(f->dir, "n1", 7200, &f->err), 0);
	leaf = issue(f, URI, 30 * 86400);
	node = cert_at(f, "n1-cert.pem");
	assert_int_equal(cert_not_after(leaf), cert_not_after(node));
}

static void a_fresh_intermediate_is_kept(void **state)
{
	struct fixture *f = *state;
	_free_ char *before = NULL, *after = NULL, *root_key = NULL;

	make_ca(f);
	before = slurp(f, "n1-cert.pem");
	/* The root's key is not needed for that. */
	root_key = path_of(f, "root-key.pem");
	assert_int_equal(unlink(root_key), 0);
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, &f->err), 0);
	after = slurp(f, "n1-cert.pem");
	assert_string_equal(before, after);
}

static void an_intermediate_in_its_last_third_is_made_anew(void **state)
{
	struct fixture *f = *state;
	_free_ char *before = NULL, *after = NULL;

	assert_int_equal(ca_init_root(f->dir, "cluster.local", YEAR_S, false, &f->err), 0);
	/* 20 of 80 seconds are left, counting the minute before it was made. */
	assert_int_equal(ca_init_node(f->dir, "n1", 20, &f->err), 0);
	before = slurp(f, "n1-cert.pem");
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, &f->err), 0);
	after = slurp(f, "n1-cert.pem");
	assert_string_not_equal(before, after);
}

static void a_key_that_does_not_belong_to_its_certificate_is_found_and_replaced(void **state)
{
	struct fixture *f = *state;
	_free_ char *a = NULL, *b = NULL;
	struct ca *ca = NULL;

	make_ca(f);
	assert_int_equal(ca_init_node(f->dir, "n2", YEAR_S, &f->err), 0);
	a = path_of(f, "n1-key.pem");
	b = path_of(f, "n2-key.pem");
	assert_int_equal(rename(b, a), 0);
	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), -EINVAL);
	assert_non_null(strstr(f->err.text, "is not the key of"));
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, NULL), 0);
	assert_int_equal(ca_open(f->dir, "n1", NULL, &ca), 0);
	ca_free(&ca);
}

static void an_intermediate_of_another_root_is_refused(void **state)
{
	struct fixture *f = *state;
	_free_ char *cert = NULL, *key = NULL;
	struct ca *ca = NULL;

	make_ca(f);
	cert = path_of(f, "root-cert.pem");
	key = path_of(f, "root-key.pem");
	assert_int_equal(unlink(cert), 0);
	assert_int_equal(unlink(key), 0);
	assert_int_equal(ca_init_root(f->dir, "cluster.local", YEAR_S, false, &f->err), 0);
	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), -EINVAL);
	assert_non_null(strstr(f->err.text, "is not signed by"));
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, NULL), 0);
	assert_int_equal(ca_open(f->dir, "n1", NULL, &ca), 0);
	ca_free(&ca);
}

static void missing_and_broken_files_are_named(void **state)
{
	struct fixture *f = *state;
	struct errbuf none = { 0 }, node = { 0 }, broken = { 0 };
	_free_ char *cert = NULL;
	_close_ int fd = -1;
	struct ca *ca = NULL;

	assert_int_equal(ca_open(f->dir, "n1", &none, &ca), -ENOENT);
	assert_non_null(strstr(none.text, f->dir));
	make_ca(f);
	assert_int_equal(ca_open(f->dir, "n9", &node, &ca), -ENOENT);
	assert_non_null(strstr(node.text, "n9-cert.pem"));
	cert = path_of(f, "n1-cert.pem");
	fd = open(cert, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "garbage", 7), 7);
	assert_int_equal(ca_open(f->dir, "n1", &broken, &ca), -EINVAL);
	assert_non_null(strstr(broken.text, "n1-cert.pem is not a certificate"));
}

static void names_that_could_leave_the_folder_or_shadow_the_root_are_refused(void **state)
{
	static const char *const nodes[] = { "", "root", "../n1", "a/b", ".hidden", "n 1" };
	static const char *const domains[] = { "",    "UPPER",    ".local", "a..b", "local.",
					       "a b", "10.0.0.1", "a,b",    "x/y",  "fd00::1" };
	struct fixture *f = *state;

	make_ca(f);
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		struct errbuf err = { 0 };

		assert_int_equal(ca_init_node(f->dir, nodes[i], YEAR_S, &err), -EINVAL);
		assert_true(err.text[0]);
	}
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		struct errbuf err = { 0 };

		assert_int_equal(ca_init_root(f->dir, domains[i], YEAR_S, true, &err), -EINVAL);
		assert_true(err.text[0]);
	}
}

static void a_chain_is_leaf_then_intermediate_and_the_root_comes_apart(void **state)
{
	struct fixture *f = *state;
	_free_ char *chain = NULL, *key = NULL;
	_x509_ X509 *first = NULL, *root = NULL;
	_pkey_ EVP_PKEY *k = NULL;
	struct ca *ca = NULL;
	const char *second;

	make_ca(f);
	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), 0);
	assert_int_equal(ca_issue(ca, URI, 60, &f->err, &chain, &key), 0);
	second = strstr(chain + 1, "-----BEGIN CERTIFICATE-----");
	assert_non_null(second);
	assert_null(strstr(second + 1, "-----BEGIN CERTIFICATE-----"));
	assert_int_equal(cert_from_pem(chain, strlen(chain), &first), 0);
	assert_int_equal(cert_key_from_pem(key, strlen(key), &k), 0);
	assert_int_equal(X509_check_private_key(first, k), 1);
	assert_int_equal(cert_from_pem(ca_root_pem(ca), strlen(ca_root_pem(ca)), &root), 0);
	assert_string_equal(ca_trust_domain(ca), "cluster.local");
	ca_free(&ca);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_folder_is_0700_and_every_file_in_it_0600),
		T(a_folder_or_key_that_others_can_read_is_refused_with_a_sentence),
		T(a_key_that_is_a_symlink_is_refused),
		T(an_existing_root_is_kept_or_refused_but_never_replaced),
		T(an_issued_chain_verifies_strictly_for_client_and_server),
		T(a_leaf_has_an_empty_subject_and_one_critical_uri),
		T(a_leaf_begins_a_minute_ago_and_ends_when_asked),
		T(serials_and_keys_are_never_the_same_twice),
		T(the_intermediate_has_path_length_0_and_the_root_1),
		T(the_name_constraint_refuses_another_trust_domain),
		T(the_ca_itself_issues_nothing_outside_its_trust_domain),
		T(a_leaf_never_outlives_the_intermediate),
		T(a_fresh_intermediate_is_kept),
		T(an_intermediate_in_its_last_third_is_made_anew),
		T(a_key_that_does_not_belong_to_its_certificate_is_found_and_replaced),
		T(an_intermediate_of_another_root_is_refused),
		T(missing_and_broken_files_are_named),
		T(names_that_could_leave_the_folder_or_shadow_the_root_are_refused),
		T(a_chain_is_leaf_then_intermediate_and_the_root_comes_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
