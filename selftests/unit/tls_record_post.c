// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/record: alerts, KeyUpdate, tickets and key limits behind the handshake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls/record.h"
#include "unit/tls_pair.h"

static void close_notify_ends_each_direction_on_its_own(void **state)
{
	struct pair *p = *state;
	ssize_t n = record_alert(&p->a, p->buf, 0);
	struct record_view v;
	size_t need;

	assert_int_equal(n, 24);
	assert_true(p->a.tx_closed);
	assert_int_equal(record_open(&p->b, p->buf, (size_t)n, &v, &need), n);
	assert_int_equal(v.n, 0);
	assert_true(p->b.rx_closed && !p->b.tx_closed);
	talk(&p->b, &p->a, "the other way is still open");
	assert_int_equal(record_seal(&p->a, p->buf, 5, RECORD_DATA), -EPIPE);
	assert_int_equal(record_alert(&p->a, p->buf, 0), -EPIPE);
	assert_int_equal(record_key_update(&p->a, p->buf, false), -EPIPE);
}

static void whatever_follows_close_notify_is_swallowed(void **state)
{
	struct pair *p = *state;
	struct record_view v;
	size_t need;

	assert_true(OPEN_FORGED(p, 1, 0, 21) > 0);
	memset(p->buf, 'x', 77);
	assert_int_equal(record_open(&p->b, p->buf, 77, &v, &need), 77);
	assert_int_equal(v.n, 0);
	assert_int_equal(record_open(&p->b, p->buf, 0, &v, &need), 0);
}

static void a_fatal_alert_is_a_reset_that_tells_why(void **state)
{
	struct pair *p = *state;
	struct record_view v;
	size_t need;
	ssize_t n = record_alert(&p->a, p->buf, 48);

	assert_int_equal(record_open(&p->b, p->buf, (size_t)n, &v, &need), -ECONNRESET);
	assert_int_equal(p->b.alert, 48);
	assert_string_equal(record_alert_text(48), "unknown CA");
	assert_non_null(record_alert_text(201));
}

static void malformed_alerts_are_refused(void **state)
{
	struct pair *p = *state;

	assert_int_equal(OPEN_FORGED(p, 21), -EPROTO);
	assert_int_equal(OPEN_FORGED(p, 1, 21), -EPROTO);
	assert_int_equal(OPEN_FORGED(p, 1, 0, 0, 0, 21), -EPROTO);
}

static void user_canceled_is_ignored(void **state)
{
	struct pair *p = *state;

	assert_true(OPEN_FORGED(p, 1, 90, 21) > 0);
	assert_false(p->b.rx_closed);
	talk(&p->a, &p->b, "still here");
}

static void a_key_update_changes_the_key_of_one_direction(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct pair *p = pair_new(suites[i]);
		struct record_view v;
		size_t need;
		ssize_t n;

		talk(&p->a, &p->b, "before");
		n = record_key_update(&p->a, p->buf, false);
		assert_int_equal(n, 27);
		assert_int_equal(p->a.tx.seq, 0);
		assert_int_equal(record_open(&p->b, p->buf, (size_t)n, &v, &need), n);
		assert_int_equal(v.n, 0);
		assert_false(p->b.update_due);
		assert_int_equal(p->b.rx.seq, 0);
		assert_memory_equal(p->a.tx.key, p->b.rx.key, 32);
		talk(&p->a, &p->b, "behind");
		talk(&p->b, &p->a, "the other way");
		pair_free(p);
	}
}

static void a_requested_key_update_is_due_until_it_is_sent(void **state)
{
	struct pair *p = *state;
	struct record_view v;
	size_t need;
	ssize_t n = record_key_update(&p->a, p->buf, true);

	assert_true(record_open(&p->b, p->buf, (size_t)n, &v, &need) > 0);
	assert_true(p->b.update_due);
	n = record_key_update(&p->b, p->buf, false);
	assert_false(p->b.update_due);
	assert_true(record_open(&p->a, p->buf, (size_t)n, &v, &need) > 0);
	assert_false(p->a.update_due);
	talk(&p->a, &p->b, "a to b");
	talk(&p->b, &p->a, "b to a");
}

static void malformed_key_updates_are_refused(void **state)
{
	struct pair *p = *state;

	assert_int_equal(OPEN_FORGED(p, 24, 0, 0, 1, 2, 22), -EPROTO);
	assert_int_equal(OPEN_FORGED(p, 24, 0, 0, 2, 0, 0, 22), -EPROTO);
	assert_int_equal(p->b.update_due, false);
}

static void nothing_may_follow_a_key_update_in_its_record(void **state)
{
	assert_int_equal(OPEN_FORGED(*state, 24, 0, 0, 1, 0, 4, 22), -EPROTO);
}

static void key_updates_without_data_between_are_limited(void **state)
{
	struct pair *p = *state;
	struct record_view v;
	size_t need;
	ssize_t n, r = 1;
	int i;

	for (i = 0; i < 40 && r > 0; i++) {
		n = record_key_update(&p->a, p->buf, false);
		assert_int_equal(n, 27);
		r = record_open(&p->b, p->buf, (size_t)n, &v, &need);
	}
	assert_int_equal(i, 33);
	assert_int_equal(r, -EPROTO);
}

static void key_updates_with_data_between_are_not_limited(void **state)
{
	struct pair *p = *state;
	struct record_view v;
	size_t need;

	for (int i = 0; i < 100; i++) {
		ssize_t n = record_key_update(&p->a, p->buf, false);

		assert_int_equal(record_open(&p->b, p->buf, (size_t)n, &v, &need), n);
		talk(&p->a, &p->b, "data");
	}
}

