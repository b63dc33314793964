// SPDX-License-Identifier: Apache-2.0
/*
 * The model: builds snapshots and publishes them. One thread builds and publishes; any number
 * of threads read under RCU. A failed build leaves no trace that a reader or a later build
 * could see, except that it may have used up numbers.
 */
#include "model/snap.h"

#include "weft/wld.h"

#include <errno.h>
#include <stdlib.h>
#include <urcu/urcu-qsbr.h>

#include "base/race.h"
#include "codec/spiffe.h"
#include "model/ids.h"
#include "model/index.h"
#include "model/object.h"
#include "model/policies.h"

struct model {
	struct snap *current; /* RCU */
	struct ids workload_ids, service_ids;
	uint64_t version;
	size_t addrs_max, pairs_max;
	bool published; /* something was, beyond the empty one of model_new() */
};

void snap_free(struct snap **ps)
{
	struct snap *s = TAKE_PTR(*ps);
	struct model_input in;

	if (!s)
		return;
	in = (struct model_input){
		.workload = s->workload,
		.n_workloads = s->n_workloads,
		.service = s->service,
		.n_services = s->n_services,
	};
	if (index_put(&s->index))
		model_input_drop(&in);
	policies_put(&s->policies);
	free(s);
}

struct snap *snap_share(const struct snap *s)
{
	struct snap *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *s;
	index_get(s->index);
	policies_get(s->policies);
	return copy;
}

static void text_default(char **text)
{
	if (!*text)
		*text = text_empty();
}

static int key_default(char **key, const char *ns, const char *name)
{
	if (*key)
		return 0;
	*key = str_printf("%s/%s", ns, name);
	return *key ? 0 : -ENOMEM;
}

static int workload_defaults(struct workload *w)
{
	char **texts[WORKLOAD_TEXTS];
	size_t n = workload_texts(w, texts);
	bool has_identity = w->identity;

	for (size_t i = 0; i < n; i++)
		text_default(texts[i]);
	for (size_t i = 0; i < w->n_services; i++)
		text_default(&w->services[i].key);
	for (size_t i = 0; i < w->n_policies; i++)
		text_default(&w->policies[i]);
	if (!has_identity) {
		struct spiffe id = { str_of(w->group->trust_domain), str_of(w->ns),
				     str_of(w->group->service_account) };
		char *text = spiffe_format(&id);

		if (!text)
			return -ENOMEM;
		w->identity = text;
	}
	return 0;
}

static int service_defaults(struct service *svc)
{
	text_default(&svc->name);
	text_default(&svc->ns);
	text_default(&svc->hostname);
	text_default(&svc->waypoint);
	for (size_t i = 0; i < svc->n_sans; i++)
		text_default(&svc->sans[i]);
	for (size_t i = 0; i < svc->n_weighted; i++)
		text_default(&svc->weighted[i].text);
	return key_default(&svc->key, svc->ns, svc->hostname);
}

static int policy_defaults(struct policy *p)
{
	for (size_t i = 0; i < p->n_warnings; i++)
		text_default(&p->warnings[i]);
	text_default(&p->name);
	text_default(&p->ns);
	return key_default(&p->key, p->ns, p->name);
}

static int snap_defaults(struct snap *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_workloads; i++)
		r = workload_defaults(s->workload[i]);
	for (size_t i = 0; r == 0 && i < s->n_services; i++)
		r = service_defaults(s->service[i]);
	return r;
}

static const struct service_port *port_of(const struct service *svc, uint16_t port)
{
	for (size_t i = 0; i < svc->n_ports; i++)
		if (svc->ports[i].port == port)
			return &svc->ports[i];
	return NULL;
}

static char *port_name(const struct service *svc, const struct service_port *port)
{
	return str_printf("%s:%u", svc->key, port->port);
}

static int give_port_id(struct model *m, struct service *svc, struct service_port *port,
			const struct service *same)
{
	const struct service_port *before = same ? port_of(same, port->port) : NULL;
	_free_ char *name = before ? NULL : port_name(svc, port);

	if (before) {
		port->id = before->id;
		return 0;
	}
	if (!name)
		return -ENOMEM;
	return ids_lend(&m->service_ids, str_of(name), svc->vips, svc->n_vips, port->port,
			&port->id);
}

/* As with workloads, the snapshot in force knows the ids of what is in it. */
static int give_service_ids(struct model *m, struct service *svc)
{
	const struct service *same =
		m->current ? snap_service_by_key(m->current, str_of(svc->key)) : NULL;
	int r = 0;

	if (same)
		svc->id = same->id;
	else
		r = ids_lend(&m->service_ids, str_of(svc->key), NULL, 0, 0, &svc->id);
	for (size_t i = 0; r == 0 && i < svc->n_ports; i++)
		r = give_port_id(m, svc, &svc->ports[i], same);
	return r;
}

