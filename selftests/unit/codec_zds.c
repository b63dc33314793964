// SPDX-License-Identifier: Apache-2.0
/* Messages of ZDS, byte by byte as istio-cni writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "codec/pb.h"
#include "codec/zds.h"

#define MSG(...) \
	((struct str){ (const char *)(const uint8_t[]){ __VA_ARGS__ }, \
		       sizeof((uint8_t[]){ __VA_ARGS__ }) })

static struct zds_request parsed(struct str msg)
{
	struct errbuf err = { 0 };
	struct zds_request rq;

	if (zds_request_parse(msg, &err, &rq) < 0)
		fail_msg("%s", err.text);
	return rq;
}

static void refused(struct str msg, const char *sentence)
{
	struct zds_request rq = { .kind = ZDS_KIND_MAX };
	struct errbuf err = { 0 };

	assert_int_equal(zds_request_parse(msg, &err, &rq), -EBADMSG);
	assert_string_equal(err.text, sentence);
	assert_int_equal(rq.kind, ZDS_KIND_MAX);
}

static void an_add_names_uid_pod_and_service_account(void **state)
{
	struct zds_request rq = parsed(MSG(0x0a, 15, 0x0a, 2, 'u', '1', 0x12, 9, 0x0a, 1, 'p', 0x12,
					   1, 'n', 0x1a, 1, 's'));

	(void)state;
	assert_int_equal(rq.kind, ZDS_ADD);
	assert_true(str_eq(rq.uid, STR("u1")));
	assert_true(rq.has_info);
	assert_true(str_eq(rq.name, STR("p")));
	assert_true(str_eq(rq.ns, STR("n")));
	assert_true(str_eq(rq.service_account, STR("s")));
}

static void an_add_without_info_is_read_as_such(void **state)
{
	struct zds_request rq = parsed(MSG(0x0a, 4, 0x0a, 2, 'u', '1'));

	(void)state;
	assert_int_equal(rq.kind, ZDS_ADD);
	assert_false(rq.has_info);
}

static void the_uid_of_a_keep_is_field_1_and_that_of_a_del_field_2(void **state)
{
	struct zds_request rq = parsed(MSG(0x2a, 4, 0x0a, 2, 'u', '1'));

	(void)state;
	assert_int_equal(rq.kind, ZDS_KEEP);
	assert_true(str_eq(rq.uid, STR("u1")));
	rq = parsed(MSG(0x12, 4, 0x12, 2, 'u', '2'));
	assert_int_equal(rq.kind, ZDS_DEL);
	assert_true(str_eq(rq.uid, STR("u2")));
	refused(MSG(0x12, 4, 0x0a, 2, 'u', '1'), "del without a uid");
	refused(MSG(0x2a, 4, 0x12, 2, 'u', '1'), "keep without a uid");
}

static void the_end_of_a_snapshot_has_an_empty_payload(void **state)
{
	(void)state;
	assert_int_equal(parsed(MSG(0x1a, 0)).kind, ZDS_SNAPSHOT_SENT);
}

static void fields_of_later_versions_are_passed_over(void **state)
{
	(void)state;
	assert_int_equal(parsed(MSG(0x1a, 2, 0x50, 1, 0x78, 9)).kind, ZDS_SNAPSHOT_SENT);
	assert_true(str_eq(parsed(MSG(0x2a, 6, 0x0a, 2, 'u', '1', 0x40, 7)).uid, STR("u1")));
}

static void a_message_without_exactly_one_payload_is_refused(void **state)
{
	(void)state;
	refused(MSG(0x32, 0), "no payload that this version knows");
	refused((struct str){ "", 0 }, "no payload that this version knows");
	refused(MSG(0x1a, 0, 0x1a, 0), "more than one payload");
	refused(MSG(0x1a, 0, 0x2a, 4, 0x0a, 2, 'u', '1'), "more than one payload");
}

static void broken_encodings_are_refused(void **state)
{
	(void)state;
	refused(MSG(0x0a, 9, 0x0a), "the encoding is broken");
	refused(MSG(0x0a, 4, 0x0a, 9, 'u', '1'), "the encoding is broken");
	refused(MSG(0x08, 1), "field add has another type");
	refused(MSG(0x0a, 2, 0x10, 1), "field workload_info has another type");
	refused(MSG(0x2a, 4, 0x0a, 2, 'u', '\n'), "field keep.uid has a control character");
	refused(MSG(0x0a, 2, 0x0a, 0), "add without a uid");
}

static void a_message_is_1024_bytes_at_most(void **state)
{
	char big[ZDS_MSG_MAX + 1] = { 0 };

	(void)state;
	refused((struct str){ big, sizeof(big) }, "1025 bytes are more than the 1024 of a message");
}

static void hello_says_version_1(void **state)
{
	char buf[ZDS_MSG_MAX];

	(void)state;
	assert_int_equal(zds_hello_format(buf), 2);
	assert_memory_equal(buf, "\x08\x01", 2);
}

static void success_is_an_empty_ack(void **state)
{
	char buf[ZDS_MSG_MAX];

	(void)state;
	assert_int_equal(zds_ack_format(buf, NULL), 2);
	assert_memory_equal(buf, "\x0a\x00", 2);
	assert_int_equal(zds_ack_format(buf, ""), 2);
}

struct ack {
	struct str error;
};

static const struct pb_field ack_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct ack, error), "error") },
	{ 0 },
};

static const struct pb_field response_fields[] = {
	{ PB(1, PB_SUB, 0, "ack"), .sub = ack_fields },
	{ 0 },
};

static void an_error_of_any_length_fits_a_message(void **state)
{
	char buf[ZDS_MSG_MAX], error[3000];

	(void)state;
	for (size_t n = 1; n < sizeof(error); n++) {
		struct pb_decode d = { .strict = true };
		struct ack ack = { 0 };
		size_t len;

		memset(error, 'e', n);
		error[n] = '\0';
		len = zds_ack_format(buf, error);
		assert_in_range(len, 1, ZDS_MSG_MAX);
		assert_int_equal(pb_decode(&d, (struct str){ buf, len }, response_fields, &ack), 0);
		assert_int_equal(ack.error.n, n < ZDS_ERROR_MAX ? n : ZDS_ERROR_MAX);
		if (n > 1000)
			n += 499;
	}
}

static void an_error_is_plain_ascii(void **state)
{
	char buf[ZDS_MSG_MAX];

	(void)state;
	assert_int_equal(zds_ack_format(buf, "\303\244b\n"), 8);
	assert_memory_equal(buf, "\x0a\x06\x0a\x04??b?", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_add_names_uid_pod_and_service_account),
		cmocka_unit_test(an_add_without_info_is_read_as_such),
		cmocka_unit_test(the_uid_of_a_keep_is_field_1_and_that_of_a_del_field_2),
		cmocka_unit_test(the_end_of_a_snapshot_has_an_empty_payload),
		cmocka_unit_test(fields_of_later_versions_are_passed_over),
		cmocka_unit_test(a_message_without_exactly_one_payload_is_refused),
		cmocka_unit_test(broken_encodings_are_refused),
		cmocka_unit_test(a_message_is_1024_bytes_at_most),
		cmocka_unit_test(hello_says_version_1),
		cmocka_unit_test(success_is_an_empty_ack),
		cmocka_unit_test(an_error_of_any_length_fits_a_message),
		cmocka_unit_test(an_error_is_plain_ascii),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
