// SPDX-License-Identifier: Apache-2.0
/* What RFC 9113 sections 3 to 8 demand of an endpoint, case by case, fed as raw bytes. */
#include "h2_owner.h"

enum outcome { FINE, STREAM, CONN };

struct rule {
	const char *what;
	bool client; /* our role */
	enum outcome outcome;
	enum h2_error code;
	uint32_t id; /* of the RST_STREAM */
	void (*build)(struct bytes *b);
};

#define BUILD(name) static void name(struct bytes *b)

/* Opens stream 1 from a client; HELLO and SETTINGS ACK are there. */
BUILD(open_1) { put_first_request(b, 1, 0, REQ); }
BUILD(open_1_end) { put_first_request(b, 1, H2_FLAG_END_STREAM, REQ); }
BUILD(closed_1) { open_1(b); put_u32_frame(b, H2_RST_STREAM, 1, H2_CANCEL); }

BUILD(data_on_0) { put_frame(b, H2_DATA, 0, 0, "x", 1); }
BUILD(data_on_idle) { put_frame(b, H2_DATA, 0, 1, "x", 1); }
BUILD(data_on_even) { open_1(b); put_frame(b, H2_DATA, 0, 2, "x", 1); }
BUILD(data_after_end) { open_1_end(b); put_frame(b, H2_DATA, 0, 1, "x", 1); }
BUILD(data_after_rst) { closed_1(b); put_frame(b, H2_DATA, 0, 1, "x", 1); }
BUILD(data_pad_too_long) { open_1(b); put_frame(b, H2_DATA, H2_FLAG_PADDED, 1, "\x05xxxx", 5); }
BUILD(data_pad_missing) { open_1(b); put_frame(b, H2_DATA, H2_FLAG_PADDED, 1, "", 0); }
BUILD(data_all_padding) { open_1(b); put_frame(b, H2_DATA, H2_FLAG_PADDED, 1, "\x04xxxx", 5); }
BUILD(data_padded) { open_1(b); put_frame(b, H2_DATA, H2_FLAG_PADDED, 1, "\x02okxx", 5); }
BUILD(headers_on_0) { put_headers(b, 0, 0, REQ); }
BUILD(headers_on_even) { put_first_request(b, 2, 0, REQ); }
BUILD(headers_smaller_id) { put_first_request(b, 5, 0, REQ); put_headers(b, 3, 0, REQ); }
BUILD(headers_after_end) { open_1_end(b); put_headers(b, 1, H2_FLAG_END_STREAM, "x: y\n"); }
BUILD(headers_garbage) { put_frame(b, H2_HEADERS, H2_FLAG_END_HEADERS, 1, "\x20\xff\xff\xff", 4); }
BUILD(headers_dynamic_ref) { put_frame(b, H2_HEADERS, H2_FLAG_END_HEADERS, 1, "\x20\xbe", 2); }
BUILD(headers_no_table_update) { put_headers(b, 1, 0, REQ); }
BUILD(headers_table_too_big) { put_frame(b, H2_HEADERS, 4, 1, "\x20\x3f\xe1\x1f", 4); }
BUILD(headers_pad_too_long) { put_frame(b, H2_HEADERS, 0xc, 1, "\x09\x20", 2); }
BUILD(headers_pad_missing) { put_frame(b, H2_HEADERS, 0xc, 1, "", 0); }
BUILD(headers_prio_missing) { put_frame(b, H2_HEADERS, 0x24, 1, "\0\0\0", 3); }
BUILD(headers_prio_self) { put_frame(b, H2_HEADERS, 0x24, 1, "\0\0\0\x01\x10\x20", 6); }
BUILD(priority_fine) { put_frame(b, H2_PRIORITY, 0, 1, "\0\0\0\0\x10", 5); }
BUILD(priority_on_0) { put_frame(b, H2_PRIORITY, 0, 0, "\0\0\0\0\x10", 5); }
BUILD(priority_size) { open_1(b); put_frame(b, H2_PRIORITY, 0, 1, "\0\0\0\0", 4); }
BUILD(priority_size_idle) { put_frame(b, H2_PRIORITY, 0, 1, "\0\0\0\0", 4); }
BUILD(priority_self) { open_1(b); put_frame(b, H2_PRIORITY, 0, 1, "\0\0\0\x01\x10", 5); }
BUILD(priority_self_idle) { put_frame(b, H2_PRIORITY, 0, 1, "\0\0\0\x01\x10", 5); }
BUILD(rst_on_0) { put_u32_frame(b, H2_RST_STREAM, 0, 8); }
BUILD(rst_on_idle) { put_u32_frame(b, H2_RST_STREAM, 1, 8); }
BUILD(rst_size) { open_1(b); put_frame(b, H2_RST_STREAM, 0, 1, "\0\0\0", 3); }
BUILD(rst_twice) { closed_1(b); put_u32_frame(b, H2_RST_STREAM, 1, 8); }
BUILD(settings_on_stream) { put_frame(b, H2_SETTINGS, 0, 1, NULL, 0); }
BUILD(settings_size) { put_frame(b, H2_SETTINGS, 0, 0, "\0\x03\0", 3); }
BUILD(settings_ack_content) { put_frame(b, H2_SETTINGS, 1, 0, "\0\x03\0\0\0\x01", 6); }
BUILD(settings_ack_twice) { put_frame(b, H2_SETTINGS, 1, 0, NULL, 0); }
BUILD(settings_push_2) { put_setting(b, H2_SET_ENABLE_PUSH, 2); }
BUILD(settings_push_1) { put_setting(b, H2_SET_ENABLE_PUSH, 1); }
BUILD(settings_window) { put_setting(b, H2_SET_INITIAL_WINDOW_SIZE, 0x80000000); }
BUILD(settings_frame_small) { put_setting(b, H2_SET_MAX_FRAME_SIZE, 16383); }
BUILD(settings_frame_big) { put_setting(b, H2_SET_MAX_FRAME_SIZE, 1 << 24); }
BUILD(settings_unknown) { put_setting(b, 0xfafa, 7); }
BUILD(settings_overflow)
{
	open_1(b);
	put_u32_frame(b, H2_WINDOW_UPDATE, 1, 0x7fffffff - 65535);
	put_setting(b, H2_SET_INITIAL_WINDOW_SIZE, 65536);
}
BUILD(push_promise) { open_1(b); put_frame(b, H2_PUSH_PROMISE, 4, 1, "\0\0\0\x02", 4); }
BUILD(ping_on_stream) { put_frame(b, H2_PING, 0, 1, "12345678", 8); }
BUILD(ping_size) { put_frame(b, H2_PING, 0, 0, "123456", 6); }
BUILD(goaway_on_stream) { put_frame(b, H2_GOAWAY, 0, 1, "\0\0\0\0\0\0\0\0", 8); }
BUILD(goaway_size) { put_frame(b, H2_GOAWAY, 0, 0, "\0\0\0\0", 4); }
BUILD(goaway_grows)
{
	put_frame(b, H2_GOAWAY, 0, 0, "\0\0\0\x01\0\0\0\0", 8);
	put_frame(b, H2_GOAWAY, 0, 0, "\0\0\0\x03\0\0\0\0", 8);
}
BUILD(window_0_conn) { put_u32_frame(b, H2_WINDOW_UPDATE, 0, 0); }
BUILD(window_0_stream) { open_1(b); put_u32_frame(b, H2_WINDOW_UPDATE, 1, 0); }
BUILD(window_size) { put_frame(b, H2_WINDOW_UPDATE, 0, 0, "\0\0\x01", 3); }
BUILD(window_idle) { put_u32_frame(b, H2_WINDOW_UPDATE, 1, 1); }
BUILD(window_over_conn) { put_u32_frame(b, H2_WINDOW_UPDATE, 0, 0x7fffffff); }
BUILD(window_over_stream) { open_1(b); put_u32_frame(b, H2_WINDOW_UPDATE, 1, 0x7fffffff); }
BUILD(window_closed) { closed_1(b); put_u32_frame(b, H2_WINDOW_UPDATE, 1, 5); }
BUILD(cont_alone) { put_frame(b, H2_CONTINUATION, 4, 1, NULL, 0); }
BUILD(cont_after_headers) { open_1(b); put_frame(b, H2_CONTINUATION, 4, 1, NULL, 0); }
BUILD(cont_on_0) { put_frame(b, H2_HEADERS, 0, 1, "\x20", 1); put_frame(b, 9, 4, 0, "", 0); }
BUILD(cont_other) { put_frame(b, H2_HEADERS, 0, 1, "\x20", 1); put_frame(b, 9, 4, 3, "", 0); }
BUILD(cont_broken_by_data) { put_frame(b, 1, 0, 1, "\x20", 1); put_frame(b, 0, 0, 1, "x", 1); }
BUILD(cont_broken_unknown) { put_frame(b, 1, 0, 1, "\x20", 1); put_frame(b, 77, 0, 0, "x", 1); }
BUILD(cont_good)
{
	struct bytes block = { 0 };

	bytes_add(&block, "\x20", 1);
	put_block(&block, REQ);
	put_frame(b, H2_HEADERS, 0, 1, block.p, 3);
	put_frame(b, H2_CONTINUATION, 0, 1, block.p + 3, 4);
	put_frame(b, H2_CONTINUATION, 4, 1, block.p + 7, block.n - 7);
	bytes_free(&block);
}
BUILD(cont_flood)
{
	put_frame(b, H2_HEADERS, 0, 1, "\x20", 1);
	for (int i = 0; i < 100; i++)
		put_frame(b, H2_CONTINUATION, 0, 1, NULL, 0);
}
BUILD(cont_too_large)
{
	static const uint8_t zero[16000];

	put_frame(b, H2_HEADERS, 0, 1, zero, sizeof(zero));
	put_frame(b, H2_CONTINUATION, 0, 1, zero, sizeof(zero));
}
BUILD(unknown_frame) { put_frame(b, 0xfa, 0xff, 7, "whatever", 8); }
BUILD(too_long)
{
	static const uint8_t zero[16385];

	open_1(b);
	put_frame(b, H2_DATA, 0, 1, zero, sizeof(zero));
}
BUILD(list_too_large)
{
	char lines[17000];

	/* An indexed field of the static table takes one byte and counts for 32 and more. */
	memset(lines, 0x84, sizeof(lines));
	lines[0] = 0x20;
	put_frame(b, H2_HEADERS, H2_FLAG_END_HEADERS, 1, lines, 600);
}

