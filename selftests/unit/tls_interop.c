// SPDX-License-Identifier: Apache-2.0
/* tls/record against OpenSSL's own record layer: every suite, both roles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/rand.h"
#include "tls/record.h"
#include "unit/tls_peer.h"

static const struct {
	const char *name;
	uint16_t suite;
} suites[] = {
	{ "TLS_AES_128_GCM_SHA256", RECORD_AES_128_GCM_SHA256 },
	{ "TLS_AES_256_GCM_SHA384", RECORD_AES_256_GCM_SHA384 },
	{ "TLS_CHACHA20_POLY1305_SHA256", RECORD_CHACHA20_POLY1305_SHA256 },
};

/* Our record layer as the client or the server of an OpenSSL endpoint. */
struct wire {
	struct peer peer;
	struct record rec;
	uint8_t buf[1 << 18];
	size_t n; /* bytes from the peer in buf */
};

static struct pki_ca ca;
static struct pki_leaf leaf;

static int group_setup(void **state)
{
	(void)state;
	pki_ca_init(&ca, "root");
	pki_leaf_init(&leaf, &ca, &(struct pki_opts){ .uri = "spiffe://td/ns/n/sa/a" });
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	pki_leaf_fini(&leaf);
	pki_ca_fini(&ca);
	return 0;
}

static struct wire *wire_new(size_t suite, enum tls_role our, size_t tickets)
{
	struct peer_opts o = { .suites = suites[suite].name, .tickets = tickets };
	struct wire *w = calloc(1, sizeof(*w));
	enum tls_role their = our == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT;
	struct peer gone;

	assert_non_null(w);
	peer_init(&w->peer, their, &leaf, &ca, &o);
	peer_init(&gone, our, &leaf, &ca, &o);
	if (our == TLS_CLIENT)
		peer_meet(&gone, &w->peer);
	else
		peer_meet(&w->peer, &gone);
	assert_int_equal(record_init(&w->rec, suites[suite].suite, gone.secret[our],
				     gone.secret[their], gone.secret_n),
			 0);
	peer_fini(&gone);
	return w;
}

static void wire_free(struct wire *w)
{
	record_fini(&w->rec);
	peer_fini(&w->peer);
	free(w);
}

/* Runs body with w for every suite and role. */
#define FOR_ALL(w, tickets) \
	for (size_t _i = 0; _i < 2 * ARRAY_LEN(suites); _i++) \
		for (struct wire *w = wire_new(_i / 2, (enum tls_role)(_i % 2), (tickets)); w; \
		     wire_free(w), w = NULL)

/* Opens the next record of the peer. */
static ssize_t wire_open(struct wire *w, struct record_view *ret)
{
	static uint8_t rec[RECORD_WIRE_MAX];
	size_t need;
	ssize_t r;

	w->n += peer_take(&w->peer, w->buf + w->n, sizeof(w->buf) - w->n);
	memcpy(rec, w->buf, w->n < sizeof(rec) ? w->n : sizeof(rec));
	r = record_open(&w->rec, rec, w->n < sizeof(rec) ? w->n : sizeof(rec), ret, &need);
	if (r > 0) {
		w->n -= (size_t)r;
		memmove(w->buf, w->buf + r, w->n);
	}
	return r;
}

/* The next data of the peer, whatever is before it. */
static void wire_expect(struct wire *w, const void *text, size_t n)
{
	size_t at = 0;

	while (at < n) {
		struct record_view v;

		assert_true(wire_open(w, &v) > 0);
		assert_true(v.n <= n - at);
		assert_memory_equal(v.p, (const uint8_t *)text + at, v.n);
		at += v.n;
	}
}

static void wire_send(struct wire *w, const void *text, size_t n)
{
	_free_ uint8_t *rec = malloc(n + RECORD_OVERHEAD);
	ssize_t len;

	memcpy(rec + RECORD_HEADER, text, n);
	len = record_seal(&w->rec, rec, n, RECORD_DATA);
	assert_int_equal(len, n + RECORD_OVERHEAD);
	peer_feed(&w->peer, rec, (size_t)len);
}

static void peer_expect(struct wire *w, const void *text, size_t n)
{
	_free_ uint8_t *got = malloc(n + 1);
	size_t at = 0;

	while (at < n) {
		int r = peer_read(&w->peer, got + at, n - at);

		assert_true(r > 0);
		at += (size_t)r;
	}
	assert_memory_equal(got, text, n);
	assert_int_equal(peer_read(&w->peer, got, 1), 0);
}

static void peer_send(struct wire *w, const void *text, size_t n)
{
	assert_int_equal(SSL_write(w->peer.ssl, text, (int)n), n);
}

static void both_ways(struct wire *w)
{
	wire_send(w, "ping", 4);
	peer_expect(w, "ping", 4);
	peer_send(w, "pong", 4);
	wire_expect(w, "pong", 4);
}

static void data_goes_both_ways_in_every_size(void **state)
{
	static const size_t sizes[] = { 1, 16, 255, 4096, 16383, 16384 };
	static uint8_t text[100000];

	(void)state;
	rand_secure(text, sizeof(text));
	FOR_ALL(w, 0)
	{
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			wire_send(w, text, sizes[i]);
			peer_expect(w, text, sizes[i]);
			peer_send(w, text, sizes[i]);
			wire_expect(w, text, sizes[i]);
		}
		peer_send(w, text, sizeof(text));
		wire_expect(w, text, sizeof(text));
		assert_int_equal(w->n, 0);
	}
}