static void a_ticket_is_skipped(void **state)
{
	struct pair *p = *state;
	uint8_t inner[4 + 500 + 1] = { 4, 0, 500 >> 8, 500 & 255 };
	struct record_view v;

	inner[sizeof(inner) - 1] = 22;
	assert_true(open_forged(p, inner, sizeof(inner), &v) > 0);
	assert_int_equal(v.n, 0);
	talk(&p->a, &p->b, "data");
}

/* Two tickets and a KeyUpdate as one stream, cut into records of every size. */
static void split_handshake_messages_are_put_together(void **state)
{
	static const uint8_t msgs[] = { 4, 0, 0, 3, 9,  9,  9, 4, 0, 0, 0,
					4, 0, 0, 1, 24, 24, 0, 0, 1, 1 };

	(void)state;
	for (size_t cut = 1; cut <= sizeof(msgs); cut++) {
		struct pair *p = pair_new(RECORD_AES_128_GCM_SHA256);
		uint8_t inner[sizeof(msgs) + 1];
		struct record_view v;
		struct record_dir next;
		struct aead *aead;

		for (size_t at = 0; at < sizeof(msgs); at += cut) {
			size_t n = sizeof(msgs) - at < cut ? sizeof(msgs) - at : cut;

			memcpy(inner, msgs + at, n);
			inner[n] = 22;
			assert_true(open_forged(p, inner, n + 1, &v) > 0);
			assert_int_equal(v.n, 0);
		}
		assert_true(p->b.update_due);
		assert_int_equal(dir_next(&p->a.tx, &next, &aead), 0);
		p->a.tx = next;
		aead_free(&p->a.tx_aead);
		p->a.tx_aead = aead;
		talk(&p->a, &p->b, "under the new key");
		pair_free(p);
	}
}

static void data_or_alerts_inside_a_handshake_message_are_refused(void **state)
{
	struct pair *p = *state;

	assert_true(OPEN_FORGED(p, 4, 0, 22) > 0);
	assert_int_equal(OPEN_FORGED(p, 'x', 23), -EPROTO);
	assert_int_equal(OPEN_FORGED(p, 1, 0, 21), -EPROTO);
	assert_true(OPEN_FORGED(p, 0, 2, 7, 22) > 0);
	assert_int_equal(OPEN_FORGED(p, 'x', 23), -EPROTO);
}

static void other_handshake_messages_are_refused(void **state)
{
	struct pair *p = *state;

	assert_int_equal(OPEN_FORGED(p, 22), -EPROTO); /* empty fragment */
	assert_int_equal(OPEN_FORGED(p, 13, 0, 0, 0, 22), -EPROTO); /* CertificateRequest */
}

static void a_ticket_of_an_impossible_size_is_refused(void **state)
{
	assert_int_equal(OPEN_FORGED(*state, 4, 255, 255, 255, 22), -EPROTO);
}

static void the_gcm_key_is_renewed_early_and_stops_at_its_limit(void **state)
{
	struct pair *p = *state;
	struct record_view v;
	size_t need;
	ssize_t n;

	p->a.tx.sealed = (1 << 24) - 2;
	talk(&p->a, &p->b, "below");
	assert_false(p->a.update_due);
	talk(&p->a, &p->b, "at the soft limit");
	assert_true(p->a.update_due);
	p->a.tx.sealed = 23726566;
	assert_int_equal(record_seal(&p->a, p->buf, 1, RECORD_DATA), -EOVERFLOW);
	n = record_key_update(&p->a, p->buf, false);
	assert_int_equal(record_open(&p->b, p->buf, (size_t)n, &v, &need), n);
	assert_false(p->a.update_due);
	talk(&p->a, &p->b, "on and on");
}

static void chacha_has_no_record_limit(void **state)
{
	struct pair *p = pair_new(RECORD_CHACHA20_POLY1305_SHA256);

	(void)state;
	p->a.tx.sealed = 1ull << 40;
	talk(&p->a, &p->b, "fine");
	assert_false(p->a.update_due);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(close_notify_ends_each_direction_on_its_own),
		PAIR_TEST(whatever_follows_close_notify_is_swallowed),
		PAIR_TEST(a_fatal_alert_is_a_reset_that_tells_why),
		PAIR_TEST(malformed_alerts_are_refused),
		PAIR_TEST(user_canceled_is_ignored),
		cmocka_unit_test(a_key_update_changes_the_key_of_one_direction),
		PAIR_TEST(a_requested_key_update_is_due_until_it_is_sent),
		PAIR_TEST(malformed_key_updates_are_refused),
		PAIR_TEST(nothing_may_follow_a_key_update_in_its_record),
		PAIR_TEST(key_updates_without_data_between_are_limited),
		PAIR_TEST(key_updates_with_data_between_are_not_limited),
		PAIR_TEST(a_ticket_is_skipped),
		cmocka_unit_test(split_handshake_messages_are_put_together),
		PAIR_TEST(data_or_alerts_inside_a_handshake_message_are_refused),
		PAIR_TEST(other_handshake_messages_are_refused),
		PAIR_TEST(a_ticket_of_an_impossible_size_is_refused),
		PAIR_TEST(the_gcm_key_is_renewed_early_and_stops_at_its_limit),
		cmocka_unit_test(chacha_has_no_record_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