#define BAD(name, lines) BUILD(name) { put_first_request(b, 1, 0, lines); }
BAD(f_upper, REQ "X-Y: z\n")
BAD(f_unknown_pseudo, ":method: CONNECT\n:authority: a:1\n:what: z\n")
BAD(f_status, REQ ":status: 200\n")
BAD(f_protocol, REQ ":protocol: websocket\n")
BAD(f_pseudo_late, ":method: CONNECT\nx: y\n:authority: a:1\n")
BAD(f_connection, REQ "connection: close\n")
BAD(f_upgrade, REQ "upgrade: h2c\n")
BAD(f_te, REQ "te: gzip\n")
BAD(f_te_fine, REQ "te: trailers\n")
BAD(f_twice, REQ ":authority: b:1\n")
BAD(f_no_authority, ":method: CONNECT\n")
BAD(f_empty_authority, ":method: CONNECT\n:authority: \n")
BAD(f_bad_authority, ":method: CONNECT\n:authority: a b\n")
BAD(f_scheme, REQ ":scheme: https\n")
BAD(f_path, REQ ":path: /\n")
BAD(f_no_method, ":authority: a:1\n")
BAD(f_value, REQ "x: a\rb\n")
BAD(f_name, REQ "x y: a\n")
BAD(f_get, ":method: GET\n:scheme: http\n:path: /\n")
BAD(f_get_no_path, ":method: GET\n:scheme: http\n")
BAD(f_get_empty_path, ":method: GET\n:scheme: http\n:path: \n")

