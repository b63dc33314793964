// SPDX-License-Identifier: Apache-2.0
/*
 * Live direct connections after a change: no process sees their bytes, so the kernel's list of
 * them is walked, each is judged by the new policies, and those denied by now are destroyed by
 * the iterator weft_reap in their clients' namespaces.
 *
 * A connection is judged as long as its destination is enrolled. If its client has left since,
 * it has the identity that it had, and is destroyed at the server's end. If the destination has
 * left, nothing is decided for it any more, and its connections go on.
 *
 * Connections of the same two pods and port are judged once. The walk is done twice: at once,
 * and after a grace period of the kernel's RCU, for the connect hook that had read a verdict of
 * the old epoch and had not yet said so in its socket's record when the first walk passed. It is
 * repeated while a program is stopped behind the hook, before its socket has ports.
 */
#define LOG_SCOPE "mesh"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/spiffe.h"
#include "io/loop.h"
#include "kern/kern.h"
#include "pod/mesh_priv.h"
#include "policy/rbac.h"

/* Bounds the first walk's memory; what is beyond is judged one by one. */
#define SEEN_MAX 65536
#define AGAIN_NS (10 * NS_PER_MS)
#define AGAIN_MAX_NS NS_PER_S /* of further looks, each twice as late as the one before */

struct pair {
	uint32_t src, dst, slot, port;
	struct weft_addr src_ip, dst_ip;
};

struct seen {
	struct hnode node;
	struct pair pair;
	bool allow, by_verdict; /* by_verdict: the kernel knows that the pair is denied */
	uint32_t client; /* of a denied pair: slot of the client's pod, 0: it left */
};

struct judge {
	struct mesh *m;
	const struct snap *s;
	struct hmap seen;
	VEC(uint32_t) slots; /* of pods that have denied connections */
	/* Sockets to be destroyed, each with its own end as the source: servers' whose client's pod has
	 * left, and clients' that have no approval yet to withdraw. */
	VEC(struct weft_tuple) single;
	bool unsettled; /* a connect(2) was under way that nobody can judge yet, or undo for good */
	uint64_t n, denied;
};

struct pod_find {
	const struct weft_addr *addr;
	const struct pod *found;
};

static bool has_addr(const struct pod *pod, const struct weft_addr *a)
{
	return ip_eq(&pod->local->v4, a) || ip_eq(&pod->local->v6, a);
}

static void find_addr(void *arg, const struct pod *pod)
{
	struct pod_find *pf = arg;

	if (has_addr(pod, pf->addr))
		pf->found = pod;
}

/* The enrolled pod with this address, or NULL. */
static const struct pod *pod_at(struct mesh *m, const struct weft_addr *a)
{
	struct pod_find pf = { .addr = a };

	pods_each(m->pods, find_addr, &pf);
	return pf.found;
}

/* A client that left the mesh file is judged by the identity it had, as in a tunnel. */
static void facts_of_gone(struct mesh *m, const struct pair *p, struct facts *ret)
{
	const struct pod *pod = pod_at(m, &p->src_ip);
	struct str uri = str_of(pod ? pod->local->identity : "");

	if (spiffe_parse(uri, &ret->id) < 0)
		return;
	ret->has_identity = true;
	ret->principal = (struct str){ uri.p + strlen("spiffe://"), uri.n - strlen("spiffe://") };
}

static void pair_judge(struct judge *j, struct seen *e)
{
	const struct pair *p = &e->pair;
	struct workload *src = snap_workload_by_id(j->s, p->src);
	const struct pod *client, *server = pod_at(j->m, &p->dst_ip);
	/* Whose pod it is now, not who had the address when it was dialled. */
	struct workload *dst = server ? snap_workload_by_id(j->s, server->workload) : NULL;
	struct rbac_result res;
	struct facts f;

	/* A destination that left the mesh has no policies any more. */
	e->allow = !dst;
	if (e->allow)
		return;
	rbac_facts_of(src, dst, (uint16_t)p->port, &f);
	if (!src)
		facts_of_gone(j->m, p, &f);
	f.src_ip = p->src_ip;
	f.dst_ip = p->dst_ip;
	rbac_check(j->s, &f, &res);
	e->allow = res.allow;
	client = res.allow ? NULL : pod_at(j->m, &p->src_ip);
	e->client = client ? client->local->slot : 0;
	/* One entry then stands for all connections of the two. Never for "allow": mesh_sync()
	 * has not yet told the kernel which addresses the two have now. */
	if (!res.allow && src && dst->id == p->dst &&
	    rbac_cacheable(j->s, src, dst, (uint16_t)p->port, &res))
		e->by_verdict = kern_verdict_set_any(j->m->kern, p->src, p->dst,
						     (uint16_t)p->port, false) == 0;
}

/* *spare is used for a pair that finds no room in the table. */
static struct seen *seen_get(struct judge *j, const struct pair *p, struct seen *spare)
{
	uint64_t hash = hash_bytes(p, sizeof(*p));
	struct seen *e = NULL;

