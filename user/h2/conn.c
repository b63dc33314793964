// SPDX-License-Identifier: Apache-2.0
/*
 * The connection as a whole: start and end, output queue, SETTINGS, GOAWAY, PING, and moving
 * to another process. Owned by a tunnel, used on its worker only; holds no heap memory but
 * the stream map while nothing is open and nothing is queued.
 */
#include "h2/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "h2/internal.h"

#define OUT_KEEP 4096 /* a queue of at most this size is kept while streams are open */

int h2_conn_break(struct h2_conn *c, enum h2_error code, const char *why)
{
	if (!c->broken) {
		c->broken = -EPROTO;
		c->error_code = code;
		c->error = why;
	}
	return -EPROTO;
}

int conn_fail_mem(struct h2_conn *c)
{
	if (!c->broken) {
		c->broken = -ENOMEM;
		c->error_code = H2_INTERNAL_ERROR;
		c->error = "out of memory";
	}
	return -ENOMEM;
}

int conn_die(struct h2_conn *c)
{
	struct hnode *node;
	uint8_t *b;

	if (c->dead)
		return c->broken;
	c->dead = true;
	/* Once more than a failed allocation is not worth it: the peer then sees the close. */
	b = conn_queue(c, 17);
	if (b)
		h2_goaway_format(b, c->st.goaway_sent ? c->st.goaway_last_id : c->st.last_peer_id,
				 c->error_code);
	while ((node = hmap_walk(&c->streams, NULL)))
		stream_close(container_of(node, struct h2_stream, by_id), H2_INTERNAL_ERROR);
	return c->broken;
}

int conn_glitch(struct h2_conn *c, uint32_t weight)
{
	c->st.glitches += weight;
	if (c->st.glitches > H2_GLITCH_MAX)
		return h2_conn_break(c, H2_ENHANCE_YOUR_CALM, "too many pointless frames");
	return 0;
}

void conn_expect_updates(struct h2_conn *c, uint32_t n)
{
	c->updates_due = c->updates_due + n < H2_UPDATES_MAX ? c->updates_due + n : H2_UPDATES_MAX;
}

void conn_forgive(struct h2_conn *c, uint32_t credit)
{
	c->st.glitches -= credit < c->st.glitches ? credit : c->st.glitches;
}

uint8_t *conn_queue(struct h2_conn *c, size_t n)
{
	uint8_t *at;

	if (c->out_n + n > c->out_cap) {
		size_t cap = c->out_cap ? c->out_cap * 2 : 256;
		uint8_t *p;

		while (cap < c->out_n + n)
			cap *= 2;
		p = realloc(c->out, cap);
		if (!p) {
			conn_fail_mem(c);
			return NULL;
		}
		c->out = p;
		c->out_cap = cap;
	}
	at = c->out + c->out_n;
	c->out_n += n;
	return at;
}

uint8_t *conn_queue_reflex(struct h2_conn *c, size_t n)
{
	if (c->out_reflex + n > H2_REFLEX_MAX) {
		h2_conn_break(c, H2_ENHANCE_YOUR_CALM, "peer asks for answers and does not read them");
		return NULL;
	}
	c->out_reflex += n;
	return conn_queue(c, n);
}

const uint8_t *h2_conn_output(struct h2_conn *c, size_t *ret_n)
{
	*ret_n = c->out_n;
	return c->out;
}

void h2_conn_output_done(struct h2_conn *c, size_t n)
{
	BUG_ON(n > c->out_n);
	c->out_n -= n;
	if (c->out_n && n)
		memmove(c->out, c->out + n, c->out_n);
	if (c->out_reflex > c->out_n)
		c->out_reflex = c->out_n;
	conn_trim(c);
}

void conn_trim(struct h2_conn *c)
{
	if (c->in_input)
		return;
	if (c->out_n == 0 && (c->n_streams == 0 || c->out_cap > OUT_KEEP)) {
		free(c->out);
		c->out = NULL;
		c->out_cap = 0;
	}
	if (c->in_n == 0) {
		free(c->in);
		c->in = NULL;
		c->in_cap = 0;
	}
	if (!c->in_headers_stream) {
		free(c->hblock);
		c->hblock = NULL;
		c->hblock_n = 0;
	}
	if (c->dead || (c->n_exchange == 0 && c->st.settings_acked && !c->in_headers_stream))
		h2_hpack_free(&c->hpack);
}

int conn_hpack(struct h2_conn *c)
{
	return c->hpack ? 0 : h2_hpack_new(&c->hpack);
}

uint32_t conn_spare(const struct h2_conn *c)
{
	uint64_t used = (uint64_t)c->limits.max_streams * c->st.stream_window + c->grown;

	return used < c->st.conn_window ? c->st.conn_window - (uint32_t)used : 0;
}

