// SPDX-License-Identifier: Apache-2.0
/*
 * What field blocks mean: requests, responses and trailers in, CONNECT and its answers out,
 * with the rules of RFC 9113 sections 8.2, 8.3 and 8.5. Of the fields only those of struct
 * h2_headers are kept, the first of each name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "h2/internal.h"

#define FIELD_OVERHEAD 32 /* RFC 9113 section 6.5.2, for the size of a field list */

/* A field block on its way into struct h2_headers. */
struct sink {
	struct h2_headers h;
	char *text; /* of H2_HPACK_TEXT bytes */
	size_t used, list_size;
	struct str status;
	bool too_large, malformed, regular_seen, pseudo_seen, request;
};

struct known {
	struct str name;
	size_t at;
};

static const struct known kept[] = {
	{ { "forwarded", 9 }, offsetof(struct h2_headers, forwarded) },
	{ { "baggage", 7 }, offsetof(struct h2_headers, baggage) },
	{ { "traceparent", 11 }, offsetof(struct h2_headers, traceparent) },
	{ { "x-forwarded-network", 19 }, offsetof(struct h2_headers, forwarded_network) },
};

static const struct known request_pseudo[] = {
	{ { ":method", 7 }, offsetof(struct h2_headers, method) },
	{ { ":scheme", 7 }, offsetof(struct h2_headers, scheme) },
	{ { ":authority", 10 }, offsetof(struct h2_headers, authority) },
	{ { ":path", 5 }, offsetof(struct h2_headers, path) },
};

static const struct known *known_find(const struct known *t, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(t[i].name, name))
			return &t[i];
	return NULL;
}

static struct str *known_at(const struct h2_headers *h, const struct known *k)
{
	return (struct str *)(uintptr_t)((const char *)h + k->at);
}

static struct str sink_keep(struct sink *k, struct str s)
{
	char *at = k->text + k->used;

	if (s.n)
		memcpy(at, s.p, s.n);
	k->used += s.n;
	return (struct str){ at, s.n };
}

static void sink_pseudo(struct sink *k, struct str name, struct str value)
{
	const struct known *p;
	struct str *at;

	if (!k->request) {
		if (!str_eq(name, STR(":status")) || k->status.p)
			k->malformed = true;
		else
			k->status = sink_keep(k, value);
		return;
	}
	p = known_find(request_pseudo, ARRAY_LEN(request_pseudo), name);
	at = p ? known_at(&k->h, p) : NULL;
	if (!at || at->p)
		k->malformed = true;
	else
		*at = sink_keep(k, value);
}

