// SPDX-License-Identifier: Apache-2.0
/* DNS messages byte by byte, and what dig makes of them is asked in the scenarios. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/ip.h"
#include "codec/dnsmsg.h"

#define BYTES(...) \
	((struct str){ (const char *)(const uint8_t[]){ __VA_ARGS__ }, \
		       sizeof((uint8_t[]){ __VA_ARGS__ }) })
#define HEADER_OF(flags, additional) 0x12, 0x34, flags, 0x00, 0, 1, 0, 0, 0, 0, 0, additional
#define WEB_NS 3, 'W', 'e', 'b', 2, 'n', 's', 0
#define QUERY(type) BYTES(HEADER_OF(1, 0), WEB_NS, 0, type, 0, 1)
#define QUERY_OPT(type, size_hi, size_lo, dnssec) \
	BYTES(HEADER_OF(1, 1), WEB_NS, 0, type, 0, 1, 0, 0, 41, size_hi, size_lo, 0, 0, dnssec, 0, \
	      0, 0)

static struct dns_question parsed(struct str msg)
{
	struct dns_question q;

	assert_int_equal(dnsmsg_parse(msg, &q), 0);
	return q;
}

static void refused(struct str msg, int want)
{
	struct dns_question q;

	assert_int_equal(dnsmsg_parse(msg, &q), want);
}

static void a_question_is_read_in_lower_case(void **state)
{
	struct dns_question q = parsed(QUERY(1));

	(void)state;
	assert_string_equal(q.name, "web.ns");
	assert_int_equal(q.type, DNS_A);
	assert_int_equal(q.cls, DNS_CLASS_IN);
	assert_int_equal(q.end, 24);
	assert_false(q.edns);
	assert_int_equal(q.udp_size, 512);
}

static void edns_tells_how_much_the_client_takes(void **state)
{
	struct dns_question q = parsed(QUERY_OPT(28, 0x10, 0, 0x80));

	(void)state;
	assert_true(q.edns && q.dnssec_ok);
	assert_int_equal(q.udp_size, 4096);
	q = parsed(QUERY_OPT(28, 0, 100, 0));
	assert_false(q.dnssec_ok);
	assert_int_equal(q.udp_size, 512);
}

static void what_is_no_simple_question_is_for_somebody_else(void **state)
{
	(void)state;
	/* UPDATE; a second question; a record in front; more behind; EDNS version 1. */
	refused(BYTES(HEADER_OF(0x28, 0), WEB_NS, 0, 6, 0, 1), -ENOTSUP);
	refused(BYTES(1, 2, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, WEB_NS, 0, 1, 0, 1), -ENOTSUP);
	refused(BYTES(1, 2, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, WEB_NS, 0, 1, 0, 1), -ENOTSUP);
	refused(BYTES(HEADER_OF(1, 0), WEB_NS, 0, 1, 0, 1, 0), -ENOTSUP);
	refused(BYTES(HEADER_OF(1, 1), WEB_NS, 0, 1, 0, 1, 0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 0),
		-ENOTSUP);
	/* A TSIG where OPT could be; options that are longer than the message. */
	refused(BYTES(HEADER_OF(1, 1), WEB_NS, 0, 1, 0, 1, 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0),
		-ENOTSUP);
	refused(BYTES(HEADER_OF(1, 1), WEB_NS, 0, 1, 0, 1, 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 4),
		-ENOTSUP);
}

static void names_that_text_cannot_say_are_for_somebody_else(void **state)
{
	(void)state;
	refused(BYTES(HEADER_OF(1, 0), 3, 'a', '.', 'b', 0, 0, 1, 0, 1), -ENOTSUP);
	refused(BYTES(HEADER_OF(1, 0), 2, 'a', 0, 0, 0, 1, 0, 1), -ENOTSUP);
	refused(BYTES(HEADER_OF(1, 0), 0xc0, 12, 0, 1, 0, 1), -ENOTSUP);
	refused(BYTES(HEADER_OF(1, 0), 9, 'a', 'b', 0, 0, 1, 0, 1), -ENOTSUP);
	refused(BYTES(HEADER_OF(1, 0)), -ENOTSUP);
}

