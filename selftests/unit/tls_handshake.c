// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/handshake against itself: identities, chains, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "tls/handshake.h"
#include "tls/record.h"
#include "unit/tls_pki.h"

#define URI_A "spiffe://cluster.local/ns/demo/sa/a"
#define URI_B "spiffe://cluster.local/ns/demo/sa/b"

static struct pki_ca ca, stranger;
static struct pki_leaf leaf_a, leaf_b;
static struct tls_identity *id_a, *id_b;

static int group_setup(void **state)
{
	(void)state;
	pki_ca_init(&ca, "root");
	pki_ca_init(&stranger, "somebody else's root");
	pki_leaf_init(&leaf_a, &ca, &(struct pki_opts){ .uri = URI_A });
	pki_leaf_init(&leaf_b, &ca, &(struct pki_opts){ .uri = URI_B });
	id_a = pki_identity(&leaf_a, &ca);
	id_b = pki_identity(&leaf_b, &ca);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	tls_identity_put(&id_a);
	tls_identity_put(&id_b);
	pki_leaf_fini(&leaf_a);
	pki_leaf_fini(&leaf_b);
	pki_ca_fini(&ca);
	pki_ca_fini(&stranger);
	return 0;
}

/* A client and a server of ours with the bytes between them, cut into chunks. */
struct duo {
	struct tls_hs *client, *server;
	int rc, rs; /* last results */
};

static void duo_init(struct duo *d, struct tls_identity *client, struct tls_identity *server)
{
	*d = (struct duo){ 0 };
	assert_int_equal(tls_hs_new(client, TLS_CLIENT, &d->client), 0);
	assert_int_equal(tls_hs_new(server, TLS_SERVER, &d->server), 0);
}

static void duo_fini(struct duo *d)
{
	tls_hs_free(&d->client);
	tls_hs_free(&d->server);
}

static bool pass(struct tls_hs *from, struct tls_hs *to, size_t chunk, int *ret)
{
	uint8_t buf[16384];
	bool any = false;
	size_t n;

	while ((n = tls_hs_output(from, buf, chunk)) > 0) {
		any = true;
		*ret = tls_hs_step(to, buf, n);
	}
	return any;
}

static void duo_run(struct duo *d, size_t chunk)
{
	bool more = true;

	d->rc = tls_hs_step(d->client, NULL, 0);
	while (more) {
		more = pass(d->client, d->server, chunk, &d->rs);
		more |= pass(d->server, d->client, chunk, &d->rc);
	}
}

static void say(struct record *from, struct record *to, const char *text)
{
	uint8_t rec[256];
	size_t n = strlen(text), need;
	struct record_view v;
	ssize_t len;

	memcpy(rec + RECORD_HEADER, text, n);
	len = record_seal(from, rec, n, RECORD_DATA);
	assert_true(len > 0);
	assert_int_equal(record_open(to, rec, (size_t)len, &v, &need), len);
	assert_int_equal(v.n, n);
	assert_memory_equal(v.p, text, n);
}

static void a_mutual_handshake_ends_in_two_matching_record_layers(void **state)
{
	struct record c, s;
	struct duo d;

	(void)state;
	duo_init(&d, id_a, id_b);
	duo_run(&d, 16384);
	assert_int_equal(d.rc, 1);
	assert_int_equal(d.rs, 1);
	assert_int_equal(tls_hs_record(d.client, &c), 0);
	assert_int_equal(tls_hs_record(d.server, &s), 0);
	assert_int_equal(tls_hs_suite(d.client), tls_hs_suite(d.server));
	duo_fini(&d);
	say(&c, &s, "hello");
	say(&s, &c, "world");
	record_fini(&c);
	record_fini(&s);
}

static void both_sides_know_whom_they_talk_to(void **state)
{
	uint64_t end = clock_wall_s() + 86400;
	struct duo d;

	(void)state;
	duo_init(&d, id_a, id_b);
	duo_run(&d, 16384);
	assert_int_equal(tls_hs_peer_uris(d.client), 1);
	assert_string_equal(tls_hs_peer_uri(d.client, 0), URI_B);
	assert_string_equal(tls_hs_peer_uri(d.server, 0), URI_A);
	assert_null(tls_hs_peer_uri(d.server, 1));
	assert_in_range(tls_hs_peer_not_after(d.client), end - 600, end + 600);
	duo_fini(&d);
}

