// SPDX-License-Identifier: Apache-2.0
/* The table of expected verdicts: what it may say, and the sentence for each mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "feed/cases.h"

#define _cases_ cleanup_with(feed_cases_fini)

static void all_keys_are_read(void **state)
{
	_cases_ struct feed_cases c = { 0 };
	struct errbuf err = { 0 };
	int r = feed_cases_decode(STR("# a comment\n"
				      "- {from: shop/a, to: web.shop, port: 80, expect: allow,\n"
				      "   policy: shop/p, name: the client may}\n"
				      "- from: outside\n"
				      "  to: '10.0.0.1:80'\n"
				      "  expect: Deny\n"
				      "  policy: ''\n"),
				  "t.yaml", &err, &c);

	(void)state;
	assert_string_equal(err.text, "");
	assert_int_equal(r, 0);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.v[0].line, 2);
	assert_string_equal(c.v[0].from, "shop/a");
	assert_string_equal(c.v[0].to, "web.shop");
	assert_int_equal(c.v[0].port, 80);
	assert_true(c.v[0].allow);
	assert_string_equal(c.v[0].policy, "shop/p");
	assert_string_equal(c.v[0].name, "the client may");
	assert_int_equal(c.v[1].line, 4);
	assert_int_equal(c.v[1].port, 0);
	assert_false(c.v[1].allow);
	assert_string_equal(c.v[1].policy, "");
	assert_null(c.v[1].name);
}

static void mistakes_name_file_line_and_key(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "t.yaml:1: there are no cases; one is {from: NAMESPACE/POD, " },
		{ "[]", "t.yaml:1: there are no cases" },
		{ "{}", "t.yaml:1: must be a list, not a map" },
		{ "- x", "t.yaml:1: [0]: must be a map, not a single value" },
		{ "- {to: b, expect: allow}", "t.yaml:1: [0]: 'from' is missing" },
		{ "- {from: a, expect: allow}", "t.yaml:1: [0]: 'to' is missing" },
		{ "- {from: a, to: b}", "t.yaml:1: [0]: 'expect' is missing" },
		{ "- {from: a, to: b, expect: allow}\n- {from: a, to: b, expect: maybe}",
		  "t.yaml:2: [1].expect: 'maybe' is not one of allow, deny" },
		{ "- {from: a,\n   to: '',\n   expect: allow}", "t.yaml:2: [0].to: must not be empty" },
		{ "- {from: a, to: b, expect: allow, port: 0}",
		  "t.yaml:1: [0].port: '0' is not a number from 1 to 65535" },
		{ "- {from: a, to: b, expect: allow, port: http}", "t.yaml:1: [0].port: 'http' is not" },
		{ "- {from: a, to: b, expect: allow, policy: p}",
		  "t.yaml:1: [0].policy: 'p' must be 'namespace/name'" },
		{ "- {from: a, to: b, expect: allow, policy: }",
		  "t.yaml:1: [0].policy: must be a single value, not nothing" },
		{ "- {from: a, to: b, expects: allow}", "t.yaml:1: [0]: unknown key 'expects'" },
		{ "- {From: a, to: b, expect: allow}",
		  "t.yaml:1: [0]: unknown key 'From', did you mean 'from'?" },
		{ "- {from: a, from: b}", "t.yaml:1:" },
		{ "- {", "t.yaml:" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_cases_ struct feed_cases c = { 0 };
		struct errbuf err = { 0 };
		int r = feed_cases_decode(str_of(rows[i].text), "t.yaml", &err, &c);

		if (r != -EINVAL || strncmp(err.text, rows[i].want, strlen(rows[i].want)) != 0)
			fail_msg("row %zu: %d, %s", i, r, err.text);
		assert_int_equal(c.n, 0);
	}
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	_cases_ struct feed_cases c = { 0 };
	struct errbuf err = { 0 };

	(void)state;
	assert_int_equal(feed_cases_load("/nonexistent/t.yaml", &err, &c), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/t.yaml"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_keys_are_read),
		cmocka_unit_test(mistakes_name_file_line_and_key),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