BUILD(trailers_fine) { open_1(b); put_headers(b, 1, H2_FLAG_END_STREAM, "x: y\n"); }
BUILD(trailers_open) { open_1(b); put_headers(b, 1, 0, "x: y\n"); }
BUILD(trailers_pseudo) { open_1(b); put_headers(b, 1, H2_FLAG_END_STREAM, ":path: y\n"); }

/* Our client has stream 1 open. */
BAD(c_fine, ":status: 200\n")
BAD(c_no_status, "x: y\n")
BAD(c_bad_status, ":status: 20\n")
BAD(c_101, ":status: 101\n")
BAD(c_request_pseudo, ":status: 200\n:path: /\n")
BUILD(c_100_200)
{
	put_first_request(b, 1, 0, ":status: 100\n");
	put_headers(b, 1, 0, ":status: 200\n");
}
BUILD(c_100_end) { put_first_request(b, 1, H2_FLAG_END_STREAM, ":status: 100\n"); }
BUILD(c_data_first) { put_frame(b, H2_DATA, 0, 1, "x", 1); }
BUILD(c_idle) { put_first_request(b, 3, 0, ":status: 200\n"); }
BUILD(c_even) { put_first_request(b, 2, 0, ":status: 200\n"); }
BUILD(c_push) { put_frame(b, H2_PUSH_PROMISE, 4, 1, "\0\0\0\x02", 4); }