/* Names of workloads are many, and the snapshot in force knows those that are in use. */
static int give_workload_id(struct model *m, struct workload *w)
{
	const struct workload *same;

	if (w->id) /* in force, and being read; or of a build that failed later on */
		return 0;
	same = m->current ? snap_workload_by_uid(m->current, str_of(w->uid)) : NULL;
	if (same) {
		w->id = same->id;
		return 0;
	}
	/* The address of a node says nothing about which of its workloads had the id. */
	return ids_lend(&m->workload_ids, str_of(w->uid), w->addrs,
			w->host_network ? 0 : w->n_addrs, 0, &w->id);
}

/* now: what there is of it, NULL nothing */
static void keep_ids_of_service(struct model *m, const struct service *svc,
				const struct service *now)
{
	if (!now)
		ids_keep(&m->service_ids, str_of(svc->key), svc->id);
	for (size_t i = 0; i < svc->n_ports; i++) {
		_free_ char *name = NULL;

		if (now && port_of(now, svc->ports[i].port))
			continue;
		name = port_name(svc, &svc->ports[i]);
		if (name)
			ids_keep(&m->service_ids, str_of(name), svc->ports[i].id);
	}
}

/* One that comes back gets its old id. */
static void keep_ids_of_gone(struct model *m, const struct snap *old, const struct snap *s)
{
	if (old->index == s->index)
		return;
	for (size_t i = 0; i < old->n_workloads; i++) {
		const struct workload *w = old->workload[i];

		if (!snap_workload_by_uid(s, str_of(w->uid)))
			ids_keep(&m->workload_ids, str_of(w->uid), w->id);
	}
	for (size_t i = 0; i < old->n_services; i++)
		keep_ids_of_service(m, old->service[i],
				    snap_service_by_key(s, str_of(old->service[i]->key)));
}

static int give_ids(struct model *m, struct snap *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->n_workloads; i++)
		r = give_workload_id(m, s->workload[i]);
	for (size_t i = 0; r == 0 && i < s->n_services; i++)
		r = give_service_ids(m, s->service[i]);
	return r;
}

/* Calls for each {service, membership} whose endpoint is to be listed: once to count, once to
 * fill. */
static void link_endpoints(struct snap *s, bool fill)
{
	for (size_t i = 0; i < s->n_workloads; i++) {
		struct workload *w = s->workload[i];

		for (size_t k = 0; k < w->n_services; k++) {
			struct workload_service *m = &w->services[k];
			struct service *svc = snap_service_by_key(s, str_of(m->key));

			if (!svc || (w->status != WORKLOAD_HEALTHY && !svc->allow_unhealthy))
				continue;
			if (fill)
				svc->endpoints[svc->n_endpoints] = (struct endpoint){
					.w = workload_get(w), .ports = m->ports, .n_ports = m->n_ports
				};
			svc->n_endpoints++;
			svc->has_names |= workload_is_name(w);
			svc->has_gateways |= w->group->gateway[0] != '\0';
		}
	}
}

static int resolve_endpoints(struct snap *s)
{
	link_endpoints(s, false);
	for (size_t i = 0; i < s->n_services; i++) {
		struct service *svc = s->service[i];
		size_t n = svc->n_endpoints;

		svc->n_endpoints = 0;
		if (n == 0)
			continue;
		svc->endpoints = calloc(n, sizeof(*svc->endpoints));
		if (!svc->endpoints) {
			/* The counts of those behind must not survive: nothing is there yet. */
			for (; i < s->n_services; i++)
				s->service[i]->n_endpoints = 0;
			return -ENOMEM;
		}
	}
	link_endpoints(s, true);
	return 0;
}

/* The kernel tables are the limit, and they must hold all of it or nothing. */
static int check_capacity(const struct model *m, const struct snap *s, struct errbuf *err)
{
	size_t addrs = 0, pairs = 0, ranges = 1; /* one that keeps IPv4 out of ::/0 */

	for (size_t i = 0; i < s->n_workloads; i++)
		addrs += s->workload[i]->n_addrs;
	for (size_t i = 0; i < s->n_services; i++) {
		addrs += s->service[i]->n_vips;
		ranges += s->service[i]->n_ranges;
		pairs += s->service[i]->n_vips * s->service[i]->n_ports;
	}
	if (addrs > m->addrs_max)
		return errbuf_set(err, -ENOSPC,
				  "the mesh has %zu addresses, at most %zu fit (mesh_addresses)",
				  addrs, m->addrs_max);
	if (ranges > WEFT_RANGES_MAX)
		return errbuf_set(err, -ENOSPC,
				  "the mesh has %zu ranges of addresses, at most %d fit",
				  ranges - 1, WEFT_RANGES_MAX - 1);
	if (pairs > m->pairs_max)
		return errbuf_set(err, -ENOSPC,
				  "the mesh has %zu VIP and port pairs, at most %zu fit (a quarter "
				  "of mesh_addresses)",
				  pairs, m->pairs_max);
	return 0;
}

