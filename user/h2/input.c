// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes from the peer: preface, frame headers, and every frame but the meaning of HEADERS.
 * DATA payload goes to its stream slice by slice; any other frame is handled when it is
 * complete, in place when one slice holds it and from c->in when not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "h2/internal.h"

static ssize_t input_preface(struct h2_conn *c, const uint8_t *p, size_t n)
{
	size_t k = H2_PREFACE_LEN - c->preface_n;

	if (k > n)
		k = n;
	if (memcmp(p, &H2_PREFACE[c->preface_n], k) != 0)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "not an HTTP/2 preface");
	c->preface_n += (uint8_t)k;
	c->st.preface_done = c->preface_n == H2_PREFACE_LEN;
	return (ssize_t)k;
}

static int data_finish(struct h2_conn *c)
{
	struct h2_stream *s = c->st.data_stream ? stream_find(c, c->st.data_stream) : NULL;

	c->st.data_stream = 0;
	if (s && c->st.data_end)
		stream_remote_end(s);
	return c->broken;
}

/* Can this stream take the DATA frame? Accounts for it; on a stream error the rest of the frame
 * is skipped. */
static int data_admit(struct h2_conn *c, const struct h2_frame *f)
{
	struct h2_stream *s = stream_find(c, f->id);

	if (!s && stream_was_reset(c, f->id))
		return 0;
	if (!s || s->st.phase == H2_HALF_REMOTE || s->st.phase == H2_CLOSED)
		return stream_error(c, f->id, H2_STREAM_CLOSED);
	if (!s->st.got_headers)
		return stream_error(c, f->id, H2_PROTOCOL_ERROR);
	if (f->len > s->st.recv_window)
		return stream_error(c, f->id, H2_FLOW_CONTROL_ERROR);
	s->st.recv_window -= f->len;
	c->st.data_stream = f->id;
	return 0;
}

/* Padding is nobody's to consume. */
static void data_give_padding(struct h2_conn *c, uint32_t n)
{
	struct h2_stream *s = c->st.data_stream ? stream_find(c, c->st.data_stream) : NULL;

	if (s)
		stream_give(s, n);
	conn_give(c, n);
}

static int data_begin(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	const uint32_t prefix = f->flags & H2_FLAG_PADDED ? 1 : 0;
	const uint32_t pad = prefix ? *p : 0;
	int r;

	if (prefix + pad > f->len)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "padding longer than its frame");
	if (stream_id_is_idle(c, f->id))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "DATA on an idle stream");
	if (f->len > c->st.recv_window)
		return h2_conn_break(c, H2_FLOW_CONTROL_ERROR, "DATA beyond the connection window");
	c->st.recv_window -= f->len;
	conn_give(c, 0);
	c->st.data_left = f->len - prefix - pad;
	c->st.pad_left = pad;
	c->st.data_stream = 0;
	c->st.data_end = !!(f->flags & H2_FLAG_END_STREAM);
	r = data_admit(c, f);
	if (r == 0 && c->st.data_left == 0 && !c->st.data_end)
		r = conn_glitch(c, 1);
	if (r < 0)
		return r;
	if (prefix)
		data_give_padding(c, prefix);
	if (c->st.data_left == 0 && c->st.pad_left == 0)
		return data_finish(c);
	return c->broken;
}

static void data_deliver(struct h2_conn *c, const uint8_t *p, uint32_t n)
{
	struct h2_stream *s = c->st.data_stream ? stream_find(c, c->st.data_stream) : NULL;

	if (!s) {
		conn_give(c, n);
		return;
	}
	s->st.held += n;
	c->ops->on_data(c->arg, s, p, n);
}

/* A slice of the DATA frame under way. */
static ssize_t input_data(struct h2_conn *c, const uint8_t *p, size_t n)
{
	uint32_t data = c->st.data_left < n ? c->st.data_left : (uint32_t)n;
	uint32_t pad = c->st.pad_left < n - data ? c->st.pad_left : (uint32_t)(n - data);
	int r;

	c->st.data_left -= data;
	if (data)
		data_deliver(c, p, data);
	c->st.pad_left -= pad;
	if (pad)
		data_give_padding(c, pad);
	if (c->broken)
		return c->broken;
	if (c->st.data_left == 0 && c->st.pad_left == 0) {
		r = data_finish(c);
		if (r < 0)
			return r;
	}
	return (ssize_t)(data + pad);
}

static int block_append(struct h2_conn *c, const uint8_t *p, size_t n)
{
	if (c->hblock_n + n > H2_HEADERS_MAX)
		return h2_conn_break(c, H2_ENHANCE_YOUR_CALM, "field block too large");
	if (!c->hblock) {
		c->hblock = malloc(H2_HEADERS_MAX);
		if (!c->hblock)
			return conn_fail_mem(c);
	}
	if (n)
		memcpy(c->hblock + c->hblock_n, p, n);
	c->hblock_n += n;
	return 0;
}