static const struct rule rules[] = {
#define R(f, o, code, id) { #f, false, o, H2_##code, id, f }
#define C(f, o, code, id) { #f, true, o, H2_##code, id, f }
	R(open_1, FINE, NO_ERROR, 0),
	R(data_on_0, CONN, PROTOCOL_ERROR, 0),
	R(data_on_idle, CONN, PROTOCOL_ERROR, 0),
	R(data_on_even, CONN, PROTOCOL_ERROR, 0),
	R(data_after_end, STREAM, STREAM_CLOSED, 1),
	R(data_after_rst, STREAM, STREAM_CLOSED, 1),
	R(data_pad_too_long, CONN, PROTOCOL_ERROR, 0),
	R(data_pad_missing, CONN, FRAME_SIZE_ERROR, 0),
	R(data_all_padding, FINE, NO_ERROR, 0),
	R(data_padded, FINE, NO_ERROR, 0),
	R(headers_on_0, CONN, PROTOCOL_ERROR, 0),
	R(headers_on_even, CONN, PROTOCOL_ERROR, 0),
	R(headers_smaller_id, CONN, PROTOCOL_ERROR, 0),
	R(headers_after_end, STREAM, STREAM_CLOSED, 1),
	R(headers_garbage, CONN, COMPRESSION_ERROR, 0),
	R(headers_dynamic_ref, CONN, COMPRESSION_ERROR, 0),
	R(headers_no_table_update, CONN, COMPRESSION_ERROR, 0),
	R(headers_table_too_big, CONN, COMPRESSION_ERROR, 0),
	R(headers_pad_too_long, CONN, PROTOCOL_ERROR, 0),
	R(headers_pad_missing, CONN, FRAME_SIZE_ERROR, 0),
	R(headers_prio_missing, CONN, FRAME_SIZE_ERROR, 0),
	R(headers_prio_self, STREAM, PROTOCOL_ERROR, 1),
	R(priority_fine, FINE, NO_ERROR, 0),
	R(priority_on_0, CONN, PROTOCOL_ERROR, 0),
	R(priority_size, STREAM, FRAME_SIZE_ERROR, 1),
	R(priority_size_idle, CONN, FRAME_SIZE_ERROR, 0),
	R(priority_self, STREAM, PROTOCOL_ERROR, 1),
	R(priority_self_idle, CONN, PROTOCOL_ERROR, 0),
	R(rst_on_0, CONN, PROTOCOL_ERROR, 0),
	R(rst_on_idle, CONN, PROTOCOL_ERROR, 0),
	R(rst_size, CONN, FRAME_SIZE_ERROR, 0),
	R(rst_twice, FINE, NO_ERROR, 0),
	R(settings_on_stream, CONN, PROTOCOL_ERROR, 0),
	R(settings_size, CONN, FRAME_SIZE_ERROR, 0),
	R(settings_ack_content, CONN, FRAME_SIZE_ERROR, 0),
	R(settings_ack_twice, CONN, PROTOCOL_ERROR, 0),
	R(settings_push_2, CONN, PROTOCOL_ERROR, 0),
	R(settings_push_1, FINE, NO_ERROR, 0),
	C(settings_push_1, CONN, PROTOCOL_ERROR, 0),
	R(settings_window, CONN, FLOW_CONTROL_ERROR, 0),
	R(settings_frame_small, CONN, PROTOCOL_ERROR, 0),
	R(settings_frame_big, CONN, PROTOCOL_ERROR, 0),
	R(settings_unknown, FINE, NO_ERROR, 0),
	R(settings_overflow, CONN, FLOW_CONTROL_ERROR, 0),
	R(push_promise, CONN, PROTOCOL_ERROR, 0),
	R(ping_on_stream, CONN, PROTOCOL_ERROR, 0),
	R(ping_size, CONN, FRAME_SIZE_ERROR, 0),
	R(goaway_on_stream, CONN, PROTOCOL_ERROR, 0),
	R(goaway_size, CONN, FRAME_SIZE_ERROR, 0),
	R(goaway_grows, CONN, PROTOCOL_ERROR, 0),
	R(window_0_conn, CONN, PROTOCOL_ERROR, 0),
	R(window_0_stream, STREAM, PROTOCOL_ERROR, 1),
	R(window_size, CONN, FRAME_SIZE_ERROR, 0),
	R(window_idle, CONN, PROTOCOL_ERROR, 0),
	R(window_over_conn, CONN, FLOW_CONTROL_ERROR, 0),
	R(window_over_stream, STREAM, FLOW_CONTROL_ERROR, 1),
	R(window_closed, FINE, NO_ERROR, 0),
	R(cont_alone, CONN, PROTOCOL_ERROR, 0),
	R(cont_after_headers, CONN, PROTOCOL_ERROR, 0),
	R(cont_on_0, CONN, PROTOCOL_ERROR, 0),
	R(cont_other, CONN, PROTOCOL_ERROR, 0),
	R(cont_broken_by_data, CONN, PROTOCOL_ERROR, 0),
	R(cont_broken_unknown, CONN, PROTOCOL_ERROR, 0),
	R(cont_good, FINE, NO_ERROR, 0),
	R(cont_flood, CONN, ENHANCE_YOUR_CALM, 0),
	R(cont_too_large, CONN, ENHANCE_YOUR_CALM, 0),
	R(unknown_frame, FINE, NO_ERROR, 0),
	R(too_long, CONN, FRAME_SIZE_ERROR, 0),
	R(list_too_large, STREAM, ENHANCE_YOUR_CALM, 1),
	R(f_upper, STREAM, PROTOCOL_ERROR, 1),
	R(f_unknown_pseudo, STREAM, PROTOCOL_ERROR, 1),
	R(f_status, STREAM, PROTOCOL_ERROR, 1),
	R(f_protocol, STREAM, PROTOCOL_ERROR, 1),
	R(f_pseudo_late, STREAM, PROTOCOL_ERROR, 1),
	R(f_connection, STREAM, PROTOCOL_ERROR, 1),
	R(f_upgrade, STREAM, PROTOCOL_ERROR, 1),
	R(f_te, STREAM, PROTOCOL_ERROR, 1),
	R(f_te_fine, FINE, NO_ERROR, 0),
	R(f_twice, STREAM, PROTOCOL_ERROR, 1),
	R(f_no_authority, STREAM, PROTOCOL_ERROR, 1),
	R(f_empty_authority, STREAM, PROTOCOL_ERROR, 1),
	R(f_bad_authority, STREAM, PROTOCOL_ERROR, 1),
	R(f_scheme, STREAM, PROTOCOL_ERROR, 1),
	R(f_path, STREAM, PROTOCOL_ERROR, 1),
	R(f_no_method, STREAM, PROTOCOL_ERROR, 1),
	R(f_value, STREAM, PROTOCOL_ERROR, 1),
	R(f_name, STREAM, PROTOCOL_ERROR, 1),
	R(f_get, FINE, NO_ERROR, 0),
	R(f_get_no_path, STREAM, PROTOCOL_ERROR, 1),
	R(f_get_empty_path, STREAM, PROTOCOL_ERROR, 1),
	R(trailers_fine, FINE, NO_ERROR, 0),
	R(trailers_open, STREAM, PROTOCOL_ERROR, 1),
	R(trailers_pseudo, STREAM, PROTOCOL_ERROR, 1),
	C(c_fine, FINE, NO_ERROR, 0),
	C(c_no_status, STREAM, PROTOCOL_ERROR, 1),
	C(c_bad_status, STREAM, PROTOCOL_ERROR, 1),
	C(c_101, STREAM, PROTOCOL_ERROR, 1),
	C(c_request_pseudo, STREAM, PROTOCOL_ERROR, 1),
	C(c_100_200, FINE, NO_ERROR, 0),
	C(c_100_end, STREAM, PROTOCOL_ERROR, 1),
	C(c_data_first, STREAM, PROTOCOL_ERROR, 1),
	C(c_idle, CONN, PROTOCOL_ERROR, 0),
	C(c_even, CONN, PROTOCOL_ERROR, 0),
	C(c_push, CONN, PROTOCOL_ERROR, 0),
	C(data_on_idle, STREAM, PROTOCOL_ERROR, 1),
	C(cont_flood, CONN, ENHANCE_YOUR_CALM, 0),
#undef R
#undef C
};

