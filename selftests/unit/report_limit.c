// SPDX-License-Identifier: Apache-2.0
/* Unit tests of report/limit: floods of refused connections in the access log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "report/limit.h"

struct said {
	unsigned lines;
	uint64_t more;
	char last[64];
};

static struct limit_pair pair_of(const char *src, uint16_t port)
{
	struct limit_pair p = { .port = port };

	assert_int_equal(ip_parse(str_of(src), &p.src), 0);
	assert_int_equal(ip_parse(STR("10.0.0.1"), &p.dst), 0);
	return p;
}

static void on_line(void *arg, char *line, size_t n, uint64_t more)
{
	struct said *s = arg;

	s->lines++;
	s->more += more;
	snprintf(s->last, sizeof(s->last), "%.*s", (int)n, line);
	free(line);
}

/* So many lines of a pair at a time; how many of them are written at once. */
static unsigned flood(struct limit *l, const struct limit_pair *p, unsigned count, uint64_t now_ns)
{
	unsigned written = 0;

	for (unsigned i = 0; i < count; i++) {
		enum limit_what what = limit_ask_any(l, p, now_ns);
		char *line = what == LIMIT_KEEP ? str_printf("kept %u", i) : NULL;

		written += what == LIMIT_WRITE;
		if (line)
			limit_keep_any(l, p, line, strlen(line));
	}
	return written;
}

static void what_is_left_out_is_said_with_its_number_when_the_window_is_over(void **state)
{
	struct limit_pair p = pair_of("10.0.0.2", 80);
	struct said s = { 0 };
	struct limit *l;

	(void)state;
	assert_int_equal(limit_new(&l), 0);
	assert_int_equal(flood(l, &p, 1000, 0), LIMIT_LINES);
	limit_expire_any(l, LIMIT_WINDOW_NS - 1, on_line, &s);
	assert_int_equal(s.lines, 0);
	limit_expire_any(l, LIMIT_WINDOW_NS, on_line, &s);
	assert_int_equal(s.lines, 1);
	/* written + the kept one + what it stands for is all of them */
	assert_int_equal(LIMIT_LINES + 1 + s.more, 1000);
	assert_string_equal(s.last, "kept 10");
	assert_int_equal(limit_dropped_any(l), s.more);
	/* and then it begins anew */
	assert_int_equal(flood(l, &p, 3, LIMIT_WINDOW_NS), 3);
	limit_expire_any(l, UINT64_MAX, on_line, &s);
	assert_int_equal(s.lines, 1);
	limit_free(&l);
}

static void pairs_do_not_share_their_lines(void **state)
{
	struct limit_pair a = pair_of("10.0.0.2", 80), b = pair_of("10.0.0.3", 80),
			  c = pair_of("10.0.0.2", 81), in = a;
	struct limit *l;

	(void)state;
	in.inbound = true;
	assert_int_equal(limit_new(&l), 0);
	assert_int_equal(flood(l, &a, 100, 0), LIMIT_LINES);
	assert_int_equal(flood(l, &b, 100, 0), LIMIT_LINES);
	assert_int_equal(flood(l, &c, 100, 0), LIMIT_LINES);
	assert_int_equal(flood(l, &in, 100, 0), LIMIT_LINES);
	limit_free(&l); /* with lines that nobody fetched */
}

static void more_pairs_than_fit_are_counted_and_not_written(void **state)
{
	struct limit_pair p = pair_of("10.0.0.2", 80);
	struct said s = { 0 };
	unsigned written = 0;
	struct limit *l;

	(void)state;
	assert_int_equal(limit_new(&l), 0);
	for (unsigned i = 0; i < LIMIT_PAIRS + 100; i++) {
		memcpy(p.src.b + 12, &i, sizeof(i));
		written += flood(l, &p, 1, 0);
	}
	assert_int_equal(written, LIMIT_PAIRS);
	assert_int_equal(limit_dropped_any(l), 100);
	limit_expire_any(l, LIMIT_WINDOW_NS, on_line, &s);
	assert_int_equal(s.lines, 0);
	assert_int_equal(flood(l, &p, 1, LIMIT_WINDOW_NS), 1);
	limit_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_is_said_with_its_number_when_the_window_is_over),
		cmocka_unit_test(pairs_do_not_share_their_lines),
		cmocka_unit_test(more_pairs_than_fit_are_counted_and_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
