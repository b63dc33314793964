// SPDX-License-Identifier: Apache-2.0
/* Windows, slicing of the input, moving to another process, and memory of an idle connection. */
#include "h2_owner.h"

static struct owner *server_with_streams(const struct h2_limits *l, uint32_t n)
{
	struct owner *o = owner_new(true, l);
	struct bytes in = { 0 };

	o->answer = true;
	put_hello(&in, true);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0)
			put_first_request(&in, 1, 0, REQ);
		else
			put_headers(&in, 1 + 2 * i, 0, REQ);
	}
	assert_int_equal(owner_feed(o, &in), 0);
	owner_flush(o, NULL);
	bytes_free(&in);
	return o;
}

static void send_data(struct h2_stream *s, size_t n)
{
	uint8_t hdr[H2_FRAME_HEADER];

	for (; n; n -= n < 16384 ? n : 16384)
		h2_stream_data(s, hdr, n < 16384 ? n : 16384);
}

static void put_conn_window(struct owner *o, uint32_t n)
{
	struct bytes in = { 0 };

	put_u32_frame(&in, H2_WINDOW_UPDATE, 0, n);
	assert_int_equal(owner_feed(o, &in), 0);
	bytes_free(&in);
}

static void blocked_streams_take_turns(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 3);

	send_data(owner_stream(o, 5), 65535);
	for (uint32_t id = 1; id <= 5; id += 2)
		assert_int_equal(h2_stream_sendable(owner_stream(o, id)), 0);
	/* 5 has used up its own window too, the others wait for the connection only. */
	put_conn_window(o, 10);
	assert_int_equal(o->n_writable, 2);
	assert_int_equal(o->woken[0], 1);
	assert_int_equal(o->woken[1], 3);
	send_data(owner_stream(o, 1), 10);
	assert_int_equal(h2_stream_sendable(owner_stream(o, 3)), 0);
	assert_int_equal(h2_stream_sendable(owner_stream(o, 1)), 0);
	put_conn_window(o, 10);
	assert_int_equal(o->n_writable, 4);
	assert_int_equal(o->woken[2], 3);
	assert_int_equal(o->woken[3], 1);
	owner_free(o);
}

/* Sends everything it may as soon as it is woken. */
static void greedy_on_writable(void *arg, struct h2_stream *s)
{
	owner_on_writable(arg, s);
	send_data(s, h2_stream_sendable(s));
	assert_int_equal(h2_stream_sendable(s), 0);
}

static void a_greedy_stream_leaves_the_next_window_to_its_neighbours(void **state UNUSED)
{
	struct h2_conn_ops ops = owner_ops;
	struct owner *o = server_with_streams(NULL, 4);

	ops.on_writable = greedy_on_writable;
	o->c.ops = &ops;
	send_data(owner_stream(o, 7), 65535);
	for (uint32_t id = 1; id <= 5; id += 2)
		assert_int_equal(h2_stream_sendable(owner_stream(o, id)), 0);
	for (uint32_t i = 0; i < 6; i++) {
		put_conn_window(o, 100);
		assert_int_equal(o->n_writable, i + 1);
		assert_int_equal(o->woken[i], 1 + 2 * (i % 3));
	}
	owner_free(o);
}

static void shrunk_settings_make_windows_negative(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 1);
	struct h2_stream *s = owner_stream(o, 1);
	struct bytes in = { 0 };

	send_data(s, 1000);
	put_setting(&in, H2_SET_INITIAL_WINDOW_SIZE, 400);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(s->st.send_window, -600);
	assert_int_equal(h2_stream_sendable(s), 0);
	put_u32_frame(&in, H2_WINDOW_UPDATE, 1, 600);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(o->n_writable, 0);
	put_u32_frame(&in, H2_WINDOW_UPDATE, 1, 7);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(o->n_writable, 1);
	assert_int_equal(h2_stream_sendable(s), 7);
	put_setting(&in, H2_SET_INITIAL_WINDOW_SIZE, 393);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(h2_stream_sendable(s), 0);
	put_setting(&in, H2_SET_INITIAL_WINDOW_SIZE, 1000);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(o->n_writable, 2);
	assert_int_equal(h2_stream_sendable(s), 607);
	bytes_free(&in);
	owner_free(o);
}

