// SPDX-License-Identifier: Apache-2.0
/* Snapshot -> kernel tables; see mesh.h. The shadow mirrors what the kernel holds. */
#define LOG_SCOPE "mesh"
#include "pod/mesh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/log.h"
#include "base/own.h"
#include "kern/kern.h"
#include "lb/pick.h"
#include "lb/route.h"
#include "pod/mesh_priv.h"

void mesh_write_failed(struct mesh *m, const char *table, int r)
{
	if (m->stats.errors++ == 0)
		log_error("%s: cannot write: %s; is the map full (weft bpf)?", table,
			  log_strerror(r));
}

/* ---- addresses ---- */

struct addr_node *mesh_addr_find(struct mesh *m, const struct weft_addr *a)
{
	struct hnode *n;

	for (n = hmap_first(&m->addrs, hash_bytes(a, sizeof(*a))); n; n = hmap_next_same(n)) {
		struct addr_node *an = container_of(n, struct addr_node, by_addr);

		if (ip_eq(&an->addr, a))
			return an;
	}
	return NULL;
}

static int addr_want(struct mesh *m, const struct weft_addr *a, const struct weft_wld *w)
{
	struct addr_node *an = mesh_addr_find(m, a);
	int r;

	if (!an) {
		an = calloc(1, sizeof(*an));
		if (!an)
			return -ENOMEM;
		an->addr = *a;
		an->value.workload = ~0u; /* differs from everything */
		r = hmap_insert(&m->addrs, &an->by_addr, hash_bytes(a, sizeof(*a)));
		if (r < 0) {
			free(an);
			return r;
		}
	}
	an->round = m->round;
	if (memcmp(&an->value, w, sizeof(*w)) == 0)
		return 0;
	r = m->kern ? kern_addr_set(m->kern, a, w) : 0;
	m->stats.writes++;
	if (r < 0) {
		mesh_write_failed(m, "weft_addrs", r);
		return r;
	}
	an->value = *w;
	return 0;
}

static void addrs_drop_old(struct mesh *m)
{
	hmap_for_each_safe(n, &m->addrs) {
		struct addr_node *an = container_of(n, struct addr_node, by_addr);

		if (an->round == m->round)
			continue;
		kern_addr_del(m->kern, &an->addr);
		m->stats.writes++;
		hmap_remove(&m->addrs, n);
		free(an);
	}
}

/* What the services of this address ask of the kernel. Of one that is reached as it is, nothing,
 * unless it has a waypoint. */
static uint32_t vip_flag(const struct snap *s, const struct weft_addr *a)
{
	const struct service *svc = snap_service_by_vip(s, a);
	uint32_t waypoint = route_needs_relay(s, a) ? WEFT_WLD_RELAY : 0;

	return waypoint | (svc && svc->lb_mode != LB_PASSTHROUGH ? WEFT_WLD_VIP : 0);
}

/* An address that is a workload's as well is done already, unless the workload is the node. */
static int vip_want(struct mesh *m, const struct snap *s, const struct weft_addr *a)
{
	const struct workload *w = snap_workload_by_addr(s, a);
	struct weft_wld v = { .flags = vip_flag(s, a) };

	if (w && !w->host_network)
		return 0;
	if (!v.flags)
		return 0;
	if (!w)
		v.flags |= WEFT_WLD_SERVICE;
	return addr_want(m, a, &v);
}

static int addrs_sync(struct mesh *m, const struct snap *s)
{
	int r = 0;

	for (size_t i = 0; i < s->n_workloads && r != -ENOMEM; i++) {
		const struct workload *w = s->workload[i];
		struct weft_wld v = { .workload = w->id };

		/* Host-network pods share the node's address: it is nobody's identity. */
		if (w->host_network)
			continue;
		if (w->protocol == TUNNEL_HBONE)
			v.flags |= WEFT_WLD_HBONE;
		for (size_t j = 0; j < w->n_addrs && r != -ENOMEM; j++) {
			if (s->addrs_may_repeat && snap_workload_by_addr(s, &w->addrs[j]) != w)
				continue;
			/* By address, not by name: one that the mesh file still has for a pod that
			 * moved is not here. */
			v.flags &= ~(__u32)(WEFT_WLD_LOCAL | WEFT_WLD_RULES | WEFT_WLD_VIP |
					    WEFT_WLD_RELAY);
			v.flags |= vip_flag(s, &w->addrs[j]);
			v.flags |= pods_address_flags(m->pods, w->id, &w->addrs[j]);
			r = addr_want(m, &w->addrs[j], &v);
		}
	}
	for (size_t i = 0; i < s->n_services && r != -ENOMEM; i++) {
		const struct service *svc = s->service[i];

		for (size_t j = 0; j < svc->n_vips && r != -ENOMEM; j++)
			r = vip_want(m, s, &svc->vips[j]);
	}
	return r == -ENOMEM ? r : 0;
}