static void open_client_stream(struct owner *o)
{
	const struct h2_headers h = { .authority = STR("10.0.0.1:80") };
	struct h2_stream *s = calloc(1, sizeof(*s));

	assert_int_equal(h2_conn_connect(&o->c, s, &h), 0);
	o->streams[s->st.id / 2] = s;
}

static bool rule_holds(const struct rule *t, size_t slice)
{
	struct owner *o = owner_new(!t->client, NULL);
	struct bytes in = { 0 }, out = { 0 };
	struct h2_frame f;
	const uint8_t *p = NULL;
	bool ok = true;
	int r = 0;

	owner_flush(o, NULL);
	if (t->client)
		open_client_stream(o);
	put_hello(&in, !t->client);
	t->build(&in);
	for (size_t i = 0; i < in.n && r == 0; i += slice)
		r = h2_conn_input(&o->c, in.p + i, in.n - i < slice ? in.n - i : slice);
	owner_flush(o, &out);
	if (r != (t->outcome == CONN ? -EPROTO : 0))
		ok = false;
	if (find_frame(&out, H2_GOAWAY, 0, 0, &f, &p) != (t->outcome == CONN))
		ok = false;
	else if (t->outcome == CONN && (h2_get_u32(p + 4) != t->code || !o->c.error))
		ok = false;
	if (find_frame(&out, H2_RST_STREAM, 0, 0, &f, &p) != (t->outcome == STREAM))
		ok = false;
	else if (t->outcome == STREAM && (h2_get_u32(p) != t->code || f.id != t->id))
		ok = false;
	if (t->outcome == CONN && o->c.n_streams)
		ok = false;
	assert_windows_balance(o);
	bytes_free(&in);
	bytes_free(&out);
	owner_free(o);
	return ok;
}

