// SPDX-License-Identifier: Apache-2.0
/*
 * Our endpoint against nghttp2 sessions in memory, both roles: CONNECT, data both ways with
 * small windows, half close, resets, GOAWAY, and a stalled stream among busy ones.
 */
#include "h2_owner.h"

#define N_STREAMS 32

struct flow { /* one stream, either end */
	struct h2_stream s;
	bool open, ended, closed, stall;
	unsigned status;
	uint32_t code, id;
	size_t to_send, sent, got, held;
	bool send_end, end_sent;
	char baggage[128];
};

struct world {
	struct h2_conn c;
	nghttp2_session *ng;
	bool server; /* our role */
	struct flow our[N_STREAMS], peer[N_STREAMS];
	size_t n_our;
	struct bytes to_peer, to_us;
	unsigned seed, n_goaway;
	unsigned answer_status;
	size_t answer_bytes;
	uint32_t goaway_last;
	uint64_t ping;
};

static uint8_t pattern(uint32_t id, size_t at)
{
	return (uint8_t)(id * 31 + at * 7 + (at >> 8));
}

static void flow_check(struct flow *f, uint32_t id, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != pattern(id, f->got + i))
			fail_msg("stream %u differs at %zu", id, f->got + i);
	f->got += n;
}

/* --- our end --- */

static struct h2_stream *we_new_stream(void *arg)
{
	struct world *w = arg;

	assert_true(w->n_our < N_STREAMS);
	return &w->our[w->n_our++].s;
}

static struct flow *flow_of(struct h2_stream *s)
{
	return container_of(s, struct flow, s);
}

static void we_on_request(void *arg, struct h2_stream *s, const struct h2_headers *h)
{
	const struct h2_headers answer = { .baggage = STR("k8s.cluster.name=here") };
	struct world *w = arg;
	struct flow *f = flow_of(s);

	assert_true(str_eq(h->method, STR("CONNECT")));
	assert_true(str_eq(h->authority, STR("10.1.2.3:8080")));
	assert_int_equal(str_copy(f->baggage, sizeof(f->baggage), h->baggage), 0);
	f->open = true;
	f->id = s->st.id;
	f->to_send = w->answer_bytes;
	f->send_end = true;
	assert_int_equal(h2_stream_respond(s, w->answer_status, &answer, w->answer_status != 200),
			 0);
	if (w->answer_status != 200)
		f->end_sent = true;
}

static void we_on_response(void *arg UNUSED, struct h2_stream *s, const struct h2_headers *h)
{
	flow_of(s)->status = h->status;
	if (h->baggage.p)
		str_copy(flow_of(s)->baggage, sizeof(flow_of(s)->baggage), h->baggage);
}

static void we_on_data(void *arg UNUSED, struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct flow *f = flow_of(s);

	flow_check(f, s->st.id, p, n);
	if (f->stall)
		f->held += n;
	else
		h2_stream_consumed(s, n);
}

static void we_on_end(void *arg UNUSED, struct h2_stream *s)
{
	flow_of(s)->ended = true;
}

static void we_on_closed(void *arg UNUSED, struct h2_stream *s, uint32_t code)
{
	flow_of(s)->closed = true;
	flow_of(s)->code = code;
}

static void we_on_goaway(void *arg, uint32_t last_id, uint32_t code UNUSED)
{
	((struct world *)arg)->n_goaway++;
	((struct world *)arg)->goaway_last = last_id;
}

static void we_on_ping_ack(void *arg, uint64_t opaque)
{
	((struct world *)arg)->ping = opaque;
}

static const struct h2_conn_ops we = {
	.new_stream = we_new_stream,
	.on_request = we_on_request,
	.on_response = we_on_response,
	.on_data = we_on_data,
	.on_end = we_on_end,
	.on_closed = we_on_closed,
	.on_goaway = we_on_goaway,
	.on_ping_ack = we_on_ping_ack,
};

static bool we_send_on(struct world *w, struct flow *f)
{
	uint8_t hdr[H2_FRAME_HEADER];
	size_t n = f->to_send - f->sent;
	bool moved = false;

	while (n && f->s.conn) {
		size_t k = h2_stream_sendable(&f->s);

		if (k == 0)
			return moved;
		k = k < n ? k : n;
		k = k < h2_conn_max_frame(&w->c) ? k : h2_conn_max_frame(&w->c);
		h2_stream_data(&f->s, hdr, k);
		bytes_add(&w->to_peer, hdr, sizeof(hdr));
		for (size_t i = 0; i < k; i++) {
			uint8_t b = pattern(f->s.st.id, f->sent + i);

			bytes_add(&w->to_peer, &b, 1);
		}
		f->sent += k;
		n -= k;
		moved = true;
	}
	if (n == 0 && f->send_end && !f->end_sent && f->s.conn) {
		assert_int_equal(h2_stream_end(&f->s), 0);
		f->end_sent = moved = true;
	}
	return moved;
}

