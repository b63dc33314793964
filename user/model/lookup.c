// SPDX-License-Identifier: Apache-2.0
/*
 * Lookups in a snapshot. Called by all workers under RCU; nothing here writes.
 */
#include "model/lookup.h"

#include <stdlib.h>

#include "model/policies.h"

static bool has_addr(const struct weft_addr *addrs, size_t n, const struct weft_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (ip_eq(&addrs[i], a))
			return true;
	return false;
}

struct workload *lookup_addr(const struct snap_index *x, const struct weft_addr *a)
{
	index_for_each(struct workload, w, &x->addr,
		       hash_addr(a)) if (has_addr(w->addrs, w->n_addrs, a)) return w;
	return NULL;
}

struct workload *lookup_uid(const struct snap_index *x, struct str uid)
{
	index_for_each(struct workload, w, &x->uid,
		       hash_str(uid)) if (str_eq(str_of(w->uid), uid)) return w;
	return NULL;
}

struct workload *lookup_pod(const struct snap_index *x, const char *ns, const char *name)
{
	index_for_each(struct workload, w, &x->pod,
		       hash_pair(ns, name)) if (strcmp(w->ns, ns) == 0 &&
						strcmp(w->name, name) == 0) return w;
	return NULL;
}

struct workload *snap_workload_by_host(const struct snap *s, struct str ns, struct str hostname)
{
	index_for_each(
		struct workload, w, &s->index->host,
		hash_pair_str(ns, hostname)) if (str_eq(str_of(w->ns), ns) &&
						 str_eq(str_of(w->hostname), hostname)) return w;
	return NULL;
}

struct service *lookup_svc_key(const struct snap_index *x, struct str key)
{
	index_for_each(struct service, svc, &x->svc_key,
		       hash_str(key)) if (str_eq(str_of(svc->key), key)) return svc;
	return NULL;
}

struct workload *snap_workload_by_addr(const struct snap *s, const struct weft_addr *a)
{
	return lookup_addr(s->index, a);
}

struct workload *snap_workload_by_uid(const struct snap *s, struct str uid)
{
	return lookup_uid(s->index, uid);
}

struct workload *snap_workload_by_pod(const struct snap *s, const char *ns, const char *name)
{
	return lookup_pod(s->index, ns, name);
}

struct service *snap_service_by_vip_nth(const struct snap *s, const struct weft_addr *vip, size_t n)
{
	index_for_each(struct service, svc, &s->index->vip,
		       hash_addr(vip)) if (has_addr(svc->vips, svc->n_vips, vip) &&
					   n-- == 0) return svc;
	return NULL;
}

struct service *snap_service_by_vip(const struct snap *s, const struct weft_addr *vip)
{
	return snap_service_by_vip_nth(s, vip, 0);
}

bool workload_is_member(const struct workload *w, const struct service *svc)
{
	for (size_t i = 0; i < w->n_services; i++)
		if (strcmp(w->services[i].key, svc->key) == 0)
			return true;
	return false;
}

bool service_is_visible(const struct service *svc, const char *ns)
{
	return !svc->ns_only || strcmp(svc->ns, ns) == 0;
}

bool service_is_meant(struct service *svc, const char *ns, struct service **first)
{
	bool own = strcmp(svc->ns, ns) == 0;

	if (own || (!*first && service_is_visible(svc, ns)))
		*first = svc;
	return own;
}

struct service *snap_service_by_vip_for(const struct snap *s, const struct weft_addr *vip,
					const char *ns)
{
	struct service *first = NULL, *svc;

	for (size_t i = 0; (svc = snap_service_by_vip_nth(s, vip, i)); i++)
		if (service_is_meant(svc, ns, &first))
			break;
	return first;
}

/* IPv4 addresses are inside of ::/0 as they are written here, and not meant by it. */
static bool in_range(const struct weft_addr *a, const struct ip_prefix *p)
{
	return ip_is_v4(a) == ip_is_v4(&p->addr) && ip_in_prefix(a, p);
}

