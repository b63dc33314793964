// SPDX-License-Identifier: Apache-2.0
/*
 * PeerAuthentication (manifest.h). STRICT is a policy that denies peers without an identity: one
 * for all workloads that are strict on every port, one for each object that has ports of its
 * own. PERMISSIVE and DISABLE are no policy: a node proxy takes plaintext anyhow.
 *
 * What is in force for a port is what the workload's object says for it, else for the workload,
 * else what its namespace says, else the mesh; of several objects of one level, the oldest one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "feed/manifest.h"
#include "feed/mesh.h"

static const struct word mode_words[] = {
	{ "UNSET", MTLS_UNSET },
	{ "DISABLE", MTLS_DISABLE },
	{ "PERMISSIVE", MTLS_PERMISSIVE },
	{ "STRICT", MTLS_STRICT },
	{ 0 },
};
static const struct field mode_fields[] = {
	{ "mode", read_word, .off = 0, .words = mode_words, .flags = FIELD_NOT_NULL },
	{ 0 },
};

static int read_port_mode(struct decode *d, const struct at *at, const struct yaml *y,
			  const struct field *f, void *obj)
{
	struct port_mtls *p = obj;
	uint32_t port = 0;

	(void)f;
	if (str_to_u32(y->key, &port) < 0 || !port || port > UINT16_MAX || y->key.p[0] == '0')
		return decode_error(d, at, y, "is not a port");
	p->port = (uint16_t)port;
	return decode_map(d, at, y, mode_fields, &p->mode);
}

static int read_mtls(struct decode *d, const struct at *at, const struct yaml *y,
		     const struct field *f, void *obj)
{
	return decode_map(d, at, y, mode_fields, (char *)obj + f->off);
}

static const struct field item_port_mode = { .read = read_port_mode };
static const struct field spec_fields[] = {
	{ "selector", read_selector, .off = offsetof(struct peer_auth, selector),
	  .flags = FIELD_NOT_NULL },
	{ "mtls", read_mtls, .off = offsetof(struct peer_auth, mode) },
	{ "portLevelMtls", read_list, .off = offsetof(struct peer_auth, ports),
	  .off_n = offsetof(struct peer_auth, n_ports), .sub = &item_port_mode,
	  .size = sizeof(struct port_mtls), .max = 4096, .flags = FIELD_MAP | FIELD_NOT_NULL },
	{ 0 },
};

int peer_read(struct decode *d, const struct at *at, const struct yaml *y,
	      struct manifest_meta *meta, struct manifests *m)
{
	struct peer_auth a = { .meta = *meta };
	int r;

	*meta = (struct manifest_meta){ 0 };
	/* From here on the list owns what is read, also when it is wrong. */
	if (vec_push(&m->peers, a) < 0) {
		*meta = a.meta;
		return decode_oom(d);
	}
	r = decode_map(d, at, y, spec_fields, &m->peers.p[m->peers.n - 1]);
	a = m->peers.p[m->peers.n - 1];
	if (r == 0 && a.n_ports && !a.selector.there)
		return decode_error(d, at, y, "'portLevelMtls' needs a 'selector' with labels");
	return r;
}

/* ---- which object counts */

static bool is_root(const struct manifests *m, const struct peer_auth *a)
{
	return strcmp(a->meta.ns, manifests_root(m)) == 0;
}

/* The first of the file wins among those of one age. */
static const struct peer_auth *older(const struct peer_auth *a, const struct peer_auth *b)
{
	return a && strcmp(a->meta.created, b->meta.created) <= 0 ? a : b;
}

struct levels {
	const struct peer_auth *mesh, *ns, *workload;
};

/* w NULL: without the level of the workload. */
static struct levels levels_of(const struct manifests *m, const char *ns, const struct workload *w)
{
	struct levels l = { 0 };

	for (size_t i = 0; i < m->peers.n; i++) {
		const struct peer_auth *a = &m->peers.p[i];

		if (!a->selector.there && is_root(m, a))
			l.mesh = older(l.mesh, a);
		else if (strcmp(a->meta.ns, ns) != 0 || is_root(m, a))
			continue;
		else if (!a->selector.there)
			l.ns = older(l.ns, a);
		else if (w && selector_selects(&a->selector, w))
			l.workload = older(l.workload, a);
	}
	return l;
}

static bool strict_by_default(const struct levels *l)
{
	const struct peer_auth *in_order[] = { l->workload, l->ns, l->mesh };

	for (size_t i = 0; i < ARRAY_LEN(in_order); i++)
		if (in_order[i] && in_order[i]->mode != MTLS_UNSET)
			return in_order[i]->mode == MTLS_STRICT;
	return false;
}

/* Does any port of the object differ from what holds for the others? */
static bool has_exceptions(const struct peer_auth *a, bool strict)
{
	for (size_t i = 0; i < a->n_ports; i++)
		if (a->ports[i].mode != MTLS_UNSET && (a->ports[i].mode == MTLS_STRICT) != strict)
			return true;
	return false;
}