static void data_beyond_a_window_is_an_error_of_its_level(void **state UNUSED)
{
	static const uint8_t zero[16384];
	const struct h2_limits l = { .stream_window = 65535, .max_streams = 2 };
	struct owner *o = server_with_streams(&l, 2);
	struct bytes in = { 0 }, out = { 0 };
	struct h2_frame f;
	const uint8_t *p = NULL;

	for (int i = 0; i < 4; i++)
		put_frame(&in, H2_DATA, 0, 1, zero, i < 3 ? 16384 : 16383);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(owner_stream(o, 1)->st.recv_window, 0);
	put_frame(&in, H2_DATA, 0, 1, zero, 1);
	assert_int_equal(owner_feed_all(o, &in), 0);
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_RST_STREAM, 1, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), H2_FLOW_CONTROL_ERROR);
	assert_int_equal(o->last_code, H2_FLOW_CONTROL_ERROR);
	assert_windows_balance(o);
	bytes_free(&in);
	bytes_free(&out);
	owner_free(o);
}

static void what_was_consumed_is_given_back_by_halves(void **state UNUSED)
{
	static const uint8_t zero[16384];
	const struct h2_limits l = { .stream_window = 1 << 16, .stream_window_max = 1 << 16,
				     .conn_window = 1 << 16, .max_streams = 1 };
	struct owner *o = server_with_streams(&l, 1);
	struct bytes in = { 0 }, out = { 0 };
	struct h2_frame f;
	const uint8_t *p = NULL;

	for (int i = 0; i < 3; i++)
		put_frame(&in, H2_DATA, 0, 1, zero, 16384);
	assert_int_equal(owner_feed_all(o, &in), 0);
	h2_stream_consumed(owner_stream(o, 1), 32767);
	assert_int_equal(o->c.out_n, 0);
	h2_stream_consumed(owner_stream(o, 1), 1);
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_WINDOW_UPDATE, 1, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), 32768);
	assert_int_equal(out.n, 26);
	/* What is not consumed when the stream goes belongs to the connection again. */
	h2_stream_consumed(owner_stream(o, 1), 16000);
	h2_stream_detach(owner_stream(o, 1));
	assert_int_equal(o->c.st.recv_window + o->c.st.unacked, 1 << 16);
	h2_stream_consumed(owner_stream(o, 1), 384);
	assert_windows_balance(o);
	bytes_free(&in);
	bytes_free(&out);
	owner_free(o);
}

static void a_detach_amid_a_frame_loses_no_window(void **state UNUSED)
{
	static const uint8_t zero[1001] = { 200 };
	struct owner *o = server_with_streams(NULL, 2);
	struct bytes in = { 0 };

	put_frame(&in, H2_DATA, H2_FLAG_PADDED, 1, zero, sizeof(zero));
	put_frame(&in, H2_DATA, 0, 1, "after", 5);
	put_frame(&in, H2_DATA, H2_FLAG_END_STREAM, 3, "fine", 4);
	assert_int_equal(h2_conn_input(&o->c, in.p, 100), 0);
	assert_windows_balance(o);
	h2_stream_detach(owner_stream(o, 1));
	owner_drop(o, owner_stream(o, 1));
	assert_windows_balance(o);
	assert_int_equal(h2_conn_input(&o->c, in.p + 100, in.n - 100), 0);
	assert_windows_balance(o);
	assert_true(owner_saw(o, "data 3 fine;end 3;"));
	assert_false(owner_saw(o, "after"));
	bytes_free(&in);
	owner_free(o);
}

