// SPDX-License-Identifier: Apache-2.0
/* Unit tests of tls/record: seal, open, forgeries, export and import. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tls/record.h"
#include "unit/tls_pair.h"

static void what_is_sealed_opens_on_the_other_side_for_every_suite_and_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 15, 16, 17, 1000, 16383, 16384 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites) * ARRAY_LEN(sizes); i++) {
		struct pair *p = pair_new(suites[i % ARRAY_LEN(suites)]);
		size_t n = sizes[i / ARRAY_LEN(suites)], need;
		_free_ uint8_t *text = malloc(n + 1);
		struct record_view v;

		rand_secure(text, n);
		for (int k = 0; k < 3; k++) {
			memcpy(p->buf + RECORD_HEADER, text, n);
			assert_int_equal(record_seal(&p->a, p->buf, n, RECORD_DATA), n + 22);
			assert_int_equal(record_open(&p->b, p->buf, n + 22, &v, &need), n + 22);
			assert_int_equal(v.n, n);
			assert_memory_equal(v.p, text, n);
		}
		pair_free(p);
	}
}

static void a_truncated_record_is_incomplete_not_an_error(void **state)
{
	struct pair *p = *state;
	size_t len = seal_text(&p->a, p->buf, "hello"), need;
	struct record_view v;

	for (size_t n = 0; n < len; n++) {
		need = 0;
		assert_int_equal(record_open(&p->b, p->buf, n, &v, &need), 0);
		assert_int_equal(need, n < RECORD_HEADER ? RECORD_HEADER : len);
	}
	open_text(&p->b, p->buf, len, "hello");
}

static void several_records_in_one_buffer_open_one_by_one(void **state)
{
	struct pair *p = *state;
	size_t one = seal_text(&p->a, p->buf, "one"), need;
	size_t two = seal_text(&p->a, p->buf + one, "second");
	struct record_view v;

	assert_int_equal(record_open(&p->b, p->buf, one + two, &v, &need), one);
	assert_int_equal(v.n, 3);
	open_text(&p->b, p->buf + one, two, "second");
}

static void every_changed_bit_is_refused(void **state)
{
	struct pair *p = *state;
	size_t len = seal_text(&p->a, p->buf, "hello"), need;
	uint8_t rec[64];
	struct record_view v;

	for (size_t bit = 0; bit < 8 * len; bit++) {
		ssize_t r;

		memcpy(rec, p->buf, len);
		rec[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = record_open(&p->b, rec, len, &v, &need);
		/* The length may have become larger, and the minor version is bound by the tag. */
		assert_true(r == -EBADMSG || r == -EPROTO || (r == 0 && need > len));
	}
	open_text(&p->b, p->buf, len, "hello");
}

static void a_replayed_or_reordered_record_is_refused(void **state)
{
	struct pair *p = *state;
	size_t one = seal_text(&p->a, p->buf, "one"), two = seal_text(&p->a, p->buf + 100, "two"),
	       need;
	uint8_t copy[64];
	struct record_view v;

	memcpy(copy, p->buf + 100, two);
	assert_int_equal(record_open(&p->b, copy, two, &v, &need), -EBADMSG);
	memcpy(copy, p->buf, one);
	open_text(&p->b, p->buf, one, "one");
	assert_int_equal(record_open(&p->b, copy, one, &v, &need), -EBADMSG);
}

static ssize_t open_head(struct pair *p, uint8_t type, uint8_t major, uint16_t body)
{
	uint8_t head[] = { type, major, 3, (uint8_t)(body >> 8), (uint8_t)body };
	struct record_view v;
	size_t need;

	return record_open(&p->b, head, sizeof(head), &v, &need);
}

static void a_header_that_cannot_be_is_refused_before_its_body_is_there(void **state)
{
	struct pair *p = *state;

	assert_int_equal(open_head(p, 23, 3, 16384 + 256), 0);
	assert_int_equal(open_head(p, 23, 3, 16384 + 257), -EBADMSG);
	assert_int_equal(open_head(p, 23, 3, 17), 0);
	assert_int_equal(open_head(p, 23, 3, 16), -EBADMSG);
	assert_int_equal(open_head(p, 23, 2, 100), -EBADMSG);
	assert_int_equal(open_head(p, 'G', 'E', 100), -EBADMSG);
}

static void plaintext_records_are_not_allowed_any_more(void **state)
{
	struct pair *p = *state;

	assert_int_equal(open_head(p, 20, 3, 1), -EPROTO); /* ChangeCipherSpec */
	assert_int_equal(open_head(p, 21, 3, 2), -EPROTO);
	assert_int_equal(open_head(p, 22, 3, 100), -EPROTO);
}

static void padding_is_cut_off(void **state)
{
	struct pair *p = *state;
	uint8_t inner[1000] = { 'h', 'i', 23 };
	struct record_view v;

	assert_true(open_forged(p, inner, sizeof(inner), &v) > 0);
	assert_int_equal(v.n, 2);
	assert_memory_equal(v.p, "hi", 2);
}

static void a_record_of_nothing_but_zeros_is_refused(void **state)
{
	assert_int_equal(OPEN_FORGED(*state, 0, 0, 0, 0), -EPROTO);
}

static void an_inner_plaintext_above_the_limit_is_refused(void **state)
{
	struct pair *p = *state;
	uint8_t inner[RECORD_PLAIN_MAX + 2] = { 0 };
	struct record_view v;

	inner[RECORD_PLAIN_MAX] = 23;
	assert_true(open_forged(p, inner, sizeof(inner) - 1, &v) > 0);
	assert_int_equal(v.n, RECORD_PLAIN_MAX);
	assert_int_equal(open_forged(p, inner, sizeof(inner), &v), -EBADMSG);
}

