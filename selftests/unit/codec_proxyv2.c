// SPDX-License-Identifier: Apache-2.0
/* What stands in front of a stream for an application with a tunnel of its own, byte by byte. */
#include "unit/model_make.h"

#include <errno.h>
#include <string.h>

#include "codec/proxyv2.h"

static struct weft_ep make_ep(const char *text)
{
	struct weft_ep ep;

	assert_int_equal(ip_parse_ep(str_of(text), &ep), 0);
	return ep;
}

static void format_is(const char *src, const char *dst, const char *identity, const char *want,
		      size_t n)
{
	const struct weft_ep s = make_ep(src), d = make_ep(dst);
	uint8_t buf[PROXYV2_MAX];
	int r = proxyv2_format(buf, sizeof(buf), &s, &d, str_of(identity));

	assert_int_equal(r, n);
	assert_memory_equal(buf, want, n);
}

static void both_families_and_the_identity_are_written(void **state)
{
	static const char four[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
				   "\x0a\x00\x00\x01\x0a\x60\x00\x01\x30\x39\x00\x50";
	static const char with_id[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14"
				      "\x0a\x00\x00\x01\x0a\x60\x00\x01\x30\x39\x00\x50"
				      "\xd0\x00\x05"
				      "spiff";
	static const char six[] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24"
				  "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"
				  "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x60\x00\x01\x30\x39\x00\x50";

	(void)state;
	format_is("10.0.0.1:12345", "10.96.0.1:80", "", four, sizeof(four) - 1);
	format_is("10.0.0.1:12345", "10.96.0.1:80", "spiff", with_id, sizeof(with_id) - 1);
	format_is("[fd00::1]:12345", "10.96.0.1:80", "", six, sizeof(six) - 1);
}

static void what_does_not_fit_is_not_written(void **state)
{
	const struct weft_ep ep = make_ep("10.0.0.1:1");
	uint8_t buf[28] = { 0 };

	(void)state;
	assert_int_equal(proxyv2_format(buf, 27, &ep, &ep, (struct str){ 0 }), -ENAMETOOLONG);
	assert_int_equal(proxyv2_format(buf, 28, &ep, &ep, STR("x")), -ENAMETOOLONG);
	assert_int_equal(buf[0], 0);
	assert_int_equal(proxyv2_format(buf, 28, &ep, &ep, (struct str){ 0 }), 28);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_and_the_identity_are_written),
		cmocka_unit_test(what_does_not_fit_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
