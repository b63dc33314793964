// SPDX-License-Identifier: Apache-2.0
/*
 * nghttp2 over a link; see sess.h. Requests are streams of the session, each with a queue of
 * what is to be sent. A failure anywhere ends up in sess_fail(): the session answers nothing
 * any more, and a deferred task closes the requests and tells the owner.
 */
#include "h2/sess.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/errbuf.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/vec.h"
#include "h2/link.h"
#include "io/loop.h"

#define READ_BYTES (32u << 10)
#define READ_BUDGET (256u << 10) /* per turn: about a millisecond of decoding */
#define STREAM_WINDOW (1 << 20)
#define SESSION_WINDOW (4 << 20)
#define BODY_MAX (64u << 20)
#define HEADERS_MAX (64u << 10)

#define PING_AFTER_NS (30 * NS_PER_S)
#define PING_WAIT_NS (10 * NS_PER_S)

struct h2_request {
	struct list node; /* of sess.requests */
	struct sess *s;
	int32_t id;
	const struct h2_request_ops *ops;
	void *arg;
	VEC(char) body;
	size_t sent; /* of body */
	bool ended;  /* nothing is added to body any more */
	size_t header_bytes;
};

struct sess {
	struct loop *loop;
	const struct sess_ops *ops;
	void *arg;
	struct h2_link *link;
	nghttp2_session *ng;
	struct list requests;
	struct timer ping;
	struct task flush, more, down;
	uint64_t heard_ns; /* when the last byte came */
	uint64_t received;
	bool pinged, up, goaway, failed;
	const uint8_t *out; /* of nghttp2, not yet written */
	size_t n_out;
	struct errbuf why;
};

static void request_close(struct h2_request *q, uint32_t h2_error)
{
	list_del(&q->node);
	if (q->ops)
		q->ops->on_close(q->arg, h2_error);
	vec_fini(&q->body);
	free(q);
}

static void report_down(void *arg)
{
	struct sess *s = arg;
	struct h2_request *q;

	/* Whoever is told may cancel others. */
	while ((q = list_first(&s->requests, struct h2_request, node))) {
		nghttp2_session_set_stream_user_data(s->ng, q->id, NULL);
		request_close(q, NGHTTP2_INTERNAL_ERROR);
	}
	s->ops->on_down(s->arg, s->why.text);
}

static void sess_fail(struct sess *s, const char *why)
{
	if (s->failed)
		return;
	s->failed = true;
	s->up = false;
	errbuf_set(&s->why, 0, "%s", why && why[0] ? why : "out of memory");
	timer_cancel(&s->ping);
	task_cancel(&s->flush);
	task_cancel(&s->more);
	link_want_write(s->link, false);
	task_defer(s->loop, &s->down, report_down, s);
}

/* ---- writing ---- */

static void sess_flush(void *arg)
{
	struct sess *s = arg;

	while (!s->failed) {
		ssize_t n;

		if (!s->n_out) {
			n = nghttp2_session_mem_send(s->ng, &s->out);
			if (n < 0)
				sess_fail(s, nghttp2_strerror((int)n));
			if (n <= 0)
				break;
			s->n_out = (size_t)n;
		}
		n = link_write(s->link, s->out, s->n_out);
		if (n == -EAGAIN) {
			link_want_write(s->link, true);
			return;
		}
		if (n < 0) {
			sess_fail(s, link_error(s->link));
			return;
		}
		s->out += n;
		s->n_out -= (size_t)n;
	}
	if (s->failed)
		return;
	link_want_write(s->link, false);
	/* After a GOAWAY and the last stream, or an error that was told to the server. */
	if (!nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng))
		sess_fail(s, "the server ended the session");
}

static void flush_later(struct sess *s)
{
	if (!s->failed && s->up)
		task_defer(s->loop, &s->flush, sess_flush, s);
}

