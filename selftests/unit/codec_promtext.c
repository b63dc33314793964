// SPDX-License-Identifier: Apache-2.0
/* Unit tests of codec/promtext. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/own.h"
#include "codec/promtext.h"

#define _prom_ cleanup_with(prom_fini)

static void write_one_of_each(struct prom *w)
{
	prom_family(w, "weft_bytes", PROM_COUNTER, "Bytes \"sent\" \\ \nreceived.");
	prom_begin(w, "weft_bytes", PROM_COUNTER);
	prom_label(w, "pod", "a\"b\\c\nd");
	prom_labels_raw(w, "x=\"1\",y=\"2\"");
	prom_u64(w, UINT64_MAX);
	prom_family(w, "weft_up", PROM_GAUGE, NULL);
	prom_begin(w, "weft_up", PROM_GAUGE);
	prom_labels_raw(w, "");
	prom_labels_raw(w, NULL);
	prom_f64(w, 0.5);
	prom_end(w);
}

static void text_0_0_4_names_counters_with_total_everywhere(void **state)
{
	_prom_ struct prom w;

	(void)state;
	prom_init(&w, false);
	write_one_of_each(&w);
	assert_int_equal(w.error, 0);
	assert_int_equal(w.n, strlen(w.p));
	assert_string_equal(w.p, "# HELP weft_bytes_total Bytes \"sent\" \\\\ \\nreceived.\n"
				 "# TYPE weft_bytes_total counter\n"
				 "weft_bytes_total{pod=\"a\\\"b\\\\c\\nd\",x=\"1\",y=\"2\"} "
				 "18446744073709551615\n"
				 "# TYPE weft_up gauge\n"
				 "weft_up 0.5\n");
}

static void openmetrics_names_the_family_without_total_and_ends_with_eof(void **state)
{
	_prom_ struct prom w;

	(void)state;
	prom_init(&w, true);
	write_one_of_each(&w);
	assert_string_equal(w.p, "# HELP weft_bytes Bytes \\\"sent\\\" \\\\ \\nreceived.\n"
				 "# TYPE weft_bytes counter\n"
				 "weft_bytes_total{pod=\"a\\\"b\\\\c\\nd\",x=\"1\",y=\"2\"} "
				 "18446744073709551615\n"
				 "# TYPE weft_up gauge\n"
				 "weft_up 0.5\n"
				 "# EOF\n");
}

static void numbers_are_as_short_as_they_can_be_and_exact(void **state)
{
	static const struct {
		double v;
		const char *text;
	} numbers[] = {
		{ 0, "g 0\n" },
		{ 0.1, "g 0.1\n" },
		{ 1e300, "g 1e+300\n" },
		{ 1.0 / 3, "g 0.3333333333333333\n" },
		{ 123456789.0, "g 123456789\n" },
		{ -2.5, "g -2.5\n" },
		{ NAN, "g NaN\n" },
		{ INFINITY, "g +Inf\n" },
		{ -INFINITY, "g -Inf\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		_prom_ struct prom w;

		prom_init(&w, false);
		prom_begin(&w, "g", PROM_GAUGE);
		prom_f64(&w, numbers[i].v);
		assert_string_equal(w.p, numbers[i].text);
	}
}

static void samples_do_not_inherit_labels(void **state)
{
	_prom_ struct prom w;

	(void)state;
	prom_init(&w, false);
	prom_begin(&w, "a", PROM_GAUGE);
	prom_label(&w, "k", NULL);
	prom_u64(&w, 1);
	prom_begin(&w, "b", PROM_GAUGE);
	prom_u64(&w, 2);
	assert_string_equal(w.p, "a{k=\"\"} 1\nb 2\n");
}

static void bytes_that_are_not_utf8_do_not_spoil_the_scrape(void **state)
{
	static const struct {
		const char *in, *out;
	} texts[] = {
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "\xff", "?" },
		{ "a\xc3", "a?" },
		{ "\xe2\x82", "??" },
		{ "\xc0\xaf", "??" },
		{ "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xe0\x80\x80", "???" },
		{ "\xc3\"", "?\\\"" },
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(prom_escape(buf, sizeof(buf), texts[i].in), strlen(texts[i].out));
		assert_string_equal(buf, texts[i].out);
	}
}

static void escaping_into_a_small_buffer_fails_cleanly(void **state)
{
	char buf[5];

	(void)state;
	assert_int_equal(prom_escape(buf, sizeof(buf), "ab\""), 4);
	assert_string_equal(buf, "ab\\\"");
	assert_int_equal(prom_escape(buf, sizeof(buf), "abc\""), -ENAMETOOLONG);
	assert_int_equal(prom_escape(buf, sizeof(buf), "abcde"), -ENAMETOOLONG);
	assert_int_equal(prom_escape(buf, 1, ""), 0);
	assert_int_equal(prom_escape(buf, 0, ""), -ENAMETOOLONG);
}

static void an_empty_page_is_text(void **state)
{
	_prom_ struct prom w;

	(void)state;
	prom_init(&w, false);
	prom_end(&w);
	assert_string_equal(w.p, "");
	assert_int_equal(w.n, 0);
}

static void nothing_is_written_after_an_error(void **state)
{
	_prom_ struct prom w;

	(void)state;
	prom_init(&w, false);
	prom_begin(&w, "a", PROM_GAUGE);
	w.error = -ENOMEM;
	prom_u64(&w, 1);
	prom_end(&w);
	assert_string_equal(w.p, "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_0_0_4_names_counters_with_total_everywhere),
		cmocka_unit_test(openmetrics_names_the_family_without_total_and_ends_with_eof),
		cmocka_unit_test(numbers_are_as_short_as_they_can_be_and_exact),
		cmocka_unit_test(samples_do_not_inherit_labels),
		cmocka_unit_test(bytes_that_are_not_utf8_do_not_spoil_the_scrape),
		cmocka_unit_test(escaping_into_a_small_buffer_fails_cleanly),
		cmocka_unit_test(an_empty_page_is_text),
		cmocka_unit_test(nothing_is_written_after_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
