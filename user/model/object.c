// SPDX-License-Identifier: Apache-2.0
/*
 * Birth, references and death of the objects of the model. Feeds fill fresh ones, snapshots
 * and connections hold references; the last one that lets go frees. References are counted
 * atomically, so they may be dropped on any thread.
 */
#include <stdlib.h>

#include "base/bug.h"
#include "model/object.h"
#include "model/snap.h"

/* Most objects have several fields without text: they share this one. */
static const char empty_text[1] = "";

char *text_empty(void)
{
	return (char *)(uintptr_t)empty_text;
}

static void text_free(char *text)
{
	if (text != empty_text)
		free(text);
}

static void texts_free(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_free(texts[i]);
	free(texts);
}

/* True for the caller that dropped the last reference. */
static bool refs_drop(_Atomic uint32_t *refs)
{
	uint32_t before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);

	BUG_ON(before == 0);
	return before == 1;
}

static void refs_take(_Atomic uint32_t *refs)
{
	uint32_t before = atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);

	BUG_ON(before == 0 || before == UINT32_MAX);
}

struct workload *workload_new(void)
{
	struct workload_alone *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	atomic_init(&a->w.refs, 1);
	a->w.group = &a->group;
	return &a->w;
}

struct workload *workload_get(struct workload *w)
{
	if (w)
		refs_take(&w->refs);
	return w;
}

size_t workload_texts(struct workload *w, char **ret[WORKLOAD_TEXTS])
{
	struct workload_group *g = w->group;
	char **const all[] = {
		&w->uid,
		&w->name,
		&w->ns,
		&w->node,
		&w->network,
		&w->hostname,
		&w->waypoint,
		&w->identity,
		&g->service_account,
		&g->trust_domain,
		&g->cluster,
		&g->canonical_name,
		&g->canonical_revision,
		&g->workload_name,
		&g->workload_type,
		&g->region,
		&g->zone,
		&g->subzone,
		&g->gateway,
	};

	_Static_assert(sizeof(all) / sizeof(all[0]) == WORKLOAD_TEXTS, "one for each text");
	for (size_t i = 0; i < WORKLOAD_TEXTS; i++)
		ret[i] = all[i];
	return WORKLOAD_TEXTS;
}

void labels_free(struct label *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_free(l[i].key);
		text_free(l[i].value);
	}
	free(l);
}

void workload_put(struct workload **pw)
{
	struct workload *w = TAKE_PTR(*pw);
	struct workload_alone *a;
	char **texts[WORKLOAD_TEXTS];
	size_t n;

	if (!w || !refs_drop(&w->refs))
		return;
	if (w->group->release) {
		w->group->release(w);
		return;
	}
	a = container_of(w, struct workload_alone, w);
	n = workload_texts(w, texts);
	for (size_t i = 0; i < n; i++)
		text_free(*texts[i]);
	for (size_t i = 0; i < w->n_services; i++) {
		text_free(w->services[i].key);
		free(w->services[i].ports);
	}
	free(w->services);
	texts_free(w->policies, w->n_policies);
	labels_free(a->labels, a->n_labels);
	free(w->addrs);
	free(a);
}

struct service *service_new(void)
{
	struct service *s = calloc(1, sizeof(*s));

	if (s)
		atomic_init(&s->refs, 1);
	return s;
}

struct service *service_get(struct service *s)
{
	if (s)
		refs_take(&s->refs);
	return s;
}

void service_put(struct service **ps)
{
	struct service *s = TAKE_PTR(*ps);

	if (!s || !refs_drop(&s->refs))
		return;
	for (size_t i = 0; i < s->n_endpoints; i++)
		workload_put(&s->endpoints[i].w);
	free(s->endpoints);
	if (!s->block)
		free(s->ports);
	if (s->like) {
		service_put(&s->like);
		free(s);
		return;
	}
	texts_free(s->sans, s->n_sans);
	for (size_t i = 0; i < s->n_weighted; i++)
		text_free(s->weighted[i].text);
	free(s->weighted);
	text_free(s->waypoint);
	free(s->ranges);
	if (!s->block) {
		text_free(s->key);
		text_free(s->name);
		text_free(s->ns);
		text_free(s->hostname);
		free(s->vips);
	}
	free(s->block);
	free(s);
}