void conn_give(struct h2_conn *c, uint32_t n)
{
	uint8_t *b;

	c->st.unacked += n;
	/* By halves; but when streams that stall hold most of the window, what the others have
	 * taken is needed sooner. */
	if (c->broken || (c->st.unacked < c->st.conn_window / 2 &&
			  (c->st.recv_window >= c->st.conn_window / 4 ||
			   c->st.unacked <= c->st.recv_window)))
		return;
	b = conn_queue(c, 13);
	if (!b)
		return;
	h2_window_update_format(b, 0, c->st.unacked);
	c->st.recv_window += c->st.unacked;
	c->st.unacked = 0;
}

static int queue_hello(struct h2_conn *c)
{
	const struct h2_setting v[] = {
		{ H2_SET_HEADER_TABLE_SIZE, 0 },
		c->st.server ? (struct h2_setting){ H2_SET_MAX_CONCURRENT_STREAMS, c->st.max_streams } :
			       (struct h2_setting){ H2_SET_ENABLE_PUSH, 0 },
		{ H2_SET_INITIAL_WINDOW_SIZE, c->st.stream_window },
		{ H2_SET_MAX_FRAME_SIZE, H2_FRAME_MAX },
		{ H2_SET_MAX_HEADER_LIST_SIZE, H2_HEADERS_MAX },
	};
	const uint32_t more = c->st.conn_window - H2_WINDOW_DEFAULT;
	const size_t preface = c->st.server ? 0 : H2_PREFACE_LEN;
	uint8_t *b = conn_queue(c, preface + H2_FRAME_HEADER + sizeof(v) / sizeof(v[0]) * 6 +
				   (more ? 13 : 0));

	if (!b)
		return -ENOMEM;
	memcpy(b, H2_PREFACE, preface);
	b += preface;
	b += h2_settings_format(b, v, ARRAY_LEN(v));
	if (more)
		h2_window_update_format(b, 0, more);
	return 0;
}

static uint32_t in_range(uint64_t v, uint32_t min, uint32_t max)
{
	return v < min ? min : v > max ? max : (uint32_t)v;
}

/* Fills in the defaults, and what makes no sense is bent until it does. */
static void limits_settle(struct h2_limits *l)
{
	uint64_t all;

	if (!l->max_streams)
		l->max_streams = H2_MAX_STREAMS;
	/* A smaller one would have to shrink windows that the peer already uses. */
	l->stream_window = in_range(l->stream_window ? l->stream_window : H2_STREAM_WINDOW,
				    H2_WINDOW_DEFAULT, H2_WINDOW_MAX);
	l->stream_window_max =
		in_range(l->stream_window_max ? l->stream_window_max : H2_STREAM_WINDOW_MAX,
			 l->stream_window, H2_WINDOW_MAX);
	all = (uint64_t)l->stream_window * l->max_streams;
	l->conn_window = in_range(l->conn_window ? l->conn_window : H2_CONN_WINDOW,
				  in_range(all, H2_WINDOW_DEFAULT, H2_WINDOW_MAX), H2_WINDOW_MAX);
}

int h2_conn_init(struct h2_conn *c, bool server, const struct h2_limits *limits,
		 const struct h2_conn_ops *ops, void *arg)
{
	struct h2_limits l = limits ? *limits : (struct h2_limits){ 0 };

	limits_settle(&l);
	*c = (struct h2_conn){
		.st = {
			.server = server,
			.preface_done = !server,
			.next_id = 1,
			.peer_last_id = H2_ID_MAX,
			.send_window = H2_WINDOW_DEFAULT,
			.recv_window = l.conn_window,
			.conn_window = l.conn_window,
			.stream_window = l.stream_window,
			.max_streams = l.max_streams,
			.peer_initial_window = H2_WINDOW_DEFAULT,
			.peer_max_frame = H2_FRAME_MAX,
			.peer_max_streams = H2_MAX_STREAMS,
		},
		.limits = l,
		.ops = ops,
		.arg = arg,
	};
	list_init(&c->blocked);
	return queue_hello(c);
}

void h2_conn_fini(struct h2_conn *c)
{
	struct hnode *node;

	BUG_ON(c->in_input);
	if (!c->ops)
		return;
	while ((node = hmap_walk(&c->streams, NULL)))
		stream_unlink(container_of(node, struct h2_stream, by_id));
	hmap_fini(&c->streams);
	h2_hpack_free(&c->hpack);
	free(c->out);
	free(c->in);
	free(c->hblock);
	*c = (struct h2_conn){ 0 };
}

static int settings_acked(struct h2_conn *c)
{
	enum h2_table t;

	if (c->st.settings_acked)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "SETTINGS ACK without SETTINGS");
	c->st.settings_acked = 1;
	t = c->hpack ? h2_hpack_shrink(c->hpack) : H2_TABLE_SHRINK;
	c->st.table_zero = t == H2_TABLE_ZERO;
	return 0;
}

