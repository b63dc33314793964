// SPDX-License-Identifier: Apache-2.0
/*
 * CONNECT streams as chans. A stream is born here for both roles, has an owner in conn/
 * (ops), becomes a chan once it relays (chan events), and dies by exactly one of: fail,
 * reset, close, cancel.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "tunnel/priv.h"

static struct tunnel_stream *of_h2(struct h2_stream *s)
{
	return container_of(s, struct tunnel_stream, h2);
}

static struct tunnel_stream *of_chan(struct chan *c)
{
	return container_of(c, struct tunnel_stream, chan);
}

static const struct chan_ops stream_chan_ops;

struct tunnel_stream *stream_new(struct hbone *hb)
{
	struct tunnel_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->hb = hb;
	hb->refs++;
	s->chan.ops = &stream_chan_ops;
	list_init(&s->node);
	hb->t->stats.streams++;
	return s;
}

void stream_free(struct tunnel_stream *s)
{
	struct hbone *hb = s->hb;

	if (s->node.next != &s->node && s->req)
		hb->n_waiting--;
	list_del(&s->node);
	if (hb->t->batch == s) {
		hb->t->batch = NULL;
		hb->t->batch_n = 0;
	}
	hb->t->stats.streams--;
	free(s);
	if (hb->refs == 2 && hb->phase == HBONE_READY &&
	    (hb->nest || (hb->t->streams_max && hb->n_dialled >= hb->t->streams_max)))
		hbone_linger(hb);
	hbone_put(hb);
}

void stream_fail(struct tunnel_stream *s, enum weft_reason why, unsigned status,
		 const char *detail)
{
	const struct tunnel_stream_ops *ops = s->ops;
	const struct chan_events *events = s->chan.events;
	void *arg = s->arg, *chan_arg = s->chan.arg;
	bool relaying = s->relaying;

	if (s->sent && !s->closed)
		h2_stream_detach(&s->h2);
	stream_free(s);
	if (relaying)
		events->on_reset(chan_arg, why);
	else if (ops)
		ops->on_fail(arg, why, status, detail);
}

/* ---- chan ---- */

/* A record and its DATA frame each, one behind the other; all but the last are filled to the end
 * if any byte of the next one is used. */
static int slots_reserve(struct hbone *hb, struct iovec *iov, int max, size_t may)
{
	uint8_t *at = hb->out + hb->out_n, *end = hb->out + HBONE_OUT_CAP;
	size_t small;
	int n = 0;

	if (loop_now(hb->t->loop) - hb->last_tx_ns > HBONE_SILENCE_NS)
		hb->small_left = HBONE_BURST;
	small = hb->small_left;
	hb->t->reserved_at = hb->out_n;
	hb->t->reserved_small = 0;
	for (; n < max && may; n++) {
		size_t room = small ? HBONE_SMALL_PAYLOAD : HBONE_PAYLOAD;
		size_t len = may < room ? may : room;

		if ((size_t)(end - at) < room + H2_FRAME_HEADER + RECORD_OVERHEAD)
			break;
		iov[n].iov_base = at + RECORD_HEADER + H2_FRAME_HEADER;
		iov[n].iov_len = len;
		at += room + H2_FRAME_HEADER + RECORD_OVERHEAD;
		may -= len;
		hb->t->reserved_small += small != 0;
		small -= small < room ? small : room;
	}
	return n;
}

static int chan_reserve(struct chan *c, struct iovec *iov, int max)
{
	struct tunnel_stream *s = of_chan(c);
	struct hbone *hb = s->hb;
	/* on_writable comes when the stream is opened, or from the window. */
	size_t may = s->closed || !s->sent ? 0 : h2_stream_sendable(&s->h2);

	if (!may)
		return 0;
	if (!hbone_out_get(hb) || hbone_seal_control(hb) < 0) {
		hbone_close(hb, WEFT_REASON_LIMIT, "cannot seal");
		return 0;
	}
	if (!hbone_out_get(hb))
		return 0;
	if (hbone_out_room(hb) < HBONE_SLOT || hb->h2.out_n) {
		if (list_empty(&s->node))
			list_add_tail(&hb->blocked, &s->node);
		return 0;
	}
	return slots_reserve(hb, iov, max < HBONE_SLOTS ? max : HBONE_SLOTS, may);
}