static bool field_is_of_connection(struct str name, struct str value)
{
	static const struct str names[] = {
		{ "connection", 10 }, { "proxy-connection", 16 }, { "keep-alive", 10 },
		{ "transfer-encoding", 17 }, { "upgrade", 7 },
	};

	if (str_eq(name, STR("te")))
		return !str_eq_nocase(value, STR("trailers"));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static void sink_regular(struct sink *k, struct str name, struct str value)
{
	const struct known *f = known_find(kept, ARRAY_LEN(kept), name);
	struct str *at;

	k->regular_seen = true;
	if (!nghttp2_check_header_name((const uint8_t *)name.p, name.n) ||
	    field_is_of_connection(name, value)) {
		k->malformed = true;
		return;
	}
	at = f ? known_at(&k->h, f) : NULL;
	if (at && !at->p)
		*at = sink_keep(k, value);
}

static bool value_is_valid(struct str v)
{
	return nghttp2_check_header_value_rfc9113((const uint8_t *)v.p, v.n);
}

static void sink_field(void *arg, struct str name, struct str value)
{
	struct sink *k = arg;

	/* The list must be decoded to its end in any case, for the sake of the table. */
	k->list_size += name.n + value.n + FIELD_OVERHEAD;
	if (k->list_size > H2_HEADERS_MAX)
		k->too_large = true;
	if (k->too_large || k->malformed)
		return;
	if (!value_is_valid(value)) {
		k->malformed = true;
	} else if (name.n && name.p[0] == ':') {
		k->pseudo_seen = true;
		if (k->regular_seen)
			k->malformed = true;
		else
			sink_pseudo(k, name, value);
	} else {
		sink_regular(k, name, value);
	}
}

static int block_decode(struct h2_conn *c, const uint8_t *p, size_t n, struct sink *k)
{
	enum h2_table t = H2_TABLE_DEFAULT;
	int r = conn_hpack(c);

	if (r < 0)
		return conn_fail_mem(c);
	if (c->st.settings_acked)
		t = c->st.table_zero ? H2_TABLE_ZERO : H2_TABLE_SHRINK;
	k->text = h2_hpack_text(c->hpack);
	k->request = c->st.server;
	r = h2_hpack_decode(c->hpack, t, p, n, sink_field, k);
	if (r == -ENOMEM)
		return conn_fail_mem(c);
	if (r < 0)
		return h2_conn_break(c, H2_COMPRESSION_ERROR, "field block does not decode");
	c->st.table_zero = c->st.settings_acked;
	return 0;
}

/* RFC 9113 sections 8.3.1 and 8.5. */
static bool request_is_wellformed(const struct sink *k)
{
	const struct h2_headers *h = &k->h;

	if (k->malformed || !h->method.n)
		return false;
	if (!nghttp2_check_method((const uint8_t *)h->method.p, h->method.n))
		return false;
	if (h->authority.p &&
	    !nghttp2_check_authority((const uint8_t *)h->authority.p, h->authority.n))
		return false;
	if (str_eq(h->method, STR("CONNECT")))
		return h->authority.n && !h->scheme.p && !h->path.p;
	return h->scheme.n && h->path.n;
}

static int request_open(struct h2_conn *c, uint32_t id, bool end, const struct sink *k)
{
	const struct h2_stream_state st = {
		.id = id,
		/* Known to on_request already: an answer to all of a request closes the stream. */
		.phase = end ? H2_HALF_REMOTE : H2_OPEN,
		.got_headers = 1,
		.send_window = (int32_t)c->st.peer_initial_window,
		.recv_window = c->st.stream_window,
	};
	struct h2_stream *s;

	if (c->st.goaway_sent || c->n_streams >= c->limits.max_streams)
		return stream_error(c, id, H2_REFUSED_STREAM);
	if (c->out_n > H2_OUT_MAX)
		return h2_conn_break(c, H2_ENHANCE_YOUR_CALM, "peer sends requests and reads nothing");
	s = c->ops->new_stream(c->arg);
	if (!s)
		return stream_error(c, id, H2_REFUSED_STREAM);
	if (stream_attach(c, s, &st) < 0) {
		conn_fail_mem(c);
		s->st.phase = H2_CLOSED;
		if (c->ops->on_closed)
			c->ops->on_closed(c->arg, s, H2_INTERNAL_ERROR);
		return c->broken;
	}
	c->ops->on_request(c->arg, s, &k->h);
	s = end ? stream_find(c, id) : NULL;
	if (s)
		stream_remote_end(s);
	return 0;
}

static int request_received(struct h2_conn *c, uint32_t id, uint32_t dep, bool end,
			    const struct sink *k)
{
	if (!stream_id_is_idle(c, id)) {
		/* Trailers that were under way when we reset the stream; once. */
		if (stream_was_reset(c, id))
			return conn_glitch(c, 1);
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "stream id does not grow");
	}
	if (!(id & 1))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "even stream id from a client");
	c->st.last_peer_id = id;
	if (k->too_large)
		return stream_error(c, id, H2_ENHANCE_YOUR_CALM);
	if (dep == id || !request_is_wellformed(k))
		return stream_error(c, id, H2_PROTOCOL_ERROR);
	return request_open(c, id, end, k);
}

/* 100..999, or 0. */
static unsigned status_parse(struct str s)
{
	unsigned v = 0;

	if (s.n != 3 || s.p[0] == '0')
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
		v = v * 10 + (unsigned)(s.p[i] - '0');
	}
	return v;
}

static int response_received(struct h2_conn *c, struct h2_stream *s, bool end, struct sink *k)
{
	const uint32_t id = s->st.id;

	k->h.status = status_parse(k->status);
	/* HTTP/2 has no 101, and an interim response cannot be the last word. */
	if (k->malformed || !k->h.status || k->h.status == 101 || (k->h.status < 200 && end))
		return stream_error(c, id, H2_PROTOCOL_ERROR);
	if (k->h.status < 200)
		return conn_glitch(c, 1);
	s->st.got_headers = 1;
	c->n_exchange--;
	c->ops->on_response(c->arg, s, &k->h);
	s = end ? stream_find(c, id) : NULL;
	if (s)
		stream_remote_end(s);
	return 0;
}

