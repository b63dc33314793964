/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the two fuzzers of h2/ share: an owner that reacts to the peer out of the input itself
 * (answers, consumes, sends, resets, detaches others, moves the connection to a "successor"),
 * and checks that no window is lost. Input: one byte of seed, then what the peer says;
 * with bit 2 of the seed it also says large DATA frames in between.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "h2/conn.h"
#include "h2/frame.h"

#define FUZZ_STREAMS 8

struct fuzz {
	struct h2_conn c;
	uint32_t seed;
	bool lively; /* does more than answer and consume */
	struct h2_stream *s[FUZZ_STREAMS];
};

static inline uint32_t fuzz_rnd(struct fuzz *z, uint32_t n)
{
	z->seed = z->seed * 1103515245u + 12345u;
	return (z->seed >> 8) % n;
}

static inline void fuzz_drop(struct fuzz *z, struct h2_stream *s)
{
	for (size_t i = 0; i < FUZZ_STREAMS; i++)
		if (z->s[i] == s)
			z->s[i] = NULL;
	free(s);
}

static inline struct h2_stream *fuzz_place(struct fuzz *z)
{
	for (size_t i = 0; i < FUZZ_STREAMS; i++) {
		if (z->s[i])
			continue;
		z->s[i] = calloc(1, sizeof(struct h2_stream));
		return z->s[i];
	}
	return NULL;
}

static inline void fuzz_send(struct fuzz *z, struct h2_stream *s)
{
	uint8_t hdr[H2_FRAME_HEADER];
	size_t n = h2_stream_sendable(s);

	if (n > h2_conn_max_frame(&z->c))
		n = h2_conn_max_frame(&z->c);
	if (n)
		h2_stream_data(s, hdr, 1 + fuzz_rnd(z, (uint32_t)n));
}

/* Something an owner may do at any time, to any stream. */
static inline void fuzz_act(struct fuzz *z)
{
	struct h2_stream *s = z->s[fuzz_rnd(z, FUZZ_STREAMS)];
	static const struct h2_headers h = { .authority = { "a:1", 3 }, .baggage = { "k=v", 3 } };

	if (!z->lively)
		return;
	switch (fuzz_rnd(z, 12)) {
	case 0:
		if (s)
			h2_stream_respond(s, 200, &h, fuzz_rnd(z, 8) == 0);
		break;
	case 1:
		if (s)
			h2_stream_end(s);
		break;
	case 2:
		if (!s)
			break;
		if (fuzz_rnd(z, 2))
			h2_stream_detach(s);
		else
			h2_stream_reset(s, H2_CANCEL);
		fuzz_drop(z, s);
		break;
	case 3:
		s = h2_conn_can_open(&z->c) ? fuzz_place(z) : NULL;
		if (s)
			BUG_ON(h2_conn_connect(&z->c, s, &h) != 0);
		break;
	case 4:
		if (fuzz_rnd(z, 20) == 0)
			h2_conn_goaway(&z->c, H2_NO_ERROR);
		break;
	case 5:
		h2_conn_ping(&z->c, 7);
		break;
	case 6:
	case 7:
		if (s)
			h2_stream_consumed(s, fuzz_rnd(z, s->st.held + 1));
		break;
	default:
		if (s)
			fuzz_send(z, s);
	}
}

static inline struct h2_stream *fuzz_new_stream(void *arg)
{
	return fuzz_place(arg);
}

static inline void fuzz_touch(struct str s)
{
	volatile char sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (char)(sum + s.p[i]);
}

static inline void fuzz_on_headers(void *arg, struct h2_stream *s, const struct h2_headers *h)
{
	struct fuzz *z = arg;
	const struct str f[] = { h->method, h->authority, h->scheme, h->path, h->forwarded,
				 h->baggage, h->traceparent, h->forwarded_network };

	if (z->c.st.server && fuzz_rnd(z, 4))
		h2_stream_respond(s, 200, NULL, false);
	fuzz_act(z);
	for (size_t i = 0; i < sizeof(f) / sizeof(f[0]); i++)
		fuzz_touch(f[i]);
}

static inline void fuzz_on_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct fuzz *z = arg;

	fuzz_touch((struct str){ (const char *)p, n });
	if (fuzz_rnd(z, 4))
		h2_stream_consumed(s, n);
	fuzz_act(z);
}

static inline void fuzz_on_stream(void *arg, struct h2_stream *s)
{
	struct fuzz *z = arg;

	if (fuzz_rnd(z, 2)) {
		fuzz_act(z);
	} else if (s->st.phase == H2_HALF_REMOTE && h2_stream_end(s) == 0) {
		if (!s->conn)
			fuzz_drop(z, s);
	}
}

static inline void fuzz_on_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	(void)code;
	BUG_ON(s->conn);
	fuzz_drop(arg, s);
	fuzz_act(arg);
}

static inline void fuzz_on_goaway(void *arg, uint32_t last_id, uint32_t code)
{
	(void)last_id;
	(void)code;
	fuzz_act(arg);
}

static inline void fuzz_on_settings(void *arg)
{
	fuzz_act(arg);
}

static const struct h2_conn_ops fuzz_ops = {
	.new_stream = fuzz_new_stream,
	.on_request = fuzz_on_headers,
	.on_response = fuzz_on_headers,
	.on_data = fuzz_on_data,
	.on_end = fuzz_on_stream,
	.on_closed = fuzz_on_closed,
	.on_writable = fuzz_on_stream,
	.on_goaway = fuzz_on_goaway,
	.on_settings = fuzz_on_settings,
};

