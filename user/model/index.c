// SPDX-License-Identifier: Apache-2.0
/*
 * Builds the lookup tables of a snapshot (index.h). Duplicates that would make a lookup
 * ambiguous are refused here, with the names of both sides.
 */
#include "model/index.h"

#include <errno.h>
#include <stdlib.h>

#include "model/lookup.h"

/* obj: the array that its objects are in, as a snapshot has it. Four of five places are used. */
static int table_reserve(struct index_table *t, size_t n, const void *obj)
{
	if (n == 0)
		return 0;
	t->places = n + n / 4 + 1;
	t->slot = calloc(t->places, sizeof(*t->slot));
	if (!t->slot)
		return -ENOMEM;
	t->cap = n;
	t->obj = obj;
	return 0;
}

/* at: of the object in t->obj */
static void table_add(struct index_table *t, uint64_t hash, size_t at)
{
	size_t i = index_start(t, hash);

	BUG_ON(t->n++ >= t->cap);
	while (t->slot[i].at)
		i = index_after(t, i);
	t->slot[i] = (struct index_slot){ .tag = (uint32_t)(hash >> 32), .at = (uint32_t)at + 1 };
}

static void table_fini(struct index_table *t)
{
	free(t->slot);
}

struct snap_index *index_get(struct snap_index *x)
{
	atomic_fetch_add_explicit(&x->refs, 1, memory_order_relaxed);
	return x;
}

bool index_put(struct snap_index **px)
{
	struct snap_index *x = TAKE_PTR(*px);

	if (!x)
		return true;
	if (atomic_fetch_sub_explicit(&x->refs, 1, memory_order_acq_rel) != 1)
		return false;
	table_fini(&x->addr);
	table_fini(&x->uid);
	table_fini(&x->pod);
	table_fini(&x->host);
	table_fini(&x->vip);
	table_fini(&x->hostname);
	table_fini(&x->svc_key);
	free(x->ranges);
	free(x->by_id);
	free(x->by_port_id);
	free(x);
	return true;
}

/* Which of two workloads with the same address is the one that has it. */
static bool has_address_before(const struct workload *w, const struct workload *other)
{
	if (w->status != other->status)
		return w->status == WORKLOAD_HEALTHY;
	if (w->protocol != other->protocol)
		return w->protocol == TUNNEL_HBONE;
	return strcmp(w->uid, other->uid) > 0;
}

static void table_replace(struct index_table *t, uint64_t hash, const void *old, size_t at)
{
	for (size_t i = index_start(t, hash); t->slot[i].at; i = index_after(t, i)) {
		if (index_obj(t, t->slot[i].at - 1) != old)
			continue;
		t->slot[i].at = (uint32_t)at + 1;
		return;
	}
}

static int add_addresses(struct snap_index *x, struct workload *w, size_t at, bool may_repeat,
			 struct errbuf *err)
{
	char text[IP_TEXT_MAX];

	if (w->host_network)
		return 0;
	for (size_t i = 0; i < w->n_addrs; i++) {
		struct workload *other = lookup_addr(x, &w->addrs[i]);

		if (other == w)
			continue;
		if (other && may_repeat) {
			if (has_address_before(w, other))
				table_replace(&x->addr, hash_addr(&w->addrs[i]), other, at);
			continue;
		}
		if (other)
			return errbuf_set(err, -EEXIST,
					  "workload '%s': address %s belongs to workload '%s' already",
					  w->uid, ip_format(text, &w->addrs[i]), other->uid);
		table_add(&x->addr, hash_addr(&w->addrs[i]), at);
	}
	return 0;
}