static void responses_and_crumbs_are_no_questions(void **state)
{
	(void)state;
	refused(BYTES(HEADER_OF(0x81, 0), WEB_NS, 0, 1, 0, 1), -EBADMSG);
	refused(BYTES(1, 2, 1, 0, 0, 1), -EBADMSG);
	refused((struct str){ 0 }, -EBADMSG);
}

static struct weft_addr addr(const char *text)
{
	struct weft_addr a;

	assert_int_equal(ip_parse(str_of(text), &a), 0);
	return a;
}

static void an_answer_has_id_question_and_addresses(void **state)
{
	static const uint8_t want[] = { 0x12, 0x34, 0x85,   0x80, 0,  1,  0,  2,    0,  0,
					0,    0,    WEB_NS, 0,    1,  0,  1,  0xc0, 12, 0,
					1,    0,    1,      0,    0,  0,  30, 0,    4,  10,
					0,    0,    1,      0xc0, 12, 0,  1,  0,    1,  0,
					0,    0,    30,     0,    4,  10, 0,  0,    2 };
	const struct weft_addr addrs[] = { addr("10.0.0.1"), addr("10.0.0.2") };
	const struct dns_answer a = { .addrs = addrs, .n = 2, .ttl_s = 30 };
	struct str msg = QUERY(1);
	struct dns_question q = parsed(msg);
	uint8_t buf[512];

	(void)state;
	assert_int_equal(dnsmsg_answer(buf, sizeof(buf), msg, &q, &a), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void an_answer_to_edns_ends_with_opt(void **state)
{
	static const uint8_t want[] = { 0x12,   0x34, 0x85, 0x80, 0,    1,    0,  1, 0,  0, 0, 1,
					WEB_NS, 0,    28,   0,    1,    0xc0, 12, 0, 28, 0, 1, 0,
					0,      0,    5,    0,    16,   0xfd, 0,  0, 0,  0, 0, 0,
					0,      0,    0,    0,    0,    0,    0,  0, 9,  0, 0, 41,
					0x04,   0xd0, 0,    0,    0x80, 0,    0,  0 };
	const struct weft_addr six = addr("fd00::9");
	const struct dns_answer a = { .addrs = &six, .n = 1, .ttl_s = 5 };
	struct str msg = QUERY_OPT(28, 4, 0, 0x80);
	struct dns_question q = parsed(msg);
	uint8_t buf[512];

	(void)state;
	assert_int_equal(dnsmsg_answer(buf, sizeof(buf), msg, &q, &a), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
}

static void a_name_that_was_stripped_is_an_alias(void **state)
{
	static const uint8_t want[] = { 0x12, 0x34, 0x85,   0x80, 0,    1,  0,  2,    0,  0,
					0,    0,    WEB_NS, 0,    1,    0,  1,  0xc0, 12, 0,
					5,    0,    1,      0,    0,    0,  30, 0,    5,  3,
					'w',  'e',  'b',    0,    0xc0, 36, 0,  1,    0,  1,
					0,    0,    0,      30,   0,    4,  10, 0,    0,  1 };
	const struct weft_addr one = addr("10.0.0.1");
	struct dns_answer a = { .cname = STR("web"), .addrs = &one, .n = 1, .ttl_s = 30 };
	struct str msg = QUERY(1);
	struct dns_question q = parsed(msg);
	uint8_t buf[512];

	(void)state;
	assert_int_equal(dnsmsg_answer(buf, sizeof(buf), msg, &q, &a), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
	a.cname = STR("a..b");
	assert_int_equal(dnsmsg_answer(buf, sizeof(buf), msg, &q, &a), 0);
}

static void what_does_not_fit_is_left_out_and_said(void **state)
{
	struct weft_addr addrs[40];
	const struct dns_answer a = { .addrs = addrs, .n = 40, .ttl_s = 30 };
	struct str msg = QUERY_OPT(1, 2, 0, 0);
	struct dns_question q = parsed(msg);
	uint8_t buf[DNS_MSG_MAX];
	size_t n;

	(void)state;
	for (size_t i = 0; i < 40; i++)
		addrs[i] = addr("10.0.0.1");
	n = dnsmsg_answer(buf, q.udp_size, msg, &q, &a);
	assert_int_equal(n, 24 + 29 * 16 + 11); /* 30 would be 515 */
	assert_int_equal(buf[2], 0x87);
	assert_int_equal(buf[7], 29);
	n = dnsmsg_answer(buf, sizeof(buf), msg, &q, &a);
	assert_int_equal(n, 24 + 40 * 16 + 11);
	assert_int_equal(buf[2], 0x85);
	assert_int_equal(buf[7], 40);
	assert_int_equal(dnsmsg_answer(buf, 30, msg, &q, &a), 0);
}

static void a_refusal_repeats_the_question_if_it_can_be_read(void **state)
{
	static const uint8_t update[] = { 0x12, 0x34, 0xa8, 0x82,   0, 1, 0, 0, 0,
					  0,    0,    0,    WEB_NS, 0, 6, 0, 1 };
	static const uint8_t broken[] = { 0x12, 0x34, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0 };
	uint8_t buf[64];
	size_t n;

	(void)state;
	n = dnsmsg_refuse(buf, sizeof(buf), BYTES(HEADER_OF(0x28, 0), WEB_NS, 0, 6, 0, 1),
			  DNS_SERVFAIL);
	assert_int_equal(n, sizeof(update));
	assert_memory_equal(buf, update, n);
	n = dnsmsg_refuse(buf, sizeof(buf), BYTES(HEADER_OF(1, 0), 99, 'a'), DNS_SERVFAIL);
	assert_int_equal(n, sizeof(broken));
	assert_memory_equal(buf, broken, n);
	assert_int_equal(dnsmsg_refuse(buf, sizeof(buf), BYTES(HEADER_OF(0x81, 0)), DNS_SERVFAIL), 0);
	assert_int_equal(dnsmsg_refuse(buf, sizeof(buf), BYTES(1, 2), DNS_SERVFAIL), 0);
}

static void only_the_reply_to_the_same_question_is_one(void **state)
{
	struct str query = QUERY(33);
	static const uint8_t other_id[] = { 0x12, 0x35, 0x81, 0x80,   0, 1,  0, 0, 0,
					    0,    0,    0,    WEB_NS, 0, 33, 0, 1 };

	(void)state;
	assert_true(dnsmsg_is_reply(
		query, BYTES(HEADER_OF(0x81, 0), 3, 'w', 'e', 'b', 2, 'n', 's', 0, 0, 33, 0, 1)));
	assert_true(dnsmsg_is_reply(query, BYTES(0x12, 0x34, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0)));
	assert_false(dnsmsg_is_reply(query, query));
	assert_false(dnsmsg_is_reply(query, (struct str){ (const char *)other_id, sizeof(other_id) }));
	assert_false(dnsmsg_is_reply(query, BYTES(HEADER_OF(0x81, 0), WEB_NS, 0, 16, 0, 1)));
	assert_false(dnsmsg_is_reply(query, BYTES(HEADER_OF(0xa9, 0), WEB_NS, 0, 33, 0, 1)));
	assert_false(dnsmsg_is_reply(query, BYTES(0x12, 0x34, 0x81)));
}

static void types_have_words(void **state)
{
	(void)state;
	assert_int_equal(dnsmsg_type(QUERY(33)), 33);
	assert_string_equal(dnsmsg_type_text(33), "SRV");
	assert_string_equal(dnsmsg_type_text(4711), "unknown");
	assert_int_equal(dnsmsg_type(BYTES(HEADER_OF(1, 0), 9)), 0);
	assert_int_equal(dnsmsg_type(BYTES(1)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_read_in_lower_case),
		cmocka_unit_test(edns_tells_how_much_the_client_takes),
		cmocka_unit_test(what_is_no_simple_question_is_for_somebody_else),
		cmocka_unit_test(names_that_text_cannot_say_are_for_somebody_else),
		cmocka_unit_test(responses_and_crumbs_are_no_questions),
		cmocka_unit_test(an_answer_has_id_question_and_addresses),
		cmocka_unit_test(an_answer_to_edns_ends_with_opt),
		cmocka_unit_test(a_name_that_was_stripped_is_an_alias),
		cmocka_unit_test(what_does_not_fit_is_left_out_and_said),
		cmocka_unit_test(a_refusal_repeats_the_question_if_it_can_be_read),
		cmocka_unit_test(only_the_reply_to_the_same_question_is_one),
		cmocka_unit_test(types_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