struct service *service_copy(struct service *from)
{
	struct service *s = service_new();

	BUG_ON(!from->key);
	if (!s)
		return NULL;
	s->ports = from->n_ports ? calloc(from->n_ports, sizeof(*s->ports)) : NULL;
	if (from->n_ports && !s->ports) {
		free(s);
		return NULL;
	}
	s->key = from->key;
	s->name = from->name;
	s->ns = from->ns;
	s->hostname = from->hostname;
	s->waypoint = from->waypoint;
	s->vips = from->vips;
	s->n_vips = from->n_vips;
	s->ranges = from->ranges;
	s->n_ranges = from->n_ranges;
	s->weighted = from->weighted;
	s->n_weighted = from->n_weighted;
	s->sans = from->sans;
	s->n_sans = from->n_sans;
	for (; s->n_ports < from->n_ports; s->n_ports++) {
		const struct service_port *p = &from->ports[s->n_ports];

		s->ports[s->n_ports] = (struct service_port){ p->port, p->target_port, 0 };
	}
	s->lb_mode = from->lb_mode;
	memcpy(s->lb_scopes, from->lb_scopes, sizeof(s->lb_scopes));
	s->n_lb_scopes = from->n_lb_scopes;
	s->allow_unhealthy = from->allow_unhealthy;
	s->canonical = from->canonical;
	s->ns_only = from->ns_only;
	s->families = from->families;
	s->like = service_get(from);
	return s;
}

struct policy *policy_new(void)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p)
		atomic_init(&p->refs, 1);
	return p;
}

struct policy *policy_get(struct policy *p)
{
	if (p)
		refs_take(&p->refs);
	return p;
}

static void string_matches_free(struct string_match *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_free(m[i].text);
	free(m);
}

static void sa_matches_free(struct sa_match *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		text_free(m[i].ns);
		text_free(m[i].sa);
	}
	free(m);
}

static void match_fini(struct match *m)
{
	string_matches_free(m->namespaces, m->n_namespaces);
	string_matches_free(m->not_namespaces, m->n_not_namespaces);
	string_matches_free(m->principals, m->n_principals);
	string_matches_free(m->not_principals, m->n_not_principals);
	sa_matches_free(m->service_accounts, m->n_service_accounts);
	sa_matches_free(m->not_service_accounts, m->n_not_service_accounts);
	free(m->source_ips);
	free(m->not_source_ips);
	free(m->destination_ips);
	free(m->not_destination_ips);
	free(m->destination_ports);
	free(m->not_destination_ports);
}

static void rule_fini(struct rule *rule)
{
	for (size_t i = 0; i < rule->n_clauses; i++) {
		struct clause *c = &rule->clauses[i];

		for (size_t k = 0; k < c->n_matches; k++)
			match_fini(&c->matches[k]);
		free(c->matches);
	}
	free(rule->clauses);
}

void policy_put(struct policy **pp)
{
	struct policy *p = TAKE_PTR(*pp);

	if (!p || !refs_drop(&p->refs))
		return;
	for (size_t i = 0; i < p->n_rules; i++)
		rule_fini(&p->rules[i]);
	free(p->rules);
	free(p->filed);
	texts_free(p->warnings, p->n_warnings);
	text_free(p->key);
	text_free(p->name);
	text_free(p->ns);
	free(p);
}

void model_input_drop(struct model_input *in)
{
	for (size_t i = 0; i < in->n_services; i++)
		service_put(&in->service[i]);
	for (size_t i = 0; i < in->n_workloads; i++)
		workload_put(&in->workload[i]);
	for (size_t i = 0; i < in->n_policies; i++)
		policy_put(&in->policy[i]);
	free(in->service);
	free(in->workload);
	free(in->policy);
	*in = (struct model_input){ 0 };
}
