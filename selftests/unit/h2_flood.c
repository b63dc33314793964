// SPDX-License-Identifier: Apache-2.0
/* Legal frames without end: what ends the connection, and what an honest peer may go on with. */
#include "h2_owner.h"

struct flood {
	const char *what;
	void (*put)(struct bytes *b, uint32_t i);
	bool flushed; /* the peer reads what we answer */
};

static void flood_ping(struct bytes *b, uint32_t i UNUSED)
{
	put_frame(b, H2_PING, 0, 0, "12345678", 8);
}

static void flood_settings(struct bytes *b, uint32_t i)
{
	put_setting(b, H2_SET_INITIAL_WINDOW_SIZE, i & 1 ? 100 : 200);
}

static void flood_rapid_reset(struct bytes *b, uint32_t i)
{
	put_headers(b, 3 + 2 * i, 0, REQ);
	put_u32_frame(b, H2_RST_STREAM, 3 + 2 * i, H2_CANCEL);
}

static void flood_empty_data(struct bytes *b, uint32_t i UNUSED)
{
	put_frame(b, H2_DATA, 0, 1, NULL, 0);
}

static void flood_malformed(struct bytes *b, uint32_t i)
{
	put_headers(b, 3 + 2 * i, 0, "Bad: one\n");
}

static void flood_priority(struct bytes *b, uint32_t i UNUSED)
{
	put_frame(b, H2_PRIORITY, 0, 1, "\0\0\0\0\0", 5);
}

static void flood_unknown(struct bytes *b, uint32_t i UNUSED)
{
	put_frame(b, 200, 0, 0, NULL, 0);
}

static void flood_trailers(struct bytes *b, uint32_t i UNUSED)
{
	put_headers(b, 1, 0, REQ);
}

static void flood_window(struct bytes *b, uint32_t i UNUSED)
{
	put_u32_frame(b, H2_WINDOW_UPDATE, 0, 1);
}

static void flood_stream_window(struct bytes *b, uint32_t i UNUSED)
{
	put_u32_frame(b, H2_WINDOW_UPDATE, 1, 1);
}

static void floods_end_with_enhance_your_calm(void **state UNUSED)
{
	static const struct flood floods[] = {
		{ "ping", flood_ping, false },
		{ "settings", flood_settings, true },
		{ "reset", flood_rapid_reset, true },
		{ "data", flood_empty_data, true },
		{ "malformed", flood_malformed, true },
		{ "priority", flood_priority, true },
		{ "unknown", flood_unknown, true },
		{ "window", flood_window, true },
		{ "stream's window", flood_stream_window, true },
		{ "trailers", flood_trailers, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		struct owner *o = owner_new(true, NULL);
		struct bytes in = { 0 };
		uint32_t k;
		int r;

		put_hello(&in, true);
		put_first_request(&in, 1, 0, REQ);
		assert_int_equal(owner_feed_all(o, &in), 0);
		for (r = 0, k = 0; r == 0 && k < 4000; k++) {
			floods[i].put(&in, k);
			r = owner_feed_all(o, &in);
			if (floods[i].flushed)
				owner_flush(o, NULL);
		}
		if (r != -EPROTO || o->c.error_code != H2_ENHANCE_YOUR_CALM || k < 500)
			fail_msg("flood %s: %d after %u", floods[i].what, r, k);
		bytes_free(&in);
		owner_free(o);
	}
}

static void an_honest_peer_may_ping_for_ever(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 };

	put_hello(&in, true);
	for (int i = 0; i < 100000; i++) {
		flood_ping(&in, 0);
		assert_int_equal(owner_feed_all(o, &in), 0);
		owner_flush(o, NULL);
	}
	bytes_free(&in);
	owner_free(o);
}

static void cancels_among_answered_requests_are_no_attack(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 };

	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ);
	for (uint32_t id = 3; id < 8000; id += 4) {
		o->answer = true;
		put_headers(&in, id, 0, REQ);
		put_u32_frame(&in, H2_RST_STREAM, id, H2_NO_ERROR);
		assert_int_equal(owner_feed_all(o, &in), 0);
		o->answer = false;
		put_headers(&in, id + 2, 0, REQ);
		put_u32_frame(&in, H2_RST_STREAM, id + 2, H2_CANCEL);
		assert_int_equal(owner_feed_all(o, &in), 0);
		owner_flush(o, NULL);
	}
	bytes_free(&in);
	owner_free(o);
}

static void requests_of_a_peer_that_reads_nothing_are_bounded(void **state UNUSED)
{
	struct owner *o = owner_new(true, NULL);
	struct bytes in = { 0 };
	int r = 0;

	o->answer = true;
	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ);
	for (uint32_t id = 3; r == 0 && id < 8100; id += 2) {
		char baggage[1024] = { 0 };
		struct h2_headers h = { .baggage = { baggage, 1000 } };

		memset(baggage, 'b', 1000);
		o->answer = false;
		put_headers(&in, id, H2_FLAG_END_STREAM, REQ);
		r = owner_feed_all(o, &in);
		if (r == 0) {
			struct h2_stream *s = owner_stream(o, id);

			assert_int_equal(h2_stream_respond(s, 503, &h, true), 0);
			assert_null(s->conn);
			owner_drop(o, s);
		}
	}
	assert_int_equal(r, -EPROTO);
	assert_int_equal(o->c.error_code, H2_ENHANCE_YOUR_CALM);
	bytes_free(&in);
	owner_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(floods_end_with_enhance_your_calm),
		cmocka_unit_test(an_honest_peer_may_ping_for_ever),
		cmocka_unit_test(cancels_among_answered_requests_are_no_attack),
		cmocka_unit_test(requests_of_a_peer_that_reads_nothing_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
