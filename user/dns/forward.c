// SPDX-License-Identifier: Apache-2.0
/*
 * A query goes on to a nameserver over UDP, byte for byte, and so does what comes back. Each has a
 * socket of its own: a fresh port of the kernel's choice, connected, so that an answer comes from the
 * nameserver and no other address; and it must have the query's id and question. What comes from
 * elsewhere, or is no answer to it, is not passed on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "dns/priv.h"

#define HEAD_MAX (DNS_HEADER + DNS_NAME_MAX + 2 + 4) /* header and question */

struct query {
	struct list node;
	struct dns_pod *p;
	enum dns_socket via;
	int fd;
	struct watch watch;
	struct timer deadline;
	struct weft_ep client;
	struct weft_addr asked; /* the address of ours that the client takes for the nameserver */
	struct dns_series *series;
	uint64_t begin_ns;
	size_t n;
	char head[HEAD_MAX]; /* of the query */
};

static void query_free(struct query *q)
{
	watch_del(&q->watch);
	timer_cancel(&q->deadline);
	own_close(&q->fd);
	list_del(&q->node);
	q->p->n_queries--;
	free(q);
}

static void query_fail(struct query *q)
{
	atomic_fetch_add_explicit(&q->series->failures, 1, memory_order_relaxed);
	query_free(q);
}

/* Silent as the nameserver is: the client has a clock of its own. */
static void on_deadline(void *arg)
{
	query_fail(arg);
}

/* The nameserver cannot be reached: the client's next one shall have its turn. */
static void refuse(struct query *q)
{
	struct dns_worker *w = q->p->w;
	size_t n = dnsmsg_refuse(w->out, sizeof(w->out), (struct str){ q->head, q->n }, DNS_SERVFAIL);

	atomic_fetch_add_explicit(&q->series->failures, 1, memory_order_relaxed);
	if (n)
		udp_send(q->p->o.fd[q->via], w->out, n, &q->client, &q->asked);
	query_free(q);
}

static void on_answer(void *arg, uint32_t events)
{
	struct query *q = arg;
	struct dns_worker *w = q->p->w;
	ssize_t n;

	(void)events;
	while ((n = recv(q->fd, w->out, sizeof(w->out), 0)) >= 0) {
		struct str msg = { (const char *)w->out, (size_t)n };

		if (!dnsmsg_is_reply((struct str){ q->head, q->n }, msg))
			continue;
		dnscount_time_any(q->series, clock_mono_ns() - q->begin_ns);
		udp_send(q->p->o.fd[q->via], w->out, msg.n, &q->client, &q->asked);
		query_free(q);
		return;
	}
	if (errno != EAGAIN && errno != EINTR)
		refuse(q);
}

static int mark(int fd, void *arg)
{
	const struct query *q = arg;

	return q->p->w->sh->mark(q->p->w->sh->arg, fd, false, q->p->o.rules);
}

static int query_send(struct query *q, struct str msg)
{
	const struct udp_opts o = { .netns_fd = q->p->o.netns_fd, .prepare = mark, .prepare_arg = q };
	struct weft_ep server;
	int r = dns_pod_server(q->p, &q->asked, &q->client, &server);

	if (r < 0)
		return r;
	q->fd = udp_connect(&o, &server);
	if (q->fd < 0)
		return q->fd;
	r = watch_add(q->p->w->loop, &q->watch, q->fd, EPOLLIN, on_answer, q);
	if (r == 0 && send(q->fd, msg.p, msg.n, MSG_NOSIGNAL) < 0)
		r = -errno;
	return r;
}

int dns_forward(struct dns_pod *p, enum dns_socket via, const struct udp_packet *from,
		struct str msg, struct dns_series *s)
{
	struct query *q;
	int r;

	/* What has no header has no id to be answered by. */
	if (msg.n < DNS_HEADER)
		return -EBADMSG;
	atomic_fetch_add_explicit(&s->upstream, 1, memory_order_relaxed);
	q = p->n_queries < DNS_QUERIES_MAX ? calloc(1, sizeof(*q)) : NULL;
	if (!q) {
		atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
		return p->n_queries < DNS_QUERIES_MAX ? -ENOMEM : -EBUSY;
	}
	*q = (struct query){ .p = p,
			     .via = via,
			     .fd = -1,
			     .client = from->from,
			     .asked = from->to,
			     .series = s,
			     .begin_ns = clock_mono_ns(),
			     .n = msg.n < HEAD_MAX ? msg.n : HEAD_MAX };
	memcpy(q->head, msg.p, q->n);
	list_add_tail(&p->queries, &q->node);
	p->n_queries++;
	r = query_send(q, msg);
	if (r < 0) {
		query_fail(q);
		return r;
	}
	timer_set(p->w->loop, &q->deadline, DNS_FORWARD_S * NS_PER_S, on_deadline, q);
	return 0;
}

void dns_queries_drop(struct dns_pod *p)
{
	while (!list_empty(&p->queries))
		query_free(list_first(&p->queries, struct query, node));
}