static void callbacks_may_free_any_stream(void **state UNUSED)
{
	for (int variant = 0; variant < 3; variant++) {
		struct owner *o = server_with_streams(NULL, 8);
		struct bytes in = { 0 };

		o->detach_on_data = variant == 0;
		o->reset_all_on_data = variant == 1;
		o->detach_on_end = variant == 2;
		for (uint32_t id = 1; id < 16; id += 2)
			put_frame(&in, H2_DATA, H2_FLAG_END_STREAM, id, "hello", 5);
		for (size_t i = 0; i < in.n; i++)
			assert_int_equal(h2_conn_input(&o->c, in.p + i, 1), 0);
		assert_int_equal(o->c.n_streams, 0);
		assert_windows_balance(o);
		bytes_free(&in);
		owner_free(o);
	}
}

static void a_clean_end_closes_once_both_have_ended(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 2);
	struct bytes in = { 0 };

	assert_int_equal(h2_stream_end(owner_stream(o, 1)), 0);
	assert_int_equal(h2_stream_end(owner_stream(o, 1)), 0);
	assert_int_equal(owner_stream(o, 1)->st.phase, H2_HALF_LOCAL);
	put_frame(&in, H2_DATA, H2_FLAG_END_STREAM, 1, "bye", 3);
	put_frame(&in, H2_DATA, H2_FLAG_END_STREAM, 3, "bye", 3);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_true(owner_saw(o, "data 1 bye;end 1;closed 1 NO_ERROR;data 3 bye;end 3;"));
	assert_int_equal(o->n_closed, 1);
	/* The owner's own call closes this one: it needs no word about that. */
	assert_int_equal(h2_stream_end(owner_stream(o, 3)), 0);
	assert_int_equal(owner_stream(o, 3)->st.phase, H2_CLOSED);
	assert_null(owner_stream(o, 3)->conn);
	assert_int_equal(o->n_closed, 1);
	assert_int_equal(h2_stream_end(owner_stream(o, 3)), -EPIPE);
	bytes_free(&in);
	owner_free(o);
}

static void no_stream_begins_after_our_goaway_those_open_go_on(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 1);
	struct bytes in = { 0 }, out = { 0 };
	struct h2_frame f;
	const uint8_t *p = NULL;

	assert_int_equal(h2_conn_goaway(&o->c, H2_NO_ERROR), 0);
	put_headers(&in, 3, 0, REQ);
	put_frame(&in, H2_DATA, 0, 3, "lost", 4);
	put_frame(&in, H2_DATA, H2_FLAG_END_STREAM, 1, "kept", 4);
	assert_int_equal(owner_feed_all(o, &in), 0);
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_GOAWAY, 0, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), 1);
	assert_true(find_frame(&out, H2_RST_STREAM, 3, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), H2_REFUSED_STREAM);
	assert_true(owner_saw(o, "data 1 kept;end 1;"));
	/* The last id does not grow, not even when the connection fails later. */
	put_u32_frame(&in, H2_WINDOW_UPDATE, 0, 0);
	assert_int_equal(owner_feed_all(o, &in), -EPROTO);
	out.n = 0;
	owner_flush(o, &out);
	assert_true(find_frame(&out, H2_GOAWAY, 0, 0, &f, &p));
	assert_int_equal(h2_get_u32(p), 1);
	bytes_free(&in);
	bytes_free(&out);
	owner_free(o);
}

static void a_goaway_refuses_the_streams_above_it(void **state UNUSED)
{
	const struct h2_headers h = { .authority = STR("a:1") };
	struct owner *o = owner_new(false, NULL);
	struct bytes in = { 0 };

	for (uint32_t id = 1; id < 8; id += 2) {
		o->streams[id / 2] = calloc(1, sizeof(struct h2_stream));
		assert_int_equal(h2_conn_connect(&o->c, o->streams[id / 2], &h), 0);
	}
	put_hello(&in, false);
	put_frame(&in, H2_GOAWAY, 0, 0, "\0\0\0\x03\0\0\0\0", 8);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(o->n_closed, 2);
	assert_int_equal(o->last_code, H2_REFUSED_STREAM);
	assert_int_equal(o->n_goaway, 1);
	assert_non_null(owner_stream(o, 1));
	assert_non_null(owner_stream(o, 3));
	assert_false(h2_conn_can_open(&o->c));
	bytes_free(&in);
	owner_free(o);
}