static int input_headers(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	const bool end = f->flags & H2_FLAG_END_STREAM;
	size_t n = f->len;
	uint32_t dep;

	if (!h2_frame_strip(f, &p, &n, &dep))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "padding longer than its frame");
	if (f->flags & H2_FLAG_END_HEADERS)
		return headers_received(c, f->id, dep, end, p, n);
	c->in_headers_stream = f->id;
	c->in_headers_dep = dep;
	c->in_headers_end_stream = end;
	c->n_continuation = 0;
	c->hblock_n = 0;
	return block_append(c, p, n);
}

static int input_continuation(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	const uint32_t id = c->in_headers_stream;
	int r;

	if (++c->n_continuation > H2_CONTINUATIONS)
		return h2_conn_break(c, H2_ENHANCE_YOUR_CALM, "field block in too many frames");
	if (f->len == 0 && conn_glitch(c, 1) < 0)
		return c->broken;
	r = block_append(c, p, f->len);
	if (r < 0 || !(f->flags & H2_FLAG_END_HEADERS))
		return r;
	c->in_headers_stream = 0;
	return headers_received(c, id, c->in_headers_dep, c->in_headers_end_stream, c->hblock,
				c->hblock_n);
}

static int input_priority(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	enum h2_error code;

	if (f->len != 5)
		code = H2_FRAME_SIZE_ERROR;
	else if ((h2_get_u32(p) & H2_ID_MAX) == f->id)
		code = H2_PROTOCOL_ERROR;
	else
		return conn_glitch(c, 1);
	/* RST_STREAM of an idle stream would be our offence. */
	if (stream_id_is_idle(c, f->id))
		return h2_conn_break(c, code, "malformed PRIORITY on an idle stream");
	return stream_error(c, f->id, code);
}

static int input_rst(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	struct h2_stream *s = stream_find(c, f->id);

	if (stream_id_is_idle(c, f->id))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "RST_STREAM on an idle stream");
	/* Opened and cancelled before an answer: work for us, none for the peer. */
	if ((!s || (c->st.server && !s->st.sent_headers)) && conn_glitch(c, 1) < 0)
		return c->broken;
	if (s)
		stream_close(s, h2_get_u32(p));
	return 0;
}

static int input_ping(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	uint64_t opaque = (uint64_t)h2_get_u32(p) << 32 | h2_get_u32(p + 4);
	uint8_t *b;

	if (f->flags & H2_FLAG_ACK) {
		if (c->ops->on_ping_ack)
			c->ops->on_ping_ack(c->arg, opaque);
		return 0;
	}
	b = conn_queue_reflex(c, 17);
	if (!b)
		return c->broken;
	h2_ping_format(b, true, opaque);
	return 0;
}

static int input_window_update(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	const uint32_t increment = h2_get_u32(p) & H2_WINDOW_MAX;

	/* Even a peer that answers each DATA frame with one for the stream and one for the connection
	 * has no more of them to send. */
	if (c->updates_due)
		c->updates_due--;
	else if (conn_glitch(c, 1) < 0)
		return c->broken;
	if (f->id) {
		if (stream_id_is_idle(c, f->id))
			return h2_conn_break(c, H2_PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
		return stream_window_update(c, f->id, increment);
	}
	if (increment == 0)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
	if (c->st.send_window + increment > (int64_t)H2_WINDOW_MAX)
		return h2_conn_break(c, H2_FLOW_CONTROL_ERROR, "connection window overflows");
	c->st.send_window += increment;
	stream_wake_blocked(c);
	return 0;
}

static int frame_dispatch(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p)
{
	switch (f->type) {
	case H2_DATA:
		return data_begin(c, f, p);
	case H2_HEADERS:
		return input_headers(c, f, p);
	case H2_PRIORITY:
		return input_priority(c, f, p);
	case H2_RST_STREAM:
		return input_rst(c, f, p);
	case H2_SETTINGS:
		return conn_settings(c, f, p);
	case H2_PING:
		return input_ping(c, f, p);
	case H2_GOAWAY:
		return conn_goaway_received(c, p);
	case H2_WINDOW_UPDATE:
		return input_window_update(c, f, p);
	case H2_CONTINUATION:
		return input_continuation(c, f, p);
	}
	/* Unknown: skipped as it comes, outside of flow control. */
	return conn_glitch(c, 1);
}

/* What may be judged from the header and must not wait for the payload. */
static int frame_admit(struct h2_conn *c, const struct h2_frame *f)
{
	const char *why;
	enum h2_error code = h2_frame_check(f, &why);

	if (!c->st.got_settings && (f->type != H2_SETTINGS || f->flags & H2_FLAG_ACK))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "first frame is not SETTINGS");
	if (code)
		return h2_conn_break(c, code, why);
	if (c->in_headers_stream &&
	    (f->type != H2_CONTINUATION || f->id != c->in_headers_stream))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "field block interrupted");
	if (!c->in_headers_stream && f->type == H2_CONTINUATION)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "CONTINUATION without HEADERS");
	if (f->type == H2_PUSH_PROMISE)
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "PUSH_PROMISE");
	return 0;
}