	for (struct hnode *n = hmap_first(&j->seen, hash); n; n = hmap_next_same(n)) {
		e = container_of(n, struct seen, node);
		if (memcmp(&e->pair, p, sizeof(*p)) == 0)
			return e;
	}
	e = j->seen.n < SEEN_MAX ? calloc(1, sizeof(*e)) : NULL;
	if (e && hmap_insert(&j->seen, &e->node, hash) < 0) {
		free(e);
		e = NULL;
	}
	if (!e)
		e = spare;
	e->pair = *p;
	pair_judge(j, e);
	return e;
}

static bool has_slot(struct judge *j, uint32_t slot)
{
	vec_for_each(s, &j->slots)
		if (*s == slot)
			return true;
	return false;
}

/* The hook has decided, and the socket has no 4-tuple yet: a program may be stopped there for long. */
static bool has_no_tuple(const struct weft_flow_live *l)
{
	return !l->opened_ns && (l->state == TCP_CLOSE || !l->tuple.sport);
}

static struct weft_tuple other_end(const struct weft_tuple *t)
{
	return (struct weft_tuple){ .src = t->dst, .dst = t->src, .sport = t->dport, .dport = t->sport };
}

static void on_live(void *arg, const struct weft_flow_live *l)
{
	struct judge *j = arg;
	const struct pair p = { .src = l->src, .dst = l->dst, .slot = l->slot,
				.port = l->tuple.dport, .src_ip = l->tuple.src,
				.dst_ip = l->tuple.dst };
	struct seen spare = { 0 };
	const struct seen *e;
	bool no_approval;
	int r = 0;

	if (l->path != WEFT_PATH_DIRECT)
		return;
	if (has_no_tuple(l)) {
		j->unsettled = true;
		return;
	}
	j->n++;
	e = seen_get(j, &p, &spare);
	if (e->allow)
		return;
	j->denied++;
	/* Looked at again: its approval may come after this. */
	j->unsettled |= !l->opened_ns;
	no_approval = !e->by_verdict && kern_approval_withdraw(j->m->kern, &l->tuple) == -ENOENT;
	if (!e->client)
		r = vec_push(&j->single, other_end(&l->tuple));
	else if (no_approval)
		r = vec_push(&j->single, l->tuple);
	else if (!has_slot(j, e->client))
		r = vec_push(&j->slots, e->client);
	if (r < 0)
		log_warn("out of memory, a denied live connection is cut with the next change");
}

/* Those that are in this pod. */
static int reap_single(struct judge *j, const struct pod *pod)
{
	VEC(struct weft_tuple) at = { 0 };
	int r = 0;

	vec_for_each(t, &j->single)
		if (r == 0 && has_addr(pod, &t->src))
			r = vec_push(&at, *t);
	if (r == 0 && at.n)
		r = kern_destroy(pod->local->netns_fd, at.p, at.n);
	vec_fini(&at);
	return r;
}

static void reap(void *arg, const struct pod *pod)
{
	struct judge *j = arg;
	int r = 0;

	if (has_slot(j, pod->local->slot))
		r = kern_reap(j->m->kern, pod->local->netns_fd);
	if (j->single.n) {
		int err = reap_single(j, pod);

		r = r < 0 ? r : err;
	}
	if (r < 0)
		log_warn("pod %s/%s: denied live connections cannot be cut: %s", pod->local->ns,
			 pod->local->name, log_strerror(r));
}

/* True: it has to be done again. */
static bool judge_all(struct mesh *m, const struct snap *s)
{
	struct judge j = { .m = m, .s = s };
	uint64_t begin = clock_mono_ns();

	kern_flows_each(m->kern, on_live, &j);
	if (j.denied)
		pods_each(m->pods, reap, &j);
	m->stats.judged = j.n;
	m->stats.cut += j.denied;
	if (j.denied)
		log_info("%llu of %llu live direct connections denied and cut, in %llu us",
			 (unsigned long long)j.denied, (unsigned long long)j.n,
			 (unsigned long long)(clock_mono_ns() - begin) / 1000);
	hmap_for_each_safe(n, &j.seen)
		free(container_of(n, struct seen, node));
	hmap_fini(&j.seen);
	vec_fini(&j.slots);
	vec_fini(&j.single);
	return j.unsettled;
}

static void on_again(void *arg)
{
	struct mesh *m = arg;

	/* Returns when every hook that ran when it was called has ended. Where it is refused (CPUs
	 * without a tick), the time that passed since then has to do. Once is enough: hooks that
	 * began later have read the new epoch. */
	if (m->again_ns == AGAIN_NS)
		syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	if (!judge_all(m, model_snap(m->model)))
		return;
	m->again_ns = m->again_ns < AGAIN_MAX_NS / 2 ? m->again_ns * 2 : AGAIN_MAX_NS;
	timer_set(m->loop, &m->again, m->again_ns, on_again, m);
}

void mesh_enforce(struct mesh *m, const struct snap *s)
{
	int r = kern_epoch_bump(m->kern);

	if (r < 0)
		log_error("weft_state: cached verdicts stay in force: %s", log_strerror(r));
	judge_all(m, s);
	m->again_ns = AGAIN_NS;
	timer_set(m->loop, &m->again, m->again_ns, on_again, m);
}