static void a_client_opens_no_more_than_the_peer_allows(void **state UNUSED)
{
	const struct h2_headers h = { .authority = STR("a:1") };
	const struct h2_headers bad = { .authority = STR("a:1"), .baggage = STR("a\r\nb: c") };
	struct owner *o = owner_new(false, NULL);
	struct h2_stream s[3] = { 0 };
	struct bytes in = { 0 };

	put_setting(&in, H2_SET_MAX_CONCURRENT_STREAMS, 2);
	assert_int_equal(owner_feed_all(o, &in), 0);
	assert_int_equal(o->n_settings, 1);
	assert_int_equal(h2_conn_connect(&o->c, &s[0], &bad), -EINVAL);
	assert_int_equal(h2_conn_connect(&o->c, &s[0], &h), 0);
	assert_int_equal(h2_conn_connect(&o->c, &s[1], &h), 0);
	assert_int_equal(h2_conn_connect(&o->c, &s[2], &h), -EAGAIN);
	h2_stream_detach(&s[0]);
	assert_int_equal(h2_conn_connect(&o->c, &s[2], &h), 0);
	assert_int_equal(s[2].st.id, 5);
	h2_conn_fini(&o->c);
	assert_null(s[2].conn);
	bytes_free(&in);
	owner_free(o);
}

static void an_idle_connection_holds_no_buffers(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 3);
	struct bytes in = { 0 };

	o->consume = true;
	o->echo_end = true;
	for (uint32_t id = 1; id < 6; id += 2)
		put_frame(&in, H2_DATA, H2_FLAG_END_STREAM, id, "hello", 5);
	put_frame(&in, H2_PING, 0, 0, "12345678", 8);
	for (size_t i = 0; i < in.n; i += 3)
		assert_int_equal(h2_conn_input(&o->c, in.p + i, in.n - i < 3 ? in.n - i : 3), 0);
	owner_flush(o, NULL);
	assert_int_equal(o->c.n_streams, 0);
	assert_null(o->c.in);
	assert_null(o->c.out);
	assert_null(o->c.hblock);
	assert_null(o->c.hpack);
	bytes_free(&in);
	owner_free(o);
}

static unsigned rnd(unsigned *seed, unsigned n)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 8) % n;
}

static void put_random_data(struct bytes *b, unsigned *seed, uint32_t id)
{
	uint8_t payload[3000];
	size_t n = rnd(seed, 4) ? rnd(seed, 40) + 1 : rnd(seed, sizeof(payload) - 1) + 1;
	bool padded = n > 4 && rnd(seed, 3) == 0;

	for (size_t i = 0; i < n; i++)
		payload[i] = (uint8_t)('a' + rnd(seed, 26));
	if (padded)
		payload[0] = (uint8_t)rnd(seed, n < 200 ? (unsigned)n : 200);
	put_frame(b, H2_DATA, (padded ? H2_FLAG_PADDED : 0) | (rnd(seed, 12) ? 0 : 1), id, payload, n);
}

static void put_random_request(struct bytes *b, unsigned *seed, uint32_t id)
{
	struct bytes block = { 0 };

	put_block(&block, REQ "baggage: k8s.cluster.name=c\nforwarded: for=1.1.1.1\n");
	if (rnd(seed, 2)) {
		size_t cut = rnd(seed, (unsigned)block.n);

		put_frame(b, H2_HEADERS, 0, id, block.p, cut);
		put_frame(b, H2_CONTINUATION, H2_FLAG_END_HEADERS, id, block.p + cut, block.n - cut);
	} else {
		put_frame(b, H2_HEADERS, H2_FLAG_END_HEADERS, id, block.p, block.n);
	}
	bytes_free(&block);
}

