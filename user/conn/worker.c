// SPDX-License-Identifier: Apache-2.0
/*
 * A worker's connections: its listeners in the pods, accepting, and re-checks after a policy
 * change. Listening sockets are shared by all workers; EPOLLEXCLUSIVE wakes one of them.
 */
#define LOG_SCOPE "conn"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "conn/conn.h"
#include "io/tcp.h"

#define ACCEPT_BATCH 64
#define LOAD_SLACK 2

struct listener {
	struct list node;
	struct conn_worker *w;
	struct conn_local *local;
	enum conn_listen kind;
	int fd;
	struct watch watch;
	struct timer pause;
	unsigned burst, full_bursts; /* connections per wake-up */
};

static void serve(struct conn_worker *w, struct conn_local *local, enum conn_listen kind, int fd,
		  const struct weft_ep *peer)
{
	bool outbound = kind == CONN_LISTEN_OUTBOUND || kind == CONN_LISTEN_HOOKED;
	struct conn *c;

	if (kind == CONN_LISTEN_HBONE) {
		atomic_fetch_add_explicit(&w->n_tunnels, 1, memory_order_relaxed);
		tunnel_serve(w->tunnel, fd, local->identity, conn_local_get(local));
		return;
	}
	c = conn_new(w, outbound ? conn_outbound : conn_plain, local);
	if (!c) {
		close(fd);
		return;
	}
	if (outbound)
		c->fd = fd;
	else
		c->fd2 = fd;
	c->client = *peer;
	conn_run(c);
}

struct handover {
	struct conn_worker *w;
	struct conn_local *local;
	enum conn_listen kind;
	int fd;
	struct weft_ep peer;
};

static void on_handover(void *arg)
{
	struct handover *h = arg;

	serve(h->w, h->local, h->kind, h->fd, &h->peer);
	conn_local_put(&h->local);
	free(h);
}

/* Streams of a tunnel live where it was accepted, so for the next tunnel those that are there
 * weigh as much as several connections: theirs may yet come. */
static uint32_t load_of(const struct conn_worker *w, enum conn_listen kind)
{
	uint32_t n = atomic_load_explicit(&w->n_conns, memory_order_relaxed);

	if (kind == CONN_LISTEN_HBONE)
		n += atomic_load_explicit(&w->n_tunnels, memory_order_relaxed) * LOAD_SLACK;
	return n;
}

/* EPOLLEXCLUSIVE wakes mostly the same worker. A clearly idler one gets the connection; the
 * slack keeps short connections where they were accepted. */
static struct conn_worker *idlest(struct conn_worker *w, enum conn_listen kind)
{
	struct conn_worker *best = w;

	for (uint32_t i = 0; i < w->sh->n_workers; i++) {
		struct conn_worker *other = w->sh->worker[i];

		if (load_of(other, kind) + LOAD_SLACK <= load_of(best, kind))
			best = other;
	}
	return best;
}

static void take(struct listener *l, int fd, const struct weft_ep *peer)
{
	struct conn_worker *to = idlest(l->w, l->kind);
	struct handover *h;

	if (to == l->w) {
		serve(l->w, l->local, l->kind, fd, peer);
		return;
	}
	h = malloc(sizeof(*h));
	if (h)
		*h = (struct handover){ to, conn_local_get(l->local), l->kind, fd, *peer };
	if (!h || loop_post_any(to->loop, on_handover, h) < 0) {
		if (h)
			conn_local_put(&h->local);
		free(h);
		serve(l->w, l->local, l->kind, fd, peer);
	}
}

static void on_accept(void *arg, uint32_t events);

static void on_pause_over(void *arg)
{
	struct listener *l = arg;

	if (watch_add(l->w->loop, &l->watch, l->fd, EPOLLIN | EPOLLEXCLUSIVE, on_accept, l) < 0)
		timer_set(l->w->loop, &l->pause, 100 * NS_PER_MS, on_pause_over, l);
}