/* Bytes, frame header included, that must be there before frame_dispatch(). */
static size_t frame_want(const struct h2_frame *f)
{
	if (f->type == H2_DATA)
		return H2_FRAME_HEADER + (f->flags & H2_FLAG_PADDED ? 1 : 0);
	if (f->type >= H2_FRAME_TYPE_MAX)
		return H2_FRAME_HEADER;
	return H2_FRAME_HEADER + f->len;
}

static int in_reserve(struct h2_conn *c, size_t cap)
{
	uint8_t *p;

	if (cap <= c->in_cap)
		return 0;
	p = realloc(c->in, cap);
	if (!p)
		return conn_fail_mem(c);
	c->in = p;
	c->in_cap = cap;
	return 0;
}

/* Moves bytes to c->in until it has want; how many. */
static ssize_t in_fill(struct h2_conn *c, const uint8_t *p, size_t n, size_t want)
{
	size_t k = want - c->in_n;
	int r = in_reserve(c, want);

	if (r < 0)
		return r;
	if (k > n)
		k = n;
	memcpy(c->in + c->in_n, p, k);
	c->in_n += k;
	return (ssize_t)k;
}

/* Part of a frame is in c->in, or p does not hold one whole. */
static ssize_t input_partial(struct h2_conn *c, const uint8_t *p, size_t n)
{
	struct h2_frame f;
	ssize_t k = 0;
	int r;

	if (c->in_n < H2_FRAME_HEADER) {
		k = in_fill(c, p, n, H2_FRAME_HEADER);
		if (k < 0 || c->in_n < H2_FRAME_HEADER)
			return k;
		h2_frame_parse(c->in, &f);
		r = frame_admit(c, &f);
		if (r < 0)
			return r;
	}
	h2_frame_parse(c->in, &f);
	if (c->in_n < frame_want(&f)) {
		ssize_t more = in_fill(c, p + k, n - (size_t)k, frame_want(&f));

		if (more < 0)
			return more;
		k += more;
		if (c->in_n < frame_want(&f))
			return k;
	}
	/* The bytes stay while they are looked at, but they are no longer pending. */
	c->in_n = 0;
	if (f.type >= H2_FRAME_TYPE_MAX)
		c->st.skip_left = f.len;
	r = frame_dispatch(c, &f, c->in + H2_FRAME_HEADER);
	return r < 0 ? r : k;
}

static ssize_t input_frame(struct h2_conn *c, const uint8_t *p, size_t n)
{
	struct h2_frame f;
	int r;

	if (c->in_n || n < H2_FRAME_HEADER)
		return input_partial(c, p, n);
	h2_frame_parse(p, &f);
	if (n < frame_want(&f))
		return input_partial(c, p, n);
	r = frame_admit(c, &f);
	if (r < 0)
		return r;
	if (f.type >= H2_FRAME_TYPE_MAX)
		c->st.skip_left = f.len;
	r = frame_dispatch(c, &f, p + H2_FRAME_HEADER);
	return r < 0 ? r : (ssize_t)frame_want(&f);
}

static ssize_t input_skip(struct h2_conn *c, size_t n)
{
	if (n > c->st.skip_left)
		n = c->st.skip_left;
	c->st.skip_left -= (uint32_t)n;
	return (ssize_t)n;
}

static int input_run(struct h2_conn *c, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t k;

		if (!c->st.preface_done)
			k = input_preface(c, p, n);
		else if (c->st.skip_left)
			k = input_skip(c, n);
		else if (c->st.data_left || c->st.pad_left)
			k = input_data(c, p, n);
		else
			k = input_frame(c, p, n);
		if (k < 0)
			return (int)k;
		if (c->broken)
			return c->broken;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

int h2_conn_input(struct h2_conn *c, const uint8_t *p, size_t n)
{
	int r;

	BUG_ON(c->in_input);
	c->in_input = true;
	r = c->broken ? c->broken : input_run(c, p, n);
	if (r < 0)
		r = conn_die(c);
	c->in_input = false;
	conn_trim(c);
	return r;
}