static void chan_commit(struct chan *c, size_t n)
{
	struct tunnel_stream *s = of_chan(c);
	struct hbone *hb = s->hb;
	uint8_t *rec = hb->out + hb->t->reserved_at;

	if (n)
		hb->last_tx_ns = loop_now(hb->t->loop);
	hb->small_left -= n < hb->small_left ? n : hb->small_left;
	for (int i = 0; n; i++) {
		size_t room = i < hb->t->reserved_small ? HBONE_SMALL_PAYLOAD : HBONE_PAYLOAD;
		size_t len = n < room ? n : room;
		ssize_t sealed;

		h2_stream_data(&s->h2, rec + RECORD_HEADER, len);
		sealed = record_seal(&hb->rec, rec, H2_FRAME_HEADER + len, RECORD_DATA);
		if (sealed < 0) {
			hbone_close(hb, WEFT_REASON_LIMIT, "cannot seal");
			return;
		}
		rec += sealed;
		hb->out_n += (size_t)sealed;
		n -= len;
	}
	/* Also gives an unused buffer back. */
	hbone_flush_later(hb);
}

static void chan_shut(struct chan *c)
{
	struct tunnel_stream *s = of_chan(c);

	s->shut = true;
	if (s->closed || !s->sent)
		return;
	h2_stream_end(&s->h2);
	/* If the peer has ended as well, that was the end, and no on_closed follows. */
	s->closed = s->h2.st.phase == H2_CLOSED;
	hbone_flush_later(s->hb);
}

static void chan_consumed(struct chan *c, size_t n)
{
	struct tunnel_stream *s = of_chan(c);

	if (s->closed)
		return;
	h2_stream_consumed(&s->h2, n);
	hbone_flush_due(s->hb);
}

static void chan_reset(struct chan *c)
{
	struct tunnel_stream *s = of_chan(c);

	if (!s->closed && s->sent) {
		h2_stream_reset(&s->h2, H2_CANCEL);
		hbone_flush_later(s->hb);
	}
	stream_free(s);
}

static void chan_close(struct chan *c)
{
	struct tunnel_stream *s = of_chan(c);

	if (!s->closed && s->sent)
		h2_stream_detach(&s->h2);
	if (s->hb->h2_ready && s->hb->h2.out_n)
		hbone_flush_later(s->hb);
	stream_free(s);
}

static const struct chan_ops stream_chan_ops = {
	.reserve = chan_reserve,
	.commit = chan_commit,
	.shut = chan_shut,
	.consumed = chan_consumed,
	.reset = chan_reset,
	.close = chan_close,
};

/* ---- HTTP/2 events ---- */

static struct h2_stream *on_new_stream(void *arg)
{
	struct tunnel_stream *s;

	/* It is refused, and so may be dialled again, by a new handshake. */
	if (hbone_has_expired(arg)) {
		hbone_retire(arg);
		return NULL;
	}
	s = stream_new(arg);
	if (!s)
		return NULL;
	s->sent = true;
	return &s->h2;
}

static void on_request(void *arg, struct h2_stream *h2s, const struct h2_headers *h)
{
	struct hbone *hb = arg;

	hb->t->ops->on_request(hb->t->arg, of_h2(h2s), h);
}

static void on_response(void *arg, struct h2_stream *h2s, const struct h2_headers *h)
{
	struct tunnel_stream *s = of_h2(h2s);
	char detail[64];

	(void)arg;
	if (h->status == 200) {
		s->relaying = true;
		s->ops->on_open(s->arg);
		return;
	}
	snprintf(detail, sizeof(detail), "the peer answered CONNECT with %u", h->status);
	stream_fail(s, h->status == 401 ? WEFT_REASON_POLICY_DENIED : WEFT_REASON_PEER_REFUSED,
		    h->status, detail);
}

void stream_batch_flush(struct tunnel *t)
{
	struct tunnel_stream *s = t->batch;
	int n = t->batch_n;

	t->batch = NULL;
	t->batch_n = 0;
	if (s && n)
		s->chan.events->on_data(s->chan.arg, t->batch_iov, n);
}

static void on_data(void *arg, struct h2_stream *h2s, const uint8_t *p, size_t n)
{
	struct tunnel_stream *s = of_h2(h2s);
	struct tunnel *t = ((struct hbone *)arg)->t;

	if (!s->chan.events) {
		/* Nobody may send before the answer; a peer that does has lost its bytes. */
		h2_stream_consumed(h2s, n);
		return;
	}
	if (t->batch != s || t->batch_n == (int)ARRAY_LEN(t->batch_iov))
		stream_batch_flush(t);
	if (s->closed)
		return;
	s->early = s->early || !s->relaying;
	t->batch = s;
	t->batch_iov[t->batch_n++] = (struct iovec){ .iov_base = (void *)p, .iov_len = n };
}

static void on_end(void *arg, struct h2_stream *h2s)
{
	struct tunnel_stream *s = of_h2(h2s);

	stream_batch_flush(((struct hbone *)arg)->t);
	s->eof_seen = true;
	if (s->chan.events)
		s->chan.events->on_eof(s->chan.arg);
}

