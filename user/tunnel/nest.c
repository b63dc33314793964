// SPDX-License-Identifier: Apache-2.0
/*
 * A tunnel inside a stream of another one: to an endpoint in another network, through the gateway in
 * between, which sees the outer one only.
 *
 *   hbone (inner) -- fd | socket pair | fd -- pump -- stream of hbone (outer) -- gateway
 *
 * A pair of sockets, so that the inner tunnel is one like all others, with the same handshake, record
 * layer, back pressure and ends; what it costs is two more copies of bytes that go to another network.
 * Each has its own life: whichever end goes first, what it had sent before is still delivered.
 */
#define LOG_SCOPE "tunnel"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "relay/pump.h"
#include "tunnel/priv.h"

/* From the end of the tunnel inside to that of its stream, if the gateway does not answer. */
#define NEST_LINGER_NS (10 * NS_PER_S)

struct nest {
	struct list node; /* in t->nests */
	struct tunnel *t;
	struct hbone *inner; /* NULL once it has closed its socket */
	struct tunnel_stream *outer; /* NULL once it is over */
	struct pump pump;
	struct timer linger;
	struct task free_later;
	/* The stream failed: so ends the tunnel inside. */
	enum weft_reason why;
	bool again;
	char said[320];
	struct h2_headers req;
	int fd;
	char texts[]; /* of req, which has to live until the stream is open */
};

void nest_free(void *arg)
{
	struct nest *n = arg;

	list_del(&n->node);
	timer_cancel(&n->linger);
	task_cancel(&n->free_later);
	if (n->outer)
		pump_stop(&n->pump, true);
	own_close(&n->fd);
	free(n);
}

/* The stream is over. What it brought is in the socket: the tunnel inside reads it, then the end. */
static void on_done(void *arg, enum weft_reason why)
{
	struct nest *n = arg;

	(void)why;
	n->outer = NULL;
	own_close(&n->fd);
	if (!n->inner)
		task_defer(n->t->loop, &n->free_later, nest_free, n);
}

static void on_open(void *arg)
{
	(void)arg; /* the handshake inside may be under way already */
}

static void on_failed(void *arg)
{
	struct nest *n = arg;
	struct hbone *inner = n->inner;

	if (inner) {
		inner->nest = NULL;
		inner->again = n->again;
		hbone_close(inner, n->why, n->said);
	}
	nest_free(n);
}

/* The gateway was not reached, or did not want it. The tunnel inside ends later in the turn: who closes
 * the one around it may be walking through all of them. */
static void on_fail(void *arg, enum weft_reason why, unsigned status, const char *detail)
{
	struct nest *n = arg;

	pump_stop(&n->pump, false);
	n->outer = NULL;
	n->why = why;
	n->again = status == TUNNEL_TRY_AGAIN;
	snprintf(n->said, sizeof(n->said), "the gateway: %s", detail ? detail : "refused");
	task_defer(n->t->loop, &n->free_later, on_failed, n);
}

static const struct tunnel_stream_ops outer_ops = { .on_open = on_open, .on_fail = on_fail };

static void texts_of(struct h2_headers *h, struct str *ret[5])
{
	ret[0] = &h->method;
	ret[1] = &h->authority;
	ret[2] = &h->forwarded;
	ret[3] = &h->baggage;
	ret[4] = &h->traceparent;
}

static struct nest *nest_new(struct tunnel *t, const struct h2_headers *req)
{
	struct h2_headers own = *req;
	struct str *texts[5];
	struct nest *n;
	size_t all = 0;
	char *at;

	texts_of(&own, texts);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		all += texts[i]->n;
	n = calloc(1, sizeof(*n) + all);
	if (!n)
		return NULL;
	at = n->texts;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!texts[i]->p)
			continue; /* is not sent; an empty one is */
		memcpy(at, texts[i]->p, texts[i]->n);
		texts[i]->p = at;
		at += texts[i]->n;
	}
	own.forwarded_network = (struct str){ 0 };
	n->req = own;
	n->t = t;
	n->fd = -1;
	list_add_tail(&t->nests, &n->node);
	return n;
}

int nest_open(struct tunnel *t, const struct tunnel_dst *d, const struct h2_headers *req,
	      struct nest **ret, int *ret_fd)
{
	struct nest *n = nest_new(t, req);
	const struct pump_opts o = { .on_done = on_done, .arg = n };
	int pair[2], r;

	if (!n)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		nest_free(n);
		return r;
	}
	n->fd = pair[0];
	r = tunnel_dial(t, d->gateway, &n->req, &outer_ops, n, &n->outer);
	if (r == 0) {
		pump_init(&n->pump, t->loop, tunnel_chan(n->outer), &o);
		r = pump_start(&n->pump, n->fd);
	}
	if (r < 0) {
		close(pair[1]);
		nest_free(n);
		return r;
	}
	*ret = n;
	*ret_fd = pair[1];
	return 0;
}

void nest_bind(struct nest *n, struct hbone *inner)
{
	n->inner = inner;
	inner->nest = n;
}

void nest_inner_gone(struct nest *n)
{
	n->inner = NULL;
	if (!n->outer) /* once is enough: on_failed() frees it as well */
		task_defer(n->t->loop, &n->free_later, on_failed, n);
	else
		timer_set(n->t->loop, &n->linger, NEST_LINGER_NS, nest_free, n);
}

void nest_free_all(struct tunnel *t)
{
	while (!list_empty(&t->nests))
		nest_free(list_first(&t->nests, struct nest, node));
}