static void padding_of_openssl_is_cut_off(void **state)
{
	(void)state;
	FOR_ALL(w, 0)
	{
		SSL_set_block_padding(w->peer.ssl, 512);
		peer_send(w, "padded", 6);
		wire_expect(w, "padded", 6);
	}
}

static void a_key_update_of_openssl_is_followed_and_answered(void **state)
{
	(void)state;
	FOR_ALL(w, 0)
	{
		uint8_t out[64];
		ssize_t n;

		assert_int_equal(SSL_key_update(w->peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		peer_send(w, "new key", 7);
		wire_expect(w, "new key", 7);
		assert_true(w->rec.update_due);
		n = record_key_update(&w->rec, out, false);
		assert_true(n > 0);
		peer_feed(&w->peer, out, (size_t)n);
		both_ways(w);
		assert_int_equal(SSL_key_update(w->peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		both_ways(w);
		assert_false(w->rec.update_due);
	}
}

static void a_key_update_of_ours_is_followed_and_answered(void **state)
{
	(void)state;
	FOR_ALL(w, 0)
	{
		for (int i = 0; i < 3; i++) {
			uint8_t out[64];
			ssize_t n = record_key_update(&w->rec, out, true);

			assert_true(n > 0);
			peer_feed(&w->peer, out, (size_t)n);
			/* OpenSSL answers with its next write. */
			both_ways(w);
			assert_int_equal(w->rec.rx.seq, 1);
		}
	}
}

static void close_notify_is_understood_both_ways(void **state)
{
	(void)state;
	FOR_ALL(w, 0)
	{
		struct record_view v;
		uint8_t out[32];
		char c;
		ssize_t n;

		both_ways(w);
		assert_int_equal(SSL_shutdown(w->peer.ssl), 0);
		assert_true(wire_open(w, &v) > 0);
		assert_true(w->rec.rx_closed);
		n = record_alert(&w->rec, out, 0);
		assert_true(n > 0);
		peer_feed(&w->peer, out, (size_t)n);
		assert_int_equal(SSL_read(w->peer.ssl, &c, 1), 0);
		assert_int_equal(SSL_get_shutdown(w->peer.ssl),
				 SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	}
}

static void a_forged_record_makes_openssl_send_a_fatal_alert_that_we_read(void **state)
{
	(void)state;
	FOR_ALL(w, 0)
	{
		uint8_t rec[4 + RECORD_OVERHEAD] = "";
		struct record_view v;
		char c;

		assert_true(record_seal(&w->rec, rec, 4, RECORD_DATA) > 0);
		rec[7] ^= 1;
		peer_feed(&w->peer, rec, sizeof(rec));
		assert_int_equal(peer_read(&w->peer, &c, 1), -1);
		assert_int_equal(wire_open(w, &v), -ECONNRESET);
		assert_int_equal(w->rec.alert, 20); /* bad_record_mac */
	}
}

static void tickets_of_an_openssl_server_are_skipped(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct wire *w = wire_new(i, TLS_CLIENT, 5);

		peer_send(w, "behind five tickets", 19);
		wire_expect(w, "behind five tickets", 19);
		assert_true(w->rec.rx.seq > 1);
		both_ways(w);
		wire_free(w);
	}
}

static void tickets_split_over_small_records_are_skipped(void **state)
{
	struct wire *w;

	(void)state;
	w = wire_new(0, TLS_CLIENT, 0);
	assert_int_equal(SSL_set_max_send_fragment(w->peer.ssl, 512), 1);
	assert_int_equal(SSL_new_session_ticket(w->peer.ssl), 1);
	assert_int_equal(SSL_new_session_ticket(w->peer.ssl), 1);
	peer_send(w, "behind tickets", 14);
	wire_expect(w, "behind tickets", 14);
	/* The leaf inside makes a ticket larger than one of these records. */
	assert_true(w->rec.rx.seq > 3);
	wire_free(w);
}

static void an_imported_connection_carries_on_with_openssl(void **state)
{
	(void)state;
	FOR_ALL(w, 0)
	{
		struct record moved;

		both_ways(w);
		assert_int_equal(record_import(&moved, &w->rec.tx, &w->rec.rx), 0);
		record_fini(&w->rec);
		w->rec = moved;
		both_ways(w);
		assert_int_equal(SSL_key_update(w->peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		both_ways(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_goes_both_ways_in_every_size),
		cmocka_unit_test(padding_of_openssl_is_cut_off),
		cmocka_unit_test(a_key_update_of_openssl_is_followed_and_answered),
		cmocka_unit_test(a_key_update_of_ours_is_followed_and_answered),
		cmocka_unit_test(close_notify_is_understood_both_ways),
		cmocka_unit_test(a_forged_record_makes_openssl_send_a_fatal_alert_that_we_read),
		cmocka_unit_test(tickets_of_an_openssl_server_are_skipped),
		cmocka_unit_test(tickets_split_over_small_records_are_skipped),
		cmocka_unit_test(an_imported_connection_carries_on_with_openssl),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
