// SPDX-License-Identifier: Apache-2.0
/* Unit tests of codec/spiffe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/own.h"
#include "codec/spiffe.h"

static void an_id_is_split_into_its_parts_and_put_together_again(void **state)
{
	struct str uri = STR("spiffe://cluster.local/ns/default/sa/book-info_v1");
	struct spiffe id;

	(void)state;
	assert_int_equal(spiffe_parse(uri, &id), 0);
	assert_true(str_eq(id.trust_domain, STR("cluster.local")));
	assert_true(str_eq(id.ns, STR("default")));
	assert_true(str_eq(id.sa, STR("book-info_v1")));
	assert_true(id.ns.p > uri.p && id.ns.p < uri.p + uri.n);
	_free_ char *again = spiffe_format(&id);

	assert_string_equal(again, uri.p);
}

static void anything_but_the_five_parts_is_refused(void **state)
{
	static const struct str bad[] = {
		STR(""),
		STR("spiffe://"),
		STR("spiffe://td"),
		STR("spiffe://td/"),
		STR("spiffe://td/ns/a/sa"),
		STR("spiffe://td/ns/a/sa/"),
		STR("spiffe://td/ns//sa/b"),
		STR("spiffe:///ns/a/sa/b"),
		STR("spiffe://td/ns/a/sa/b/"),
		STR("spiffe://td/ns/a/sa/b/c"),
		STR("spiffe://td//ns/a/sa/b"),
		STR("spiffe://td/sa/a/ns/b"),
		STR("spiffe://td/NS/a/sa/b"),
		STR("SPIFFE://td/ns/a/sa/b"),
		STR("https://td/ns/a/sa/b"),
		STR(" spiffe://td/ns/a/sa/b"),
		STR("spiffe://td/ns/a/sa/b "),
	};
	struct spiffe id = { .sa = STR("untouched") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(spiffe_parse(bad[i], &id), -EINVAL);
	assert_int_equal(spiffe_parse((struct str){ 0 }, &id), -EINVAL);
	assert_true(str_eq(id.sa, STR("untouched")));
}

static void characters_that_could_be_read_in_two_ways_are_refused(void **state)
{
	static const struct str bad[] = {
		STR("spiffe://TD/ns/a/sa/b"),        STR("spiffe://td:80/ns/a/sa/b"),
		STR("spiffe://user@td/ns/a/sa/b"),   STR("spiffe://td/ns/a/sa/b?x"),
		STR("spiffe://td/ns/a/sa/b#x"),      STR("spiffe://td/ns/a/sa/%62"),
		STR("spiffe://td/ns/../sa/b"),       STR("spiffe://td/ns/a/sa/."),
		STR("spiffe://td/ns/a/sa/b\0c"),     STR("spiffe://td\0/ns/a/sa/b"),
		STR("spiffe://td/ns/a/sa/*"),        STR("spiffe://td/ns/a b/sa/b"),
		STR("spiffe://td/ns/\xc3\xa9/sa/b"),
	};
	struct spiffe id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(spiffe_parse(bad[i], &id), -EINVAL);
}

static void overlong_ids_are_refused(void **state)
{
	char uri[4096];
	struct spiffe id;
	int n;

	(void)state;
	n = snprintf(uri, sizeof(uri), "spiffe://%0255d/ns/a/sa/b", 1);
	assert_int_equal(spiffe_parse((struct str){ uri, (size_t)n }, &id), 0);
	n = snprintf(uri, sizeof(uri), "spiffe://%0256d/ns/a/sa/b", 1);
	assert_int_equal(spiffe_parse((struct str){ uri, (size_t)n }, &id), -EINVAL);
	n = snprintf(uri, sizeof(uri), "spiffe://td/ns/a/sa/%02048d", 1);
	assert_int_equal(spiffe_parse((struct str){ uri, (size_t)n }, &id), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_is_split_into_its_parts_and_put_together_again),
		cmocka_unit_test(anything_but_the_five_parts_is_refused),
		cmocka_unit_test(characters_that_could_be_read_in_two_ways_are_refused),
		cmocka_unit_test(overlong_ids_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
