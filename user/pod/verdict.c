// SPDX-License-Identifier: Apache-2.0
/*
 * The verdict cache of the kernel: filled eagerly for pairs of local pods and the ports their
 * services declare, so that the first connection is direct already; everything else is filled
 * by the relay when it meets it. Also judges live direct connections after a change.
 */
#define LOG_SCOPE "mesh"
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/spiffe.h"
#include "io/loop.h"
#include "kern/kern.h"
#include "pod/mesh_priv.h"
#include "policy/rbac.h"

/* Beyond this many, pairs are left to the relay: it fills them as they are used. */
#define EAGER_MAX 50000

struct eager {
	struct mesh *m;
	const struct snap *s;
	VEC(struct workload *) local;
	uint64_t n;
};

static void collect(void *arg, const struct pod *pod)
{
	struct eager *e = arg;
	struct workload *w = pod->workload ? snap_workload_by_id(e->s, pod->workload) : NULL;

	if (w && vec_push(&e->local, w) < 0)
		log_warn("out of memory, verdicts are left to the relay");
}

/* False: addresses matter, no verdict holds for every connection of the two. */
static bool verdict_make(struct eager *e, const struct workload *src, const struct workload *dst,
			 uint16_t port)
{
	struct rbac_result res;

	if (!rbac_cacheable(e->s, src, dst, port, &res))
		return false;
	if (kern_verdict_set_any(e->m->kern, src->id, dst->id, port, res.allow) == 0)
		e->n++;
	return true;
}

static void pairs_with(struct eager *e, const struct workload *dst)
{
	for (size_t i = 0; i < dst->n_services; i++) {
		const struct workload_service *ws = &dst->services[i];

		for (size_t j = 0; j < ws->n_ports && e->n < EAGER_MAX; j++)
			vec_for_each(src, &e->local)
				if (*src != dst && ws->ports[j].target_port)
					verdict_make(e, *src, dst, ws->ports[j].target_port);
	}
}

struct pod_find {
	const struct weft_addr *addr;
	const struct pod *found;
};

static void find_addr(void *arg, const struct pod *pod)
{
	struct pod_find *pf = arg;

	if (ip_eq(&pod->local->v4, pf->addr) || ip_eq(&pod->local->v6, pf->addr))
		pf->found = pod;
}

/* A client that left the mesh file is judged by the identity it had, as in a tunnel. */
static void facts_of_gone(struct mesh *m, const struct weft_flow_live *l, struct facts *ret)
{
	struct pod_find pf = { .addr = &l->tuple.src };
	struct str uri;

	pods_each(m->pods, find_addr, &pf);
	uri = str_of(pf.found ? pf.found->local->identity : "");
	if (spiffe_parse(uri, &ret->id) < 0)
		return;
	ret->has_identity = true;
	ret->principal = (struct str){ uri.p + strlen("spiffe://"), uri.n - strlen("spiffe://") };
}

/* A live direct connection: its pair may not be among the declared ports. */
static void judge_live(void *arg, const struct weft_flow_live *l)
{
	struct eager *e = arg;
	struct workload *src, *dst;
	struct rbac_result res;
	struct facts f;

	if (l->path != WEFT_PATH_DIRECT || l->reporter != WEFT_REPORTER_SOURCE)
		return;
	src = snap_workload_by_id(e->s, l->src);
	dst = snap_workload_by_id(e->s, l->dst);
	if (!dst || (src && verdict_make(e, src, dst, l->tuple.dport)))
		return;
	rbac_facts_of(src, dst, l->tuple.dport, &f);
	if (!src)
		facts_of_gone(e->m, l, &f);
	f.src_ip = l->tuple.src;
	f.dst_ip = l->tuple.dst;
	rbac_check(e->s, &f, &res);
	if (!res.allow)
		kern_approval_withdraw(e->m->kern, &l->tuple);
}

static void reap(void *arg, const struct pod *pod)
{
	struct mesh *m = arg;
	int r = kern_reap(m->kern, pod->local->netns_fd);

	if (r < 0)
		log_warn("pod %s/%s: denied live connections cannot be cut: %s", pod->local->ns,
			 pod->local->name, log_strerror(r));
}

void mesh_verdicts(struct mesh *m, const struct snap *s)
{
	struct eager e = { .m = m, .s = s };

	kern_epoch_bump(m->kern);
	pods_each(m->pods, collect, &e);
	vec_for_each(dst, &e.local)
		pairs_with(&e, *dst);
	kern_flows_each(m->kern, judge_live, &e);
	pods_each(m->pods, reap, m);
	kern_verdict_sweep(m->kern);
	m->stats.eager_verdicts = e.n;
	vec_fini(&e.local);
}