/* ---- services ---- */

struct svc_node *mesh_svc_find(struct mesh *m, const struct weft_svc_key *key)
{
	struct hnode *n;

	for (n = hmap_first(&m->services, hash_bytes(key, sizeof(*key))); n; n = hmap_next_same(n)) {
		struct svc_node *sn = container_of(n, struct svc_node, by_key);

		if (memcmp(&sn->key, key, sizeof(*key)) == 0)
			return sn;
	}
	return NULL;
}

static struct svc_node *svc_get(struct mesh *m, const struct weft_svc_key *key)
{
	struct svc_node *sn = mesh_svc_find(m, key);

	if (sn)
		return sn;
	sn = calloc(1, sizeof(*sn));
	if (!sn)
		return NULL;
	sn->key = *key;
	if (hmap_insert(&m->services, &sn->by_key, hash_bytes(key, sizeof(*key))) < 0) {
		free(sn);
		return NULL;
	}
	return sn;
}

static void slots_write(struct mesh *m, struct svc_node *sn, uint32_t id, const struct lb_choice *c,
			size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct weft_slot_key key = { .service = id, .n = (uint32_t)i | slot_bit(&sn->key) };
		struct weft_slot v = { .ep = c[i].ep };
		int r;

		if (i < sn->n_slots && sn->value.service == id &&
		    memcmp(&sn->slots[i], &v.ep, sizeof(v.ep)) == 0)
			continue;
		r = m->kern ? kern_slot_set(m->kern, &key, &v) : 0;
		m->stats.writes++;
		if (r < 0)
			mesh_write_failed(m, "weft_slots", r);
	}
}

static void slots_delete(struct mesh *m, const struct svc_node *sn, size_t from)
{
	for (size_t i = from; i < sn->n_slots; i++) {
		struct weft_slot_key key = { .service = sn->value.service,
					     .n = (uint32_t)i | slot_bit(&sn->key) };

		kern_slot_del(m->kern, &key);
		m->stats.writes++;
	}
}

static int slots_remember(struct svc_node *sn, const struct lb_choice *c, size_t n)
{
	struct weft_ep *eps = calloc(n ? n : 1, sizeof(*eps));

	if (!eps)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		eps[i] = c[i].ep;
	free(sn->slots);
	sn->slots = eps;
	sn->n_slots = n;
	return 0;
}

/* Slots first, then the entry that makes them visible, then the slots it no longer shows. */
static int svc_want(struct mesh *m, const struct weft_svc_key *key, uint32_t id,
		    const struct lb_choice *c, size_t n)
{
	struct weft_svc v = { .service = id, .n_slots = (uint32_t)n };
	struct svc_node *sn = svc_get(m, key);
	int r;

	if (!sn)
		return -ENOMEM;
	sn->round = m->round;
	slots_write(m, sn, id, c, n);
	if (memcmp(&sn->value, &v, sizeof(v)) != 0) {
		r = m->kern ? kern_service_set(m->kern, key, &v) : 0;
		m->stats.writes++;
		if (r < 0)
			mesh_write_failed(m, "weft_services", r);
	}
	slots_delete(m, sn, sn->value.service == id ? n : 0);
	sn->value = v;
	return slots_remember(sn, c, n);
}

/* Another VIP of the same service port and family shows the same slots. */
static bool slots_shared(const struct mesh *m, const struct svc_node *gone)
{
	hmap_for_each(n, &m->services) {
		const struct svc_node *sn = container_of(n, struct svc_node, by_key);

		if (sn != gone && sn->round == m->round && sn->value.service == gone->value.service &&
		    slot_bit(&sn->key) == slot_bit(&gone->key))
			return true;
	}
	return false;
}

