// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses of workloads and VIPs -> weft_addrs. There may be a million of them, so nothing of the
 * table is held here: what the kernel has is asked of the kernel, what it should have is made of
 * the snapshot.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"
#include "lb/route.h"
#include "pod/mesh_priv.h"

/* What the services of this address ask of the kernel. Of one that is reached as it is, nothing,
 * unless it has a waypoint. */
static uint32_t vip_flag(const struct mesh *m, const struct snap *s, const struct service *svc,
			 const struct weft_addr *a)
{
	/* On demand the relay asks whether there are endpoints by now. */
	bool empty = m->on_demand && svc && !svc->n_endpoints;
	uint32_t relay = empty || route_needs_relay(s, m->network, a) ? WEFT_WLD_RELAY : 0;

	return relay | (svc && svc->lb_mode != LB_PASSTHROUGH ? WEFT_WLD_VIP : 0);
}

static int local_cmp(const void *va, const void *vb)
{
	const struct local_addr *a = va, *b = vb;

	return (a->workload > b->workload) - (a->workload < b->workload);
}

/* By address, not by name: one that the mesh file still has for a pod that moved is not here. */
static uint32_t local_flags(const struct mesh *m, uint32_t workload, const struct weft_addr *a)
{
	const struct local_addr key = { .workload = workload };

	if (!m->local.n || !bsearch(&key, m->local.p, m->local.n, sizeof(key), local_cmp))
		return 0;
	return pods_address_flags(m->pods, workload, a);
}

/* Host-network pods share the node's address: it is nobody's identity, and they are not found by it. */
bool mesh_addr_wanted(const struct mesh *m, const struct snap *s, const struct weft_addr *a,
		      struct weft_wld *ret)
{
	const struct workload *w = snap_workload_by_addr(s, a);
	const struct service *svc = snap_service_by_vip(s, a);

	if (!w && !svc)
		return false;
	*ret = (struct weft_wld){ .flags = vip_flag(m, s, svc, a) };
	if (!w) {
		if (!ret->flags)
			return false;
		ret->flags |= WEFT_WLD_SERVICE;
		return true;
	}
	ret->workload = w->id;
	if (w->protocol == TUNNEL_HBONE)
		ret->flags |= WEFT_WLD_HBONE;
	ret->flags |= local_flags(m, w->id, a);
	return true;
}

void mesh_addrs_each(const struct snap *s, void (*fn)(void *arg, const struct weft_addr *a),
		     void *arg)
{
	for (size_t i = 0; i < s->n_workloads; i++) {
		const struct workload *w = s->workload[i];

		for (size_t j = 0; j < w->n_addrs; j++)
			if (snap_workload_by_addr(s, &w->addrs[j]) == w)
				fn(arg, &w->addrs[j]);
	}
	for (size_t i = 0; i < s->n_services; i++) {
		const struct service *svc = s->service[i];

		for (size_t j = 0; j < svc->n_vips; j++)
			if (snap_service_by_vip(s, &svc->vips[j]) == svc &&
			    !snap_workload_by_addr(s, &svc->vips[j]))
				fn(arg, &svc->vips[j]);
	}
}

struct sync {
	struct mesh *m;
	const struct snap *s;
};

static void write_addr(void *arg, const struct weft_addr *a)
{
	struct sync *y = arg;
	struct weft_wld want, has;
	int r;

	if (!mesh_addr_wanted(y->m, y->s, a, &want))
		return;
	y->m->stats.addrs++;
	if (kern_addr_get(y->m->kern, a, &has) == 0 && memcmp(&has, &want, sizeof(want)) == 0)
		return;
	r = kern_addr_set(y->m->kern, a, &want);
	y->m->stats.writes++;
	if (r < 0)
		mesh_write_failed(y->m, "weft_addrs", r);
}

static void drop_addr(void *arg, const struct weft_addr *a, const struct weft_wld *has)
{
	struct sync *y = arg;
	struct weft_wld want;

	(void)has;
	if (mesh_addr_wanted(y->m, y->s, a, &want))
		return;
	kern_addr_del(y->m->kern, a);
	y->m->stats.writes++;
}

static void add_local(void *arg, const struct pod *pod)
{
	struct mesh *m = arg;
	const struct weft_addr *both[] = { &pod->local->v4, &pod->local->v6 };

	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		const struct local_addr l = { *both[i], pod->workload };

		if (pod->workload && !ip_is_any(both[i]) && vec_push(&m->local, l) < 0)
			m->local_failed = true;
	}
}

static int list_local(struct mesh *m)
{
	m->local.n = 0;
	m->local_failed = false;
	pods_each(m->pods, add_local, m);
	if (m->local.n)
		qsort(m->local.p, m->local.n, sizeof(*m->local.p), local_cmp);
	return m->local_failed ? -ENOMEM : 0;
}

int mesh_addrs_sync_pods(struct mesh *m, const struct snap *s)
{
	__typeof__(m->local) before = m->local;
	struct sync y = { m, s };
	uint64_t held = m->stats.addrs;
	int r;

	memset(&m->local, 0, sizeof(m->local));
	r = list_local(m);
	vec_for_each(l, &before)
		write_addr(&y, &l->addr);
	vec_for_each(l, &m->local)
		write_addr(&y, &l->addr);
	m->stats.addrs = held;
	vec_fini(&before);
	return r;
}

int mesh_addrs_sync(struct mesh *m, const struct snap *s)
{
	struct sync y = { m, s };
	int r = list_local(m);

	if (r < 0)
		return r;
	m->stats.addrs = 0;
	mesh_addrs_each(s, write_addr, &y);
	return 0;
}

void mesh_addrs_drop_old(struct mesh *m, const struct snap *s)
{
	struct sync y = { m, s };

	kern_addr_each(m->kern, drop_addr, &y);
}
