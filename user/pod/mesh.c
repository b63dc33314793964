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

/* False: some are not there, and it has to be tried again. */
static bool slots_write(struct mesh *m, const struct svc_node *sn, uint32_t id,
			const struct lb_choice *c, size_t n)
{
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		struct weft_slot_key key = { .service = id, .n = (uint32_t)i | slot_bit(&sn->key) };
		struct weft_slot v = { .ep = c[i].ep };
		int r = m->kern ? kern_slot_set(m->kern, &key, &v) : 0;

		m->stats.writes++;
		if (r < 0)
			mesh_write_failed(m, "weft_slots", r);
		good &= r == 0;
	}
	return good;
}

static void slots_delete(struct mesh *m, const struct svc_node *sn, size_t from)
{
	for (size_t i = from; i < sn->value.n_slots; i++) {
		struct weft_slot_key key = { .service = sn->value.service,
					     .n = (uint32_t)i | slot_bit(&sn->key) };

		kern_slot_del(m->kern, &key);
		m->stats.writes++;
	}
}

static uint64_t slots_sum(const struct lb_choice *c, size_t n)
{
	uint64_t sum = n;

	for (size_t i = 0; i < n; i++)
		sum = sum * 31 + hash_bytes(&c[i].ep, sizeof(c[i].ep));
	return sum ? sum : 1;
}

static int slots_remember(struct svc_node *sn, const struct lb_choice *c, size_t n)
{
	sn->slots = calloc(n ? n : 1, sizeof(*sn->slots));
	for (size_t i = 0; sn->slots && i < n; i++)
		sn->slots[i] = c[i].ep;
	return sn->slots ? 0 : -ENOMEM;
}

/* Slots first, then the entry that makes them visible, then the slots it no longer shows. */
static int svc_want(struct mesh *m, const struct weft_svc_key *key, uint32_t id,
		    const struct lb_choice *c, size_t n)
{
	struct weft_svc v = { .service = id, .n_slots = (uint32_t)n };
	struct svc_node *sn = svc_get(m, key);
	uint64_t sum = slots_sum(c, n);
	int r;

	if (!sn)
		return -ENOMEM;
	sn->round = m->round;
	if (sn->sum != sum || sn->value.service != id)
		sn->sum = slots_write(m, sn, id, c, n) ? sum : 0;
	if (memcmp(&sn->value, &v, sizeof(v)) != 0) {
		r = m->kern ? kern_service_set(m->kern, key, &v) : 0;
		m->stats.writes++;
		if (r < 0)
			mesh_write_failed(m, "weft_services", r);
	}
	slots_delete(m, sn, sn->value.service == id ? n : 0);
	sn->value = v;
	return m->kern ? 0 : slots_remember(sn, c, n);
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

int mesh_services_sync(struct mesh *m, const struct snap *s, const struct lb_from *from)
{
	int r = 0;

	m->round++;
	for (size_t i = 0; i < s->n_services && r == 0; i++)
		if (s->service[i]->lb_mode != LB_PASSTHROUGH)
			r = service_sync(m, s, s->service[i], from);
	return r;
}

int mesh_sync(struct mesh *m, const struct snap *s)
{
	uint64_t errors = m->stats.errors;
	bool only_pods = m->synced == s->mesh_version;
	struct lb_from from;
	int r;

	m->synced = 0; /* until all of it is there */
	if (only_pods) {
		r = mesh_addrs_sync_pods(m, s);
		if (r == 0 && m->stats.errors == errors)
			m->synced = s->mesh_version;
		return r;
	}
	lb_from_node(s, m->node, &from);
	snprintf(m->network, sizeof(m->network), "%s", from.network);
	r = mesh_addrs_sync(m, s);
	if (r == 0)
		r = mesh_services_sync(m, s, &from);
	if (r < 0) {
		log_error("kernel tables are not complete: %s", log_strerror(r));
		return r; /* and nothing is removed */
	}
	mesh_ranges_sync(m, s);
	services_drop_old(m);
	mesh_addrs_drop_old(m, s);
	if (m->stats.errors == errors)
		m->synced = s->mesh_version;
	return 0;
}

/* ---- life ---- */

static void adopt_addr(void *arg, const struct weft_addr *a, const struct weft_wld *w)
{
	struct mesh *m = arg;

	m->stats.addrs++;
	if (w->workload)
		model_adopt_workload_id(m->model, a, w->workload);
}

static void adopt_service(void *arg, const struct weft_svc_key *key, const struct weft_svc *v)
{
	struct mesh *m = arg;
	struct svc_node *sn = svc_get(m, key);

	if (!sn)
		return;
	sn->value = *v; /* the slots are written again; their number says what to delete */
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
		snprintf(shadow->network, sizeof(shadow->network), "%s", m->network);
		shadow->on_demand = m->on_demand;
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
	hmap_for_each_safe(n, &m->services) {
		struct svc_node *sn = container_of(n, struct svc_node, by_key);

		free(sn->slots);
		free(sn);
	}
	hmap_fini(&m->services);
	vec_fini(&m->ranges);
	vec_fini(&m->local);
	free(m);
}

void mesh_stats(const struct mesh *m, struct mesh_stats *ret)
{
	*ret = m->stats;
	ret->services = m->services.n;
}