/* A lively client; what it says about streams that ended is sometimes wrong, on purpose. */
static void put_script(struct bytes *b, unsigned seed)
{
	uint32_t next = 3;

	put_hello(b, true);
	put_first_request(b, 1, 0, REQ);
	for (int i = 0; i < 120; i++) {
		uint32_t id = 1 + 2 * rnd(&seed, next / 2);

		switch (rnd(&seed, 12)) {
		case 0:
		case 1:
			put_random_request(b, &seed, next);
			next += 2;
			break;
		case 2:
			put_frame(b, H2_PING, 0, 0, "pingpong", 8);
			break;
		case 3:
			put_u32_frame(b, H2_WINDOW_UPDATE, rnd(&seed, 2) ? id : 0, 1000);
			break;
		case 4:
			put_setting(b, H2_SET_INITIAL_WINDOW_SIZE, 60000 + rnd(&seed, 20000));
			break;
		case 5:
			put_frame(b, (uint8_t)(20 + rnd(&seed, 100)), 0xff, id, "skip this", 9);
			break;
		case 6:
			if (rnd(&seed, 4) == 0)
				put_u32_frame(b, H2_RST_STREAM, id, H2_CANCEL);
			break;
		default:
			put_random_data(b, &seed, id);
		}
	}
}

static struct owner *script_owner(void)
{
	struct owner *o = owner_new(true, NULL);

	o->answer = true;
	o->consume = true;
	o->echo_end = true;
	return o;
}

static void any_slicing_of_the_input_gives_the_same_callbacks(void **state UNUSED)
{
	for (unsigned seed = 1; seed < 60; seed++) {
		struct owner *whole = script_owner(), *sliced = script_owner();
		unsigned s = seed;
		struct bytes in = { 0 };
		int r;

		put_script(&in, seed);
		r = owner_feed(whole, &in);
		for (size_t i = 0, n; i < in.n && !sliced->c.broken; i += n) {
			n = 1 + rnd(&s, rnd(&s, 2) ? 8 : 2000);
			if (n > in.n - i)
				n = in.n - i;
			h2_conn_input(&sliced->c, in.p + i, n);
			assert_windows_balance(sliced);
		}
		assert_int_equal(r, sliced->c.broken);
		assert_int_equal(whole->log.n, sliced->log.n);
		assert_memory_equal(whole->log.p, sliced->log.p, whole->log.n);
		bytes_free(&in);
		owner_free(whole);
		owner_free(sliced);
	}
}

/* As a successor process would do it; what was under way is fed again. */
static void owner_move(struct owner *o, struct bytes *wire)
{
	struct h2_stream_state streams[ARRAY_LEN(o->streams)] = { 0 };
	struct h2_conn_state st;
	struct bytes pending = { 0 };
	const uint8_t *p = NULL;
	size_t n;

	assert_int_equal(h2_conn_export(&o->c, &st), 0);
	p = h2_conn_pending(&o->c, &n);
	bytes_add(&pending, p, n);
	for (size_t i = 0; i < ARRAY_LEN(o->streams); i++)
		if (o->streams[i])
			streams[i] = o->streams[i]->st;
	owner_flush(o, wire);
	h2_conn_fini(&o->c);
	assert_int_equal(h2_conn_import(&o->c, &st, NULL, &owner_ops, o), 0);
	for (size_t i = 0; i < ARRAY_LEN(o->streams); i++) {
		if (!o->streams[i])
			continue;
		*o->streams[i] = (struct h2_stream){ 0 };
		assert_int_equal(h2_stream_import(&o->c, o->streams[i], &streams[i]), 0);
	}
	assert_int_equal(h2_conn_input(&o->c, pending.p, pending.n), 0);
	bytes_free(&pending);
}