static void we_flush(struct world *w)
{
	size_t n;
	const uint8_t *p = h2_conn_output(&w->c, &n);

	bytes_add(&w->to_peer, p, n);
	h2_conn_output_done(&w->c, n);
}

/* --- nghttp2's end --- */

static struct flow *peer_flow(struct world *w, int32_t id)
{
	return &w->peer[id / 2];
}

static int ng_on_header(nghttp2_session *ng UNUSED, const nghttp2_frame *frame,
			const uint8_t *name, size_t name_n, const uint8_t *value, size_t value_n,
			uint8_t flags UNUSED, void *arg)
{
	struct flow *f = peer_flow(arg, frame->hd.stream_id);
	const struct str k = { (const char *)name, name_n }, v = { (const char *)value, value_n };

	if (str_eq(k, STR(":status")))
		f->status = (unsigned)strtoul(v.p, NULL, 10);
	else if (str_eq(k, STR("baggage")))
		str_copy(f->baggage, sizeof(f->baggage), v);
	return 0;
}

static int ng_on_data(nghttp2_session *ng, uint8_t flags UNUSED, int32_t id, const uint8_t *p,
		      size_t n, void *arg)
{
	struct flow *f = peer_flow(arg, id);

	flow_check(f, (uint32_t)id, p, n);
	if (f->stall)
		f->held += n;
	else
		nghttp2_session_consume(ng, id, n);
	return 0;
}

static ssize_t ng_read(nghttp2_session *ng UNUSED, int32_t id, uint8_t *buf, size_t n,
		       uint32_t *flags, nghttp2_data_source *source, void *arg UNUSED)
{
	struct flow *f = source->ptr;

	if (n > f->to_send - f->sent)
		n = f->to_send - f->sent;
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern((uint32_t)id, f->sent + i);
	f->sent += n;
	if (f->sent < f->to_send)
		return (ssize_t)n;
	if (!f->send_end && n == 0)
		return NGHTTP2_ERR_DEFERRED;
	if (f->send_end)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int ng_on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct world *w = arg;
	struct flow *f = peer_flow(w, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_GOAWAY)
		w->n_goaway++;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		nghttp2_nv nv[] = { { (uint8_t *)":status", (uint8_t *)"200", 7, 3, 0 },
				    { (uint8_t *)"baggage", (uint8_t *)"x=y", 7, 3, 0 } };
		nghttp2_data_provider dp = { { .ptr = f }, ng_read };

		f->open = true;
		f->to_send = w->answer_bytes;
		f->send_end = true;
		assert_int_equal(nghttp2_submit_response(ng, frame->hd.stream_id, nv, 2, &dp), 0);
	}
	if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		f->ended = true;
	return 0;
}

static int ng_on_close(nghttp2_session *ng UNUSED, int32_t id, uint32_t code, void *arg)
{
	peer_flow(arg, id)->closed = true;
	peer_flow(arg, id)->code = code;
	return 0;
}

/* --- the wire --- */

static struct world *world_new(bool server, uint32_t peer_window)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct h2_limits l = { .stream_window = 65535, .max_streams = N_STREAMS };
	const nghttp2_settings_entry iv[] = {
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, peer_window },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, N_STREAMS },
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;

	assert_non_null(w);
	w->server = server;
	w->seed = 42;
	w->answer_status = 200;
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, ng_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, ng_on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, ng_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, ng_on_close);
	nghttp2_option_new(&opt);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	if (server)
		nghttp2_session_client_new2(&w->ng, cb, w, opt);
	else
		nghttp2_session_server_new2(&w->ng, cb, w, opt);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	assert_int_equal(nghttp2_submit_settings(w->ng, 0, iv, 2), 0);
	assert_int_equal(h2_conn_init(&w->c, server, &l, &we, w), 0);
	return w;
}

static void world_free(struct world *w)
{
	h2_conn_fini(&w->c);
	nghttp2_session_del(w->ng);
	bytes_free(&w->to_peer);
	bytes_free(&w->to_us);
	free(w);
}

static size_t slice(struct world *w, size_t n)
{
	size_t k;

	w->seed = w->seed * 1103515245u + 12345u;
	k = 1 + (w->seed >> 8) % 20000;
	return k < n ? k : n;
}

