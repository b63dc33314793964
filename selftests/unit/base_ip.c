// SPDX-License-Identifier: Apache-2.0
/* base/ip.h: one 16-byte form for both families, and strict text at the door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>

#include "base/ip.h"
#include "base/own.h"

static struct weft_addr addr(const char *text)
{
	struct weft_addr a;

	assert_int_equal(ip_parse(str_of(text), &a), 0);
	return a;
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	assert_int_equal(ip_parse_prefix(str_of(text), &p), 0);
	return p;
}

static void an_ipv4_address_is_kept_mapped(void **state)
{
	static const uint8_t want[16] = { [10] = 0xff, [11] = 0xff, 10, 1, 2, 3 };
	struct weft_addr a = addr("10.1.2.3"), mapped = addr("::ffff:10.1.2.3"), v6 = addr("fd00::1");

	(void)state;
	assert_memory_equal(a.b, want, 16);
	assert_true(ip_is_v4(&a));
	assert_true(ip_eq(&a, &mapped));
	assert_false(ip_is_v4(&v6));
}

static void text_that_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", "::g",
					   "fe80::1%eth0", "01.2.3.4x", "localhost" };
	struct weft_addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ip_parse(str_of(bad[i]), &a), -EINVAL);
	assert_int_equal(ip_parse(STR("1.2.3.4\0x"), &a), -EINVAL);
	assert_int_equal(ip_parse((struct str){ 0 }, &a), -EINVAL);
}

static void text_survives_the_round_trip(void **state)
{
	static const char *const eps[] = { "10.0.0.1:80", "[fd00::1]:65535", "[::1]:1" };
	static const char *const prefixes[] = { "10.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32",
						"fd00::/8", "::/0", "fd00::1/128" };
	char buf[IP_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(eps); i++) {
		struct weft_ep e;

		assert_int_equal(ip_parse_ep(str_of(eps[i]), &e), 0);
		assert_string_equal(ip_format_ep(buf, &e), eps[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct ip_prefix p = prefix(prefixes[i]);

		assert_string_equal(ip_format_prefix(buf, &p), prefixes[i]);
	}
}

static void endpoints_need_an_address_and_a_port(void **state)
{
	static const char *const bad[] = { "10.0.0.1",	  "10.0.0.1:",	 "10.0.0.1:0", ":80",
					   "10.0.0.1:65536", "fd00::1:80", "[fd00::1]", "[fd00::1]80",
					   "[fd00::1]:",   "[10.0.0.1]:80", "[fd00::1",	 "[]:80",
					   "10.0.0.1:80:1", "host:80",	 "" };
	struct weft_ep e = { .port = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(ip_parse_ep(str_of(bad[i]), &e), -EINVAL);
	assert_int_equal(e.port, 7);
}

static void prefix_lengths_count_in_the_family_of_the_text(void **state)
{
	struct ip_prefix p;

	(void)state;
	assert_int_equal(prefix("10.0.0.0/8").len, 104);
	assert_int_equal(prefix("10.0.0.1").len, 128);
	assert_int_equal(prefix("fd00::/8").len, 8);
	assert_int_equal(ip_parse_prefix(STR("10.0.0.0/33"), &p), -EINVAL);
	assert_int_equal(ip_parse_prefix(STR("fd00::/129"), &p), -EINVAL);
	assert_int_equal(ip_parse_prefix(STR("10.0.0.0/"), &p), -EINVAL);
	assert_int_equal(ip_parse_prefix(STR("10.0.0.0/8/8"), &p), -EINVAL);
	assert_int_equal(ip_parse_prefix(STR("/8"), &p), -EINVAL);
}

static void host_bits_of_a_prefix_are_cleared(void **state)
{
	char buf[IP_TEXT_MAX];
	struct ip_prefix p = prefix("10.255.255.255/9");

	(void)state;
	assert_string_equal(ip_format_prefix(buf, &p), "10.128.0.0/9");
}

static void membership_looks_at_the_bits_of_the_prefix_only(void **state)
{
	struct ip_prefix net = prefix("10.128.0.0/9"), all4 = prefix("0.0.0.0/0"),
			 all6 = prefix("::/0"), one = prefix("10.1.2.3");
	struct weft_addr in = addr("10.200.1.1"), out = addr("10.127.255.255"), v6 = addr("fd00::1"),
			 self = addr("10.1.2.3");

	(void)state;
	assert_true(ip_in_prefix(&in, &net));
	assert_false(ip_in_prefix(&out, &net));
	assert_true(ip_in_prefix(&out, &all4));
	assert_false(ip_in_prefix(&v6, &all4));
	assert_true(ip_in_prefix(&v6, &all6));
	assert_true(ip_in_prefix(&self, &one));
	assert_false(ip_in_prefix(&in, &one));
}

static void any_and_loopback_are_known_in_both_families(void **state)
{
	struct weft_addr any4 = addr("0.0.0.0"), any6 = addr("::"), lo4 = addr("127.9.9.9"),
			 lo6 = addr("::1"), other = addr("10.0.0.1");

	(void)state;
	assert_true(ip_is_any(&any4) && ip_is_any(&any6));
	assert_true(ip_is_loopback(&lo4) && ip_is_loopback(&lo6));
	assert_false(ip_is_any(&other) || ip_is_loopback(&other));
	assert_false(ip_is_any(&lo6) || ip_is_loopback(&any6));
}

static void raw_bytes_must_be_four_or_sixteen(void **state)
{
	static const uint8_t raw[16] = { 10, 0, 0, 1 };
	struct weft_addr a, want = addr("10.0.0.1");

	(void)state;
	assert_int_equal(ip_from_bytes(raw, 4, &a), 0);
	assert_true(ip_eq(&a, &want));
	assert_int_equal(ip_from_bytes(raw, 16, &a), 0);
	assert_memory_equal(a.b, raw, 16);
	assert_int_equal(ip_from_bytes(raw, 0, &a), -EINVAL);
	assert_int_equal(ip_from_bytes(raw, 15, &a), -EINVAL);
}

static void sockaddrs_carry_the_family_of_the_address(void **state)
{
	static const struct {
		const char *text;
		sa_family_t family;
		socklen_t len;
	} cases[] = {
		{ "10.0.0.1:80", AF_INET, sizeof(struct sockaddr_in) },
		{ "[fd00::1]:80", AF_INET6, sizeof(struct sockaddr_in6) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sockaddr_storage ss;
		struct weft_ep e, back;

		assert_int_equal(ip_parse_ep(str_of(cases[i].text), &e), 0);
		assert_int_equal(ip_to_sockaddr(&e, &ss), cases[i].len);
		assert_int_equal(ss.ss_family, cases[i].family);
		assert_int_equal(ip_from_sockaddr((const struct sockaddr *)&ss, &back), 0);
		assert_memory_equal(&back, &e, sizeof(e));
	}
}

static void other_socket_families_are_refused(void **state)
{
	struct sockaddr sa = { .sa_family = AF_UNIX };
	struct weft_ep e;

	(void)state;
	assert_int_equal(ip_from_sockaddr(&sa, &e), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ipv4_address_is_kept_mapped),
		cmocka_unit_test(text_that_is_no_address_is_refused),
		cmocka_unit_test(text_survives_the_round_trip),
		cmocka_unit_test(endpoints_need_an_address_and_a_port),
		cmocka_unit_test(prefix_lengths_count_in_the_family_of_the_text),
		cmocka_unit_test(host_bits_of_a_prefix_are_cleared),
		cmocka_unit_test(membership_looks_at_the_bits_of_the_prefix_only),
		cmocka_unit_test(any_and_loopback_are_known_in_both_families),
		cmocka_unit_test(raw_bytes_must_be_four_or_sixteen),
		cmocka_unit_test(sockaddrs_carry_the_family_of_the_address),
		cmocka_unit_test(other_socket_families_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