static void set_policies(struct snap *s, struct policies *p)
{
	s->policies = p;
	s->policy = p->all;
	s->n_policies = p->n;
}

static int index_policies(struct snap *s, struct policy *const *list, size_t n, struct errbuf *err)
{
	struct policies *p = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = policy_defaults(list[i]);
	if (r == 0)
		r = policies_build(list, n, err, &p);
	if (r == 0)
		set_policies(s, p);
	return r;
}

static int build_failed(struct errbuf *err, int r)
{
	return errbuf_set(err, r, r == -ENOSPC ? "all ids are used up" : "out of memory");
}

int model_build(struct model *m, struct model_input *in, struct errbuf *err, struct snap **ret)
{
	cleanup_with(model_input_drop) struct model_input rest = *in; /* what is not the snapshot's */
	cleanup_with(snap_free) struct snap *s = calloc(1, sizeof(*s));
	int r;

	*in = (struct model_input){ 0 };
	if (!s)
		return errbuf_set(err, -ENOMEM, "out of memory");
	s->workload = TAKE_PTR(rest.workload);
	s->n_workloads = rest.n_workloads;
	s->service = TAKE_PTR(rest.service);
	s->n_services = rest.n_services;
	s->addrs_may_repeat = rest.addrs_may_repeat;
	rest.n_workloads = rest.n_services = 0;

	r = check_capacity(m, s, err);
	if (r == 0)
		r = snap_defaults(s);
	if (r == 0)
		r = index_build_keys(s, err);
	if (r == 0)
		r = index_policies(s, rest.policy, rest.n_policies, err);
	if (r == 0)
		r = resolve_endpoints(s);
	if (r == 0)
		r = give_ids(m, s);
	if (r == 0)
		r = index_build_ids(s);
	if (r < 0)
		return build_failed(err, r);
	s->version = s->mesh_version = ++m->version;
	*ret = TAKE_PTR(s);
	return 0;
}

/* One change: *set becomes the next version. */
static int change_policy(struct policies **set, struct policy *p, const char *key)
{
	struct policies *next = NULL;
	int r = p ? policy_defaults(p) : 0;

	if (r == 0)
		r = policies_replace(*set, str_of(p ? p->key : key), p, &next);
	if (r < 0)
		return r;
	policies_put(set);
	*set = next;
	return 0;
}

int model_build_policies(struct model *m, struct policy_change *change, size_t n,
			 struct errbuf *err, struct snap **ret)
{
	cleanup_with(snap_free) struct snap *s = calloc(1, sizeof(*s));
	cleanup_with(policies_put) struct policies *set = policies_get(m->current->policies);
	int r = s ? 0 : -ENOMEM;

	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = change_policy(&set, change[i].policy, change[i].key);
		policy_put(&change[i].policy);
	}
	if (r < 0)
		return build_failed(err, r);
	*s = *m->current;
	index_get(s->index);
	set_policies(s, TAKE_PTR(set));
	s->version = ++m->version;
	*ret = TAKE_PTR(s);
	return 0;
}

void model_publish(struct model *m, struct snap *s)
{
	struct snap *old = m->current;

	ids_adoption_end(&m->workload_ids);
	ids_adoption_end(&m->service_ids);
	keep_ids_of_gone(m, old, s);
	ids_forget(&m->workload_ids);
	ids_forget(&m->service_ids);
	m->published = true;
	race_before(&m->current);
	rcu_assign_pointer(m->current, s);
	urcu_qsbr_synchronize_rcu();
	race_after(RACE_GRACE);
	snap_free(&old);
}

const struct snap *model_snap(const struct model *m)
{
	const struct snap *s = rcu_dereference(m->current);

	race_after((void *)&m->current);
	return s;
}

int model_new(struct model **ret)
{
	struct model *m = calloc(1, sizeof(*m));
	struct model_input none = { 0 };
	int r;

	if (!m)
		return -ENOMEM;
	model_limit(m, WEFT_ADDRS_MAX, WEFT_SERVICES_MAX);
	r = model_build(m, &none, NULL, &m->current);
	if (r < 0) {
		free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void model_limit(struct model *m, size_t addrs, size_t pairs)
{
	m->addrs_max = addrs;
	m->pairs_max = pairs;
}

void model_free(struct model **pm)
{
	struct model *m = TAKE_PTR(*pm);

	if (!m)
		return;
	snap_free(&m->current);
	ids_fini(&m->workload_ids);
	ids_fini(&m->service_ids);
	free(m);
}

int model_adopt_workload_id(struct model *m, const struct weft_addr *addr, uint32_t id)
{
	struct weft_ep ep = { .addr = *addr };

	return m->published ? -EBUSY : ids_adopt(&m->workload_ids, &ep, id);
}

int model_adopt_service_id(struct model *m, const struct weft_addr *vip, uint16_t port, uint32_t id)
{
	struct weft_ep ep = { .addr = *vip, .port = port };

	return m->published ? -EBUSY : ids_adopt(&m->service_ids, &ep, id);
}