static inline void fuzz_check(struct fuzz *z)
{
	uint64_t sum = (uint64_t)z->c.st.recv_window + z->c.st.unacked + z->c.st.data_left +
		       z->c.st.pad_left;
	uint64_t grown = 0;

	hmap_for_each(node, &z->c.streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, by_id);
		uint64_t own = (uint64_t)s->st.recv_window + s->st.unacked + s->st.held;

		if (z->c.st.data_stream == s->st.id)
			own += z->c.st.data_left + z->c.st.pad_left;
		BUG_ON(own < z->c.st.stream_window || own > z->c.limits.stream_window_max);
		grown += own - z->c.st.stream_window;
		sum += s->st.held;
	}
	BUG_ON(sum != z->c.st.conn_window || grown != z->c.grown);
	BUG_ON(z->c.n_streams > FUZZ_STREAMS || z->c.n_exchange > z->c.n_streams);
}

/* What is closed already by the owner's own calls is only his to free. */
static inline void fuzz_sweep(struct fuzz *z)
{
	for (size_t i = 0; i < FUZZ_STREAMS; i++)
		if (z->s[i] && !z->s[i]->conn)
			fuzz_drop(z, z->s[i]);
}

static inline void fuzz_move(struct fuzz *z)
{
	struct h2_stream_state ss[FUZZ_STREAMS];
	struct h2_conn_state st;
	uint8_t pending[H2_FRAME_HEADER + H2_FRAME_MAX];
	size_t n;
	const uint8_t *p = h2_conn_pending(&z->c, &n);

	fuzz_sweep(z);
	if (h2_conn_export(&z->c, &st) < 0)
		return;
	BUG_ON(n > sizeof(pending));
	if (n)
		memcpy(pending, p, n);
	for (size_t i = 0; i < FUZZ_STREAMS; i++)
		if (z->s[i])
			ss[i] = z->s[i]->st;
	h2_conn_fini(&z->c);
	BUG_ON(h2_conn_import(&z->c, &st, NULL, &fuzz_ops, z) != 0);
	for (size_t i = 0; i < FUZZ_STREAMS; i++) {
		if (!z->s[i])
			continue;
		*z->s[i] = (struct h2_stream){ 0 };
		BUG_ON(h2_stream_import(&z->c, z->s[i], &ss[i]) != 0);
	}
	BUG_ON(h2_conn_input(&z->c, pending, n) != 0);
}

static inline struct h2_stream *fuzz_any(struct fuzz *z)
{
	for (size_t i = 0, at = fuzz_rnd(z, FUZZ_STREAMS); i < FUZZ_STREAMS; i++) {
		struct h2_stream *s = z->s[(at + i) % FUZZ_STREAMS];

		if (s && s->conn && s->st.id)
			return s;
	}
	return NULL;
}

/* A whole DATA frame, for which inputs have no room: windows move only after many bytes. Mostly
 * within the windows, now and then beyond. */
static inline int fuzz_bulk(struct fuzz *z)
{
	static uint8_t frame[H2_FRAME_HEADER + H2_FRAME_MAX];
	const struct h2_stream *s = fuzz_any(z);
	size_t n;

	h2_conn_pending(&z->c, &n);
	if (!s || n || z->c.st.data_left || z->c.st.pad_left || !h2_conn_exportable(&z->c))
		return 0;
	if (s->st.recv_window < H2_FRAME_MAX && fuzz_rnd(z, 16))
		return 0;
	frame[1] = H2_FRAME_MAX >> 8;
	frame[3] = H2_DATA;
	for (int i = 0; i < 4; i++)
		frame[5 + i] = (uint8_t)(s->st.id >> (24 - 8 * i));
	return h2_conn_input(&z->c, frame, sizeof(frame));
}

static inline int fuzz_run(bool server, const uint8_t *p, size_t n)
{
	const struct h2_limits l = { .stream_window = 65535, .max_streams = FUZZ_STREAMS - 1 };
	struct fuzz z = { .seed = n ? p[0] : 0, .lively = n && p[0] & 1 };
	const bool bulk = n && p[0] & 4;
	int r = 0;

	if (n == 0 || h2_conn_init(&z.c, server, &l, &fuzz_ops, &z) < 0)
		return 0;
	for (int i = 0; i < 3 && !server; i++) {
		static const struct h2_headers h = { .authority = { "a:1", 3 } };

		BUG_ON(h2_conn_connect(&z.c, fuzz_place(&z), &h) != 0);
	}
	p++;
	n--;
	while (n && r == 0) {
		size_t k = 1 + fuzz_rnd(&z, fuzz_rnd(&z, 3) ? 64 : 4096);
		size_t out;

		k = k < n ? k : n;
		r = h2_conn_input(&z.c, p, k);
		for (uint32_t i = bulk ? fuzz_rnd(&z, 8) : 0; r == 0 && i > 0; i--)
			r = fuzz_bulk(&z);
		BUG_ON(r < 0 && (z.c.n_streams || !z.c.error));
		p += k;
		n -= k;
		fuzz_check(&z);
		fuzz_act(&z);
		h2_conn_output(&z.c, &out);
		h2_conn_output_done(&z.c, fuzz_rnd(&z, (uint32_t)out + 1));
		fuzz_check(&z);
		if (z.lively && fuzz_rnd(&z, 8) == 0)
			fuzz_move(&z);
	}
	h2_conn_fini(&z.c);
	for (size_t i = 0; i < FUZZ_STREAMS; i++)
		free(z.s[i]);
	return 0;
}
