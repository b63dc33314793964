// SPDX-License-Identifier: Apache-2.0
/* Protocol Buffers: reading by tables, splitting a stream at every place, writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "codec/pb.h"

struct inner {
	struct str text;
};

struct outer {
	bool flag;
	uint32_t number;
	int kind;
	struct str text, bytes;
	struct inner inner;
	uint32_t sum;
	unsigned times;
};

static int add(struct pb_decode *d, void *obj, uint32_t u)
{
	struct outer *o = obj;

	(void)d;
	o->sum += u;
	o->times++;
	return 0;
}

static int each(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	return pb_each_u32(d, v, "numbers", add, obj);
}

static const struct pb_field inner_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct inner, text), "inner") },
	{ 0 },
};

static const struct pb_field fields[] = {
	{ PB(1, PB_BOOL, offsetof(struct outer, flag), "flag") },
	{ PB(2, PB_U32, offsetof(struct outer, number), "number") },
	{ PB(3, PB_ENUM, offsetof(struct outer, kind), "kind") },
	{ PB(4, PB_TEXT, offsetof(struct outer, text), "text") },
	{ PB(5, PB_BYTES, offsetof(struct outer, bytes), "bytes") },
	{ PB(6, PB_SUB, offsetof(struct outer, inner), "sub"), .sub = inner_fields },
	{ PB(7, PB_EACH, 0, "numbers"), .each = each },
	{ PB(8, PB_SKIP, 0, "skipped") },
	{ 0 },
};

#define MSG(...) \
	((struct str){ (const char *)(const uint8_t[]){ __VA_ARGS__ }, \
		       sizeof((uint8_t[]){ __VA_ARGS__ }) })

static int decode(struct str msg, bool strict, struct errbuf *err, struct outer *ret)
{
	struct pb_decode d = { .err = err, .strict = strict };

	err->text[0] = '\0';
	*ret = (struct outer){ 0 };
	return pb_decode(&d, msg, fields, ret);
}

static void refused(struct str msg, bool strict, const char *sentence)
{
	struct errbuf err;
	struct outer o;

	assert_int_equal(decode(msg, strict, &err, &o), -EBADMSG);
	if (!strstr(err.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, err.text);
}

static void every_kind_of_field_goes_where_its_table_says(void **state)
{
	struct errbuf err;
	struct outer o;

	(void)state;
	assert_int_equal(decode(MSG(0x08, 1, 0x10, 0xac, 0x02, 0x18, 2, 0x22, 2, 'h', 'i', 0x2a, 1,
				    0, 0x32, 3, 0x0a, 1, 'x', 0x42, 1, 7),
				true, &err, &o),
			 0);
	assert_true(o.flag);
	assert_int_equal(o.number, 300);
	assert_int_equal(o.kind, 2);
	assert_true(str_eq(o.text, STR("hi")));
	assert_int_equal(o.bytes.n, 1);
	assert_true(str_eq(o.inner.text, STR("x")));
}

static void repeated_numbers_may_be_packed_or_not(void **state)
{
	struct errbuf err;
	struct outer o;

	(void)state;
	assert_int_equal(decode(MSG(0x38, 5, 0x3a, 3, 1, 0xac, 0x02, 0x3a, 0), true, &err, &o), 0);
	assert_int_equal(o.sum, 306);
	assert_int_equal(o.times, 3);
	refused(MSG(0x3a, 1, 0x80), true, "numbers is broken");
}

static void the_last_of_several_values_counts_and_messages_are_merged(void **state)
{
	struct errbuf err;
	struct outer o;

	(void)state;
	assert_int_equal(
		decode(MSG(0x10, 1, 0x10, 2, 0x32, 3, 0x0a, 1, 'a', 0x32, 0), true, &err, &o), 0);
	assert_int_equal(o.number, 2);
	assert_true(str_eq(o.inner.text, STR("a")));
}

static void a_negative_enum_keeps_its_sign(void **state)
{
	struct errbuf err;
	struct outer o;

	(void)state;
	assert_int_equal(decode(MSG(0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1),
				true, &err, &o),
			 0);
	assert_int_equal(o.kind, -1);
}

static void unknown_fields_are_skipped_or_refused_as_the_reader_wants(void **state)
{
	const struct str msg = MSG(0x10, 1, 0x7a, 1, 0, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3,
				   4);
	struct errbuf err;
	struct outer o;

	(void)state;
	assert_int_equal(decode(msg, false, &err, &o), 0);
	assert_int_equal(o.number, 1);
	refused(msg, true, "field 15 is not known");
}

static void what_is_no_message_is_refused_with_the_field_s_name(void **state)
{
	(void)state;
	refused(MSG(0x22, 2, 'h', '\n'), true, "text has a control character");
	refused(MSG(0x22, 1, 0), true, "text has a control character");
	refused(MSG(0x10, 0x80, 0x80, 0x80, 0x80, 0x10), true, "number is out of range");
	refused(MSG(0x12, 1, 1), true, "number has another type");
	refused(MSG(0x20, 1), true, "text has another type");
	refused(MSG(0x30, 1), true, "sub has another type");
	refused(MSG(0x22, 3, 'a'), true, "the encoding is broken");
	refused(MSG(0x80), true, "the encoding is broken");
	refused(MSG(0x00, 1), true, "the encoding is broken");
	refused(MSG(0x0b, 1, 0x0c), true, "the encoding is broken"); /* a group */
	refused(MSG(0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2), true,
		"the encoding is broken"); /* 65 bits */
	refused(MSG(0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), true,
		"the encoding is broken"); /* a length of 2^64 - 1 */
}

