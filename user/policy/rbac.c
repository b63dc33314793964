// SPDX-License-Identifier: Apache-2.0
/*
 * L4 authorization (see rbac.h). A pure function of a snapshot and the facts of a connection:
 * no state, no allocation, any thread that may read the snapshot.
 */
#include "policy/rbac.h"

#include <stdio.h>
#include <string.h>

#include "model/policies.h"
#include "policy/match.h"

#define SPIFFE_SCHEME STR("spiffe://")

/* More names of a workload than this are looked up again each time. */
#define NAMED_MAX 64

/* What is asked about a connection, made once. */
struct lookup {
	const struct snap *s;
	const struct facts *f;
	bool has[KEY_KINDS];
	uint64_t value[KEY_KINDS];
	const struct policy *named[NAMED_MAX];
};

static void lookup_add(struct lookup *l, unsigned int kind, uint64_t value)
{
	l->has[kind] = true;
	l->value[kind] = value;
}

static void lookup_init(struct lookup *l, const struct snap *s, const struct facts *f)
{
	l->s = s;
	l->f = f;
	memset(l->has, 0, sizeof(l->has));
	lookup_add(l, KEY_ANY, 0);
	lookup_add(l, KEY_PORT, key_port(f->dst_port));
	lookup_add(l, KEY_NAMESPACE, key_text(f->has_identity ? f->id.ns : STR("")));
	for (unsigned int i = 0; i < KEY_SOURCE_WIDTHS; i++)
		lookup_add(l, KEY_SOURCE + i, key_source(&f->src_ip, i));
	if (!f->has_identity)
		return;
	lookup_add(l, KEY_PRINCIPAL, key_text(f->principal));
	lookup_add(l, KEY_SERVICE_ACCOUNT, key_pair(f->id.ns, f->id.sa));
}

static const struct policy *named(const struct lookup *l, size_t i)
{
	return i < NAMED_MAX ? l->named[i] : snap_policy_by_key(l->s, str_of(l->f->dst->policies[i]));
}

/* Finds what the workload names; gives the first name that nobody has, or NULL. */
static const char *names_find(struct lookup *l)
{
	const struct workload *dst = l->f->dst;

	for (size_t i = 0; i < dst->n_policies; i++) {
		const struct policy *p = snap_policy_by_key(l->s, str_of(dst->policies[i]));

		if (!p)
			return dst->policies[i];
		if (i < NAMED_MAX)
			l->named[i] = p;
	}
	return NULL;
}

/* As policy_rule(), but looks only at rules that may hold. */
static int first_rule(const struct lookup *l, const struct policy *p)
{
	for (size_t i = 0; i < p->n_filed; i++) {
		const struct filed_rule *r = &p->filed[i];

		if (l->has[r->kind] && l->value[r->kind] == r->value &&
		    rule_holds(&p->rules[r->rule], l->f, NULL))
			return (int)r->rule;
	}
	return -1;
}

/* A list of rules, sorted by the keys of their policies. */
struct rule_list {
	const char *ns; /* NULL: the whole mesh */
	enum policy_action action;
	const struct posting *at;
	size_t n;
};

/* The first policy by key that has a rule that holds, or best if that comes before. */
static const struct policy *first_in(const struct lookup *l, const struct rule_list *list,
				     const struct policy *best)
{
	const struct posting *at = list->at;

	for (size_t i = 0; i < list->n; i++) {
		const struct policy *p = at[i].p;

		if (best && strcmp(best->key, p->key) <= 0)
			break;
		if (p->action == list->action && policy_binds(p, list->ns) &&
		    rule_holds(&p->rules[at[i].rule], l->f, NULL))
			return p;
	}
	return best;
}

/* The same for a directory: of a group whose guard does not hold, no rule does. */
static const struct policy *first_grouped(const struct lookup *l, const struct rule_list *firsts,
					  const struct policy *best)
{
	for (size_t i = 0; i < firsts->n; i++) {
		const struct policy *p = firsts->at[i].p;
		const struct filed_rule *f = &p->filed[firsts->at[i].rule];
		struct rule_list list = { .ns = firsts->ns, .action = firsts->action };

		if (best && strcmp(best->key, p->key) <= 0) /* to save time: so would first_in() */
			break;
		if (!clause_holds(&p->rules[f->rule].clauses[f->clause], l->f))
			continue;
		list.n = postings_find(&l->s->policies->table,
				       key_group(list.ns, list.action, f), &list.at);
		best = first_in(l, &list, best);
	}
	return best;
}

/* The first policy of the scope, by key, that has this action and matches. */
static const struct policy *first_bound(const struct lookup *l, const char *ns,
					enum policy_action action)
{
	const struct policies *set = l->s->policies;
	const struct policy *best = NULL;