static int build_workloads(struct snap *s, struct snap_index *x, struct errbuf *err)
{
	size_t n_addrs = 0, n_hosts = 0;
	int r;

	for (size_t i = 0; i < s->n_workloads; i++) {
		n_addrs += s->workload[i]->n_addrs;
		n_hosts += s->workload[i]->hostname[0] != '\0';
	}
	if (table_reserve(&x->uid, s->n_workloads, s->workload) < 0 ||
	    table_reserve(&x->pod, s->n_workloads, s->workload) < 0 ||
	    table_reserve(&x->addr, n_addrs, s->workload) < 0 ||
	    table_reserve(&x->host, n_hosts, s->workload) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_workloads; i++) {
		struct workload *w = s->workload[i];

		if (lookup_uid(x, str_of(w->uid)))
			return errbuf_set(err, -EEXIST, "workload '%s': this uid is used twice",
					  w->uid);
		table_add(&x->uid, hash_str(str_of(w->uid)), i);
		if (w->name[0] && !lookup_pod(x, w->ns, w->name))
			table_add(&x->pod, hash_pair(w->ns, w->name), i);
		if (w->hostname[0])
			table_add(&x->host, hash_pair(w->ns, w->hostname), i);
		r = add_addresses(x, w, i, s->addrs_may_repeat, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* All that have it are found, see snap_service_by_vip_nth(); one that lists it twice is there once. */
static void add_vips(struct snap_index *x, const struct service *svc, size_t at, bool canonical)
{
	for (size_t i = 0; svc->canonical == canonical && i < svc->n_vips; i++) {
		bool twice = false;

		for (size_t k = 0; k < i; k++)
			twice |= ip_eq(&svc->vips[k], &svc->vips[i]);
		if (!twice)
			table_add(&x->vip, hash_addr(&svc->vips[i]), at);
	}
}

/* The pass in which a service's hostname is added: those for everybody come first, of them and of the
 * others canonical ones. */
static int hostname_pass(const struct service *svc)
{
	return svc->ns_only * 2 + !svc->canonical;
}

/* Who is to be found comes first. */
static void build_shared_names(struct snap *s, struct snap_index *x)
{
	for (int pass = 0; pass < 4; pass++) {
		for (size_t i = 0; i < s->n_services; i++) {
			struct service *svc = s->service[i];
			struct str host = str_of(svc->hostname);

			if (pass < 2)
				add_vips(x, svc, i, pass == 0);
			if (hostname_pass(svc) == pass)
				table_add(&x->hostname, hash_str(host), i);
		}
	}
}

static int range_cmp(const void *va, const void *vb)
{
	const struct snap_range *a = va, *b = vb;

	if (a->prefix.len != b->prefix.len)
		return a->prefix.len > b->prefix.len ? -1 : 1;
	if (a->svc->canonical != b->svc->canonical)
		return a->svc->canonical ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

static int build_ranges(struct snap *s, struct snap_index *x)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_services; i++)
		n += s->service[i]->n_ranges;
	x->ranges = calloc(n ? n : 1, sizeof(*x->ranges));
	if (!x->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_services; i++)
		for (size_t k = 0; k < s->service[i]->n_ranges; k++, x->n_ranges++)
			x->ranges[x->n_ranges] =
				(struct snap_range){ .prefix = s->service[i]->ranges[k],
						     .svc = s->service[i],
						     .order = x->n_ranges };
	qsort(x->ranges, x->n_ranges, sizeof(*x->ranges), range_cmp);
	return 0;
}

static int build_services(struct snap *s, struct snap_index *x, struct errbuf *err)
{
	size_t n_vips = 0;

	for (size_t i = 0; i < s->n_services; i++)
		n_vips += s->service[i]->n_vips;
	if (table_reserve(&x->svc_key, s->n_services, s->service) < 0 ||
	    table_reserve(&x->hostname, s->n_services, s->service) < 0 ||
	    table_reserve(&x->vip, n_vips, s->service) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_services; i++) {
		struct service *svc = s->service[i];

		if (lookup_svc_key(x, str_of(svc->key)))
			return errbuf_set(err, -EEXIST, "service '%s' is there twice", svc->key);
		table_add(&x->svc_key, hash_str(str_of(svc->key)), i);
	}
	build_shared_names(s, x);
	return build_ranges(s, x);
}

int index_build_keys(struct snap *s, struct errbuf *err)
{
	int r;

	s->index = calloc(1, sizeof(*s->index));
	if (!s->index)
		return -ENOMEM;
	atomic_init(&s->index->refs, 1);
	r = build_workloads(s, s->index, err);
	if (r == 0)
		r = build_services(s, s->index, err);
	return r;
}

static int workload_id_cmp(const void *va, const void *vb, void *arg)
{
	struct workload *const *w = arg;
	uint32_t a = w[*(const uint32_t *)va]->id, b = w[*(const uint32_t *)vb]->id;

	return (a > b) - (a < b);
}

static int id_port_cmp(const void *va, const void *vb)
{
	const struct id_port *a = va, *b = vb;

	return (a->id > b->id) - (a->id < b->id);
}

int index_build_ids(struct snap *s)
{
	struct snap_index *x = s->index;
	size_t n = 0;

	for (size_t i = 0; i < s->n_services; i++)
		n += s->service[i]->n_ports;
	x->by_id = calloc(s->n_workloads ? s->n_workloads : 1, sizeof(*x->by_id));
	x->by_port_id = calloc(n ? n : 1, sizeof(*x->by_port_id));
	if (!x->by_id || !x->by_port_id)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_workloads; i++)
		x->by_id[i] = (uint32_t)i;
	qsort_r(x->by_id, s->n_workloads, sizeof(*x->by_id), workload_id_cmp, s->workload);
	for (size_t i = 0; i < s->n_services; i++) {
		struct service *svc = s->service[i];

		for (size_t k = 0; k < svc->n_ports; k++)
			x->by_port_id[x->n_port_ids++] = (struct id_port){
				.id = svc->ports[k].id, .port = svc->ports[k].port, .svc = svc
			};
	}
	qsort(x->by_port_id, x->n_port_ids, sizeof(*x->by_port_id), id_port_cmp);
	return 0;
}
