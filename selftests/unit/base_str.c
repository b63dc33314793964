// SPDX-License-Identifier: Apache-2.0
/* base/str.h: text that comes from people and peers, so mostly what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/own.h"
#include "base/str.h"

static void equality_is_by_length_and_bytes(void **state)
{
	(void)state;
	assert_true(str_eq(STR("a"), STR("a")));
	assert_false(str_eq(STR("a"), STR("ab")));
	assert_false(str_eq(STR("a"), STR("A")));
	assert_true(str_eq((struct str){ 0 }, STR("")));
	assert_true(str_eq_nocase(STR("Host"), STR("hOST")));
	assert_false(str_eq_nocase(STR("Host"), STR("Hos")));
}

static void prefixes_and_suffixes_longer_than_the_text_do_not_match(void **state)
{
	(void)state;
	assert_true(str_has_prefix(STR("spiffe://x"), STR("spiffe://")));
	assert_false(str_has_prefix(STR("spi"), STR("spiffe://")));
	assert_true(str_has_suffix(STR("a.local"), STR(".local")));
	assert_false(str_has_suffix(STR("local"), STR(".local")));
	assert_true(str_has_prefix(STR("a"), STR("")));
}

static void trimming_takes_white_space_at_both_ends_only(void **state)
{
	(void)state;
	assert_true(str_eq(str_trim(STR(" \t a b\r\n")), STR("a b")));
	assert_int_equal(str_trim(STR("  ")).n, 0);
	assert_int_equal(str_trim(STR("")).n, 0);
}

static void cutting_walks_over_fields_and_then_ends(void **state)
{
	struct str s = STR("a,,b");

	(void)state;
	assert_true(str_eq(str_cut(&s, ','), STR("a")));
	assert_true(str_eq(str_cut(&s, ','), STR("")));
	assert_non_null(s.p);
	assert_true(str_eq(str_cut(&s, ','), STR("b")));
	assert_null(s.p);
	assert_int_equal(str_cut(&s, ',').n, 0);
}

static void a_separator_at_the_end_leaves_an_empty_field(void **state)
{
	struct str s = STR("a,");

	(void)state;
	assert_true(str_eq(str_cut(&s, ','), STR("a")));
	assert_non_null(s.p);
	assert_int_equal(s.n, 0);
}

static void a_copy_that_does_not_fit_writes_nothing(void **state)
{
	char buf[4] = "xyz";

	(void)state;
	assert_int_equal(str_copy(buf, sizeof(buf), STR("abcd")), -ENAMETOOLONG);
	assert_string_equal(buf, "xyz");
	assert_int_equal(str_copy(buf, sizeof(buf), STR("abc")), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(str_copy(buf, 0, STR("")), -ENAMETOOLONG);
}

static void copies_are_terminated(void **state)
{
	_free_ char *dup = str_dup((struct str){ "abcdef", 3 });
	_free_ char *none = str_dup((struct str){ 0 });
	_free_ char *text = str_printf("%s-%d", "a", 1);

	(void)state;
	assert_string_equal(dup, "abc");
	assert_string_equal(none, "");
	assert_string_equal(text, "a-1");
}

static void whole_text_must_be_the_number(void **state)
{
	static const char *const bad[] = { "", " 1", "1 ", "+1", "-1", "0x10", "1e3", "1.0", "a" };
	uint64_t v = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(str_to_u64(str_of(bad[i]), &v), -EINVAL);
	assert_int_equal(v, 77);
	assert_int_equal(str_to_u64(STR("007"), &v), 0);
	assert_int_equal(v, 7);
}

static void numbers_out_of_range_are_refused_and_leave_the_result(void **state)
{
	uint64_t v64 = 1;
	uint32_t v32 = 1;
	uint16_t v16 = 1;

	(void)state;
	assert_int_equal(str_to_u64(STR("18446744073709551616"), &v64), -ERANGE);
	assert_int_equal(str_to_u32(STR("4294967296"), &v32), -ERANGE);
	assert_int_equal(str_to_u16(STR("65536"), &v16), -ERANGE);
	assert_true(v64 == 1 && v32 == 1 && v16 == 1);
	assert_int_equal(str_to_u64(STR("18446744073709551615"), &v64), 0);
	assert_int_equal(str_to_u32(STR("4294967295"), &v32), 0);
	assert_int_equal(str_to_u16(STR("65535"), &v16), 0);
	assert_true(v64 == UINT64_MAX && v32 == UINT32_MAX && v16 == UINT16_MAX);
}

static void truth_has_four_spellings_each(void **state)
{
	static const char *const yes[] = { "true", "YES", "on", "1" };
	static const char *const no[] = { "False", "no", "off", "0" };
	bool v;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		v = false;
		assert_int_equal(str_to_bool(str_of(yes[i]), &v), 0);
		assert_true(v);
		assert_int_equal(str_to_bool(str_of(no[i]), &v), 0);
		assert_false(v);
	}
	assert_int_equal(str_to_bool(STR("y"), &v), -EINVAL);
	assert_int_equal(str_to_bool(STR(""), &v), -EINVAL);
}

static void durations_need_a_unit_unless_zero(void **state)
{
	uint64_t ns = 5;

	(void)state;
	assert_int_equal(str_to_duration_ns(STR("10"), &ns), -EINVAL);
	assert_int_equal(str_to_duration_ns(STR("s"), &ns), -EINVAL);
	assert_int_equal(str_to_duration_ns(STR("1 s"), &ns), -EINVAL);
	assert_int_equal(str_to_duration_ns(STR("-1s"), &ns), -EINVAL);
	assert_int_equal(ns, 5);
	assert_int_equal(str_to_duration_ns(STR("0"), &ns), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(str_to_duration_ns(STR("10ms"), &ns), 0);
	assert_int_equal(ns, 10000000);
	assert_int_equal(str_to_duration_ns(STR("24h"), &ns), 0);
	assert_int_equal(ns, 86400000000000);
}

static void scaled_values_do_not_wrap(void **state)
{
	uint64_t v = 5;

	(void)state;
	assert_int_equal(str_to_duration_ns(STR("9999999999d"), &v), -ERANGE);
	assert_int_equal(str_to_bytes(STR("99999999999G"), &v), -ERANGE);
	assert_int_equal(v, 5);
}

static void byte_sizes_are_powers_of_two(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(str_to_bytes(STR("4096"), &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(str_to_bytes(STR("64K"), &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(str_to_bytes(STR("2GiB"), &v), 0);
	assert_int_equal(v, 2ull << 30);
	assert_int_equal(str_to_bytes(STR("1k"), &v), -EINVAL);
}

static void sizes_for_people_have_one_decimal(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(str_human_bytes(buf, sizeof(buf), 999), "999 B");
	assert_string_equal(str_human_bytes(buf, sizeof(buf), 1200000), "1.2 MB");
	assert_string_equal(str_human_bytes(buf, sizeof(buf), 1e18), "1000.0 PB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_is_by_length_and_bytes),
		cmocka_unit_test(prefixes_and_suffixes_longer_than_the_text_do_not_match),
		cmocka_unit_test(trimming_takes_white_space_at_both_ends_only),
		cmocka_unit_test(cutting_walks_over_fields_and_then_ends),
		cmocka_unit_test(a_separator_at_the_end_leaves_an_empty_field),
		cmocka_unit_test(a_copy_that_does_not_fit_writes_nothing),
		cmocka_unit_test(copies_are_terminated),
		cmocka_unit_test(whole_text_must_be_the_number),
		cmocka_unit_test(numbers_out_of_range_are_refused_and_leave_the_result),
		cmocka_unit_test(truth_has_four_spellings_each),
		cmocka_unit_test(durations_need_a_unit_unless_zero),
		cmocka_unit_test(scaled_values_do_not_wrap),
		cmocka_unit_test(byte_sizes_are_powers_of_two),
		cmocka_unit_test(sizes_for_people_have_one_decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
