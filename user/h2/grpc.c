// SPDX-License-Identifier: Apache-2.0
/*
 * Calls of gRPC; see grpc.h. A call waits for its channel's connection, then is a request of
 * HTTP/2. Whatever ends it sets a status and defers finish(), which is the only place that
 * calls on_done and frees.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "base/vec.h"
#include "h2/grpc_call.h"

#define USER_AGENT "weftd"

static void call_free(struct grpc_call *call)
{
	struct grpc_channel *c = call->channel;

	list_del(&call->node);
	timer_cancel(&call->deadline);
	task_cancel(&call->finish);
	h2_request_cancel(&call->request);
	free(call->waiting.p);
	free(call);
	channel_call_gone(c);
}

static void finish(void *arg)
{
	struct grpc_call *call = arg;
	struct grpc_status st = { .code = (unsigned)call->status, .answered = call->answered };
	const struct grpc_call_ops *ops = call->ops;
	void *user = call->arg;
	char message[sizeof(call->message)];

	snprintf(message, sizeof(message), "%s", call->message);
	st.message = message;
	call_free(call);
	ops->on_done(user, &st);
}

static void call_over(struct grpc_call *call)
{
	if (call->done)
		return;
	call->done = true;
	timer_cancel(&call->deadline);
	task_defer(call->channel->loop, &call->finish, finish, call);
}

void call_fail(struct grpc_call *call, unsigned code, const char *why)
{
	if (call->done)
		return;
	call->status = (int)code;
	snprintf(call->message, sizeof(call->message), "%.255s", why);
	h2_request_cancel(&call->request);
	call_over(call);
}

static void on_deadline(void *arg)
{
	call_fail(arg, GRPC_DEADLINE_EXCEEDED, "no answer in time");
}

/* ---- what the server sends ---- */

static void on_header(void *arg, struct str name, struct str value)
{
	struct grpc_call *call = arg;
	uint32_t n;

	if (str_eq(name, STR(":status")) && str_to_u32(value, &n) == 0) {
		call->http_status = n;
	} else if (str_eq(name, STR("grpc-status"))) {
		call->status = str_to_u32(value, &n) == 0 && n < 1000 ? (int)n : GRPC_UNKNOWN;
		call->answered = true;
	} else if (str_eq(name, STR("grpc-message"))) {
		grpc_message_decode(call->message, sizeof(call->message), value);
	}
}

static int on_data(void *arg, const void *p, size_t n)
{
	struct grpc_call *call = arg;
	const struct grpc_in_ops ops = { call->ops->on_begin, call->ops->on_bytes, call->ops->on_end };
	int r;

	/* An error page of something in between is no message. */
	if (call->http_status != 200)
		return 0;
	r = grpc_in_feed(&call->in, p, n, call->o.message_max, &ops, call->arg);
	if (r < 0 && call->status < 0) {
		call->status = GRPC_INTERNAL;
		snprintf(call->message, sizeof(call->message), "%s",
			 r == -EMSGSIZE ? "the server's message is too large"
			 : r == -ENOMEM ? "out of memory"
					: "the server's message is broken");
	}
	return r;
}

static void on_close(void *arg, uint32_t h2_error)
{
	struct grpc_call *call = arg;

	call->request = NULL;
	if (call->status < 0) {
		call->status = GRPC_UNAVAILABLE;
		if (call->http_status && call->http_status != 200)
			snprintf(call->message, sizeof(call->message), "HTTP status %u",
				 call->http_status);
		else if (h2_error && call->http_status)
			snprintf(call->message, sizeof(call->message),
				 "the stream was reset, error %u", h2_error);
		else if (!h2_error)
			snprintf(call->message, sizeof(call->message),
				 "the stream ended without a status");
	} else if (call->status == GRPC_OK && !grpc_in_idle(&call->in)) {
		call->status = GRPC_INTERNAL;
		snprintf(call->message, sizeof(call->message), "the last message is cut off");
	}
	call_over(call);
}

/* ---- what we send ---- */

static const struct h2_request_ops request_ops = { .on_header = on_header,
						   .on_data = on_data,
						   .on_close = on_close };

