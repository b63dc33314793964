// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/handshake against plain OpenSSL endpoints, and against nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tls/handshake.h"
#include "tls/record.h"
#include "unit/tls_peer.h"

#define URI_A "spiffe://cluster.local/ns/demo/sa/a"
#define URI_B "spiffe://cluster.local/ns/demo/sa/b"

static struct pki_ca ca;
static struct pki_leaf leaf_a, leaf_b;
static struct tls_identity *id_a;

static int group_setup(void **state)
{
	(void)state;
	pki_ca_init(&ca, "root");
	pki_leaf_init(&leaf_a, &ca, &(struct pki_opts){ .uri = URI_A });
	pki_leaf_init(&leaf_b, &ca, &(struct pki_opts){ .uri = URI_B });
	id_a = pki_identity(&leaf_a, &ca);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	tls_identity_put(&id_a);
	pki_leaf_fini(&leaf_a);
	pki_leaf_fini(&leaf_b);
	pki_ca_fini(&ca);
	return 0;
}

static void says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("\"%s\" does not say \"%s\"", text, what);
}

/* Ours against OpenSSL; returns our last result, hs stays for the caller. */
static int meet(struct tls_hs *hs, struct peer *p)
{
	uint8_t buf[65536];
	int r = 0;

	ERR_clear_error();
	for (int i = 0; i < 6 && r == 0; i++) {
		if (!SSL_is_init_finished(p->ssl))
			SSL_do_handshake(p->ssl);
		r = tls_hs_step(hs, buf, peer_take(p, buf, sizeof(buf)));
		peer_feed(p, buf, tls_hs_output(hs, buf, sizeof(buf)));
	}
	if (!SSL_is_init_finished(p->ssl))
		SSL_do_handshake(p->ssl);
	return r;
}

static void start(enum tls_role our, const struct peer_opts *o, struct tls_hs **hs, struct peer *p)
{
	assert_int_equal(tls_hs_new(id_a, our, hs), 0);
	peer_init(p, our == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT, &leaf_b, &ca, o);
}

static void a_san_with_a_control_byte_is_refused(void **state)
{
	struct tls_hs *hs;
	struct pki_leaf l;
	struct peer p;
	char c;

	(void)state;
	pki_leaf_init(&l, &ca, &(struct pki_opts){ .san = "URI:spiffe://a/b,URI:spiffe://a/ b" });
	assert_int_equal(tls_hs_new(id_a, TLS_SERVER, &hs), 0);
	peer_init(&p, TLS_CLIENT, &l, &ca, &(struct peer_opts){ 0 });
	assert_int_equal(meet(hs, &p), -EPROTO);
	says(tls_hs_error(hs), "URI SAN");
	assert_int_equal(peer_read(&p, &c, 1), -1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_SSLV3_ALERT_BAD_CERTIFICATE);
	tls_hs_free(&hs);
	peer_fini(&p);
	pki_leaf_fini(&l);
}

static void openssl_is_understood_in_both_roles_and_suites(void **state)
{
	static const char *const names[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		uint8_t rec[64 + RECORD_OVERHEAD], got[64];
		struct record r;
		struct tls_hs *hs;
		struct peer p;

		start((enum tls_role)(i % 2), &(struct peer_opts){ .suites = names[i / 2] }, &hs,
		      &p);
		assert_int_equal(meet(hs, &p), 1);
		assert_int_equal(tls_hs_suite(hs), 0x1301 + i / 2);
		assert_string_equal(tls_hs_peer_uri(hs, 0), URI_B);
		assert_int_equal(tls_hs_record(hs, &r), 0);
		memset(rec + RECORD_HEADER, 'x', 64);
		assert_int_equal(record_seal(&r, rec, 64, RECORD_DATA), sizeof(rec));
		peer_feed(&p, rec, sizeof(rec));
		assert_int_equal(peer_read(&p, got, sizeof(got)), 64);
		record_fini(&r);
		tls_hs_free(&hs);
		peer_fini(&p);
	}
}

