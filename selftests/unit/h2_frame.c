// SPDX-License-Identifier: Apache-2.0
/* Frame headers and control frames to bytes and back, and HPACK against nghttp2's own. */
#include "h2_owner.h"

#include "h2/hpack.h"

static void a_frame_header_survives_the_wire(void **state UNUSED)
{
	static const struct h2_frame frames[] = {
		{ 0, 0, 0, 0 },
		{ 0xffffff, H2_ID_MAX, 255, 255 },
		{ 0x010203, 0x04050607, H2_HEADERS, H2_FLAG_END_HEADERS },
	};

	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		uint8_t b[H2_FRAME_HEADER];
		struct h2_frame f;

		h2_frame_format(b, &frames[i]);
		h2_frame_parse(b, &f);
		assert_int_equal(f.len, frames[i].len);
		assert_int_equal(f.id, frames[i].id);
		assert_int_equal(f.type, frames[i].type);
		assert_int_equal(f.flags, frames[i].flags);
	}
}

static void the_reserved_bit_of_a_stream_id_is_ignored(void **state UNUSED)
{
	static const uint8_t b[] = { 0, 0, 0, 0, 0, 0x80, 0, 0, 5 };
	struct h2_frame f;

	h2_frame_parse(b, &f);
	assert_int_equal(f.id, 5);
}

static void control_frames_have_their_form(void **state UNUSED)
{
	const struct h2_setting v[] = { { 4, 0x01020304 }, { 0xabcd, 5 } };
	uint8_t b[64];

	assert_int_equal(h2_settings_format(b, v, 2), 21);
	assert_memory_equal(b, "\0\0\x0c\x04\0\0\0\0\0\0\x04\x01\x02\x03\x04\xab\xcd\0\0\0\x05", 21);
	assert_int_equal(h2_setting_parse(b + 9, 1).id, 0xabcd);
	assert_int_equal(h2_setting_parse(b + 9, 0).value, 0x01020304);
	assert_int_equal(h2_settings_ack_format(b), 9);
	assert_memory_equal(b, "\0\0\0\x04\x01\0\0\0\0", 9);
	assert_int_equal(h2_rst_format(b, 3, 8), 13);
	assert_memory_equal(b, "\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08", 13);
	assert_int_equal(h2_ping_format(b, true, 0x0102030405060708ull), 17);
	assert_memory_equal(b, "\0\0\x08\x06\x01\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08", 17);
	assert_int_equal(h2_goaway_format(b, 7, 11), 17);
	assert_memory_equal(b, "\0\0\x08\x07\0\0\0\0\0\0\0\0\x07\0\0\0\x0b", 17);
	assert_int_equal(h2_window_update_format(b, 9, 0x100), 13);
	assert_memory_equal(b, "\0\0\x04\x08\0\0\0\0\x09\0\0\x01\0", 13);
}

static void padding_and_priority_are_cut_off(void **state UNUSED)
{
	static const uint8_t b[] = { 2, 0x80, 0, 0, 7, 16, 'h', 'i', 0, 0 };
	struct h2_frame f = { .len = sizeof(b), .id = 1, .type = H2_HEADERS,
			      .flags = H2_FLAG_PADDED | H2_FLAG_PRIORITY };
	const uint8_t *p = b;
	size_t n = sizeof(b);
	uint32_t dep;

	assert_true(h2_frame_strip(&f, &p, &n, &dep));
	assert_int_equal(dep, 7);
	assert_int_equal(n, 2);
	assert_memory_equal(p, "hi", 2);
	p = b;
	n = 7;
	assert_false(h2_frame_strip(&f, &p, &n, &dep));
}

static void error_codes_have_names(void **state UNUSED)
{
	assert_string_equal(h2_error_name(H2_NO_ERROR), "NO_ERROR");
	assert_string_equal(h2_error_name(H2_HTTP_1_1_REQUIRED), "HTTP_1_1_REQUIRED");
	assert_string_equal(h2_error_name(14), "unknown");
	assert_string_equal(h2_error_name(UINT32_MAX), "unknown");
}

static const struct h2_field fields[] = {
	{ { ":status", 7 }, { "200", 3 } },
	{ { "baggage", 7 }, { "k8s.cluster.name=c", 18 } },
	{ { "forwarded", 9 }, { "", 0 } },
};

