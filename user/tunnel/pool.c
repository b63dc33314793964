// SPDX-License-Identifier: Apache-2.0
/*
 * The worker's HBONE connections: the client pool, keyed by {source identity, pod slot,
 * expected peer identities, address}, and the entry points of both roles. Keys include the pod:
 * the connection comes from that pod's address and namespace.
 */
#define LOG_SCOPE "tunnel"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "io/tcp.h"
#include "kern/kern.h"
#include "tunnel/priv.h"

static uint64_t key_hash(const struct tunnel_dst *d)
{
	uint64_t alts = 0;

	for (size_t i = 0; i < d->n_peer_alts; i++)
		alts = alts * 31 + hash_str(str_of(d->peer_alts[i]));
	uint64_t parts[5] = {
		hash_str(str_of(d->source_uri)),
		hash_str(str_of(d->peer_uri)),
		hash_bytes(&d->to.addr, sizeof(d->to.addr)) + d->to.port,
		d->slot,
		alts,
	};

	return hash_bytes(parts, sizeof(parts));
}

static bool wants_same(const struct hbone *hb, const struct tunnel_dst *d)
{
	if (strcmp(hb->want_uri, d->peer_uri) != 0 || hb->n_want_alts != d->n_peer_alts)
		return false;
	for (size_t i = 0; i < d->n_peer_alts; i++)
		if (strcmp(hb->want_alts[i], d->peer_alts[i]) != 0)
			return false;
	return true;
}

static int want(struct hbone *hb, const struct tunnel_dst *d)
{
	hb->want_uri = str_dup(str_of(d->peer_uri));
	hb->want_alts = d->n_peer_alts ? calloc(d->n_peer_alts, sizeof(char *)) : NULL;
	if (!hb->want_uri || (d->n_peer_alts && !hb->want_alts))
		return -ENOMEM;
	for (; hb->n_want_alts < d->n_peer_alts; hb->n_want_alts++) {
		hb->want_alts[hb->n_want_alts] = str_dup(str_of(d->peer_alts[hb->n_want_alts]));
		if (!hb->want_alts[hb->n_want_alts])
			return -ENOMEM;
	}
	return 0;
}

static bool key_eq(const struct hbone *hb, const struct tunnel_dst *d)
{
	return hb->slot == d->slot && hb->peer_ep.port == d->to.port &&
	       ip_eq(&hb->peer_ep.addr, &d->to.addr) && strcmp(hb->own_uri, d->source_uri) == 0 &&
	       wants_same(hb, d);
}

void pool_remove(struct hbone *hb)
{
	if (hb->pooled)
		hmap_remove(&hb->t->pool, &hb->by_key);
	hb->pooled = false;
}

/* Fits into one that is up, or waits for one that comes up, which then takes limit streams. */
static bool has_room(const struct hbone *hb, uint32_t limit)
{
	if (hb->phase == HBONE_READY)
		return h2_conn_can_open(&hb->h2);
	return hb->n_waiting < limit;
}

/* What the peer takes on a connection, as far as one to the same peer has told. */
static uint32_t pool_limit(struct tunnel *t, const struct tunnel_dst *d, uint64_t hash)
{
	uint32_t limit = t->max_streams;
	struct hnode *n;

	for (n = hmap_first(&t->pool, hash); n; n = hmap_next_same(n)) {
		struct hbone *hb = container_of(n, struct hbone, by_key);

		if (hb->phase == HBONE_READY && key_eq(hb, d) && hb->h2.st.got_settings &&
		    hb->h2.st.peer_max_streams < limit)
			limit = hb->h2.st.peer_max_streams;
	}
	return limit ? limit : 1;
}

/*
 * Streams gather on few connections, because their bytes share wake-ups and system calls; but one
 * connection is one thread's work on either side, so when that is much, the next one is wanted.
 * NULL: make a new one; *ret_extra: only because those that are there are busy.
 */
static struct hbone *pool_find(struct tunnel *t, const struct tunnel_dst *d, uint64_t hash,
			       bool *ret_extra)
{
	uint32_t limit = pool_limit(t, d, hash), all = 0;
	struct hbone *least = NULL;
	struct hnode *n;

	*ret_extra = false;
	for (n = hmap_first(&t->pool, hash); n; n = hmap_next_same(n)) {
		struct hbone *hb = container_of(n, struct hbone, by_key);

		if (!key_eq(hb, d) || hbone_has_expired(hb))
			continue;
		all++;
		if (!has_room(hb, limit))
			continue;
		if (!hbone_is_busy(hb))
			return hb;
		if (!least || hb->h2.n_streams < least->h2.n_streams)
			least = hb;
	}
	if (!least || all >= HBONE_BUSY_MAX || loop_now(t->loop) < t->extra_after_ns)
		return least;
	*ret_extra = true;
	return NULL;
}