static void bytes_may_come_one_by_one(void **state)
{
	struct duo d;

	(void)state;
	duo_init(&d, id_a, id_b);
	duo_run(&d, 1);
	assert_int_equal(d.rc, 1);
	assert_int_equal(d.rs, 1);
	duo_fini(&d);
}

static void a_handshake_keeps_its_identity_alive(void **state)
{
	struct tls_identity *one = pki_identity(&leaf_a, &ca), *two = pki_identity(&leaf_b, &ca);
	struct duo d;

	(void)state;
	duo_init(&d, one, two);
	tls_identity_put(&one);
	tls_identity_put(&two);
	duo_run(&d, 16384);
	assert_int_equal(d.rs, 1);
	duo_fini(&d);
}

static void says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" does not say \"%s\"", text, what);
}

/* The server of b must refuse this client with a sentence, and the client must hear of it. */
static void server_refuses(const struct pki_leaf *client, const char *what, uint8_t alert)
{
	struct tls_identity *id = pki_identity(client, &ca);
	uint8_t buf[1024];
	struct record_view v;
	struct record rec;
	struct duo d;
	size_t n, need;

	duo_init(&d, id, id_b);
	duo_run(&d, 16384);
	assert_int_equal(d.rs, -EPROTO);
	says(tls_hs_error(d.server), what);
	assert_int_equal(tls_hs_record(d.server, &rec), -EINVAL);
	assert_int_equal(tls_hs_step(d.server, NULL, 0), -EPROTO);
	/* The client was through by then: the alert is its first record. */
	assert_int_equal(d.rc, 1);
	n = tls_hs_leftover(d.client, buf, sizeof(buf));
	assert_int_equal(tls_hs_record(d.client, &rec), 0);
	assert_int_equal(record_open(&rec, buf, n, &v, &need), -ECONNRESET);
	assert_int_equal(rec.alert, alert);
	record_fini(&rec);
	duo_fini(&d);
	tls_identity_put(&id);
}

/* The client of a must refuse this server, and the server must hear of it. */
static void client_refuses(const struct pki_leaf *server, const char *what, const char *heard)
{
	struct tls_identity *id = pki_identity(server, &ca);
	struct record rec;
	struct duo d;

	duo_init(&d, id_a, id);
	duo_run(&d, 16384);
	assert_int_equal(d.rc, -EPROTO);
	says(tls_hs_error(d.client), what);
	assert_int_equal(tls_hs_record(d.client, &rec), -EINVAL);
	assert_int_equal(d.rs, -EPROTO);
	says(tls_hs_error(d.server), heard);
	duo_fini(&d);
	tls_identity_put(&id);
}

static void an_expired_certificate_is_refused_by_both_roles(void **state)
{
	struct pki_leaf l;

	(void)state;
	pki_leaf_init(&l, &ca, &(struct pki_opts){ .from_s = -7200, .until_s = -3600 });
	server_refuses(&l, "client refused: certificate has expired", 45);
	client_refuses(&l, "server refused: certificate has expired",
		       "client refused the handshake: certificate expired");
	pki_leaf_fini(&l);
}

static void a_certificate_of_the_future_is_refused(void **state)
{
	struct pki_leaf l;

	(void)state;
	pki_leaf_init(&l, &ca, &(struct pki_opts){ .uri = URI_A, .from_s = 3600, .until_s = 7200 });
	server_refuses(&l, "not yet valid", 42);
	client_refuses(&l, "not yet valid", "bad certificate");
	pki_leaf_fini(&l);
}

static void a_certificate_of_another_root_is_refused(void **state)
{
	struct pki_leaf l;

	(void)state;
	pki_leaf_init(&l, &stranger, &(struct pki_opts){ .uri = URI_A });
	server_refuses(&l, "unable to get local issuer certificate", 48);
	client_refuses(&l, "unable to get local issuer certificate", "unknown CA");
	pki_leaf_fini(&l);
}

static void a_root_of_the_same_name_but_another_key_does_not_help(void **state)
{
	struct pki_ca twin;
	struct pki_leaf l;

	(void)state;
	pki_ca_init(&twin, "root");
	pki_leaf_init(&l, &twin, &(struct pki_opts){ .uri = URI_A });
	pki_leaf_append(&l, &twin);
	server_refuses(&l, "certificate", 48);
	pki_leaf_fini(&l);
	pki_ca_fini(&twin);
}