static void every_rule_of_the_table_holds(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (!rule_holds(&rules[i], SIZE_MAX / 2))
			fail_msg("rule %s", rules[i].what);
}

static void every_rule_holds_byte_by_byte(void **state UNUSED)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (!rule_holds(&rules[i], 1) || !rule_holds(&rules[i], 7))
			fail_msg("rule %s", rules[i].what);
}

static void a_wrong_preface_ends_the_connection(void **state UNUSED)
{
	static const char *const wrong[] = { "GET / HTTP/1.1\r\n\r\n",
					     "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
					     "\x16\x03\x01" };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct owner *o = owner_new(true, NULL);

		assert_int_equal(h2_conn_input(&o->c, (const uint8_t *)wrong[i],
					       strlen(wrong[i])), -EPROTO);
		owner_free(o);
	}
}

static void the_first_frame_must_be_settings(void **state UNUSED)
{
	for (int ack = 0; ack < 2; ack++) {
		struct owner *o = owner_new(true, NULL);
		struct bytes in = { 0 };

		bytes_add(&in, H2_PREFACE, H2_PREFACE_LEN);
		if (ack)
			put_frame(&in, H2_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
		else
			put_frame(&in, H2_PING, 0, 0, "12345678", 8);
		assert_int_equal(owner_feed(o, &in), -EPROTO);
		bytes_free(&in);
		owner_free(o);
	}
}

static void a_failed_connection_takes_nothing_more(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 };
	struct h2_stream s = { 0 };

	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ);
	put_first_request(&in, 3, 0, REQ);
	put_u32_frame(&in, H2_WINDOW_UPDATE, 0, 0);
	assert_int_equal(owner_feed(o, &in), -EPROTO);
	assert_int_equal(o->n_closed, 2);
	assert_int_equal(o->last_code, H2_INTERNAL_ERROR);
	owner_flush(o, NULL);
	assert_int_equal(owner_feed(o, &in), -EPROTO);
	assert_int_equal(o->c.out_n, 0);
	assert_int_equal(h2_conn_goaway(&o->c, 0), -EPIPE);
	assert_int_equal(h2_conn_ping(&o->c, 0), -EPIPE);
	assert_int_equal(h2_stream_respond(&s, 200, NULL, false), -EPIPE);
	assert_int_equal(h2_stream_end(&s), -EPIPE);
	assert_int_equal(h2_stream_sendable(&s), 0);
	h2_stream_reset(&s, 0);
	h2_stream_consumed(&s, 5);
	assert_false(h2_conn_exportable(&o->c));
	bytes_free(&in);
	owner_free(o);
}