int peers_of(struct decode *d, const struct manifests *m, const struct workload *w, char **ret)
{
	struct levels l = levels_of(m, w->ns, w);
	bool strict = strict_by_default(&l);
	char *name;

	if (l.workload && has_exceptions(l.workload, strict))
		name = str_printf("%s/" PEER_PREFIX "%s", l.workload->meta.ns, l.workload->meta.name);
	else if (strict)
		name = str_printf("%s/" STATIC_STRICT, manifests_root(m));
	else
		return 0;
	if (!name)
		return decode_oom(d);
	*ret = name;
	return 0;
}

/* ---- objects to policies */

static int add_rule(struct policy *p, size_t n_clauses)
{
	struct rule *rules = realloc(p->rules, (p->n_rules + 1) * sizeof(*rules));

	if (!rules)
		return -1;
	p->rules = rules;
	rules[p->n_rules] = (struct rule){ .clauses = calloc(n_clauses, sizeof(struct clause)) };
	if (!rules[p->n_rules].clauses)
		return -1;
	p->n_rules++;
	return 0;
}

/* A clause with one match, in the last rule. */
static struct match *add_clause(struct policy *p)
{
	struct rule *rule = &p->rules[p->n_rules - 1];
	struct match *m = calloc(1, sizeof(*m));

	if (m)
		rule->clauses[rule->n_clauses++] = (struct clause){ m, 1 };
	return m;
}

static int ask_no_identity(struct match *m)
{
	m->not_principals = calloc(1, sizeof(*m->not_principals));
	if (!m->not_principals)
		return -1;
	m->not_principals[m->n_not_principals++] = (struct string_match){ .kind = MATCH_PRESENCE };
	return 0;
}

static int ask_port(uint16_t **list, size_t *n, uint16_t port)
{
	*list = calloc(1, sizeof(**list));
	if (!*list)
		return -1;
	(*list)[(*n)++] = port;
	return 0;
}

static int add_strict_rule(struct policy *p, size_t n_clauses)
{
	struct match *m = add_rule(p, n_clauses) == 0 ? add_clause(p) : NULL;

	return m ? ask_no_identity(m) : -1;
}

/* Strict, but for some ports: not (identity) and not (any of these ports). */
static int strict_but_ports(struct policy *p, const struct peer_auth *a)
{
	int r = add_strict_rule(p, a->n_ports + 1);

	for (size_t i = 0; r == 0 && i < a->n_ports; i++) {
		struct match *m;

		if (a->ports[i].mode == MTLS_UNSET || a->ports[i].mode == MTLS_STRICT)
			continue;
		m = add_clause(p);
		r = m ? ask_port(&m->not_destination_ports, &m->n_not_destination_ports,
				 a->ports[i].port)
		      : -1;
	}
	return r;
}

/* Strict on some ports: a rule for each. */
static int strict_ports(struct policy *p, const struct peer_auth *a)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->n_ports; i++) {
		struct match *m;

		if (a->ports[i].mode != MTLS_STRICT)
			continue;
		r = add_strict_rule(p, 1);
		if (r < 0)
			return r;
		m = p->rules[p->n_rules - 1].clauses[0].matches;
		r = ask_port(&m->destination_ports, &m->n_destination_ports, a->ports[i].port);
	}
	return r;
}

static int convert_peer(struct decode *d, struct manifests *m, const struct peer_auth *a)
{
	_free_ char *name = str_printf(PEER_PREFIX "%s", a->meta.name);
	cleanup_with(policy_put) struct policy *p = NULL;
	struct levels l = levels_of(m, a->meta.ns, NULL);
	bool foreign = is_root(m, a), strict;
	int r = name ? policy_named(d, str_of(a->meta.ns), str_of(name), &p) : decode_oom(d);

	l.workload = a;
	strict = strict_by_default(&l);
	if (r < 0 || (!foreign && !has_exceptions(a, strict)))
		return r;
	p->scope = SCOPE_WORKLOAD;
	p->action = foreign ? ACTION_NONE : ACTION_DENY;
	if (foreign)
		r = policy_warn(d, a->meta.line, p,
				"is not carried out: a PeerAuthentication with a "
				"selector has no effect in the root namespace");
	else if ((strict ? strict_but_ports(p, a) : strict_ports(p, a)) < 0)
		r = decode_oom(d);
	if (r == 0 && vec_push(&m->policies, p) < 0)
		r = decode_oom(d);
	if (r == 0)
		TAKE_PTR(p);
	return r;
}

static int add_static_strict(struct decode *d, struct manifests *m)
{
	cleanup_with(policy_put) struct policy *p = NULL;
	int r = policy_named(d, str_of(manifests_root(m)), STR(STATIC_STRICT), &p);

	if (r < 0)
		return r;
	p->scope = SCOPE_WORKLOAD;
	p->action = ACTION_DENY;
	if (add_strict_rule(p, 1) < 0 || vec_push(&m->policies, p) < 0)
		return decode_oom(d);
	TAKE_PTR(p);
	return 0;
}

int peers_convert(struct decode *d, struct manifests *m)
{
	int r = m->peers.n ? add_static_strict(d, m) : 0;

	for (size_t i = 0; r == 0 && i < m->peers.n; i++)
		if (m->peers.p[i].selector.there)
			r = convert_peer(d, m, &m->peers.p[i]);
	return r;
}