static void services_drop_old(struct mesh *m)
{
	hmap_for_each_safe(n, &m->services) {
		struct svc_node *sn = container_of(n, struct svc_node, by_key);

		if (sn->round == m->round)
			continue;
		/* The entry last: it tells the next daemon, if this one is killed here, which slots to
		 * delete. Without them the kernel refuses, and the service is not there any more. */
		if (!slots_shared(m, sn))
			slots_delete(m, sn, 0);
		kern_service_del(m->kern, &sn->key);
		m->stats.writes++;
		hmap_remove(&m->services, n);
		free(sn->slots);
		free(sn);
	}
}

static int service_sync(struct mesh *m, const struct snap *s, const struct service *svc,
			const struct lb_from *from)
{
	for (size_t i = 0; i < svc->n_vips; i++) {
		bool v4 = ip_is_v4(&svc->vips[i]);

		/* Of several services with one VIP, the one that the relay would find. */
		if (snap_service_by_vip(s, &svc->vips[i]) != svc)
			continue;
		for (size_t j = 0; j < svc->n_ports; j++) {
			const struct weft_svc_key key = { .vip = svc->vips[i],
							  .port = svc->ports[j].port };
			_free_ struct lb_choice *c = NULL;
			int n = lb_slots(svc, from, svc->ports[j].port, v4, &c), r;

			if (n == -ENOMEM)
				return n;
			r = svc_want(m, &key, svc->ports[j].id, c, n > 0 ? (size_t)n : 0);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int mesh_sync(struct mesh *m, const struct snap *s)
{
	struct lb_from from;
	int r;

	m->round++;
	lb_from_node(s, m->node, &from);
	r = addrs_sync(m, s);
	for (size_t i = 0; i < s->n_services && r == 0; i++)
		if (s->service[i]->lb_mode != LB_PASSTHROUGH)
			r = service_sync(m, s, s->service[i], &from);
	if (r < 0) {
		log_error("kernel tables are not complete: %s", log_strerror(r));
		return r; /* and nothing is removed */
	}
	mesh_ranges_sync(m, s);
	services_drop_old(m);
	addrs_drop_old(m);
	return 0;
}

/* ---- life ---- */

static void adopt_addr(void *arg, const struct weft_addr *a, const struct weft_wld *w)
{
	struct mesh *m = arg;
	struct addr_node *an = calloc(1, sizeof(*an));

	if (!an)
		return;
	an->addr = *a;
	an->value = *w;
	if (hmap_insert(&m->addrs, &an->by_addr, hash_bytes(a, sizeof(*a))) < 0)
		free(an);
	else if (w->workload)
		model_adopt_workload_id(m->model, a, w->workload);
}

static void adopt_service(void *arg, const struct weft_svc_key *key, const struct weft_svc *v)
{
	struct mesh *m = arg;
	struct svc_node *sn = svc_get(m, key);

	if (!sn)
		return;
	sn->value = *v;
	/* The slots themselves are written again; their number says what to delete. */
	sn->slots = calloc(v->n_slots ? v->n_slots : 1, sizeof(*sn->slots));
	sn->n_slots = sn->slots ? v->n_slots : 0;
	model_adopt_service_id(m->model, &key->vip, key->port, v->service);
}

int mesh_new(struct kern *k, struct model *model, struct pods *pods, struct loop *loop,
	     const char *node, struct mesh **ret)
{
	struct mesh *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->kern = k;
	m->model = model;
	m->pods = pods;
	m->loop = loop;
	m->node = node;
	kern_addr_each(k, adopt_addr, m);
	kern_service_each(k, adopt_service, m);
	mesh_ranges_adopt(m);
	mesh_orphans_drop(m);
	*ret = m;
	return 0;
}

struct mesh *mesh_shadow(const struct mesh *m)
{
	struct mesh *shadow = calloc(1, sizeof(*shadow));

	if (shadow) {
		shadow->pods = m->pods;
		shadow->node = m->node;
	}
	return shadow;
}

void mesh_free(struct mesh **mp)
{
	struct mesh *m = *mp;

	if (!m)
		return;
	*mp = NULL;
	timer_cancel(&m->again);
	hmap_for_each_safe(n, &m->addrs)
		free(container_of(n, struct addr_node, by_addr));
	hmap_fini(&m->addrs);
	hmap_for_each_safe(n, &m->services) {
		struct svc_node *sn = container_of(n, struct svc_node, by_key);

		free(sn->slots);
		free(sn);
	}
	hmap_fini(&m->services);
	vec_fini(&m->ranges);
	free(m);
}

void mesh_stats(const struct mesh *m, struct mesh_stats *ret)
{
	*ret = m->stats;
	ret->addrs = m->addrs.n;
	ret->services = m->services.n;
}