static bool peer_round(struct world *w)
{
	bool moved = false;
	const uint8_t *p = NULL;
	ssize_t n;

	for (size_t i = 0, k; i < w->to_peer.n; i += k) {
		k = slice(w, w->to_peer.n - i);
		n = nghttp2_session_mem_recv(w->ng, w->to_peer.p + i, k);
		if (n != (ssize_t)k)
			fail_msg("nghttp2: %s", nghttp2_strerror((int)n));
		moved = true;
	}
	w->to_peer.n = 0;
	while ((n = nghttp2_session_mem_send(w->ng, &p)) > 0) {
		bytes_add(&w->to_us, p, (size_t)n);
		moved = true;
	}
	return moved;
}

static bool our_round(struct world *w)
{
	bool moved = w->to_us.n > 0;

	for (size_t i = 0, k; i < w->to_us.n; i += k) {
		k = slice(w, w->to_us.n - i);
		if (h2_conn_input(&w->c, w->to_us.p + i, k) < 0)
			fail_msg("we: %s", w->c.error);
	}
	w->to_us.n = 0;
	we_flush(w);
	for (size_t i = 0; i < w->n_our; i++) {
		moved |= we_send_on(w, &w->our[i]);
		we_flush(w);
	}
	return moved;
}

static void world_run(struct world *w)
{
	bool moved = true;

	we_flush(w);
	while (moved) {
		moved = peer_round(w);
		moved |= our_round(w);
	}
}

static struct flow *peer_connect(struct world *w, size_t to_send)
{
	nghttp2_nv nv[] = {
		{ (uint8_t *)":method", (uint8_t *)"CONNECT", 7, 7, 0 },
		{ (uint8_t *)":authority", (uint8_t *)"10.1.2.3:8080", 10, 13, 0 },
		{ (uint8_t *)"baggage", (uint8_t *)"a=b,c=d", 7, 7, 0 },
		{ (uint8_t *)"other", (uint8_t *)"indexed by nghttp2", 5, 18, 0 },
	};
	struct flow *f = peer_flow(w, (int32_t)nghttp2_session_get_next_stream_id(w->ng));
	nghttp2_data_provider dp = { { .ptr = f }, ng_read };

	f->to_send = to_send;
	f->send_end = true;
	f->id = (uint32_t)nghttp2_submit_request(w->ng, NULL, nv, 4, &dp, NULL);
	return f;
}

static struct flow *we_connect(struct world *w, size_t to_send)
{
	const struct h2_headers h = { .authority = STR("10.1.2.3:8080"), .baggage = STR("a=b"),
				      .traceparent = STR("00-0-0-00"),
				      .forwarded = STR("for=\"10.0.0.9:1\"") };
	struct flow *f = &w->our[w->n_our++];

	f->to_send = to_send;
	f->send_end = true;
	assert_int_equal(h2_conn_connect(&w->c, &f->s, &h), 0);
	f->id = f->s.st.id;
	return f;
}

static void our_server_serves_a_client_of_nghttp2(void **state UNUSED)
{
	static const uint32_t windows[] = { 1, 100, 65535, 1 << 20 };

	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct world *w = world_new(true, windows[i]);
		size_t size = windows[i] == 1 ? 500 : 300000;
		struct flow *f[5];

		w->answer_bytes = size;
		for (size_t k = 0; k < 5; k++)
			f[k] = peer_connect(w, 300000);
		world_run(w);
		for (size_t k = 0; k < 5; k++) {
			assert_int_equal(f[k]->status, 200);
			assert_string_equal(f[k]->baggage, "k8s.cluster.name=here");
			assert_int_equal(f[k]->got, size);
			assert_true(f[k]->ended && f[k]->closed && f[k]->code == 0);
			assert_string_equal(w->our[k].baggage, "a=b,c=d");
			assert_int_equal(w->our[k].got, 300000);
			assert_true(w->our[k].ended);
		}
		assert_int_equal(w->c.n_streams, 0);
		assert_null(w->c.hpack);
		/* The tables are 0 now and everybody knows. */
		f[0] = peer_connect(w, 10);
		world_run(w);
		assert_int_equal(f[0]->got, size);
		world_free(w);
	}
}

static void our_client_talks_to_a_server_of_nghttp2(void **state UNUSED)
{
	static const uint32_t windows[] = { 1, 100, 65535, 1 << 20 };

	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct world *w = world_new(false, windows[i]);
		size_t size = windows[i] == 1 ? 500 : 300000;
		struct flow *f[5];

		w->answer_bytes = 300000;
		/* The first before the peer's SETTINGS are known. */
		f[0] = we_connect(w, size);
		world_run(w);
		for (size_t k = 1; k < 5; k++)
			f[k] = we_connect(w, size);
		world_run(w);
		for (size_t k = 0; k < 5; k++) {
			assert_int_equal(f[k]->status, 200);
			assert_string_equal(f[k]->baggage, "x=y");
			assert_int_equal(f[k]->got, 300000);
			assert_true(f[k]->ended);
			assert_int_equal(peer_flow(w, (int32_t)f[k]->id)->got, size);
			assert_true(peer_flow(w, (int32_t)f[k]->id)->ended);
		}
		assert_int_equal(w->c.n_streams, 0);
		world_free(w);
	}
}

