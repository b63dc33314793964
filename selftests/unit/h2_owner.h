/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For the tests of h2/: an owner that writes down what it is called for and takes what it is
 * given, and a peer that builds frames by hand. Adjacent DATA of one stream is one entry, so
 * that the log does not depend on how the input was sliced.
 */
#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "h2/conn.h"
#include "h2/frame.h"

#define UNUSED __attribute__((unused))

struct bytes {
	uint8_t *p;
	size_t n, cap;
};

static inline void bytes_add(struct bytes *b, const void *p, size_t n)
{
	while (b->n + n > b->cap) {
		b->cap = b->cap ? b->cap * 2 : 1024;
		b->p = realloc(b->p, b->cap);
		assert_non_null(b->p);
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

static inline void bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){ 0 };
}

static inline void put_frame(struct bytes *b, uint8_t type, uint8_t flags, uint32_t id,
			     const void *payload, size_t n)
{
	const struct h2_frame f = { .len = (uint32_t)n, .id = id, .type = type, .flags = flags };
	uint8_t hdr[H2_FRAME_HEADER];

	h2_frame_format(hdr, &f);
	bytes_add(b, hdr, sizeof(hdr));
	bytes_add(b, payload, n);
}

static inline void put_u32_frame(struct bytes *b, uint8_t type, uint32_t id, uint32_t v)
{
	uint8_t p[4];

	h2_put_u32(p, v);
	put_frame(b, type, 0, id, p, 4);
}

static inline void put_setting(struct bytes *b, uint16_t id, uint32_t value)
{
	const struct h2_setting v = { id, value };
	uint8_t f[H2_FRAME_HEADER + 6];

	bytes_add(b, f, h2_settings_format(f, &v, 1));
}

/* "name: value\n" lines as a field block of literals, never touching the dynamic table. */
static inline void put_block(struct bytes *b, const char *lines)
{
	while (*lines) {
		const char *end = strchr(lines, '\n');
		const char *colon = strchr(lines + 1, ':');
		size_t name = (size_t)(colon - lines), value = (size_t)(end - colon - 2);
		uint8_t head[2] = { 0x00, (uint8_t)name };
		uint8_t len[3] = { 0x7f, 0, 0 };

		assert_true(name < 127 && value < 127 + 128 * 128);
		bytes_add(b, head, 2);
		bytes_add(b, lines, name);
		if (value < 127) {
			len[0] = (uint8_t)value;
			bytes_add(b, len, 1);
		} else {
			len[1] = (uint8_t)(((value - 127) & 0x7f) | 0x80);
			len[2] = (uint8_t)((value - 127) >> 7);
			bytes_add(b, len, 3);
		}
		bytes_add(b, colon + 2, value);
		lines = end + 1;
	}
}

static inline void put_headers(struct bytes *b, uint32_t id, uint8_t flags, const char *lines)
{
	struct bytes block = { 0 };

	put_block(&block, lines);
	put_frame(b, H2_HEADERS, flags | H2_FLAG_END_HEADERS, id, block.p, block.n);
	bytes_free(&block);
}

#define REQ ":method: CONNECT\n:authority: 10.0.0.1:80\n"

struct owner {
	struct h2_conn c;
	struct bytes log;
	uint32_t last_data; /* stream whose DATA entry is open */
	bool consume;	    /* at once */
	bool answer;	    /* 200 at once */
	bool refuse;
	bool echo_end;	    /* END_STREAM for END_STREAM */
	bool detach_on_data, detach_on_end, reset_all_on_data;
	unsigned n_writable, n_closed, n_goaway, n_settings;
	uint32_t last_code;
	uint64_t ping;
	uint32_t woken[64]; /* ids in order of on_writable */
	struct h2_stream *streams[4096]; /* by id / 2, server and client */
	size_t taken[4096];
};