	for (unsigned int kind = KEY_ANY; kind < KEY_KINDS; kind++) {
		uint32_t n = set->filed[ns != NULL][action][kind];
		uint32_t n_grouped = set->grouped[ns != NULL][action][kind];
		struct rule_list list = { .ns = ns, .action = action };

		if (!l->has[kind] || n == 0)
			continue;
		if (n > n_grouped) {
			list.n = policies_filed(set, ns, action, kind, l->value[kind], &list.at);
			best = first_in(l, &list, best);
		}
		if (n_grouped) {
			list.n = policies_directory(set, ns, action, kind, l->value[kind], &list.at);
			best = first_grouped(l, &list, best);
		}
	}
	return best;
}

/* Of those that the workload names, in its order. */
static const struct policy *first_named(const struct lookup *l, enum policy_action action)
{
	for (size_t i = 0; i < l->f->dst->n_policies; i++) {
		const struct policy *p = named(l, i);

		if (p->action == action && policy_decides(p) && first_rule(l, p) >= 0)
			return p;
	}
	return NULL;
}

static const struct policy *first_of(const struct lookup *l, enum policy_action action)
{
	const struct policy *p = first_named(l, action);

	if (!p)
		p = first_bound(l, NULL, action);
	return p ? p : first_bound(l, l->f->dst->ns, action);
}

static bool scope_allows(const struct snap *s, const char *ns)
{
	const struct posting *at;
	size_t n = policies_filed(s->policies, ns, ACTION_ALLOW, KEY_ALLOW, 0, &at);

	return n && policy_binds(at->p, ns);
}

/* Is there any ALLOW policy that binds the destination, matching or not? */
static bool any_allow(const struct lookup *l)
{
	for (size_t i = 0; i < l->f->dst->n_policies; i++) {
		const struct policy *p = named(l, i);

		if (p->action == ACTION_ALLOW && policy_decides(p))
			return true;
	}
	return scope_allows(l->s, NULL) || scope_allows(l->s, l->f->dst->ns);
}

static void result_set(struct rbac_result *ret, bool allow, const char *policy, int rule)
{
	*ret = (struct rbac_result){ .allow = allow, .rule = rule };
	snprintf(ret->policy, sizeof(ret->policy), "%s", policy);
	ret->explicit_deny = !allow && policy[0];
}

void rbac_check(const struct snap *s, const struct facts *f, struct rbac_result *ret)
{
	const struct policy *p;
	const char *missing;
	struct lookup l;

	if (!f->dst) {
		/* Without a destination nobody can say which policies bind it. */
		result_set(ret, false, "", -1);
		return;
	}
	lookup_init(&l, s, f);
	/* Not what ztunnel does, which goes on without it: decisions/0013-unknown-policy.md. */
	missing = names_find(&l);
	if (missing) {
		result_set(ret, false, missing, -1);
		ret->missing = true;
		return;
	}
	p = first_of(&l, ACTION_DENY);
	if (!p && !any_allow(&l)) {
		result_set(ret, true, "", -1);
		return;
	}
	if (!p)
		p = first_of(&l, ACTION_ALLOW);
	if (p)
		result_set(ret, p->action == ACTION_ALLOW, p->key, first_rule(&l, p));
	else
		result_set(ret, false, "", -1);
}

void rbac_facts_of(const struct workload *src, const struct workload *dst, uint16_t port,
		   struct facts *ret)
{
	struct facts f = { .dst = dst, .dst_port = port };
	struct str identity = str_of(src ? src->identity : "");

	/* Both forms of the identity come from one text, so they cannot disagree. */
	if (src && spiffe_parse(identity, &f.id) == 0) {
		f.has_identity = true;
		f.principal = (struct str){ identity.p + SPIFFE_SCHEME.n,
					    identity.n - SPIFFE_SCHEME.n };
	}
	*ret = f;
}

/* More address pairs than this are not worth comparing: the relay decides then. */
#define PAIRS_MAX 256

bool rbac_cacheable(const struct snap *s, const struct workload *src, const struct workload *dst,
		    uint16_t port, struct rbac_result *ret)
{
	struct rbac_result first = { 0 }, other;
	struct facts f;
	bool have = false;

	if (src->n_addrs * dst->n_addrs > PAIRS_MAX)
		return false;
	rbac_facts_of(src, dst, port, &f);
	for (size_t i = 0; i < src->n_addrs * dst->n_addrs; i++) {
		f.src_ip = src->addrs[i / dst->n_addrs];
		f.dst_ip = dst->addrs[i % dst->n_addrs];
		if (ip_is_v4(&f.src_ip) != ip_is_v4(&f.dst_ip))
			continue; /* no connection has these two */
		rbac_check(s, &f, have ? &other : &first);
		if (have && other.allow != first.allow)
			return false;
		have = true;
	}
	if (have)
		*ret = first;
	return have;
}