static int own_mark(int fd, void *arg)
{
	return arg ? kern_own_mark_any(arg, fd) : 0;
}

static int socket_open(struct tunnel *t, const struct tunnel_dst *d)
{
	const struct tcp_connect_opts o = { .netns_fd = d->netns_fd,
					    .to = d->to,
					    .mark = d->mark,
					    .keepalive_s = t->keepalive_s,
					    .prepare = own_mark,
					    .prepare_arg = t->kern };

	return tcp_connect(&o);
}

/* The client's side of a connection on fd, which is taken in any case. */
static int client_new(struct tunnel *t, int fd, const struct tunnel_dst *d, struct hbone **ret)
{
	struct hbone *hb;
	int r = hbone_new(t, fd, false, &hb);

	if (r < 0) {
		close(fd);
		return r;
	}
	hb->peer_ep = d->to;
	hb->slot = d->slot;
	hb->own_uri = str_dup(str_of(d->source_uri));
	r = want(hb, d);
	if (r == 0)
		r = hb->own_uri ? hbone_start(hb) : -ENOMEM;
	if (r < 0) {
		hbone_close(hb, WEFT_REASON_NO_IDENTITY, log_strerror(r));
		return r;
	}
	*ret = hb;
	return 0;
}

static int conn_open(struct tunnel *t, const struct tunnel_dst *d, uint64_t hash, struct hbone **ret)
{
	int fd = socket_open(t, d), r = fd < 0 ? fd : client_new(t, fd, d, ret);

	if (r < 0)
		return r;
	r = hmap_insert(&t->pool, &(*ret)->by_key, hash);
	if (r < 0) {
		hbone_close(*ret, WEFT_REASON_NO_IDENTITY, log_strerror(r));
		return r;
	}
	(*ret)->pooled = true;
	return 0;
}

/* For one stream, so not in the pool. */
static int nested_open(struct tunnel *t, const struct tunnel_dst *d, const struct h2_headers *req,
		       struct hbone **ret)
{
	struct nest *n;
	int fd, r = nest_open(t, d, req, &n, &fd);

	if (r < 0)
		return r;
	r = client_new(t, fd, d, ret);
	if (r < 0) {
		nest_free(n);
		return r;
	}
	nest_bind(n, *ret);
	(*ret)->draining = true;
	return 0;
}

static int stream_open(struct hbone *hb, const struct h2_headers *req,
		       const struct tunnel_stream_ops *ops, void *arg, struct tunnel_stream **ret)
{
	struct tunnel_stream *s = stream_new(hb);
	int r;

	if (!s)
		return -ENOMEM;
	tunnel_stream_claim(s, ops, arg);
	if (++hb->n_dialled == hb->t->streams_max) {
		pool_remove(hb);
		hb->draining = true;
	}
	if (hb->phase == HBONE_READY) {
		r = h2_conn_connect(&hb->h2, &s->h2, req);
		if (r < 0) {
			stream_free(s);
			return r;
		}
		s->sent = true;
		hbone_flush_later(hb);
	} else {
		s->req = req;
		list_add_tail(&hb->waiting, &s->node);
		hb->n_waiting++;
	}
	*ret = s;
	return 0;
}

int tunnel_dial(struct tunnel *t, const struct tunnel_dst *dst, const struct h2_headers *req,
		const struct tunnel_stream_ops *ops, void *arg, struct tunnel_stream **ret)
{
	uint64_t hash = key_hash(dst);
	bool extra = false;
	struct hbone *hb = dst->gateway ? NULL : pool_find(t, dst, hash, &extra);
	int r;

	if (!hb) {
		r = dst->gateway ? nested_open(t, dst, req, &hb) : conn_open(t, dst, hash, &hb);
		if (r < 0 && extra) {
			t->extra_after_ns = loop_now(t->loop) + HBONE_EXTRA_PAUSE_NS;
			return tunnel_dial(t, dst, req, ops, arg, ret);
		}
		if (r < 0)
			return r;
		hb->extra = extra;
	}
	r = stream_open(hb, req, ops, arg, ret);
	if (r < 0 && dst->gateway)
		hbone_close(hb, WEFT_REASON_LIMIT, log_strerror(r));
	return r;
}