/* As the tunnel answers what is no CONNECT: at once, and with nothing to follow. */
static void refuse_at_once(void *arg, struct h2_stream *s, const struct h2_headers *h UNUSED)
{
	struct owner *o = arg;

	assert_int_equal(h2_stream_respond(s, 400, NULL, true), 0);
	h2_stream_detach(s);
	owner_drop(o, s);
}

static void an_answer_to_all_of_a_request_is_followed_by_no_reset(void **state UNUSED)
{
	struct h2_conn_ops ops = owner_ops;
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 }, out = { 0 };
	struct h2_frame f;
	const uint8_t *p = NULL;

	ops.on_request = refuse_at_once;
	o->c.ops = &ops;
	put_hello(&in, true);
	put_first_request(&in, 1, H2_FLAG_END_STREAM, REQ);
	put_headers(&in, 3, 0, REQ);
	assert_int_equal(owner_feed_all(o, &in), 0);
	owner_flush(o, &out);
	assert_false(find_frame(&out, H2_RST_STREAM, 1, 0, &f, &p));
	assert_true(find_frame(&out, H2_RST_STREAM, 3, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), H2_NO_ERROR);
	/* The first is closed for good, of the second something may be under way. */
	bytes_free(&out);
	put_frame(&in, H2_DATA, 0, 1, "x", 1);
	put_frame(&in, H2_DATA, 0, 3, "x", 1);
	assert_int_equal(owner_feed_all(o, &in), 0);
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_RST_STREAM, 1, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), H2_STREAM_CLOSED);
	assert_false(find_frame(&out, H2_RST_STREAM, 3, 0, &f, &p));
	bytes_free(&in);
	bytes_free(&out);
	owner_free(o);
}

