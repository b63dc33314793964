// SPDX-License-Identifier: Apache-2.0
/* gRPC: frames at every cut, limits, the text of a status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "h2/grpc.h"
#include "h2/grpc_frame.h"

struct seen {
	char text[128];
	size_t n;
};

static void add(struct seen *s, const char *text, size_t n)
{
	assert_true(s->n + n < sizeof(s->text));
	memcpy(s->text + s->n, text, n);
	s->n += n;
}

static int on_begin(void *arg, uint32_t bytes)
{
	char t[16];

	snprintf(t, sizeof(t), "<%u", bytes);
	add(arg, t, strlen(t));
	return 0;
}

static int on_bytes(void *arg, const void *p, size_t n)
{
	add(arg, p, n);
	return 0;
}

static int on_end(void *arg)
{
	add(arg, ">", 1);
	return 0;
}

static const struct grpc_in_ops ops = { on_begin, on_bytes, on_end };
static const uint8_t stream[] = { 0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'z' };

static void messages_are_the_same_wherever_the_stream_is_cut(void **state)
{
	(void)state;
	for (size_t a = 0; a <= sizeof(stream); a++) {
		for (size_t b = a; b <= sizeof(stream); b++) {
			struct grpc_in g = { 0 };
			struct seen s = { 0 };

			assert_int_equal(grpc_in_feed(&g, stream, a, 100, &ops, &s), 0);
			assert_int_equal(grpc_in_feed(&g, stream + a, b - a, 100, &ops, &s), 0);
			assert_int_equal(
				grpc_in_feed(&g, stream + b, sizeof(stream) - b, 100, &ops, &s), 0);
			assert_true(grpc_in_idle(&g));
			assert_string_equal(s.text, "<3abc><0><1z>");
		}
	}
}

static void a_cut_message_is_not_idle(void **state)
{
	(void)state;
	for (size_t n = 0; n <= sizeof(stream); n++) {
		struct grpc_in g = { 0 };
		struct seen s = { 0 };

		assert_int_equal(grpc_in_feed(&g, stream, n, 100, &ops, &s), 0);
		assert_int_equal(grpc_in_idle(&g), n == 0 || n == 8 || n == 13 || n == 19);
	}
}

static void compressed_and_too_large_messages_are_refused(void **state)
{
	const uint8_t compressed[] = { 1, 0, 0, 0, 1, 0 }, large[] = { 0, 0, 0, 1, 0 };
	struct grpc_in g = { 0 };
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(grpc_in_feed(&g, compressed, sizeof(compressed), 100, &ops, &s), -EBADMSG);
	g = (struct grpc_in){ 0 };
	assert_int_equal(grpc_in_feed(&g, large, sizeof(large), 255, &ops, &s), -EMSGSIZE);
	g = (struct grpc_in){ 0 };
	assert_int_equal(grpc_in_feed(&g, large, sizeof(large), 256, &ops, &s), 0);
}

static void a_head_is_read_as_it_was_written(void **state)
{
	uint8_t head[GRPC_HEAD];
	struct grpc_in g = { 0 };
	struct seen s = { 0 };

	(void)state;
	grpc_head(head, 0x01020304);
	assert_int_equal(grpc_in_feed(&g, head, sizeof(head), UINT32_MAX, &ops, &s), 0);
	assert_string_equal(s.text, "<16909060");
}

static void the_message_of_a_status_is_percent_decoded(void **state)
{
	char buf[32];

	(void)state;
	grpc_message_decode(buf, sizeof(buf), STR("a%20b%3a 100%25 %zz %4"));
	assert_string_equal(buf, "a b: 100% %zz %4");
	grpc_message_decode(buf, sizeof(buf), STR("x%0ay%00z"));
	assert_string_equal(buf, "x?y?z");
	grpc_message_decode(buf, 4, STR("abcdef"));
	assert_string_equal(buf, "abc");
	grpc_message_decode(buf, sizeof(buf), (struct str){ 0 });
	assert_string_equal(buf, "");
	assert_string_equal(grpc_code_text(buf, sizeof(buf), 16), "Unauthenticated");
	assert_string_equal(grpc_code_text(buf, sizeof(buf), 17), "status 17");
}

static void server(const char *text, const char *host, unsigned port, bool plaintext)
{
	struct grpc_server s;

	assert_int_equal(grpc_server_parse(text, 15012, NULL, &s), 0);
	assert_string_equal(s.host, host);
	assert_int_equal(s.port, port);
	assert_int_equal(s.plaintext, plaintext);
}

static void addresses_of_servers_come_in_the_forms_of_ztunnel(void **state)
{
	static const char *const bad[] = { "",       "https://", "a:0",     "a:65536",
					   "a:b",    "[::1",     "a/b:1",   "a b",
					   "[::1]x", ":1",       "http:///" };
	struct errbuf err;
	struct grpc_server s;

	(void)state;
	server("istiod.istio-system.svc:15012", "istiod.istio-system.svc", 15012, false);
	server("https://istiod:443", "istiod", 443, false);
	server("https://istiod/", "istiod", 15012, false);
	server("http://127.0.0.1:15010", "127.0.0.1", 15010, true);
	server("[fd00::1]:1", "fd00::1", 1, false);
	server("[fd00::1]", "fd00::1", 15012, false);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.text[0] = '\0';
		assert_int_equal(grpc_server_parse(bad[i], 15012, &err, &s), -EINVAL);
		assert_non_null(strstr(err.text, "is not the address of a server"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_the_same_wherever_the_stream_is_cut),
		cmocka_unit_test(a_cut_message_is_not_idle),
		cmocka_unit_test(compressed_and_too_large_messages_are_refused),
		cmocka_unit_test(a_head_is_read_as_it_was_written),
		cmocka_unit_test(the_message_of_a_status_is_percent_decoded),
		cmocka_unit_test(addresses_of_servers_come_in_the_forms_of_ztunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
