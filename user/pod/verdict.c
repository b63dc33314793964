// SPDX-License-Identifier: Apache-2.0
/*
 * The verdict cache of the kernel: filled eagerly for pairs of local pods and the ports their
 * services declare, so that the first connection is direct already; everything else is filled
 * by the relay when it meets it. And what of each local pod no stranger may reach.
 */
#define LOG_SCOPE "mesh"
#include "base/log.h"
#include "base/vec.h"
#include "kern/kern.h"
#include "pod/mesh_priv.h"
#include "policy/rbac.h"
#include "policy/stranger.h"

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

static void verdict_make(struct eager *e, const struct workload *src, const struct workload *dst,
			 uint16_t port)
{
	struct rbac_result res;

	/* Where addresses matter, no verdict holds for every connection of the two. */
	if (rbac_cacheable(e->s, src, dst, port, &res) &&
	    kern_verdict_set_any(e->m->kern, src->id, dst->id, port, res.allow) == 0)
		e->n++;
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

static void refuse_at(struct eager *e, const struct workload *w, const struct weft_addr *addr)
{
	struct strangers st;

	if (ip_is_any(addr) || rbac_strangers(e->s, w, addr, &st) < 0)
		return; /* the relay decides each */
	for (size_t i = 0; i < st.n; i++)
		kern_refuse_set(e->m->kern, addr, st.port[i].port, w->id, st.port[i].refused);
	/* Last: a port that is an exception must be known as one. */
	kern_refuse_set(e->m->kern, addr, 0, w->id, st.others);
}

static void refuse_strangers(void *arg, const struct pod *pod)
{
	struct eager *e = arg;
	const struct workload *w = pod->workload ? snap_workload_by_id(e->s, pod->workload) : NULL;

	if (!w || pod->zds_uid) /* there, no hook sees SYNs */
		return;
	refuse_at(e, w, &pod->local->v4);
	refuse_at(e, w, &pod->local->v6);
}

void mesh_verdicts(struct mesh *m, const struct snap *s)
{
	struct eager e = { .m = m, .s = s };

	pods_each(m->pods, collect, &e);
	vec_for_each(dst, &e.local)
		pairs_with(&e, *dst);
	kern_verdict_sweep(m->kern);
	pods_each(m->pods, refuse_strangers, &e);
	kern_refuse_sweep(m->kern);
	m->stats.eager_verdicts = e.n;
	vec_fini(&e.local);
}