int headers_received(struct h2_conn *c, uint32_t id, uint32_t dep, bool end, const uint8_t *p,
		     size_t n)
{
	struct sink k = { 0 };
	struct h2_stream *s;
	int r = block_decode(c, p, n, &k);

	if (r < 0)
		return r;
	s = stream_find(c, id);
	if (!s && c->st.server)
		return request_received(c, id, dep, end, &k);
	if (!s && stream_id_is_idle(c, id))
		return h2_conn_break(c, H2_PROTOCOL_ERROR, "HEADERS on an idle stream");
	if (!s)
		return stream_was_reset(c, id) ? 0 : stream_error(c, id, H2_STREAM_CLOSED);
	if (s->st.phase == H2_HALF_REMOTE || s->st.phase == H2_CLOSED)
		return stream_error(c, id, H2_STREAM_CLOSED);
	if (k.too_large)
		return stream_error(c, id, H2_ENHANCE_YOUR_CALM);
	if (dep == id)
		return stream_error(c, id, H2_PROTOCOL_ERROR);
	if (!s->st.got_headers)
		return response_received(c, s, end, &k);
	/* Trailers: nothing in them is for us. */
	if (!end || k.malformed || k.pseudo_seen)
		return stream_error(c, id, H2_PROTOCOL_ERROR);
	stream_remote_end(s);
	return 0;
}

static bool field_add(struct h2_field *f, size_t *n, struct str name, struct str value)
{
	if (!value.p)
		return true;
	f[(*n)++] = (struct h2_field){ name, value };
	return value_is_valid(value);
}

static bool fields_add_kept(struct h2_field *f, size_t *n, const struct h2_headers *h)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		ok = field_add(f, n, kept[i].name, *known_at(h, &kept[i])) && ok;
	return ok;
}

/* Queues one HEADERS frame. */
static int queue_headers(struct h2_conn *c, uint32_t id, bool end, const struct h2_field *f,
			 size_t n_fields)
{
	struct h2_frame frame = {
		.type = H2_HEADERS,
		.flags = H2_FLAG_END_HEADERS | (end ? H2_FLAG_END_STREAM : 0),
		.id = id,
	};
	size_t bound = h2_hpack_bound(f, n_fields);
	ssize_t n;
	uint8_t *b;

	/* Never more than the smallest maximum of a frame: no CONTINUATION from us. */
	if (bound > H2_FRAME_MAX)
		return -EINVAL;
	if (conn_hpack(c) < 0)
		return -ENOMEM;
	b = conn_queue(c, H2_FRAME_HEADER + bound);
	if (!b)
		return -ENOMEM;
	n = h2_hpack_encode(c->hpack, f, n_fields, b + H2_FRAME_HEADER, bound);
	c->out_n -= H2_FRAME_HEADER + bound;
	if (n < 0)
		return (int)n;
	frame.len = (uint32_t)n;
	h2_frame_format(b, &frame);
	c->out_n += H2_FRAME_HEADER + (size_t)n;
	return 0;
}

int h2_conn_connect(struct h2_conn *c, struct h2_stream *s, const struct h2_headers *h)
{
	struct h2_field f[ARRAY_LEN(request_pseudo) + ARRAY_LEN(kept)];
	struct h2_headers req = *h;
	size_t n = 0;
	bool ok = true;
	int r;

	if (!h2_conn_can_open(c))
		return -EAGAIN;
	if (!req.method.p)
		req.method = STR("CONNECT");
	for (size_t i = 0; i < ARRAY_LEN(request_pseudo); i++)
		ok = field_add(f, &n, request_pseudo[i].name, *known_at(&req, &request_pseudo[i])) &&
		     ok;
	if (!fields_add_kept(f, &n, h) || !ok)
		return -EINVAL;
	r = stream_attach(c, s, &(struct h2_stream_state){
		.id = c->st.next_id,
		.phase = H2_OPEN,
		.sent_headers = 1,
		.send_window = (int32_t)c->st.peer_initial_window,
		.recv_window = c->st.stream_window,
	});
	if (r < 0)
		return r;
	r = queue_headers(c, s->st.id, false, f, n);
	if (r < 0) {
		stream_unlink(s);
		s->st = (struct h2_stream_state){ 0 };
		return r;
	}
	c->st.next_id += 2;
	return 0;
}

int h2_stream_respond(struct h2_stream *s, unsigned status, const struct h2_headers *h, bool end)
{
	struct h2_field f[1 + ARRAY_LEN(kept)];
	struct h2_conn *c = s->conn;
	char text[16];
	size_t n = 0;
	int r;

	if (!c || c->broken || s->st.phase == H2_CLOSED)
		return -EPIPE;
	if (!c->st.server || s->st.sent_headers || status < 200 || status > 599)
		return -EINVAL;
	snprintf(text, sizeof(text), "%u", status);
	field_add(f, &n, STR(":status"), str_of(text));
	if (h && !fields_add_kept(f, &n, h))
		return -EINVAL;
	r = queue_headers(c, s->st.id, end, f, n);
	if (r < 0)
		return r;
	s->st.sent_headers = 1;
	c->n_exchange--;
	conn_forgive(c, 1);
	if (end)
		stream_local_end(s);
	conn_trim(c);
	return 0;
}
