// SPDX-License-Identifier: Apache-2.0
/* Texts of waypoints: what they mean, and that writing one and reading it is the same again. */
#include "unit/model_make.h"

#include "model/gateway.h"

static const struct {
	const char *text;
	bool by_addr;
	const char *first, *second; /* namespace or network; hostname or address */
	uint16_t port;
	const char *again; /* NULL: as text */
} forms[] = {
	{ "ns/wp.example", false, "ns", "wp.example", 15008, "ns/wp.example:15008" },
	{ "ns/wp:15009", false, "ns", "wp", 15009, NULL },
	{ "10.0.0.1", true, "", "10.0.0.1", 15008, "10.0.0.1:15008" },
	{ "10.0.0.1:99", true, "", "10.0.0.1", 99, NULL },
	{ "net/10.0.0.1:99", true, "net", "10.0.0.1", 99, NULL },
	{ "/10.0.0.1", true, "", "10.0.0.1", 15008, "10.0.0.1:15008" },
	{ "fd00::1", true, "", "fd00::1", 15008, "[fd00::1]:15008" },
	{ "[fd00::1]", true, "", "fd00::1", 15008, "[fd00::1]:15008" },
	{ "net/fd00::1", true, "net", "fd00::1", 15008, "net/[fd00::1]:15008" },
	{ "net/[fd00::1]:15008", true, "net", "fd00::1", 15008, NULL },
	/* an address without brackets has no port: all of it is the address */
	{ "fd00::1:1508", true, "", "fd00::1:1508", 15008, "[fd00::1:1508]:15008" },
};

static void a_waypoint_is_a_name_or_an_address(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct gateway_ref ref;
		_free_ char *again = NULL;
		char ip[IP_TEXT_MAX];

		if (gateway_parse(str_of(forms[i].text), &ref) < 0)
			fail_msg("%s is not understood", forms[i].text);
		assert_int_equal(ref.by_addr, forms[i].by_addr);
		assert_int_equal(ref.port, forms[i].port);
		if (ref.by_addr) {
			assert_true(str_eq(ref.network, str_of(forms[i].first)));
			assert_string_equal(ip_format(ip, &ref.addr), forms[i].second);
		} else {
			assert_true(str_eq(ref.ns, str_of(forms[i].first)));
			assert_true(str_eq(ref.hostname, str_of(forms[i].second)));
			assert_int_equal(ref.key.n, ref.ns.n + 1 + ref.hostname.n);
		}
		again = gateway_format(&ref);
		assert_string_equal(again, forms[i].again ? forms[i].again : forms[i].text);
	}
}

static void what_is_neither_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"wp",
		"/",
		"/wp",
		"ns/",
		"ns/wp:",
		"ns/wp:0",
		"ns/wp:x",
		"ns/wp:70000",
		"a/b/c",
		"10.0.0.1:0",
		"ns/w p",
		"n s/wp",
		"ns/wp:1:2",
		"n:s/10.0.0.1",
		"[fd00::1]:0",
		"[]",
		"ns/[wp]",
		":15008",
		"wp:15008",
	};
	struct gateway_ref ref;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (gateway_parse(str_of(bad[i]), &ref) == 0)
			fail_msg("'%s' is understood", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_waypoint_is_a_name_or_an_address),
		cmocka_unit_test(what_is_neither_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