static int accept_one(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct weft_ep peer = { 0 };
	int fd = accept4(l->fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	ip_from_sockaddr((struct sockaddr *)&ss, &peer);
	take(l, fd, &peer);
	return 0;
}

/*
 * The listener is level-triggered: what is left over wakes us again. How many are taken at
 * once follows the rate: one call per connection while they come one by one, no call that only
 * finds the queue empty; up to a batch when they rain.
 */
static void on_accept(void *arg, uint32_t events)
{
	struct listener *l = arg;
	int r = 0;

	(void)events;
	for (unsigned i = 0; i < l->burst && r == 0; i++) {
		r = accept_one(l);
		if (r == -EINTR || r == -ECONNABORTED)
			r = 0;
	}
	if (r == 0) {
		if (++l->full_bursts < 4 || l->burst >= ACCEPT_BATCH)
			return;
		l->burst *= 2;
	} else if (r == -EAGAIN) {
		l->burst = l->burst > 1 ? l->burst / 2 : 1;
	} else {
		/* Out of descriptors or memory: new connections wait in the backlog. */
		log_warn("pod %s/%s: accept: %s, trying again in 100 ms", l->local->ns,
			 l->local->name, log_strerror(r));
		watch_del(&l->watch);
		timer_set(l->w->loop, &l->pause, 100 * NS_PER_MS, on_pause_over, l);
	}
	l->full_bursts = 0;
}

int conn_listen(struct conn_worker *w, struct conn_local *local, enum conn_listen kind, int fd)
{
	struct listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->w = w;
	l->kind = kind;
	l->fd = fd;
	l->burst = 1;
	r = watch_add(w->loop, &l->watch, fd, EPOLLIN | EPOLLEXCLUSIVE, on_accept, l);
	if (r < 0) {
		free(l);
		return r;
	}
	l->local = conn_local_get(local);
	list_add_tail(&w->listeners, &l->node);
	return 0;
}

static void listener_free(struct listener *l)
{
	watch_del(&l->watch);
	timer_cancel(&l->pause);
	list_del(&l->node);
	conn_local_put(&l->local);
	free(l);
}

bool conn_serves(const struct conn_worker *w, const struct conn_local *local)
{
	if (!atomic_load_explicit(&local->left, memory_order_relaxed))
		return true;
	list_for_each_safe(n, &w->listeners) {
		const struct conn_local *l = list_entry(n, struct listener, node)->local;

		if (strcmp(l->name, local->name) == 0 && strcmp(l->ns, local->ns) == 0)
			return true;
	}
	return false;
}

struct conn_local *conn_serving(const struct conn_worker *w, const struct conn_local *local)
{
	list_for_each(n, &w->listeners) {
		struct conn_local *l = list_entry(n, struct listener, node)->local;

		if (l->slot == local->slot)
			return l;
	}
	return NULL;
}

void conn_unlisten(struct conn_worker *w, struct conn_local *local)
{
	atomic_store_explicit(&local->left, true, memory_order_relaxed);
	list_for_each_safe(n, &w->listeners) {
		struct listener *l = list_entry(n, struct listener, node);

		if (l->local == local)
			listener_free(l);
	}
	tunnel_drain_pod(w->tunnel, local->slot, local);
}

void conn_cut_pod(struct conn_worker *w, struct conn_local *local)
{
	conn_unlisten(w, local);
	list_for_each_safe(n, &w->conns) {
		struct conn *c = list_entry(n, struct conn, node);

		if (c->local->slot == local->slot)
			conn_end(c, WEFT_REASON_UNENROLLED, NULL);
	}
}

int conn_worker_new(struct loop *loop, struct conn_shared *sh, uint32_t number,
		    struct conn_worker **ret)
{
	struct conn_worker *w = calloc(1, sizeof(*w));
	const struct tunnel_opts o = {
		.loop = loop,
		.ident = sh->ident,
		.kern = sh->kern,
		.ping_ns = sh->tunnel_ping_ns,
		.keepalive_s = sh->keepalive_s,
		.ops = &conn_tunnel_ops,
		.arg = w,
	};
	int r;

	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->sh = sh;
	w->number = number;
	w->next_port = number;
	list_init(&w->conns);
	list_init(&w->dead);
	list_init(&w->listeners);
	r = tunnel_new(&o, &w->tunnel);
	if (r < 0) {
		free(w);
		return r;
	}
	tunnel_limit(w->tunnel, sh->tunnel_connections);
	*ret = w;
	return 0;
}

void conn_worker_quiesce(struct conn_worker *w)
{
	while (!list_empty(&w->listeners))
		listener_free(list_first(&w->listeners, struct listener, node));
}

void conn_worker_drain(struct conn_worker *w)
{
	conn_worker_quiesce(w);
	tunnel_drain(w->tunnel);
}

void conn_worker_free(struct conn_worker **wp)
{
	struct conn_worker *w = *wp;

	if (!w)
		return;
	*wp = NULL;
	conn_worker_quiesce(w);
	list_for_each_safe(n, &w->conns)
		conn_end(list_entry(n, struct conn, node), WEFT_REASON_SHUTDOWN, NULL);
	tunnel_free(&w->tunnel);
	resolver_free(&w->resolver);
	while (!list_empty(&w->dead))
		conn_free(list_first(&w->dead, struct conn, node));
	for (size_t i = 0; i < CONN_SERIES_SLOTS; i++)
		conn_series_drop(&w->series[i]);
	free(w);
}