static void a_moved_connection_goes_on_byte_exact(void **state UNUSED)
{
	unsigned moved = 0;

	for (unsigned seed = 1; seed < 60; seed++) {
		struct owner *stays = script_owner(), *moves = script_owner();
		struct bytes in = { 0 }, wire[2] = { 0 };
		unsigned s = seed;

		put_script(&in, seed);
		for (size_t i = 0, n; i < in.n && !moves->c.broken; i += n) {
			n = 1 + rnd(&s, 300);
			if (n > in.n - i)
				n = in.n - i;
			h2_conn_input(&stays->c, in.p + i, n);
			h2_conn_input(&moves->c, in.p + i, n);
			if (h2_conn_exportable(&moves->c)) {
				owner_move(moves, &wire[1]);
				moved++;
			}
		}
		owner_flush(stays, &wire[0]);
		owner_flush(moves, &wire[1]);
		assert_int_equal(stays->log.n, moves->log.n);
		assert_memory_equal(stays->log.p, moves->log.p, stays->log.n);
		assert_int_equal(stays->c.st.recv_window, moves->c.st.recv_window);
		assert_int_equal(stays->c.st.send_window, moves->c.st.send_window);
		bytes_free(&in);
		bytes_free(&wire[0]);
		bytes_free(&wire[1]);
		owner_free(stays);
		owner_free(moves);
	}
	assert_true(moved > 1000);
}

static void an_insane_state_is_not_imported(void **state UNUSED)
{
	struct owner *o = server_with_streams(NULL, 1);
	struct h2_stream_state ss = owner_stream(o, 1)->st;
	struct h2_stream s = { 0 };
	struct h2_conn_state st, bad;
	struct h2_conn c;

	assert_int_equal(h2_conn_export(&o->c, &st), 0);
	bad = st;
	bad.reset_next = 1000;
	assert_int_equal(h2_conn_import(&c, &bad, NULL, &owner_ops, o), -EINVAL);
	bad = st;
	bad.recv_window = bad.conn_window + 1;
	assert_int_equal(h2_conn_import(&c, &bad, NULL, &owner_ops, o), -EINVAL);
	bad = st;
	bad.settings_acked = 0;
	assert_int_equal(h2_conn_import(&c, &bad, NULL, &owner_ops, o), -EINVAL);
	assert_int_equal(h2_conn_import(&c, &st, NULL, &owner_ops, o), 0);
	ss.id = 3;
	assert_int_equal(h2_stream_import(&c, &s, &ss), -EINVAL);
	ss.id = 1;
	ss.phase = H2_CLOSED;
	assert_int_equal(h2_stream_import(&c, &s, &ss), -EINVAL);
	ss.phase = H2_OPEN;
	ss.held = H2_STREAM_WINDOW_MAX;
	assert_int_equal(h2_stream_import(&c, &s, &ss), -EINVAL);
	ss.held = 0;
	assert_int_equal(h2_stream_import(&c, &s, &ss), 0);
	assert_int_equal(h2_stream_import(&c, &s, &ss), -EINVAL);
	h2_conn_fini(&c);
	owner_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocked_streams_take_turns),
		cmocka_unit_test(a_greedy_stream_leaves_the_next_window_to_its_neighbours),
		cmocka_unit_test(shrunk_settings_make_windows_negative),
		cmocka_unit_test(data_beyond_a_window_is_an_error_of_its_level),
		cmocka_unit_test(what_was_consumed_is_given_back_by_halves),
		cmocka_unit_test(a_detach_amid_a_frame_loses_no_window),
		cmocka_unit_test(callbacks_may_free_any_stream),
		cmocka_unit_test(a_clean_end_closes_once_both_have_ended),
		cmocka_unit_test(no_stream_begins_after_our_goaway_those_open_go_on),
		cmocka_unit_test(a_goaway_refuses_the_streams_above_it),
		cmocka_unit_test(a_client_opens_no_more_than_the_peer_allows),
		cmocka_unit_test(an_idle_connection_holds_no_buffers),
		cmocka_unit_test(any_slicing_of_the_input_gives_the_same_callbacks),
		cmocka_unit_test(a_moved_connection_goes_on_byte_exact),
		cmocka_unit_test(an_insane_state_is_not_imported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