/* Counted one by one only when there are many at all. */
static bool too_many_handshakes(const struct tunnel *t, const struct weft_addr *peer)
{
	size_t same = 0;

	if (t->n_shaking <= HBONE_SHAKING_PEER_MAX)
		return false;
	list_for_each(n, &t->shaking)
		same += ip_eq(&list_entry(n, struct hbone, shaking)->peer_ep.addr, peer);
	return t->n_shaking > HBONE_SHAKING_MAX || same > HBONE_SHAKING_PEER_MAX;
}

int tunnel_serve(struct tunnel *t, int fd, const char *own_uri, void *local)
{
	struct hbone *hb;
	int r = hbone_new(t, fd, true, &hb);

	if (r < 0) {
		close(fd);
		t->ops->local_put(t->arg, local);
		return r;
	}
	hb->local = local;
	hb->own_uri = str_dup(str_of(own_uri));
	tcp_local(fd, &hb->local_ep);
	tcp_peer(fd, &hb->peer_ep);
	if (too_many_handshakes(t, &hb->peer_ep.addr)) {
		hbone_close(hb, WEFT_REASON_LIMIT, "too many handshakes under way");
		return -ENOBUFS;
	}
	r = hb->own_uri ? hbone_start(hb) : -ENOMEM;
	if (r < 0)
		hbone_close(hb, r == -ENOKEY ? WEFT_REASON_NO_IDENTITY : WEFT_REASON_LIMIT,
			    r == -ENOKEY ? "no certificate in force for this pod" : log_strerror(r));
	return r;
}

static void drain(struct hbone *hb)
{
	pool_remove(hb);
	hb->draining = true;
	if (hb->phase != HBONE_READY)
		return;
	h2_conn_goaway(&hb->h2, H2_NO_ERROR);
	if (hb->h2.n_streams || hb->refs > 1) {
		hbone_flush_later(hb);
		return;
	}
	hbone_flush(hb);
	hbone_close(hb, WEFT_REASON_OK, "drained");
}

void tunnel_drain_pod(struct tunnel *t, uint32_t slot, const void *local)
{
	list_for_each_safe(n, &t->conns) {
		struct hbone *hb = list_entry(n, struct hbone, node);

		if (hb->server ? hb->local == local : hb->slot == slot)
			drain(hb);
	}
}

void tunnel_drain(struct tunnel *t)
{
	list_for_each_safe(n, &t->conns)
		drain(list_entry(n, struct hbone, node));
}

int tunnel_new(const struct tunnel_opts *o, struct tunnel **ret)
{
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->rbuf = malloc(HBONE_RBUF);
	if (!t->rbuf) {
		free(t);
		return -ENOMEM;
	}
	t->loop = o->loop;
	t->ident = o->ident;
	t->kern = o->kern;
	t->ops = o->ops;
	t->arg = o->arg;
	t->ping_ns = o->ping_ns ? o->ping_ns : HBONE_PING_NS;
	t->keepalive_s = o->keepalive_s;
	t->max_streams = o->max_streams ? o->max_streams : H2_MAX_STREAMS;
	t->busy_rate = o->busy_rate ? o->busy_rate : HBONE_BUSY_RATE;
	list_init(&t->conns);
	list_init(&t->dead);
	list_init(&t->shaking);
	list_init(&t->nests);
	*ret = t;
	return 0;
}

void tunnel_free(struct tunnel **tp)
{
	struct tunnel *t = *tp;

	if (!t)
		return;
	*tp = NULL;
	while (!list_empty(&t->conns))
		hbone_close(list_first(&t->conns, struct hbone, node), WEFT_REASON_SHUTDOWN,
			    "weftd stops");
	nest_free_all(t);
	while (!list_empty(&t->dead))
		hbone_free(list_first(&t->dead, struct hbone, node));
	hmap_fini(&t->pool);
	for (size_t i = 0; i < t->n_bufs; i++)
		free(t->bufs[i]);
	free(t->rbuf);
	free(t);
}

void tunnel_limit(struct tunnel *t, uint32_t streams_max)
{
	t->streams_max = streams_max;
}

void tunnel_stats(const struct tunnel *t, struct tunnel_stats *ret)
{
	*ret = t->stats;
}