static void only_the_fields_of_the_mesh_are_kept_the_first_of_each(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 };

	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ "forwarded: for=1.2.3.4\nx-other: 1\nbaggage: a=b\n"
			  "baggage: c=d\ntraceparent: 00-1\nx-forwarded-network: n\ncookie: x\n");
	assert_int_equal(owner_feed(o, &in), 0);
	assert_true(owner_saw(o, "request 1 [0]CONNECT [1]10.0.0.1:80 [4]for=1.2.3.4 [5]a=b "
				 "[6]00-1 [7]n ;"));
	bytes_free(&in);
	owner_free(o);
}

static void a_peer_may_use_its_table_until_it_acknowledged(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 }, block = { 0 };

	bytes_add(&in, H2_PREFACE, H2_PREFACE_LEN);
	put_frame(&in, H2_SETTINGS, 0, 0, NULL, 0);
	put_block(&block, REQ);
	bytes_add(&block, "\x40\x07" "baggage" "\x03" "k=v", 13); /* with indexing */
	put_frame(&in, H2_HEADERS, 4, 1, block.p, block.n);
	block.n = 0;
	put_block(&block, REQ);
	bytes_add(&block, "\xbe", 1); /* entry 62 */
	put_frame(&in, H2_HEADERS, 4, 3, block.p, block.n);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_true(owner_saw(o, "request 3 [0]CONNECT [1]10.0.0.1:80 [5]k=v ;"));
	assert_false(h2_conn_exportable(&o->c));
	put_frame(&in, H2_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_true(h2_conn_exportable(&o->c));
	put_frame(&in, H2_HEADERS, 4, 5, block.p, block.n);
	assert_int_equal(owner_feed_all(o, &in), -EPROTO);
	bytes_free(&in);
	bytes_free(&block);
	owner_free(o);
}

static void the_decoder_is_freed_between_exchanges_and_goes_on(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 };

	o->answer = true;
	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_null(o->c.hpack);
	put_headers(&in, 3, 0, REQ);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_true(owner_saw(o, "request 3 "));
	bytes_free(&in);
	owner_free(o);
}

static void more_streams_than_allowed_are_refused(void **state UNUSED)
{
	const struct h2_limits l = { .max_streams = 2 };
	struct owner *o = owner_new(true, &l);
	struct bytes in = { 0 }, out = { 0 };
	struct h2_frame f;
	const uint8_t *p = NULL;

	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ);
	put_headers(&in, 3, 0, REQ);
	put_headers(&in, 5, 0, REQ);
	assert_int_equal(owner_feed_all(o, &in), 0);
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_RST_STREAM, 5, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), H2_REFUSED_STREAM);
	assert_int_equal(o->c.n_streams, 2);
	put_u32_frame(&in, H2_RST_STREAM, 1, H2_CANCEL);
	put_headers(&in, 7, 0, REQ);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_true(owner_saw(o, "request 7 "));
	o->refuse = true;
	put_u32_frame(&in, H2_RST_STREAM, 3, H2_CANCEL);
	put_headers(&in, 9, 0, REQ);
	put_frame(&in, H2_DATA, 0, 9, "early", 5);
	assert_int_equal(owner_feed_all(o, &in), 0);
	out.n = 0;
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_RST_STREAM, 9, 0, &f, &p));
	assert_false(find_frame(&out, H2_RST_STREAM, 9, 1, &f, &p));
	bytes_free(&in);
	bytes_free(&out);
	owner_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_of_the_table_holds),
		cmocka_unit_test(every_rule_holds_byte_by_byte),
		cmocka_unit_test(a_wrong_preface_ends_the_connection),
		cmocka_unit_test(the_first_frame_must_be_settings),
		cmocka_unit_test(a_failed_connection_takes_nothing_more),
		cmocka_unit_test(an_answer_to_all_of_a_request_is_followed_by_no_reset),
		cmocka_unit_test(only_the_fields_of_the_mesh_are_kept_the_first_of_each),
		cmocka_unit_test(a_peer_may_use_its_table_until_it_acknowledged),
		cmocka_unit_test(the_decoder_is_freed_between_exchanges_and_goes_on),
		cmocka_unit_test(more_streams_than_allowed_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
