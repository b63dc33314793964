// SPDX-License-Identifier: Apache-2.0
/* Unit tests of codec/hbone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "base/own.h"
#include "codec/hbone.h"

static void assert_str(struct str s, const char *want)
{
	assert_non_null(s.p);
	assert_int_equal(s.n, strlen(want));
	assert_memory_equal(s.p, want, s.n);
}

/* ---- authority ---- */

static void addresses_with_a_port_are_authorities(void **state)
{
	static const char *const good[][2] = {
		{ "10.0.0.1:80", "10.0.0.1:80" },
		{ "[fd00::1]:65535", "[fd00::1]:65535" },
		{ "[FD00:0::1]:1", "[fd00::1]:1" },
		{ "[::ffff:10.0.0.1]:80", "10.0.0.1:80" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct hbone_authority a;
		struct weft_ep e = { 0 };
		char text[IP_TEXT_MAX];

		assert_int_equal(hbone_authority_parse(str_of(good[i][0]), &a), 0);
		assert_true(a.is_ip);
		assert_null(a.host.p);
		e.addr = a.addr;
		e.port = a.port;
		assert_string_equal(ip_format_ep(text, &e), good[i][1]);
	}
}

static void names_with_a_port_are_authorities(void **state)
{
	static const char *const good[] = { "reviews.default.svc.cluster.local",
					    "a",
					    "my_svc",
					    "1a.2b",
					    "4.example.com",
					    "xn--nxasmq6b.example" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct hbone_authority a;
		char text[128];
		int n = snprintf(text, sizeof(text), "%s:9080", good[i]);

		assert_int_equal(hbone_authority_parse((struct str){ text, (size_t)n }, &a), 0);
		assert_false(a.is_ip);
		assert_int_equal(a.port, 9080);
		assert_str(a.host, good[i]);
	}
}

static void everything_else_is_no_authority(void **state)
{
	static const struct str bad[] = {
		STR(""),
		STR(":"),
		STR(":80"),
		STR("a"),
		STR("a:"),
		STR("10.0.0.1"),
		STR("fd00::1:80"),
		STR("[fd00::1]"),
		STR("[fd00::1]80"),
		STR("[]:80"),
		STR("[10.0.0.1]:80"),
		STR("[a]:80"),
		STR("[fd00::1%eth0]:80"),
		STR("[fd00::1:80"),
		STR("fd00::1]:80"),
		STR("a:0"),
		STR("a:65536"),
		STR("a:080"),
		STR("a:+80"),
		STR("a:-1"),
		STR("a: 80"),
		STR("a:80 "),
		STR(" a:80"),
		STR("a:8a"),
		STR("a:4294967376"),
		STR("a:b:80"),
		STR("user@a:80"),
		STR("http://a:80"),
		STR("a:80/"),
		STR("a/b:80"),
		STR("a..b:80"),
		STR(".a:80"),
		STR("a.:80"),
		STR("-a:80"),
		STR("a-:80"),
		STR("*.a:80"),
		STR("a%62:80"),
		STR("a\0b:80"),
		STR("a:80\0"),
		STR("\xc3\xa9:80"),
		STR("a\r\nb:80"),
		STR("256.0.0.1:80"),
		STR("10.0.1:80"),
		STR("010.0.0.1:80"),
		STR("1:80"),
		STR("a.0x7f:80"),
		STR("10.0.0.1.:80"),
	};
	struct hbone_authority a = { .port = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (hbone_authority_parse(bad[i], &a) != -EINVAL)
			fail_msg("taken: %.*s", STR_FMT(bad[i]));
	assert_int_equal(hbone_authority_parse((struct str){ 0 }, &a), -EINVAL);
	assert_int_equal(a.port, 7);
}

static void labels_and_names_have_the_limits_of_dns(void **state)
{
	struct hbone_authority a;
	char text[2048];
	int n;

	(void)state;
	n = snprintf(text, sizeof(text), "a%062d.b:80", 1);
	assert_int_equal(hbone_authority_parse((struct str){ text, (size_t)n }, &a), 0);
	n = snprintf(text, sizeof(text), "a%063d.b:80", 1);
	assert_int_equal(hbone_authority_parse((struct str){ text, (size_t)n }, &a), -EINVAL);
	for (n = 0; n < 254; n++)
		text[n] = n % 2 ? '.' : 'a';
	memcpy(text + 253, ":80", 3);
	assert_int_equal(hbone_authority_parse((struct str){ text, 256 }, &a), 0);
	memcpy(text + 253, ".aa:80", 6);
	assert_int_equal(hbone_authority_parse((struct str){ text, 259 }, &a), -EINVAL);
	memset(text, 'a', sizeof(text));
	assert_int_equal(hbone_authority_parse((struct str){ text, sizeof(text) }, &a), -EINVAL);
}

/* ---- baggage ---- */

static void baggage_of_a_peer_is_taken_apart(void **state)
{
	struct hbone_baggage b;

	(void)state;
	hbone_baggage_parse(STR("k8s.cluster.name=Kubernetes,k8s.namespace.name=default,"
				"k8s.deployment.name=reviews-v1,service.name=reviews,"
				"service.version=v1,cloud.region=eu,cloud.availability_zone=eu-1"),
			    &b);
	assert_str(b.cluster, "Kubernetes");
	assert_str(b.ns, "default");
	assert_str(b.workload_type, "deployment");
	assert_str(b.workload_name, "reviews-v1");
	assert_str(b.service_name, "reviews");
	assert_str(b.service_version, "v1");
	assert_str(b.region, "eu");
	assert_str(b.zone, "eu-1");
}

static void unknown_and_malformed_members_are_skipped(void **state)
{
	struct hbone_baggage b;

	(void)state;
	hbone_baggage_parse(STR(",,=,k8s.cluster.name,k8s.cluster.name=, a=b ,service.name=x y,"
				"k8s.node.name=n,service.version=\"v\",cloud.region=a\\b,"
				"K8S.NAMESPACE.NAME=x,k8s.namespace.name = shop ;p=1;q,"
				"k8s..name=x,cloud.availability_zone=\xff\xfe,k8s.name=x"),
			    &b);
	assert_null(b.cluster.p);
	assert_str(b.ns, "shop");
	assert_null(b.workload_type.p);
	assert_null(b.workload_name.p);
	assert_null(b.service_name.p);
	assert_null(b.service_version.p);
	assert_null(b.region.p);
	assert_null(b.zone.p);
}

static void the_last_of_equal_baggage_keys_counts_and_values_may_hold_equals(void **state)
{
	struct hbone_baggage b;

	(void)state;
	hbone_baggage_parse(STR("service.name=a,service.name=b=c,service.name=\x01"), &b);
	assert_str(b.service_name, "b=c");
	hbone_baggage_parse((struct str){ 0 }, &b);
	assert_null(b.service_name.p);
	hbone_baggage_parse(STR(""), &b);
	assert_null(b.service_name.p);
}

static void overlong_baggage_values_are_skipped(void **state)
{
	struct hbone_baggage b;
	char text[512];
	int n = snprintf(text, sizeof(text), "service.name=%0253d", 1);

	(void)state;
	hbone_baggage_parse((struct str){ text, (size_t)n }, &b);
	assert_int_equal(b.service_name.n, 253);
	n = snprintf(text, sizeof(text), "service.name=%0254d", 1);
	hbone_baggage_parse((struct str){ text, (size_t)n }, &b);
	assert_null(b.service_name.p);
}

static void baggage_is_written_in_the_agreed_order_without_absent_members(void **state)
{
	struct hbone_baggage b = {
		.cluster = STR("c"),
		.ns = STR("n"),
		.workload_type = STR("cronjob"),
		.workload_name = STR("w"),
		.service_name = STR("s"),
		.service_version = STR("v"),
		.region = STR("r"),
		.zone = STR("z"),
	};
	const char *all = "k8s.cluster.name=c,k8s.namespace.name=n,k8s.cronjob.name=w,"
			  "service.name=s,service.version=v,cloud.region=r,"
			  "cloud.availability_zone=z";
	char buf[HBONE_TEXT_MAX];

	(void)state;
	assert_int_equal(hbone_baggage_format(buf, sizeof(buf), &b), strlen(all));
	assert_string_equal(buf, all);
	assert_int_equal(hbone_baggage_format(buf, strlen(all) + 1, &b), strlen(all));
	assert_int_equal(hbone_baggage_format(buf, strlen(all), &b), -ENAMETOOLONG);
	assert_int_equal(hbone_baggage_format(buf, 0, &b), -ENAMETOOLONG);

	b = (struct hbone_baggage){ .workload_name = STR("no-type"), .region = STR("") };
	assert_int_equal(hbone_baggage_format(buf, sizeof(buf), &b), 0);
	assert_string_equal(buf, "");
}

static void baggage_that_would_break_the_header_is_left_out(void **state)
{
	struct hbone_baggage b = {
		.cluster = STR("a,k8s.namespace.name=root"),
		.ns = STR("x\r\ny: z"),
		.workload_type = STR("pod.name=x,y"),
		.workload_name = STR("w"),
		.service_name = STR("fine"),
	};
	char buf[HBONE_TEXT_MAX];

	(void)state;
	assert_int_equal(hbone_baggage_format(buf, sizeof(buf), &b), 17);
	assert_string_equal(buf, "service.name=fine");
}

/* ---- forwarded ---- */

static void forwarded_is_taken_apart(void **state)
{
	struct hbone_forwarded f;

	(void)state;
	hbone_forwarded_parse(STR("for=\"10.0.0.1:4711\";host=reviews.default.svc"), &f);
	assert_str(f.for_, "10.0.0.1:4711");
	assert_str(f.host, "reviews.default.svc");
	hbone_forwarded_parse(STR("Proto=http; HOST=\"a.b\" ;For=\"[fd00::1]:80\""), &f);
	assert_str(f.for_, "[fd00::1]:80");
	assert_str(f.host, "a.b");
	hbone_forwarded_parse(STR("for=10.0.0.1"), &f);
	assert_str(f.for_, "10.0.0.1");
	assert_null(f.host.p);
	hbone_forwarded_parse(STR("by=\"a;host=x,for=y\";for=z"), &f);
	assert_str(f.for_, "z");
	assert_null(f.host.p);
}

static void only_the_first_element_and_the_first_of_equal_keys_count(void **state)
{
	struct hbone_forwarded f;

	(void)state;
	hbone_forwarded_parse(STR("for=a;for=b, for=c;host=d"), &f);
	assert_str(f.for_, "a");
	assert_null(f.host.p);
	hbone_forwarded_parse(STR(", for=c"), &f);
	assert_null(f.for_.p);
}

static void malformed_forwarded_ends_the_reading(void **state)
{
	static const struct str bad[] = {
		STR(""),
		STR("for"),
		STR("for="),
		STR("for=\""),
		STR("for=\"a"),
		STR("for=\"a\\\""),
		STR("for=\"\""),
		STR("for = a"),
		STR("=a;for=b"),
		STR("for=\"a\\b\""),
		STR("for=a b"),
		STR("for=a\"b"),
		STR("for=\x01"),
		STR("for=\"\xc3\xa9\""),
		STR(";;;"),
		STR("for;for=a"),
		STR("by=\"x\"y;for=a"),
		STR("for=\"a\0b\""),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct hbone_forwarded f = { .for_ = STR("junk"), .host = STR("junk") };

		hbone_forwarded_parse(bad[i], &f);
		if (f.for_.p || f.host.p)
			fail_msg("taken: %.*s", STR_FMT(bad[i]));
	}
	struct hbone_forwarded f;

	hbone_forwarded_parse((struct str){ 0 }, &f);
	assert_null(f.for_.p);
	hbone_forwarded_parse(STR("for=a;host=\"b"), &f);
	assert_str(f.for_, "a");
	assert_null(f.host.p);
}

static void forwarded_is_written_as_peers_expect_it(void **state)
{
	struct weft_ep v4, v6;
	char buf[HBONE_TEXT_MAX];

	(void)state;
	assert_int_equal(ip_parse_ep(STR("10.0.0.1:4711"), &v4), 0);
	assert_int_equal(ip_parse_ep(STR("[fd00::1]:80"), &v6), 0);
	assert_int_equal(hbone_forwarded_format(buf, sizeof(buf), &v4, STR("a.b")), 30 - 2);
	assert_string_equal(buf, "for=\"10.0.0.1:4711\";host=a.b");
	assert_true(hbone_forwarded_format(buf, sizeof(buf), &v6, (struct str){ 0 }) > 0);
	assert_string_equal(buf, "for=\"[fd00::1]:80\"");
	assert_true(hbone_forwarded_format(buf, sizeof(buf), &v6, STR("a;b\r\n")) > 0);
	assert_string_equal(buf, "for=\"[fd00::1]:80\"");
	assert_int_equal(hbone_forwarded_format(buf, 18, &v6, STR("")), -ENAMETOOLONG);
	assert_int_equal(hbone_forwarded_format(buf, 19, &v6, STR("")), 18);
	assert_int_equal(hbone_forwarded_format(buf, 0, &v6, STR("")), -ENAMETOOLONG);
}

static void a_traceparent_has_its_form_and_is_new_each_time(void **state)
{
	char a[56], b[56];

	(void)state;
	hbone_traceparent(a);
	hbone_traceparent(b);
	assert_int_equal(strlen(a), 55);
	assert_memory_equal(a, "00-", 3);
	assert_int_equal(a[35], '-');
	assert_string_equal(a + 52, "-00");
	for (size_t i = 3; i < 52; i++)
		assert_true(i == 35 || strchr("0123456789abcdef", a[i]));
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_with_a_port_are_authorities),
		cmocka_unit_test(names_with_a_port_are_authorities),
		cmocka_unit_test(everything_else_is_no_authority),
		cmocka_unit_test(labels_and_names_have_the_limits_of_dns),
		cmocka_unit_test(baggage_of_a_peer_is_taken_apart),
		cmocka_unit_test(unknown_and_malformed_members_are_skipped),
		cmocka_unit_test(the_last_of_equal_baggage_keys_counts_and_values_may_hold_equals),
		cmocka_unit_test(overlong_baggage_values_are_skipped),
		cmocka_unit_test(baggage_is_written_in_the_agreed_order_without_absent_members),
		cmocka_unit_test(baggage_that_would_break_the_header_is_left_out),
		cmocka_unit_test(forwarded_is_taken_apart),
		cmocka_unit_test(only_the_first_element_and_the_first_of_equal_keys_count),
		cmocka_unit_test(malformed_forwarded_ends_the_reading),
		cmocka_unit_test(forwarded_is_written_as_peers_expect_it),
		cmocka_unit_test(a_traceparent_has_its_form_and_is_new_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