static void on_closed(void *arg, struct h2_stream *h2s, uint32_t code)
{
	struct tunnel_stream *s = of_h2(h2s);
	char detail[96];

	stream_batch_flush(((struct hbone *)arg)->t);
	s->closed = true;
	/* A clean end: the relay delivers what it has and closes the chan itself. If our side has
	 * not ended, the peer wants no more of it (RFC 9113 8.1), and that is the end, too. */
	if (code == H2_NO_ERROR && s->eof_seen && s->shut && s->chan.events)
		return;
	snprintf(detail, sizeof(detail), "the peer reset the stream: %s", h2_error_name(code));
	stream_fail(s, s->relaying ? WEFT_REASON_RESET : WEFT_REASON_PEER_REFUSED,
		    code == H2_REFUSED_STREAM ? TUNNEL_TRY_AGAIN : 0, detail);
}

static void on_writable(void *arg, struct h2_stream *h2s)
{
	struct tunnel_stream *s = of_h2(h2s);

	(void)arg;
	if (s->chan.events)
		s->chan.events->on_writable(s->chan.arg);
}

static void on_goaway(void *arg, uint32_t last_id, uint32_t code)
{
	struct hbone *hb = arg;

	(void)last_id;
	(void)code;
	hb->draining = true;
	pool_remove(hb);
}

static void on_settings(void *arg)
{
	(void)arg;
}

static void on_ping_ack(void *arg, uint64_t opaque)
{
	(void)arg;
	(void)opaque;
}

const struct h2_conn_ops hbone_h2_ops = {
	.new_stream = on_new_stream,
	.on_request = on_request,
	.on_response = on_response,
	.on_data = on_data,
	.on_end = on_end,
	.on_closed = on_closed,
	.on_writable = on_writable,
	.on_goaway = on_goaway,
	.on_settings = on_settings,
	.on_ping_ack = on_ping_ack,
};

/* ---- owners ---- */

void tunnel_stream_claim(struct tunnel_stream *s, const struct tunnel_stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
}

int tunnel_respond(struct tunnel_stream *s, unsigned status, const char *baggage)
{
	struct h2_headers h = { .baggage = str_of(baggage) };
	struct hbone *hb = s->hb;
	int r = s->closed ? -EPIPE : h2_stream_respond(&s->h2, status, &h, status != 200);

	s->closed = s->closed || s->h2.st.phase == H2_CLOSED;
	/* A client that has spoken already waits for what the application says, not for this. */
	if (status == 200 && r == 0 && s->early)
		hbone_flush_soon(hb);
	else
		hbone_flush_later(hb);
	if (status == 200) {
		s->relaying = r == 0;
		return r;
	}
	if (!s->closed)
		h2_stream_detach(&s->h2);
	stream_free(s);
	return r;
}

void tunnel_cancel(struct tunnel_stream **sp)
{
	struct tunnel_stream *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	if (s->sent && !s->closed) {
		h2_stream_reset(&s->h2, H2_CANCEL);
		hbone_flush_later(s->hb);
	}
	stream_free(s);
}

struct chan *tunnel_chan(struct tunnel_stream *s)
{
	return &s->chan;
}

const char *tunnel_peer_uri(const struct tunnel_stream *s)
{
	return s->hb->peer_uri;
}

void *tunnel_local(const struct tunnel_stream *s)
{
	return s->hb->local;
}

void tunnel_addrs(const struct tunnel_stream *s, struct weft_ep *ret_local, struct weft_ep *ret_peer)
{
	*ret_local = s->hb->local_ep;
	*ret_peer = s->hb->peer_ep;
}

/* The connection is up: the streams that waited for it go out, as many as it takes. */
void stream_send_waiting(struct hbone *hb)
{
	while (!list_empty(&hb->waiting)) {
		struct tunnel_stream *s = list_first(&hb->waiting, struct tunnel_stream, node);
		int r = h2_conn_connect(&hb->h2, &s->h2, s->req);

		list_del(&s->node);
		hb->n_waiting--;
		s->req = NULL;
		if (r < 0) {
			stream_fail(s, WEFT_REASON_LIMIT, r == -EAGAIN ? TUNNEL_TRY_AGAIN : 0,
				    "the peer allows no more streams");
			continue;
		}
		s->sent = true;
		/* Bytes of the application may go at once, and its end may have come already. */
		if (s->shut)
			h2_stream_end(&s->h2);
		else if (s->chan.events)
			s->chan.events->on_writable(s->chan.arg);
	}
}