static void unknown_content_types_are_refused(void **state)
{
	struct pair *p = *state;

	assert_int_equal(OPEN_FORGED(p, 1, 20), -EPROTO);
	assert_int_equal(OPEN_FORGED(p, 1, 24), -EPROTO);
	assert_int_equal(OPEN_FORGED(p, 1, 255), -EPROTO);
}

static void empty_records_are_counted_to_a_limit_that_data_resets(void **state)
{
	struct pair *p = *state;

	for (int i = 0; i < 1000; i++)
		assert_true(OPEN_FORGED(p, 23) > 0);
	assert_true(OPEN_FORGED(p, 'x', 23) > 0);
	for (int i = 0; i < 1000; i++)
		assert_true(OPEN_FORGED(p, 23) > 0);
	assert_int_equal(OPEN_FORGED(p, 23), -EPROTO);
}

static void too_much_or_senseless_input_is_not_sealed(void **state)
{
	struct pair *p = *state;

	assert_int_equal(record_seal(&p->a, p->buf, RECORD_PLAIN_MAX + 1, RECORD_DATA), -EINVAL);
	assert_int_equal(record_seal(&p->a, p->buf, 0, RECORD_HANDSHAKE), -EINVAL);
	assert_int_equal(p->a.tx.seq, 0);
}

static void an_exported_connection_carries_on_byte_for_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct pair *p = pair_new(suites[i]);
		struct record moved;
		uint8_t one[64], two[64];
		size_t n;

		talk(&p->a, &p->b, "before");
		talk(&p->b, &p->a, "before, back");
		assert_int_equal(record_import(&moved, &p->a.tx, &p->a.rx), 0);
		n = seal_text(&p->a, one, "next");
		assert_int_equal(seal_text(&moved, two, "next"), n);
		assert_memory_equal(one, two, n);
		open_text(&p->b, two, n, "next");
		talk(&p->b, &moved, "back");
		n = (size_t)record_key_update(&moved, p->buf, false);
		open_text(&p->b, p->buf, n, "");
		talk(&moved, &p->b, "after the update");
		record_fini(&moved);
		pair_free(p);
	}
}

static void a_split_ticket_survives_the_move(void **state)
{
	struct pair *p = *state;
	struct record moved;

	assert_true(OPEN_FORGED(p, 4, 0, 0, 22) > 0);
	assert_int_equal(record_import(&moved, &p->b.tx, &p->b.rx), 0);
	record_fini(&p->b);
	p->b = moved;
	assert_true(OPEN_FORGED(p, 5, 1, 2, 22) > 0);
	assert_int_equal(record_import(&moved, &p->b.tx, &p->b.rx), 0);
	record_fini(&p->b);
	p->b = moved;
	assert_true(OPEN_FORGED(p, 3, 4, 5, 22) > 0);
	talk(&p->a, &p->b, "data");
}

static void an_import_that_cannot_be_is_refused(void **state)
{
	struct pair *p = *state;
	struct record_dir d = p->a.tx;
	struct record r;

	d.suite = 0x1304;
	assert_int_equal(record_import(&r, &d, &p->a.rx), -ENOTSUP);
	assert_int_equal(record_import(&r, &p->a.tx, &d), -ENOTSUP);
	d = p->a.tx;
	d.secret_len = 48;
	assert_int_equal(record_import(&r, &d, &p->a.rx), -EINVAL);
	d = p->a.tx;
	d.hs_len = 5;
	assert_int_equal(record_import(&r, &d, &p->a.rx), -EINVAL);
	assert_null(r.tx_aead);
	record_fini(&r);
}

static void secrets_of_the_wrong_length_or_suite_are_refused(void **state)
{
	uint8_t s[48] = { 0 };
	struct record r;

	(void)state;
	assert_int_equal(record_init(&r, 0x1301, s, s, 48), -EINVAL);
	assert_int_equal(record_init(&r, 0x1302, s, s, 32), -EINVAL);
	assert_int_equal(record_init(&r, 0x1304, s, s, 32), -ENOTSUP);
}

static void no_secret_is_left_after_fini(void **state)
{
	struct pair *p = pair_new(RECORD_AES_256_GCM_SHA384);
	static const struct record zero;

	(void)state;
	record_fini(&p->a);
	assert_memory_equal(&p->a, &zero, sizeof(zero));
	pair_free(p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_opens_on_the_other_side_for_every_suite_and_size),
		PAIR_TEST(a_truncated_record_is_incomplete_not_an_error),
		PAIR_TEST(several_records_in_one_buffer_open_one_by_one),
		PAIR_TEST(every_changed_bit_is_refused),
		PAIR_TEST(a_replayed_or_reordered_record_is_refused),
		PAIR_TEST(a_header_that_cannot_be_is_refused_before_its_body_is_there),
		PAIR_TEST(plaintext_records_are_not_allowed_any_more),
		PAIR_TEST(padding_is_cut_off),
		PAIR_TEST(a_record_of_nothing_but_zeros_is_refused),
		PAIR_TEST(an_inner_plaintext_above_the_limit_is_refused),
		PAIR_TEST(unknown_content_types_are_refused),
		PAIR_TEST(empty_records_are_counted_to_a_limit_that_data_resets),
		PAIR_TEST(too_much_or_senseless_input_is_not_sealed),
		cmocka_unit_test(an_exported_connection_carries_on_byte_for_byte),
		PAIR_TEST(a_split_ticket_survives_the_move),
		PAIR_TEST(an_import_that_cannot_be_is_refused),
		cmocka_unit_test(secrets_of_the_wrong_length_or_suite_are_refused),
		cmocka_unit_test(no_secret_is_left_after_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