static void the_extended_key_usage_must_fit_the_role(void **state)
{
	struct pki_leaf s, c, any;
	struct tls_identity *id;
	struct duo d;

	(void)state;
	pki_leaf_init(&s, &ca, &(struct pki_opts){ .uri = URI_A, .eku = PKI_EKU_SERVER });
	pki_leaf_init(&c, &ca, &(struct pki_opts){ .uri = URI_A, .eku = PKI_EKU_CLIENT });
	pki_leaf_init(&any, &ca, &(struct pki_opts){ .uri = URI_A, .eku = PKI_EKU_NONE });
	server_refuses(&s, "purpose", 43);
	client_refuses(&c, "purpose", "unsupported certificate");
	id = pki_identity(&c, &ca);
	duo_init(&d, id, id_b);
	duo_run(&d, 16384);
	assert_int_equal(d.rs, 1);
	duo_fini(&d);
	tls_identity_put(&id);
	/* A certificate that names no usage may do everything. */
	id = pki_identity(&any, &ca);
	duo_init(&d, id, id);
	duo_run(&d, 16384);
	assert_int_equal(d.rc, 1);
	assert_int_equal(d.rs, 1);
	duo_fini(&d);
	tls_identity_put(&id);
	pki_leaf_fini(&s);
	pki_leaf_fini(&c);
	pki_leaf_fini(&any);
}

static void a_leaf_below_an_intermediate_is_accepted_with_its_chain_only(void **state)
{
	struct tls_identity *id;
	struct pki_leaf l;
	struct pki_ca mid;
	struct duo d;

	(void)state;
	pki_intermediate_init(&mid, &ca, "intermediate");
	pki_leaf_init(&l, &mid, &(struct pki_opts){ .uri = URI_A });
	server_refuses(&l, "unable to get local issuer certificate", 48);
	pki_leaf_append(&l, &mid);
	id = pki_identity(&l, &ca);
	duo_init(&d, id, id);
	duo_run(&d, 16384);
	assert_int_equal(d.rc, 1);
	assert_int_equal(d.rs, 1);
	duo_fini(&d);
	tls_identity_put(&id);
	pki_leaf_fini(&l);
	pki_ca_fini(&mid);
}

static void an_intermediate_may_be_the_anchor(void **state)
{
	struct tls_identity *id;
	struct pki_leaf l;
	struct pki_ca mid;
	struct duo d;

	(void)state;
	pki_intermediate_init(&mid, &ca, "intermediate");
	pki_leaf_init(&l, &mid, &(struct pki_opts){ .uri = URI_A });
	id = pki_identity(&l, &mid);
	duo_init(&d, id, id);
	duo_run(&d, 16384);
	assert_int_equal(d.rc, 1);
	assert_int_equal(d.rs, 1);
	duo_fini(&d);
	tls_identity_put(&id);
	pki_leaf_fini(&l);
	pki_ca_fini(&mid);
}

static void an_ordinary_leaf_cannot_issue(void **state)
{
	struct pki_leaf above, l;
	struct pki_ca fake;

	(void)state;
	pki_leaf_init(&above, &ca, &(struct pki_opts){ .uri = URI_B });
	fake = (struct pki_ca){ .key = above.key, .cert = above.cert, .pem = above.chain_pem };
	pki_leaf_init(&l, &fake, &(struct pki_opts){ .uri = URI_A });
	pki_leaf_append(&l, &fake);
	server_refuses(&l, "invalid CA certificate", 48);
	pki_leaf_fini(&l);
	pki_leaf_fini(&above);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mutual_handshake_ends_in_two_matching_record_layers),
		cmocka_unit_test(both_sides_know_whom_they_talk_to),
		cmocka_unit_test(bytes_may_come_one_by_one),
		cmocka_unit_test(a_handshake_keeps_its_identity_alive),
		cmocka_unit_test(an_expired_certificate_is_refused_by_both_roles),
		cmocka_unit_test(a_certificate_of_the_future_is_refused),
		cmocka_unit_test(a_certificate_of_another_root_is_refused),
		cmocka_unit_test(a_root_of_the_same_name_but_another_key_does_not_help),
		cmocka_unit_test(the_extended_key_usage_must_fit_the_role),
		cmocka_unit_test(a_leaf_below_an_intermediate_is_accepted_with_its_chain_only),
		cmocka_unit_test(an_intermediate_may_be_the_anchor),
		cmocka_unit_test(an_ordinary_leaf_cannot_issue),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