static void count_field(void *arg, struct str name, struct str value)
{
	size_t *i = arg;

	assert_true(*i < ARRAY_LEN(fields));
	assert_true(str_eq(name, fields[*i].name) && str_eq(value, fields[*i].value));
	(*i)++;
}

static ssize_t encode(struct h2_hpack *h, uint8_t *b, size_t cap)
{
	assert_true(h2_hpack_bound(fields, ARRAY_LEN(fields)) <= cap);
	return h2_hpack_encode(h, fields, ARRAY_LEN(fields), b, cap);
}

static void fields_survive_every_state_of_the_decoder(void **state UNUSED)
{
	static const enum h2_table tables[] = { H2_TABLE_DEFAULT, H2_TABLE_SHRINK, H2_TABLE_ZERO };

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		struct h2_hpack *enc, *dec;
		uint8_t b[512];

		assert_int_equal(h2_hpack_new(&enc), 0);
		assert_int_equal(h2_hpack_new(&dec), 0);
		for (int round = 0; round < 3; round++) {
			ssize_t n = encode(enc, b, sizeof(b));
			size_t seen = 0;

			assert_true(n > 0);
			/* The update to 0 comes once; nothing is ever put into a table. */
			assert_int_equal(b[0] == 0x20, round == 0);
			assert_int_equal(h2_hpack_decode(dec, tables[i], b, (size_t)n, count_field,
							 &seen), 0);
			assert_int_equal(seen, ARRAY_LEN(fields));
		}
		h2_hpack_free(&enc);
		h2_hpack_free(&dec);
		assert_null(dec);
	}
}

static void a_smaller_table_of_the_peer_is_confirmed(void **state UNUSED)
{
	struct h2_hpack *h;
	uint8_t b[512];

	assert_int_equal(h2_hpack_new(&h), 0);
	h2_hpack_peer_limit(h, 0);
	assert_true(encode(h, b, sizeof(b)) > 0);
	assert_int_equal(b[0], 0x20);
	assert_true(encode(h, b, sizeof(b)) > 0);
	assert_int_not_equal(b[0], 0x20);
	h2_hpack_peer_limit(h, 1000);
	assert_true(encode(h, b, sizeof(b)) > 0);
	assert_int_equal(b[0], 0x20);
	h2_hpack_free(&h);
}

static void too_little_room_and_too_many_fields_are_errors(void **state UNUSED)
{
	struct h2_field many[17];
	struct h2_hpack *h;
	uint8_t b[512];

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = fields[0];
	assert_int_equal(h2_hpack_new(&h), 0);
	assert_int_equal(encode(h, b, 512) > 0, 1);
	assert_int_equal(h2_hpack_encode(h, fields, ARRAY_LEN(fields), b, 3), -EINVAL);
	assert_int_equal(h2_hpack_encode(h, many, ARRAY_LEN(many), b, sizeof(b)), -EINVAL);
	h2_hpack_free(&h);
}

static void a_truncated_block_does_not_decode(void **state UNUSED)
{
	uint8_t b[512];
	struct h2_hpack *enc, *dec;
	ssize_t n;

	assert_int_equal(h2_hpack_new(&enc), 0);
	n = encode(enc, b, sizeof(b));
	/* The last field has an empty value: its length byte is what is cut off. */
	for (ssize_t cut = 1; cut < 3; cut++) {
		size_t seen = 0;

		assert_int_equal(h2_hpack_new(&dec), 0);
		assert_int_equal(h2_hpack_decode(dec, H2_TABLE_DEFAULT, b, (size_t)(n - cut),
						 count_field, &seen), -EBADMSG);
		h2_hpack_free(&dec);
	}
	h2_hpack_free(&enc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_header_survives_the_wire),
		cmocka_unit_test(the_reserved_bit_of_a_stream_id_is_ignored),
		cmocka_unit_test(control_frames_have_their_form),
		cmocka_unit_test(padding_and_priority_are_cut_off),
		cmocka_unit_test(error_codes_have_names),
		cmocka_unit_test(fields_survive_every_state_of_the_decoder),
		cmocka_unit_test(a_smaller_table_of_the_peer_is_confirmed),
		cmocka_unit_test(too_little_room_and_too_many_fields_are_errors),
		cmocka_unit_test(a_truncated_block_does_not_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