/* Elsewhere ChaCha20 would come first, but the CPUs without AES are rare there. */
static bool cpu_has_aes(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("aes");
#else
	return true;
#endif
}

static void aes_128_is_chosen_whatever_the_client_prefers(void **state)
{
	struct tls_hs *hs;
	struct peer p;

	(void)state;
	start(TLS_SERVER,
	      &(struct peer_opts){ .suites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384:"
					     "TLS_AES_128_GCM_SHA256" },
	      &hs, &p);
	assert_int_equal(meet(hs, &p), 1);
	if (cpu_has_aes())
		assert_int_equal(tls_hs_suite(hs), RECORD_AES_128_GCM_SHA256);
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void no_session_ticket_is_sent_and_no_sni(void **state)
{
	uint8_t buf[64];
	struct tls_hs *hs;
	struct peer p;

	(void)state;
	start(TLS_SERVER, &(struct peer_opts){ 0 }, &hs, &p);
	assert_int_equal(meet(hs, &p), 1);
	assert_int_equal(tls_hs_output(hs, buf, sizeof(buf)), 0);
	assert_int_equal(peer_read(&p, buf, sizeof(buf)), 0);
	assert_false(SSL_SESSION_is_resumable(SSL_get_session(p.ssl)));
	tls_hs_free(&hs);
	peer_fini(&p);
	start(TLS_CLIENT, &(struct peer_opts){ 0 }, &hs, &p);
	assert_int_equal(meet(hs, &p), 1);
	assert_null(SSL_get_servername(p.ssl, TLSEXT_NAMETYPE_host_name));
	tls_hs_free(&hs);
	peer_fini(&p);
}

/* Data in the same flight as the client's Finished is the server's leftover. */
static void data_right_behind_the_handshake_is_left_over_for_the_record_layer(void **state)
{
	static uint8_t big[150000], buf[300000];
	size_t n, at = 0, got = 0, need;
	struct record_view v;
	struct record r;
	struct tls_hs *hs;
	struct peer p;

	(void)state;
	start(TLS_SERVER, &(struct peer_opts){ 0 }, &hs, &p);
	SSL_do_handshake(p.ssl);
	assert_int_equal(tls_hs_step(hs, buf, peer_take(&p, buf, sizeof(buf))), 0);
	peer_feed(&p, buf, tls_hs_output(hs, buf, sizeof(buf)));
	assert_int_equal(SSL_do_handshake(p.ssl), 1);
	memset(big, 'd', sizeof(big));
	assert_int_equal(SSL_write(p.ssl, big, sizeof(big)), sizeof(big));
	n = peer_take(&p, buf, sizeof(buf));
	assert_true(n > sizeof(big));
	/* The last byte comes later: a partial record is left over as well. */
	assert_int_equal(tls_hs_step(hs, buf, n - 1), 1);
	assert_int_equal(tls_hs_step(hs, buf + n - 1, 1), 1);
	n = 0;
	for (size_t k; (k = tls_hs_leftover(hs, buf + n, 1000)) > 0;)
		n += k;
	assert_int_equal(tls_hs_record(hs, &r), 0);
	tls_hs_free(&hs);
	while (at < n) {
		ssize_t k = record_open(&r, buf + at, n - at, &v, &need);

		assert_true(k > 0);
		assert_memory_equal(v.p, big, v.n);
		at += (size_t)k;
		got += v.n;
	}
	assert_int_equal(got, sizeof(big));
	record_fini(&r);
	peer_fini(&p);
}

static void tickets_of_a_server_are_left_over_and_skipped(void **state)
{
	uint8_t buf[16384];
	size_t n, at = 0, need;
	struct record_view v = { 0 };
	struct record r;
	struct tls_hs *hs;
	struct peer p;

	(void)state;
	start(TLS_CLIENT, &(struct peer_opts){ .tickets = 2 }, &hs, &p);
	assert_int_equal(meet(hs, &p), 1);
	assert_int_equal(SSL_write(p.ssl, "data", 4), 4);
	assert_int_equal(tls_hs_step(hs, buf, peer_take(&p, buf, sizeof(buf))), 1);
	n = tls_hs_leftover(hs, buf, sizeof(buf));
	assert_int_equal(tls_hs_record(hs, &r), 0);
	while (at < n) {
		ssize_t k = record_open(&r, buf + at, n - at, &v, &need);

		assert_true(k > 0);
		at += (size_t)k;
	}
	assert_int_equal(v.n, 4);
	assert_int_equal(r.rx.seq, 3);
	record_fini(&r);
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void fails(enum tls_role our, const struct peer_opts *o, const char *what)
{
	struct tls_hs *hs;
	struct record r;
	struct peer p;

	start(our, o, &hs, &p);
	assert_int_equal(meet(hs, &p), -EPROTO);
	says(tls_hs_error(hs), what);
	assert_int_equal(tls_hs_record(hs, &r), -EINVAL);
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void a_client_must_offer_h2(void **state)
{
	(void)state;
	fails(TLS_SERVER, &(struct peer_opts){ .alpn = "\10http/1.1" }, "no application protocol");
	fails(TLS_SERVER, &(struct peer_opts){ .alpn = "\3h2c\1h" }, "no application protocol");
	fails(TLS_SERVER, &(struct peer_opts){ .alpn = "" }, "with the client failed");
}

static void h2_may_be_one_of_many(void **state)
{
	struct tls_hs *hs;
	struct peer p;

	(void)state;
	start(TLS_SERVER, &(struct peer_opts){ .alpn = "\10http/1.1\2h2" }, &hs, &p);
	assert_int_equal(meet(hs, &p), 1);
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void a_server_must_choose_h2(void **state)
{
	(void)state;
	fails(TLS_CLIENT, &(struct peer_opts){ .alpn = "" }, "ALPN");
	fails(TLS_CLIENT, &(struct peer_opts){ .alpn = "\10http/1.1" }, "ALPN");
}

static void a_server_without_alpn_is_told_so(void **state)
{
	struct tls_hs *hs;
	struct peer p;
	char c;

	(void)state;
	start(TLS_CLIENT, &(struct peer_opts){ .alpn = "" }, &hs, &p);
	assert_int_equal(meet(hs, &p), -EPROTO);
	assert_int_equal(peer_read(&p, &c, 1), -1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()),
			 SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void a_client_without_certificate_is_refused(void **state)
{
	struct tls_hs *hs;
	struct peer p;
	char c;

	(void)state;
	start(TLS_SERVER, &(struct peer_opts){ .anonymous = true }, &hs, &p);
	assert_int_equal(meet(hs, &p), -EPROTO);
	says(tls_hs_error(hs), "peer did not return a certificate");
	assert_int_equal(peer_read(&p, &c, 1), -1);
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()),
			 SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void old_versions_of_tls_are_refused(void **state)
{
	struct tls_hs *hs;
	struct peer p;

	(void)state;
	start(TLS_SERVER, &(struct peer_opts){ 0 }, &hs, &p);
	SSL_set_min_proto_version(p.ssl, TLS1_2_VERSION);
	SSL_set_max_proto_version(p.ssl, TLS1_2_VERSION);
	assert_int_equal(meet(hs, &p), -EPROTO);
	says(tls_hs_error(hs), "unsupported protocol");
	tls_hs_free(&hs);
	peer_fini(&p);
}

static void no_common_suite_is_a_failure(void **state)
{
	(void)state;
	if (!cpu_has_aes())
		skip();
	fails(TLS_SERVER, &(struct peer_opts){ .suites = "TLS_CHACHA20_POLY1305_SHA256" },
	      "no shared cipher");
}

static void garbage_is_refused_with_an_alert(void **state)
{
	uint8_t out[64];
	struct tls_hs *hs;

	(void)state;
	assert_int_equal(tls_hs_new(id_a, TLS_SERVER, &hs), 0);
	assert_int_equal(tls_hs_step(hs, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27), -EPROTO);
	assert_true(strlen(tls_hs_error(hs)) > 0);
	tls_hs_output(hs, out, sizeof(out));
	tls_hs_free(&hs);
	assert_int_equal(tls_hs_new(id_a, TLS_SERVER, &hs), 0);
	/* A ClientHello of one byte. */
	assert_int_equal(tls_hs_step(hs, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10), -EPROTO);
	assert_int_equal(tls_hs_output(hs, out, sizeof(out)), 7);
	assert_int_equal(out[0], 21);
	tls_hs_free(&hs);
}

static void an_endless_handshake_ends_at_64_kib(void **state)
{
	/* Records of a ClientHello that says it has 16 MB. */
	uint8_t rec[5 + 4096] = { 22, 3, 1, 4096 >> 8, 0, 1, 0xff, 0xff, 0xff };
	struct tls_hs *hs;
	int i, r = 0;

	(void)state;
	assert_int_equal(tls_hs_new(id_a, TLS_SERVER, &hs), 0);
	for (i = 0; i < 100 && r == 0; i++)
		r = tls_hs_step(hs, rec, sizeof(rec));
	assert_int_equal(r, -EPROTO);
	assert_true(i <= 16);
	tls_hs_free(&hs);
	/* And one that never gets over its first header byte by byte of warnings. */
	assert_int_equal(tls_hs_new(id_a, TLS_CLIENT, &hs), 0);
	assert_int_equal(tls_hs_step(hs, NULL, 0), 0);
	for (i = 0, r = 0; i < 70000 && r == 0; i++)
		r = tls_hs_step(hs, "\x14\x03\x03\x00\x01\x01", 6);
	assert_int_equal(r, -EPROTO);
	tls_hs_free(&hs);
}

static void nothing_is_given_out_before_the_end(void **state)
{
	uint8_t buf[16];
	struct record r;
	struct tls_hs *hs;

	(void)state;
	assert_int_equal(tls_hs_new(id_a, TLS_SERVER, &hs), 0);
	assert_int_equal(tls_hs_step(hs, "\x16\x03", 2), 0);
	assert_int_equal(tls_hs_record(hs, &r), -EINVAL);
	assert_int_equal(tls_hs_leftover(hs, buf, sizeof(buf)), 0);
	assert_int_equal(tls_hs_peer_uris(hs), 0);
	assert_null(tls_hs_peer_uri(hs, 0));
	tls_hs_free(&hs);
	tls_hs_free(&hs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_san_with_a_control_byte_is_refused),
		cmocka_unit_test(openssl_is_understood_in_both_roles_and_suites),
		cmocka_unit_test(aes_128_is_chosen_whatever_the_client_prefers),
		cmocka_unit_test(no_session_ticket_is_sent_and_no_sni),
		cmocka_unit_test(data_right_behind_the_handshake_is_left_over_for_the_record_layer),
		cmocka_unit_test(tickets_of_a_server_are_left_over_and_skipped),
		cmocka_unit_test(a_client_must_offer_h2),
		cmocka_unit_test(h2_may_be_one_of_many),
		cmocka_unit_test(a_server_must_choose_h2),
		cmocka_unit_test(a_server_without_alpn_is_told_so),
		cmocka_unit_test(a_client_without_certificate_is_refused),
		cmocka_unit_test(old_versions_of_tls_are_refused),
		cmocka_unit_test(no_common_suite_is_a_failure),
		cmocka_unit_test(garbage_is_refused_with_an_alert),
		cmocka_unit_test(an_endless_handshake_ends_at_64_kib),
		cmocka_unit_test(nothing_is_given_out_before_the_end),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