static ssize_t on_body(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
		       nghttp2_data_source *source, void *arg)
{
	struct h2_request *q = nghttp2_session_get_stream_user_data(ng, id);
	size_t n;

	(void)source;
	(void)arg;
	if (!q)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = q->body.n - q->sent;
	if (!n && !q->ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n > cap)
		n = cap;
	if (n)
		memcpy(buf, q->body.p + q->sent, n);
	q->sent += n;
	if (q->sent == q->body.n) {
		vec_fini(&q->body);
		q->sent = 0;
		if (q->ended)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
	}
	return (ssize_t)n;
}

/* ---- reading ---- */

static void sess_read(void *arg)
{
	struct sess *s = arg;
	uint8_t buf[READ_BYTES];
	size_t budget = READ_BUDGET;

	while (budget && !s->failed) {
		ssize_t n = link_read(s->link, buf, sizeof(buf)), used;

		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			sess_fail(s, n == 0 ? "the server closed the connection"
					    : link_error(s->link));
			return;
		}
		s->heard_ns = loop_now(s->loop);
		used = nghttp2_session_mem_recv(s->ng, buf, (size_t)n);
		if (used < 0) {
			sess_fail(s, nghttp2_strerror((int)used));
			return;
		}
		budget -= (size_t)n < budget ? (size_t)n : budget;
	}
	/* TLS may hold bytes that the socket does not show any more. */
	if (!budget && !s->failed)
		task_defer(s->loop, &s->more, sess_read, s);
	flush_later(s);
}

static void on_link_ready(void *arg)
{
	struct sess *s = arg;

	if (s->failed)
		return;
	sess_read(s);
	sess_flush(s);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
		     size_t n_name, const uint8_t *value, size_t n_value, uint8_t flags, void *arg)
{
	struct h2_request *q = nghttp2_session_get_stream_user_data(ng, frame->hd.stream_id);

	(void)flags;
	(void)arg;
	if (!q)
		return 0;
	q->header_bytes += n_name + n_value;
	if (q->header_bytes > HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	q->ops->on_header(q->arg, (struct str){ (const char *)name, n_name },
			  (struct str){ (const char *)value, n_value });
	return 0;
}

static int on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
		    void *arg)
{
	struct h2_request *q = nghttp2_session_get_stream_user_data(ng, id);
	struct sess *s = arg;

	(void)flags;
	s->received += n;
	if (q && q->ops->on_data(q->arg, p, n) < 0)
		nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t h2_error, void *arg)
{
	struct h2_request *q = nghttp2_session_get_stream_user_data(ng, id);

	(void)arg;
	if (q)
		request_close(q, h2_error);
	return 0;
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
	struct sess *s = arg;

	(void)ng;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		s->goaway = true;
	return 0;
}

/* ---- life ---- */

static void on_ping(void *arg)
{
	struct sess *s = arg;
	uint64_t silent = loop_now(s->loop) - s->heard_ns;

	if (silent < PING_AFTER_NS) {
		s->pinged = false;
		timer_set(s->loop, &s->ping, PING_AFTER_NS - silent, on_ping, s);
		return;
	}
	if (s->pinged) {
		sess_fail(s, "the server does not answer any more");
		return;
	}
	s->pinged = true;
	if (nghttp2_submit_ping(s->ng, NGHTTP2_FLAG_NONE, NULL) < 0) {
		sess_fail(s, NULL);
		return;
	}
	timer_set(s->loop, &s->ping, PING_WAIT_NS, on_ping, s);
	flush_later(s);
}

static int make_session(struct sess *s)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX },
	};
	nghttp2_session_callbacks *cb;
	int r = nghttp2_session_callbacks_new(&cb);

	if (r < 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	r = nghttp2_session_client_new(&s->ng, cb, s);
	nghttp2_session_callbacks_del(cb);
	if (r == 0)
		r = nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings));
	if (r == 0)
		r = nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0,
							  SESSION_WINDOW);
	return r < 0 ? -ENOMEM : 0;
}

static void on_link_up(void *arg)
{
	struct sess *s = arg;

	if (make_session(s) < 0) {
		sess_fail(s, NULL);
		return;
	}
	s->up = true;
	s->heard_ns = loop_now(s->loop);
	timer_set(s->loop, &s->ping, PING_AFTER_NS, on_ping, s);
	flush_later(s);
	s->ops->on_up(s->arg);
}

