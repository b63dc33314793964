// SPDX-License-Identifier: Apache-2.0
/*
 * Ranges of services' addresses -> weft_ranges. All of them, not only those with a waypoint: a longer
 * one without keeps its addresses out of a shorter one with. Few, so each sync walks them all.
 */
#define LOG_SCOPE "mesh"
#include <string.h>

#include "base/log.h"
#include "kern/kern.h"
#include "lb/route.h"
#include "pod/mesh_priv.h"

/* IPv4 as the keys have it: ::ffff:0:0/96. */
#define V4_BITS 96

static bool same(const struct ip_prefix *a, const struct ip_prefix *b)
{
	return a->len == b->len && ip_eq(&a->addr, &b->addr);
}

static struct range_node *find(struct range_node *list, size_t n, const struct ip_prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (same(&list[i].prefix, p))
			return &list[i];
	return NULL;
}

static void want(struct mesh *m, struct range_node *list, size_t *n, const struct ip_prefix *p,
		 uint32_t flags)
{
	const struct range_node *has = find(m->ranges.p, m->ranges.n, p);
	int r;

	if (find(list, *n, p))
		return; /* another service's, which wins */
	list[(*n)++] = (struct range_node){ *p, flags };
	if (has && has->flags == flags)
		return;
	r = m->kern ? kern_range_set(m->kern, p, flags) : 0;
	m->stats.writes++;
	if (r < 0)
		mesh_write_failed(m, "weft_ranges", r);
}

/* ---- on demand ---- */

/* The table holds this many beside the ranges of services; others are asked for each time. */
#define OUTSIDE_MAX (WEFT_RANGES_MAX / 4)

static struct ip_prefix prefix_of(const struct weft_addr *a)
{
	return (struct ip_prefix){ .addr = *a, .len = 128 };
}

static struct weft_addr *outside_find(struct mesh *m, const struct weft_addr *a)
{
	vec_for_each(has, &m->outside)
		if (ip_eq(has, a))
			return has;
	return NULL;
}

static void outside_drop(struct mesh *m, struct weft_addr *at)
{
	const struct ip_prefix p = prefix_of(at);

	if (!find(m->ranges.p, m->ranges.n, &p))
		kern_range_del(m->kern, &p);
	m->stats.writes++;
	*at = m->outside.p[--m->outside.n];
}

void mesh_outside(struct mesh *m, const struct weft_addr *a, bool on)
{
	struct weft_addr *has = outside_find(m, a);
	const struct ip_prefix p = prefix_of(a);

	if (!on && has)
		outside_drop(m, has);
	if (!on || has || m->outside.n >= OUTSIDE_MAX || find(m->ranges.p, m->ranges.n, &p))
		return;
	/* Not said to the kernel, it is asked for again: that is safe. */
	if (vec_push(&m->outside, *a) < 0)
		return;
	m->stats.writes++;
	if (kern_range_set(m->kern, &p, 0) < 0)
		m->outside.n--;
}

/* What is in a range of a service now is somebody's. Of workloads and VIPs weft_addrs tells first. */
static void outside_recheck(struct mesh *m, const struct snap *s)
{
	for (size_t i = m->outside.n; i-- > 0;)
		if (snap_service_by_range(s, &m->outside.p[i]))
			outside_drop(m, &m->outside.p[i]);
}

int mesh_ranges_expect(struct mesh *m, const struct mesh *of)
{
	for (size_t i = 0; i < of->outside.n; i++) {
		const struct range_node node = { prefix_of(&of->outside.p[i]), 0 };
		int r = vec_push(&m->ranges, node);

		if (r < 0)
			return r;
	}
	return 0;
}

void mesh_on_demand(struct mesh *m)
{
	m->on_demand = true;
}

/* ---- all of them ---- */

/* A longer range keeps its addresses out of a shorter one, but not for clients who may not use it, or
 * of whose namespace the shorter one is: the relay knows who they are. */
static bool may_be_another(const struct mesh *m, const struct snap_range *all, size_t n,
			   const struct snap_range *r)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].prefix.len <= r->prefix.len &&
		    route_needs_relay_of(all[i].svc, m->network, NULL) &&
		    (r->svc->ns_only || strcmp(all[i].svc->ns, r->svc->ns) != 0) &&
		    snap_range_has(&all[i], &r->prefix.addr))
			return true;
	return false;
}

void mesh_ranges_sync(struct mesh *m, const struct snap *s)
{
	const struct ip_prefix v6 = { .len = 0 };
	uint32_t unknown = m->on_demand ? WEFT_WLD_RELAY : 0;
	struct ip_prefix v4 = { .addr = { .b = { [10] = 0xff, [11] = 0xff } }, .len = V4_BITS };
	size_t n_all, n = 0;
	const struct snap_range *all = snap_ranges(s, &n_all);
	struct range_node *list = calloc(n_all + 2, sizeof(*list));

	if (!list) {
		m->stats.errors++; /* so it is tried again with the next sync */
		log_error("weft_ranges: out of memory, it stays as it was");
		return;
	}
	outside_recheck(m, s);
	for (size_t i = 0; i < n_all; i++)
		want(m, list, &n, &all[i].prefix,
		     route_needs_relay_of(all[i].svc, m->network, NULL) ||
				     may_be_another(m, all, n_all, &all[i])
			     ? WEFT_WLD_RELAY
			     : 0);
	/* What ::/0 says is not meant for IPv4, which is inside of it here. */
	if (n_all || unknown)
		want(m, list, &n, &v4, unknown);
	if (unknown)
		want(m, list, &n, &v6, unknown);
	for (size_t i = 0; i < m->ranges.n; i++) {
		if (find(list, n, &m->ranges.p[i].prefix))
			continue;
		kern_range_del(m->kern, &m->ranges.p[i].prefix);
		m->stats.writes++;
	}
	vec_fini(&m->ranges);
	m->ranges.p = list;
	m->ranges.n = n;
	m->ranges.cap = n_all + 2;
}

static void on_range(void *arg, const struct ip_prefix *p, uint32_t flags)
{
	struct mesh *m = arg;
	const struct range_node node = { *p, flags };

	if (vec_push(&m->ranges, node) < 0)
		log_warn("out of memory, an old range stays in weft_ranges");
}

void mesh_ranges_adopt(struct mesh *m)
{
	kern_range_each(m->kern, on_range, m);
}
