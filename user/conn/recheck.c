// SPDX-License-Identifier: Apache-2.0
/*
 * After a change: a worker's inbound connections (in tunnels and plaintext) are judged by the
 * current snapshot, those that it denies are cut. The node of the destination decides, so the
 * client's side has nothing to judge, and whether the client's pod has left the mesh makes no
 * difference; where the destination's pod has, nothing is judged. Connections with the same
 * facts are judged once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hmap.h"
#include "conn/conn.h"
#include "io/tcp.h"

/* Facts beyond so many are judged one by one. */
#define SEEN_MAX 65536

struct seen {
	struct hnode node;
	const struct conn *c; /* the first with these facts; freed later in this turn at the earliest */
	bool denied;
};

struct recheck {
	struct conn_worker *w;
	const struct snap *s;
	const struct conn_local *last; /* for whom is_enrolled was asked */
	bool is_enrolled;
	struct hmap seen;
};

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_facts(const struct conn *a, const struct conn *b)
{
	return a->dst == b->dst && a->src == b->src && ip_eq(&a->client.addr, &b->client.addr) &&
	       ip_eq(&a->chosen.addr, &b->chosen.addr) && a->chosen.port == b->chosen.port &&
	       a->path == b->path && same_text(a->peer_identity, b->peer_identity);
}

static uint64_t facts_hash(const struct conn *c)
{
	struct weft_addr addrs[2] = { c->client.addr, c->chosen.addr };
	uint64_t parts[4] = { (uintptr_t)c->dst, hash_bytes(addrs, sizeof(addrs)), c->chosen.port,
			      c->peer_identity ? hash_str(str_of(c->peer_identity)) : 0 };

	return hash_bytes(parts, sizeof(parts));
}

/* By the identity that the client has proven, and, if its workload got another one since, by
 * that as well: as a direct connection would be. */
static bool is_denied(const struct recheck *r, struct conn *c)
{
	const struct workload *now;

	if (conn_denied(c))
		return true;
	if (!c->src || !c->peer_identity)
		return false;
	now = snap_workload_by_uid(r->s, str_of(c->src->uid));
	return now && strcmp(now->identity, c->peer_identity) != 0 &&
	       conn_denied_as(c, now->identity);
}

static bool judge(struct recheck *r, struct conn *c)
{
	uint64_t hash = facts_hash(c);
	struct seen *e;
	bool denied;

	for (struct hnode *n = hmap_first(&r->seen, hash); n; n = hmap_next_same(n)) {
		e = container_of(n, struct seen, node);
		if (!same_facts(e->c, c))
			continue;
		if (e->denied)
			conn_set_policy(c, e->c->policy, e->c->rule);
		return e->denied;
	}
	denied = is_denied(r, c);
	e = r->seen.n < SEEN_MAX ? calloc(1, sizeof(*e)) : NULL;
	if (!e)
		return denied;
	e->c = c;
	e->denied = denied;
	if (hmap_insert(&r->seen, &e->node, hash) < 0)
		free(e);
	return denied;
}

static bool is_enrolled(struct recheck *r, const struct conn_local *l)
{
	if (r->last != l)
		r->is_enrolled = conn_serves(r->w, l);
	r->last = l;
	return r->is_enrolled;
}

static void on_nothing(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
}

static void ignore(struct watch *w)
{
	if (w->loop)
		watch_retarget(w, on_nothing, NULL);
}

/* Both sockets of a plaintext connection; of one in a tunnel the application's, behind which
 * the stream has nowhere to go. Their errors are no news. */
static void sever(struct conn *c)
{
	if (c->path == WEFT_PATH_PLAIN) {
		ignore(&c->splice.watch[0]);
		ignore(&c->splice.watch[1]);
	} else {
		ignore(&c->pump.watch);
	}
	if (c->fd >= 0)
		tcp_abort(c->fd);
	if (c->fd2 >= 0)
		tcp_abort(c->fd2);
	c->cut = true;
}

void conn_recheck(struct conn_worker *w)
{
	struct recheck r = { .w = w, .s = model_snap(w->sh->model) };

	list_for_each_safe(n, &w->conns) {
		struct conn *c = list_entry(n, struct conn, node);
		struct workload *now;

		/* Those that wait for the application as well: they were authorized before, unlike
		 * those that wait for istiod. */
		if (!c->inbound || c->cut || c->ask || !is_enrolled(&r, c->local))
			continue;
		/* The workload's own list of policies may have changed as well. */
		now = conn_local_workload(r.s, c->local);
		if (now && now != c->dst) {
			workload_put(&c->dst);
			c->dst = workload_get(now);
		}
		if (judge(&r, c))
			sever(c);
	}
	hmap_for_each_safe(n, &r.seen)
		free(container_of(n, struct seen, node));
	hmap_fini(&r.seen);
}

void conn_recheck_end(struct conn_worker *w)
{
	list_for_each_safe(n, &w->conns) {
		struct conn *c = list_entry(n, struct conn, node);

		if (c->cut)
			conn_end(c, WEFT_REASON_POLICY_CHANGED, NULL);
	}
}