static void a_half_closed_stream_carries_the_other_direction(void **state UNUSED)
{
	struct world *w = world_new(true, 65535);
	struct flow *f = peer_connect(w, 100);

	w->answer_bytes = 200000;
	f->stall = true;
	world_run(w);
	assert_true(w->our[0].ended);
	assert_false(w->our[0].end_sent);
	assert_int_equal(f->got, 65535);
	f->stall = false;
	nghttp2_session_consume(w->ng, (int32_t)f->id, f->held);
	world_run(w);
	assert_int_equal(f->got, 200000);
	assert_true(f->closed);
	world_free(w);
}

static void an_error_answer_ends_at_once(void **state UNUSED)
{
	struct world *w = world_new(true, 65535);
	struct flow *f = peer_connect(w, 10);

	w->answer_status = 503;
	world_run(w);
	assert_int_equal(f->status, 503);
	assert_true(f->ended && f->closed);
	world_free(w);
}

static void a_stalled_stream_does_not_block_its_neighbours(void **state UNUSED)
{
	for (int server = 0; server < 2; server++) {
		struct world *w = world_new(server, 65535);
		struct flow *stalled, *f[20];

		w->answer_bytes = 500000;
		w->our[0].stall = true;
		stalled = server ? peer_connect(w, 500000) : we_connect(w, 10);
		for (size_t k = 0; k < 20; k++)
			f[k] = server ? peer_connect(w, 500000) : we_connect(w, 10);
		world_run(w);
		assert_int_equal(w->our[0].got, 65535);
		for (size_t k = 1; k <= 20; k++)
			assert_int_equal(w->our[k].got, 500000);
		for (size_t k = 0; k < 20; k++)
			assert_true(server ? f[k]->closed : f[k]->ended);
		assert_false(stalled->closed);
		w->our[0].stall = false;
		h2_stream_consumed(&w->our[0].s, w->our[0].held);
		world_run(w);
		assert_int_equal(w->our[0].got, 500000);
		world_free(w);
	}
}

static void resets_arrive_with_their_code(void **state UNUSED)
{
	struct world *w = world_new(true, 65535);
	struct flow *a = peer_connect(w, 1000), *b = peer_connect(w, 1000);

	a->send_end = b->send_end = false;
	world_run(w);
	assert_int_equal(w->our[0].got, 1000);
	nghttp2_submit_rst_stream(w->ng, 0, (int32_t)a->id, NGHTTP2_CONNECT_ERROR);
	h2_stream_reset(&w->our[1].s, H2_INTERNAL_ERROR);
	world_run(w);
	assert_true(w->our[0].closed);
	assert_int_equal(w->our[0].code, H2_CONNECT_ERROR);
	assert_true(b->closed);
	assert_int_equal(b->code, H2_INTERNAL_ERROR);
	assert_int_equal(w->c.n_streams, 0);
	world_free(w);
}

static void goaway_and_ping_are_understood_both_ways(void **state UNUSED)
{
	for (int server = 0; server < 2; server++) {
		struct world *w = world_new(server, 65535);

		w->answer_bytes = 5;
		if (server)
			peer_connect(w, 5);
		else
			we_connect(w, 5);
		world_run(w);
		assert_int_equal(h2_conn_ping(&w->c, 0x0102030405060708ull), 0);
		nghttp2_submit_ping(w->ng, 0, NULL);
		world_run(w);
		assert_true(w->ping == 0x0102030405060708ull);
		assert_int_equal(h2_conn_goaway(&w->c, H2_NO_ERROR), 0);
		world_run(w);
		assert_int_equal(w->n_goaway, 1);
		/* Last: a session of nghttp2 that is closing reads nothing more. */
		nghttp2_submit_goaway(w->ng, 0, server ? 0 : 1, NGHTTP2_NO_ERROR, NULL, 0);
		world_run(w);
		assert_int_equal(w->n_goaway, 2);
		assert_int_equal(w->goaway_last, server ? 0 : 1);
		assert_false(h2_conn_can_open(&w->c));
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_server_serves_a_client_of_nghttp2),
		cmocka_unit_test(our_client_talks_to_a_server_of_nghttp2),
		cmocka_unit_test(a_half_closed_stream_carries_the_other_direction),
		cmocka_unit_test(an_error_answer_ends_at_once),
		cmocka_unit_test(a_stalled_stream_does_not_block_its_neighbours),
		cmocka_unit_test(resets_arrive_with_their_code),
		cmocka_unit_test(goaway_and_ping_are_understood_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