struct service *snap_service_by_range(const struct snap *s, const struct weft_addr *a)
{
	const struct snap_index *x = s->index;

	for (size_t i = 0; i < x->n_ranges; i++)
		if (in_range(a, &x->ranges[i].prefix))
			return x->ranges[i].svc;
	return NULL;
}

struct service *snap_service_by_range_for(const struct snap *s, const struct weft_addr *a,
					  const char *ns)
{
	const struct snap_index *x = s->index;
	struct service *first = NULL;

	for (size_t i = 0; i < x->n_ranges; i++)
		if (in_range(a, &x->ranges[i].prefix) &&
		    service_is_meant(x->ranges[i].svc, ns, &first))
			break;
	return first;
}

bool snap_range_has(const struct snap_range *r, const struct weft_addr *a)
{
	return in_range(a, &r->prefix);
}

const struct snap_range *snap_ranges(const struct snap *s, size_t *ret_n)
{
	*ret_n = s->index->n_ranges;
	return s->index->ranges;
}

struct service *snap_service_by_hostname_nth(const struct snap *s, struct str hostname, size_t n)
{
	index_for_each(struct service, svc, &s->index->hostname,
		       hash_str(hostname)) if (str_eq(str_of(svc->hostname), hostname) &&
					       n-- == 0) return svc;
	return NULL;
}

struct service *snap_service_by_hostname(const struct snap *s, struct str hostname)
{
	return snap_service_by_hostname_nth(s, hostname, 0);
}

struct service *snap_service_by_key(const struct snap *s, struct str key)
{
	return lookup_svc_key(s->index, key);
}

struct policy *snap_policy_by_key(const struct snap *s, struct str key)
{
	return policies_find(s->policies, key);
}

struct workload *snap_workload_by_id(const struct snap *s, uint32_t id)
{
	size_t from = 0, to = s->n_workloads;

	while (from < to) {
		size_t mid = from + (to - from) / 2;
		struct workload *w = s->workload[s->index->by_id[mid]];

		if (w->id == id)
			return w;
		if (w->id < id)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

static int port_id_find(const void *key, const void *elem)
{
	uint32_t id = *(const uint32_t *)key, at = ((const struct id_port *)elem)->id;

	return (id > at) - (id < at);
}

struct service *snap_service_by_port_id(const struct snap *s, uint32_t id, uint16_t *ret_port)
{
	const struct snap_index *x = s->index;
	const struct id_port *at = bsearch(&id, x->by_port_id, x->n_port_ids,
					   sizeof(*x->by_port_id), port_id_find);

	if (!at)
		return NULL;
	if (ret_port)
		*ret_port = at->port;
	return at->svc;
}

/* Does the membership or the service lead some service port to this target port? */
static bool maps_to(const struct service *svc, const struct workload_service *m, uint16_t target)
{
	for (size_t i = 0; i < svc->n_ports; i++) {
		uint16_t to = svc->ports[i].target_port;

		for (size_t k = 0; k < m->n_ports; k++)
			if (m->ports[k].service_port == svc->ports[i].port && m->ports[k].target_port)
				to = m->ports[k].target_port;
		if (to == target)
			return true;
	}
	return false;
}

struct service *snap_service_of(const struct snap *s, const struct workload *w, uint16_t target_port)
{
	for (size_t i = 0; i < w->n_services; i++) {
		struct service *svc = snap_service_by_key(s, str_of(w->services[i].key));

		if (svc && maps_to(svc, &w->services[i], target_port))
			return svc;
	}
	return NULL;
}

size_t snap_missing_policies(const struct snap *s, size_t *ret_workloads)
{
	size_t names = 0, workloads = 0;

	for (size_t i = 0; i < s->n_workloads; i++) {
		const struct workload *w = s->workload[i];
		size_t before = names;

		for (size_t k = 0; k < w->n_policies; k++)
			names += !policies_find(s->policies, str_of(w->policies[k]));
		workloads += names > before;
	}
	*ret_workloads = workloads;
	return names;
}