static inline void owner_log(struct owner *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static inline void owner_log(struct owner *o, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (o->last_data)
		bytes_add(&o->log, ";", 1);
	o->last_data = 0;
	bytes_add(&o->log, text, strlen(text));
}

static inline struct h2_stream *owner_stream(struct owner *o, uint32_t id)
{
	return o->streams[id / 2];
}

static inline void owner_drop(struct owner *o, struct h2_stream *s)
{
	for (size_t i = 0; i < ARRAY_LEN(o->streams); i++)
		if (o->streams[i] == s)
			o->streams[i] = NULL;
	free(s);
}

static inline struct h2_stream *owner_new_stream(void *arg)
{
	struct owner *o = arg;

	return o->refuse ? NULL : calloc(1, sizeof(struct h2_stream));
}

static inline void log_fields(struct owner *o, const struct h2_headers *h)
{
	const struct str f[] = { h->method, h->authority, h->scheme, h->path, h->forwarded,
				 h->baggage, h->traceparent, h->forwarded_network };

	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		if (f[i].p)
			owner_log(o, "[%zu]%.*s ", i, STR_FMT(f[i]));
}

static inline void owner_on_request(void *arg, struct h2_stream *s, const struct h2_headers *h)
{
	struct owner *o = arg;

	s->owner = o;
	o->streams[s->st.id / 2] = s;
	owner_log(o, "request %u ", s->st.id);
	log_fields(o, h);
	owner_log(o, ";");
	if (o->answer)
		assert_int_equal(h2_stream_respond(s, 200, NULL, false), 0);
}

static inline void owner_on_response(void *arg, struct h2_stream *s, const struct h2_headers *h)
{
	owner_log(arg, "response %u %u ", s->st.id, h->status);
	log_fields(arg, h);
	owner_log(arg, ";");
}

static inline void owner_on_data(void *arg, struct h2_stream *s, const uint8_t *p, size_t n)
{
	struct owner *o = arg;

	if (o->last_data != s->st.id) {
		owner_log(o, "data %u ", s->st.id);
		o->last_data = s->st.id;
	}
	bytes_add(&o->log, p, n);
	o->taken[s->st.id / 2] += n;
	if (o->detach_on_data) {
		h2_stream_detach(s);
		owner_drop(o, s);
	} else if (o->reset_all_on_data) {
		for (size_t i = 0; i < ARRAY_LEN(o->streams); i++) {
			if (!o->streams[i])
				continue;
			h2_stream_reset(o->streams[i], H2_CANCEL);
			owner_drop(o, o->streams[i]);
		}
	} else if (o->consume) {
		h2_stream_consumed(s, n);
	}
}

static inline void owner_on_end(void *arg, struct h2_stream *s)
{
	struct owner *o = arg;

	owner_log(o, "end %u;", s->st.id);
	if (o->detach_on_end) {
		h2_stream_detach(s);
		owner_drop(o, s);
	} else if (o->echo_end) {
		assert_int_equal(h2_stream_end(s), 0);
		if (!s->conn)
			owner_drop(o, s);
	}
}

static inline void owner_on_closed(void *arg, struct h2_stream *s, uint32_t code)
{
	struct owner *o = arg;

	owner_log(o, "closed %u %s;", s->st.id, h2_error_name(code));
	o->n_closed++;
	o->last_code = code;
	owner_drop(o, s);
}

static inline void owner_on_writable(void *arg, struct h2_stream *s)
{
	struct owner *o = arg;

	owner_log(o, "writable %u;", s->st.id);
	o->woken[o->n_writable++ % ARRAY_LEN(o->woken)] = s->st.id;
}

static inline void owner_on_goaway(void *arg, uint32_t last_id, uint32_t code)
{
	struct owner *o = arg;

	o->n_goaway++;
	owner_log(o, "goaway %u %s;", last_id, h2_error_name(code));
}

static inline void owner_on_settings(void *arg)
{
	((struct owner *)arg)->n_settings++;
	owner_log(arg, "settings;");
}

static inline void owner_on_ping_ack(void *arg, uint64_t opaque)
{
	((struct owner *)arg)->ping = opaque;
	owner_log(arg, "pong;");
}

static const struct h2_conn_ops owner_ops UNUSED = {
	.new_stream = owner_new_stream,
	.on_request = owner_on_request,
	.on_response = owner_on_response,
	.on_data = owner_on_data,
	.on_end = owner_on_end,
	.on_closed = owner_on_closed,
	.on_writable = owner_on_writable,
	.on_goaway = owner_on_goaway,
	.on_settings = owner_on_settings,
	.on_ping_ack = owner_on_ping_ack,
};

static inline struct owner *owner_new(bool server, const struct h2_limits *limits)
{
	struct owner *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	assert_int_equal(h2_conn_init(&o->c, server, limits, &owner_ops, o), 0);
	return o;
}

static inline void owner_free(struct owner *o)
{
	h2_conn_fini(&o->c);
	for (size_t i = 0; i < ARRAY_LEN(o->streams); i++)
		free(o->streams[i]);
	bytes_free(&o->log);
	free(o);
}

static inline int owner_feed(struct owner *o, const struct bytes *b)
{
	return h2_conn_input(&o->c, b->p, b->n);
}

/* Feeds and forgets the bytes. */
static inline int owner_feed_all(struct owner *o, struct bytes *b)
{
	int r = owner_feed(o, b);

	b->n = 0;
	return r;
}

static inline void owner_flush(struct owner *o, struct bytes *to)
{
	size_t n;
	const uint8_t *p = h2_conn_output(&o->c, &n);

	if (to)
		bytes_add(to, p, n);
	h2_conn_output_done(&o->c, n);
}

static inline bool owner_saw(struct owner *o, const char *what)
{
	return memmem(o->log.p, o->log.n, what, strlen(what)) != NULL;
}

/* What a client or a server says first, plus the ACK of our SETTINGS. */
static inline void put_hello(struct bytes *b, bool from_client)
{
	if (from_client)
		bytes_add(b, H2_PREFACE, H2_PREFACE_LEN);
	put_frame(b, H2_SETTINGS, 0, 0, NULL, 0);
	put_frame(b, H2_SETTINGS, H2_FLAG_ACK, 0, NULL, 0);
}

/* Field blocks of a peer that obeys our table size of 0: the first one must say so. */
static inline void put_first_request(struct bytes *b, uint32_t id, uint8_t flags,
				     const char *lines)
{
	struct bytes block = { 0 };

	bytes_add(&block, "\x20", 1);
	put_block(&block, lines);
	put_frame(b, H2_HEADERS, flags | H2_FLAG_END_HEADERS, id, block.p, block.n);
	bytes_free(&block);
}

/* The n-th frame of a type (and stream; 0: any) in our output; false when there is none. */
static inline bool find_frame(const struct bytes *out, uint8_t type, uint32_t id, unsigned nth,
			      struct h2_frame *ret, const uint8_t **ret_p)
{
	size_t at = out->n >= H2_PREFACE_LEN && !memcmp(out->p, H2_PREFACE, H2_PREFACE_LEN) ?
			    H2_PREFACE_LEN : 0;

	while (at + H2_FRAME_HEADER <= out->n) {
		struct h2_frame f;

		h2_frame_parse(out->p + at, &f);
		if (f.type == type && (!id || f.id == id) && nth-- == 0) {
			*ret = f;
			*ret_p = out->p + at + H2_FRAME_HEADER;
			return true;
		}
		at += H2_FRAME_HEADER + f.len;
	}
	return false;
}

/* connection window = free + given back soon + held + still in the frame under way */
static inline void assert_windows_balance(struct owner *o)
{
	uint64_t sum = (uint64_t)o->c.st.recv_window + o->c.st.unacked + o->c.st.data_left +
		       o->c.st.pad_left;
	uint64_t grown = 0;

	hmap_for_each(node, &o->c.streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, by_id);
		uint64_t own = (uint64_t)s->st.recv_window + s->st.unacked + s->st.held;

		if (o->c.st.data_stream == s->st.id)
			own += o->c.st.data_left + o->c.st.pad_left;
		assert_in_range(own, o->c.st.stream_window, o->c.limits.stream_window_max);
		grown += own - o->c.st.stream_window;
		sum += s->st.held;
	}
	assert_int_equal(sum, o->c.st.conn_window);
	assert_int_equal(grown, o->c.grown);
	assert_true(grown + (uint64_t)o->c.limits.max_streams * o->c.st.stream_window <=
		    o->c.st.conn_window);
}