static void on_link_failed(void *arg, const char *why)
{
	sess_fail(arg, why);
}

int sess_open(struct loop *loop, const struct sess_opts *o, const struct sess_ops *ops, void *arg,
	      struct sess **ret)
{
	static const struct h2_link_ops link_ops = { .on_up = on_link_up,
						     .on_ready = on_link_ready,
						     .on_failed = on_link_failed };
	cleanup_with(sess_free) struct sess *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->ops = ops;
	s->arg = arg;
	list_init(&s->requests);
	r = link_open(loop, o, &link_ops, s, &s->link);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void sess_free(struct sess **ps)
{
	struct sess *s = TAKE_PTR(*ps);

	if (!s)
		return;
	if (s->up && !s->failed) {
		nghttp2_session_terminate_session(s->ng, NGHTTP2_NO_ERROR);
		sess_flush(s);
	}
	timer_cancel(&s->ping);
	task_cancel(&s->flush);
	task_cancel(&s->more);
	task_cancel(&s->down);
	list_for_each_safe(n, &s->requests) {
		struct h2_request *q = list_entry(n, struct h2_request, node);

		q->ops = NULL;
		if (s->ng)
			nghttp2_session_set_stream_user_data(s->ng, q->id, NULL);
		request_close(q, 0);
	}
	nghttp2_session_del(s->ng);
	link_free(&s->link);
	free(s);
}

bool sess_usable(const struct sess *s)
{
	return s->up && !s->failed && !s->goaway;
}

bool sess_ended(const struct sess *s)
{
	return s->failed || s->goaway;
}

const char *sess_peer(const struct sess *s)
{
	return link_peer(s->link);
}

uint64_t sess_received(const struct sess *s)
{
	return s->received;
}

/* ---- requests ---- */

int h2_request_open(struct sess *s, const struct h2_header *headers, size_t n,
		    const struct h2_request_ops *ops, void *arg, struct h2_request **ret)
{
	nghttp2_data_provider body = { .read_callback = on_body };
	nghttp2_nv nv[32];
	struct h2_request *q;

	if (!sess_usable(s))
		return -ENOTCONN;
	if (n > ARRAY_LEN(nv))
		return -E2BIG;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		nv[i] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)headers[i].name,
				      .namelen = strlen(headers[i].name),
				      .value = (uint8_t *)(uintptr_t)headers[i].value,
				      .valuelen = strlen(headers[i].value) };
	q->s = s;
	q->ops = ops;
	q->arg = arg;
	q->id = nghttp2_submit_request(s->ng, NULL, nv, n, &body, q);
	if (q->id < 0) {
		free(q);
		return -EPROTO;
	}
	list_add_tail(&s->requests, &q->node);
	flush_later(s);
	*ret = q;
	return 0;
}

int h2_request_send(struct h2_request *q, struct str body, bool end)
{
	if (body.n > BODY_MAX - (q->body.n - q->sent))
		return -EMSGSIZE;
	if (body.n) {
		if (vec_reserve(&q->body, q->body.n + body.n) < 0)
			return -ENOMEM;
		memcpy(q->body.p + q->body.n, body.p, body.n);
		q->body.n += body.n;
	}
	q->ended |= end;
	/* Not deferred is fine: then it is about to be asked for more anyway. */
	nghttp2_session_resume_data(q->s->ng, q->id);
	flush_later(q->s);
	return 0;
}

void h2_request_cancel(struct h2_request **pq)
{
	struct h2_request *q = TAKE_PTR(*pq);
	struct sess *s;

	if (!q)
		return;
	s = q->s;
	q->ops = NULL;
	nghttp2_session_set_stream_user_data(s->ng, q->id, NULL);
	if (!s->failed) {
		nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, q->id, NGHTTP2_CANCEL);
		flush_later(s);
	}
	request_close(q, 0);
}
