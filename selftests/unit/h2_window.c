// SPDX-License-Identifier: Apache-2.0
/* What a peer may send before it was taken: how windows grow, what bounds them, who gets them. */
#include "h2_owner.h"

static const uint8_t zero[16384];

static struct owner *server_with_streams(const struct h2_limits *l, uint32_t n)
{
	struct owner *o = owner_new(true, l);
	struct bytes in = { 0 };

	o->answer = true;
	put_hello(&in, true);
	put_first_request(&in, 1, 0, REQ);
	for (uint32_t i = 1; i < n; i++)
		put_headers(&in, 1 + 2 * i, 0, REQ);
	assert_int_equal(owner_feed_all(o, &in), 0);
	owner_flush(o, NULL);
	bytes_free(&in);
	return o;
}

static uint32_t may_send(const struct h2_stream *s)
{
	uint32_t conn = s->conn->st.recv_window, own = s->st.recv_window;

	return conn < own ? conn : own;
}

/* The peer sends what it may, up to n bytes; how many those were. */
static size_t peer_sends(struct owner *o, uint32_t id, size_t n)
{
	struct bytes in = { 0 };
	size_t sent = 0;

	for (size_t k; sent < n; sent += k) {
		k = may_send(owner_stream(o, id));
		k = k < sizeof(zero) ? k : sizeof(zero);
		k = k < n - sent ? k : n - sent;
		if (k == 0)
			break;
		put_frame(&in, H2_DATA, 0, id, zero, k);
		assert_int_equal(owner_feed_all(o, &in), 0);
		o->log.n = 0;
		owner_flush(o, NULL);
	}
	bytes_free(&in);
	assert_windows_balance(o);
	return sent;
}

static uint32_t window_of(const struct h2_stream *s)
{
	return s->st.recv_window + s->st.unacked + s->st.held;
}

static void an_application_that_keeps_up_gets_a_large_window(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 1);

	assert_int_equal(may_send(owner_stream(o, 1)), H2_STREAM_WINDOW);
	o->consume = true;
	for (size_t sent = 0, before = H2_STREAM_WINDOW; sent < 8u << 20; sent += 16384) {
		assert_int_equal(peer_sends(o, 1, 16384), 16384);
		assert_in_range(window_of(owner_stream(o, 1)), before, 2 * before);
		before = window_of(owner_stream(o, 1));
	}
	assert_int_equal(window_of(owner_stream(o, 1)), H2_STREAM_WINDOW_MAX);
	owner_free(o);
}

static void one_that_lags_behind_keeps_the_small_one(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 1);
	struct h2_stream *s = owner_stream(o, 1);

	for (int i = 0; i < 1000; i++) {
		peer_sends(o, 1, H2_STREAM_WINDOW);
		h2_stream_consumed(s, 10000);
		assert_windows_balance(o);
		assert_int_equal(window_of(s), H2_STREAM_WINDOW);
	}
	owner_free(o);
}

static void one_that_stops_holds_no_more_than_its_window(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 1);
	size_t held;

	o->consume = true;
	peer_sends(o, 1, 8u << 20);
	o->consume = false;
	held = peer_sends(o, 1, 8u << 20);
	/* Less what was taken and not yet given back, which is never half of it. */
	assert_in_range(held, H2_STREAM_WINDOW_MAX / 2, H2_STREAM_WINDOW_MAX);
	assert_int_equal(owner_stream(o, 1)->st.held, held);
	assert_int_equal(may_send(owner_stream(o, 1)), 0);
	owner_free(o);
}

/* First one stream, then a hundred: the first gives up what it has beyond its share. */
static void all_streams_share_what_the_connection_may_hold(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, H2_MAX_STREAMS);
	const uint32_t share = H2_CONN_WINDOW / H2_MAX_STREAMS;
	uint64_t held = 0;

	o->consume = true;
	for (int round = 0; round < 40; round++)
		for (uint32_t id = 1; id < 2 * H2_MAX_STREAMS; id += 2)
			peer_sends(o, id, round ? 65536 : id == 1 ? 4u << 20 : 0);
	for (uint32_t id = 1; id < 2 * H2_MAX_STREAMS; id += 2)
		assert_in_range(window_of(owner_stream(o, id)), share / 2, share);
	/* Now nobody takes anything any more. */
	o->consume = false;
	for (uint32_t id = 1; id < 2 * H2_MAX_STREAMS; id += 2)
		held += peer_sends(o, id, 4u << 20);
	assert_true(held <= H2_CONN_WINDOW);
	owner_free(o);
}

/* All but one are full and stay so; the one goes on for ever. */
static void streams_that_stall_leave_the_others_their_window(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, H2_MAX_STREAMS);

	o->consume = true;
	for (uint32_t id = 3; id < 2 * H2_MAX_STREAMS; id += 2)
		peer_sends(o, id, 1u << 20);
	o->consume = false;
	for (uint32_t id = 3; id < 2 * H2_MAX_STREAMS; id += 2)
		peer_sends(o, id, 4u << 20);
	o->consume = true;
	assert_int_equal(peer_sends(o, 1, 100u << 20), 100u << 20);
	owner_free(o);
}

static void the_window_of_a_stream_that_ends_is_free_for_others(void **state UNUSED)
{
	const struct h2_limits l = { .max_streams = 2, .stream_window_max = 1u << 20,
				     .conn_window = 1u << 20 };
	struct owner *o = server_with_streams(&l, 2);

	o->consume = true;
	peer_sends(o, 1, 4u << 20);
	assert_int_equal(window_of(owner_stream(o, 1)), 1u << 19);
	o->consume = false;
	peer_sends(o, 1, 4u << 20);
	h2_stream_reset(owner_stream(o, 1), H2_CANCEL);
	assert_windows_balance(o);
	o->consume = true;
	peer_sends(o, 3, 8u << 20);
	assert_int_equal(window_of(owner_stream(o, 3)), (1u << 20) - H2_STREAM_WINDOW);
	owner_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_application_that_keeps_up_gets_a_large_window),
		cmocka_unit_test(one_that_lags_behind_keeps_the_small_one),
		cmocka_unit_test(one_that_stops_holds_no_more_than_its_window),
		cmocka_unit_test(all_streams_share_what_the_connection_may_hold),
		cmocka_unit_test(streams_that_stall_leave_the_others_their_window),
		cmocka_unit_test(the_window_of_a_stream_that_ends_is_free_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