/* ---- the splitter ---- */

struct seen {
	char text[256];
	int fail_at, count;
};

static int on_field(void *arg, const struct pb_value *v)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%u:%llu:%.*s ", v->field,
		 (unsigned long long)v->u, STR_FMT(v->bytes));
	return ++s->count == s->fail_at ? -EIO : 0;
}

static const uint8_t split_msg[] = { 0x12, 3,    'a', 'b', 'c', 0x08, 0xac, 0x02, 0x1a,
				     0,    0x25, 1,   0,   0,   0,    0x12, 1,    'z' };
#define SPLIT_TEXT "2:0:abc 1:300: 3:0: 4:1: 2:0:z "

static void a_message_gives_the_same_fields_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t a = 0; a <= sizeof(split_msg); a++) {
		for (size_t b = a; b <= sizeof(split_msg); b++) {
			struct pb_split s = { 0 };
			struct seen seen = { 0 };

			assert_int_equal(pb_split_feed(&s, split_msg, a, 100, on_field, &seen), 0);
			assert_int_equal(
				pb_split_feed(&s, split_msg + a, b - a, 100, on_field, &seen), 0);
			assert_int_equal(pb_split_feed(&s, split_msg + b, sizeof(split_msg) - b,
						       100, on_field, &seen),
					 0);
			assert_int_equal(pb_split_end(&s), 0);
			assert_string_equal(seen.text, SPLIT_TEXT);
			pb_split_fini(&s);
		}
	}
}

static void a_message_that_ends_inside_a_field_is_broken(void **state)
{
	(void)state;
	/* The ends of its fields. */
	for (size_t n = 0; n <= sizeof(split_msg); n++) {
		bool whole = n == 0 || n == 5 || n == 8 || n == 10 || n == 15 || n == 18;
		struct pb_split s = { 0 };
		struct seen seen = { 0 };

		assert_int_equal(pb_split_feed(&s, split_msg, n, 100, on_field, &seen), 0);
		assert_int_equal(pb_split_end(&s), whole ? 0 : -EBADMSG);
		pb_split_fini(&s);
	}
}

static void a_field_above_the_limit_is_not_collected(void **state)
{
	const uint8_t large[] = { 0x12, 0x80, 0x80, 0x80, 0x80, 0x10 };
	struct pb_split s = { 0 };
	struct seen seen = { 0 };

	(void)state;
	assert_int_equal(pb_split_feed(&s, large, sizeof(large), 1 << 20, on_field, &seen),
			 -EMSGSIZE);
	pb_split_fini(&s);
	assert_int_equal(pb_split_feed(&s, split_msg, sizeof(split_msg), 2, on_field, &seen),
			 -EMSGSIZE);
	pb_split_fini(&s);
}

static void the_splitter_hands_failures_on_and_refuses_garbage(void **state)
{
	const uint8_t endless[16] = { [0 ... 15] = 0xff }, group[] = { 0x0b };
	struct pb_split s = { 0 };
	struct seen seen = { .fail_at = 2 };

	(void)state;
	assert_int_equal(pb_split_feed(&s, split_msg, sizeof(split_msg), 100, on_field, &seen), -EIO);
	assert_int_equal(seen.count, 2);
	pb_split_fini(&s);
	assert_int_equal(pb_split_feed(&s, endless, sizeof(endless), 100, on_field, &seen), -EBADMSG);
	pb_split_fini(&s);
	assert_int_equal(pb_split_feed(&s, group, sizeof(group), 100, on_field, &seen), -EBADMSG);
	pb_split_fini(&s);
}

/* ---- the writer ---- */

static void what_is_written_is_read_back(void **state)
{
	struct pb_writer w = { 0 };
	struct errbuf err;
	struct outer o;
	struct str s;
	size_t mark;

	(void)state;
	pb_put_u64(&w, 1, 1);
	pb_put_u64(&w, 2, UINT32_MAX);
	pb_put_text(&w, 4, "text");
	pb_put_text(&w, 5, "");
	mark = pb_begin(&w, 6);
	pb_put_bytes(&w, 1, STR("nested"));
	pb_end(&w, mark);
	assert_int_equal(pb_written(&w, &s), 0);
	assert_int_equal(decode(s, true, &err, &o), 0);
	assert_true(o.flag);
	assert_int_equal(o.number, UINT32_MAX);
	assert_true(str_eq(o.text, STR("text")));
	assert_null(o.bytes.p);
	assert_true(str_eq(o.inner.text, STR("nested")));
	pb_writer_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_field_goes_where_its_table_says),
		cmocka_unit_test(repeated_numbers_may_be_packed_or_not),
		cmocka_unit_test(the_last_of_several_values_counts_and_messages_are_merged),
		cmocka_unit_test(a_negative_enum_keeps_its_sign),
		cmocka_unit_test(unknown_fields_are_skipped_or_refused_as_the_reader_wants),
		cmocka_unit_test(what_is_no_message_is_refused_with_the_field_s_name),
		cmocka_unit_test(a_message_gives_the_same_fields_wherever_it_is_cut),
		cmocka_unit_test(a_message_that_ends_inside_a_field_is_broken),
		cmocka_unit_test(a_field_above_the_limit_is_not_collected),
		cmocka_unit_test(the_splitter_hands_failures_on_and_refuses_garbage),
		cmocka_unit_test(what_is_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