/* Stores one setting; the window is applied by the caller, once per frame. */
static int setting_apply(struct h2_conn *c, struct h2_setting v, uint32_t *window)
{
	switch (v.id) {
	case H2_SET_HEADER_TABLE_SIZE:
		if (c->hpack)
			h2_hpack_peer_limit(c->hpack, v.value);
		break;
	case H2_SET_ENABLE_PUSH:
		if (v.value > (c->st.server ? 1 : 0))
			return h2_conn_break(c, H2_PROTOCOL_ERROR, "bad SETTINGS_ENABLE_PUSH");
		break;
	case H2_SET_MAX_CONCURRENT_STREAMS:
		c->st.peer_max_streams = v.value;
		break;
	case H2_SET_INITIAL_WINDOW_SIZE:
		if (v.value > H2_WINDOW_MAX)
			return h2_conn_break(c, H2_FLOW_CONTROL_ERROR,
					 "SETTINGS_INITIAL_WINDOW_SIZE too large");
		*window = v.value;
		break;
	case H2_SET_MAX_FRAME_SIZE:
		if (v.value < H2_FRAME_MAX || v.value > H2_FRAME_MAX_LIMIT)
			return h2_conn_break(c, H2_PROTOCOL_ERROR, "bad SETTINGS_MAX_FRAME_SIZE");
		c->st.peer_max_frame = v.value;
		break;
	}
	return 0;
}

int conn_settings(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	uint32_t window = c->st.peer_initial_window;
	bool first = !c->st.got_settings;
	uint8_t *b;
	int r = 0;

	if (f->flags & H2_FLAG_ACK)
		return settings_acked(c);
	c->st.got_settings = 1;
	for (size_t i = 0; i < f->len / 6 && r == 0; i++)
		r = setting_apply(c, h2_setting_parse(p, i), &window);
	if (r == 0)
		r = stream_windows_adjust(c, window);
	if (r == 0 && !first)
		r = conn_glitch(c, 1);
	if (r < 0)
		return r;
	b = conn_queue_reflex(c, 9);
	if (!b)
		return c->broken;
	h2_settings_ack_format(b);
	if (first && c->ops->on_settings)
		c->ops->on_settings(c->arg);
	stream_wake_blocked(c);
	return 0;
}

/* A stream of ours that the peer will not handle, or NULL. */
static struct h2_stream *stream_above(struct h2_conn *c, uint32_t last_id)
{
	hmap_for_each(node, &c->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, by_id);

		if (s->st.id > last_id)
			return s;
	}
	return NULL;
}

int conn_goaway_received(struct h2_conn *c, const uint8_t *p)
{
	uint32_t last_id = h2_get_u32(p) & H2_ID_MAX;
	uint32_t code = h2_get_u32(p + 4);
	struct h2_stream *s;

	if (last_id > c->st.peer_last_id)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "GOAWAY raises its last stream id");
	if (c->st.goaway_received && conn_glitch(c, 1) < 0)
		return c->broken;
	c->st.goaway_received = 1;
	c->st.peer_last_id = last_id;
	while (!c->st.server && (s = stream_above(c, last_id)))
		stream_close(s, H2_REFUSED_STREAM);
	if (c->ops->on_goaway)
		c->ops->on_goaway(c->arg, last_id, code);
	return 0;
}

int h2_conn_goaway(struct h2_conn *c, uint32_t code)
{
	uint8_t *b;

	if (c->broken)
		return c->broken == -ENOMEM ? -ENOMEM : -EPIPE;
	b = conn_queue(c, 17);
	if (!b)
		return -ENOMEM;
	/* The last id of a repeated GOAWAY must not grow; streams above it were refused. */
	if (!c->st.goaway_sent)
		c->st.goaway_last_id = c->st.last_peer_id;
	c->st.goaway_sent = 1;
	h2_goaway_format(b, c->st.goaway_last_id, code);
	return 0;
}

int h2_conn_ping(struct h2_conn *c, uint64_t opaque)
{
	uint8_t *b;

	if (c->broken)
		return c->broken == -ENOMEM ? -ENOMEM : -EPIPE;
	b = conn_queue(c, 17);
	if (!b)
		return -ENOMEM;
	h2_ping_format(b, false, opaque);
	return 0;
}

size_t h2_conn_max_frame(const struct h2_conn *c)
{
	return c->st.peer_max_frame;
}

bool h2_conn_can_open(const struct h2_conn *c)
{
	return !c->st.server && !c->broken && !c->st.goaway_sent && !c->st.goaway_received &&
	       c->n_streams < c->st.peer_max_streams &&
	       c->n_streams < c->limits.max_streams && c->st.next_id <= H2_ID_MAX &&
	       c->out_n <= H2_OUT_MAX;
}