static size_t add_header(struct h2_header *h, size_t n, const char *name, const char *value)
{
	h[n] = (struct h2_header){ name, value };
	return n + 1;
}

static int open_request(struct grpc_call *call, struct errbuf *err)
{
	struct grpc_channel *c = call->channel;
	_free_ char *token = NULL, *bearer = NULL;
	struct h2_header h[24];
	size_t n = 0;
	int r = channel_token(c, err, &token);

	if (r < 0)
		return r;
	n = add_header(h, n, ":method", "POST");
	n = add_header(h, n, ":scheme", c->o.server.plaintext ? "http" : "https");
	n = add_header(h, n, ":authority", c->authority);
	n = add_header(h, n, ":path", call->o.path);
	n = add_header(h, n, "te", "trailers");
	n = add_header(h, n, "content-type", "application/grpc");
	n = add_header(h, n, "user-agent", USER_AGENT);
	if (token[0]) {
		bearer = str_printf("Bearer %s", token);
		if (!bearer)
			return -ENOMEM;
		n = add_header(h, n, "authorization", bearer);
	}
	if (c->o.cluster[0])
		n = add_header(h, n, "clusterid", c->o.cluster);
	for (const struct grpc_header *x = c->o.headers; x && x->name && n < ARRAY_LEN(h); x++)
		n = add_header(h, n, x->name, x->value);
	r = h2_request_open(c->sess, h, n, &request_ops, call, &call->request);
	explicit_bzero(token, strlen(token));
	if (bearer)
		explicit_bzero(bearer, strlen(bearer));
	return r;
}

void call_begin(struct grpc_call *call)
{
	struct errbuf err = { 0 };
	int r;

	if (call->request || call->done)
		return;
	r = open_request(call, &err);
	if (r == 0 && (call->waiting.n || call->waiting_end))
		r = h2_request_send(call->request, (struct str){ call->waiting.p, call->waiting.n },
				    call->waiting_end);
	free(call->waiting.p);
	call->waiting.p = NULL;
	call->waiting.n = call->waiting.cap = 0;
	if (r < 0)
		call_fail(call, GRPC_UNAVAILABLE, err.text[0] ? err.text : log_strerror(r));
}

int grpc_call_start(struct grpc_channel *c, const struct grpc_call_opts *o,
		    const struct grpc_call_ops *ops, void *arg, struct grpc_call **ret)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->channel = c;
	call->o = *o;
	call->ops = ops;
	call->arg = arg;
	call->status = -1;
	list_add_tail(&c->calls, &call->node);
	if (o->deadline_ns)
		timer_set(c->loop, &call->deadline, o->deadline_ns, on_deadline, call);
	channel_call_added(c);
	*ret = call;
	return 0;
}

static int keep_waiting(struct grpc_call *call, struct str bytes)
{
	if (!bytes.n)
		return 0;
	if (vec_grow((void **)&call->waiting.p, &call->waiting.cap, call->waiting.n + bytes.n, 1) < 0)
		return -ENOMEM;
	memcpy(call->waiting.p + call->waiting.n, bytes.p, bytes.n);
	call->waiting.n += bytes.n;
	return 0;
}

int grpc_call_send(struct grpc_call *call, struct str message, bool end)
{
	uint8_t head[GRPC_HEAD];
	struct str framed = { (const char *)head, sizeof(head) };
	int r;

	if (call->done)
		return -EPIPE;
	if (message.n > UINT32_MAX)
		return -EMSGSIZE;
	grpc_head(head, (uint32_t)message.n);
	if (call->request) {
		r = h2_request_send(call->request, framed, false);
		return r < 0 ? r : h2_request_send(call->request, message, end);
	}
	r = keep_waiting(call, framed);
	if (r == 0)
		r = keep_waiting(call, message);
	call->waiting_end |= end;
	return r;
}

void grpc_call_cancel(struct grpc_call **pcall)
{
	struct grpc_call *call = TAKE_PTR(*pcall);

	if (call)
		call_free(call);
}
