// SPDX-License-Identifier: Apache-2.0
/*
 * L4 authorization (see rbac.h). A pure function of a snapshot and the facts of a connection:
 * no state, no allocation, any thread that may read the snapshot.
 */
#include "policy/rbac.h"

#include <stdio.h>

#define SPIFFE_SCHEME STR("spiffe://")

static bool string_hits(const struct string_match *m, struct str s)
{
	switch (m->kind) {
	case MATCH_EXACT:
		return str_eq(str_of(m->text), s);
	case MATCH_PREFIX:
		return str_has_prefix(s, str_of(m->text));
	case MATCH_SUFFIX:
		return str_has_suffix(s, str_of(m->text));
	case MATCH_PRESENCE:
		return s.n > 0;
	}
	return false;
}

static bool namespace_hits(const void *item, const struct facts *f)
{
	return string_hits(item, f->has_identity ? f->id.ns : STR(""));
}

static bool principal_hits(const void *item, const struct facts *f)
{
	return f->has_identity && string_hits(item, f->principal);
}

static bool service_account_hits(const void *item, const struct facts *f)
{
	const struct sa_match *m = item;

	return f->has_identity && str_eq(str_of(m->ns), f->id.ns) &&
	       str_eq(str_of(m->sa), f->id.sa);
}

/* An IPv6 range as wide as ::/0 would contain the mapped form of every IPv4 address. */
static bool prefix_hits(const struct ip_prefix *p, const struct weft_addr *a)
{
	return !(ip_is_v4(a) && p->len < 96) && ip_in_prefix(a, p);
}

static bool source_ip_hits(const void *item, const struct facts *f)
{
	return prefix_hits(item, &f->src_ip);
}

static bool destination_ip_hits(const void *item, const struct facts *f)
{
	return prefix_hits(item, &f->dst_ip);
}

static bool destination_port_hits(const void *item, const struct facts *f)
{
	return *(const uint16_t *)item == f->dst_port;
}

/* One kind of condition: where its positive and negative lists are, and what a hit is. */
struct condition {
	bool (*hits)(const void *item, const struct facts *f);
	size_t size;
	size_t list, n_list, not_list, n_not_list;
};

#define CONDITION(name, fn)                                                     \
	{                                                                       \
		.hits = (fn),                                                   \
		.size = sizeof(*((struct match *)0)->name),                     \
		.list = offsetof(struct match, name),                           \
		.n_list = offsetof(struct match, n_##name),                     \
		.not_list = offsetof(struct match, not_##name),                 \
		.n_not_list = offsetof(struct match, n_not_##name),             \
	}

static const struct condition conditions[] = {
	CONDITION(destination_ports, destination_port_hits),
	CONDITION(destination_ips, destination_ip_hits),
	CONDITION(source_ips, source_ip_hits),
	CONDITION(service_accounts, service_account_hits),
	CONDITION(principals, principal_hits),
	CONDITION(namespaces, namespace_hits),
};

static size_t list_len(const struct match *m, size_t at)
{
	return *(const size_t *)((const char *)m + at);
}

static bool list_hits(const struct condition *c, const struct match *m, size_t list, size_t n_list,
		      const struct facts *f)
{
	const char *item = *(const char *const *)((const char *)m + list);
	size_t n = list_len(m, n_list);

	for (size_t i = 0; i < n; i++)
		if (c->hits(item + i * c->size, f))
			return true;
	return false;
}

static bool match_holds(const struct match *m, const struct facts *f)
{
	bool empty = true;

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		const struct condition *c = &conditions[i];
		bool positive = list_len(m, c->n_list) > 0;
		bool negative = list_len(m, c->n_not_list) > 0;

		if (positive && !list_hits(c, m, c->list, c->n_list, f))
			return false;
		if (negative && list_hits(c, m, c->not_list, c->n_not_list, f))
			return false;
		empty = empty && !positive && !negative;
	}
	/* What is left of a DENY whose HTTP attributes were ignored: must not deny everything. */
	return !empty;
}

static bool clause_holds(const struct clause *c, const struct facts *f)
{
	for (size_t i = 0; i < c->n_matches; i++)
		if (match_holds(&c->matches[i], f))
			return true;
	return c->n_matches == 0;
}

static bool rule_holds(const struct rule *rule, const struct facts *f)
{
	for (size_t i = 0; i < rule->n_clauses; i++)
		if (!clause_holds(&rule->clauses[i], f))
			return false;
	return true;
}

static bool policy_holds(const struct policy *p, const struct facts *f)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (rule_holds(&p->rules[i], f))
			return true;
	return false;
}

/* What is known while the policies of a destination are gone through. */
struct tally {
	bool any_allow;
	const struct policy *denied_by, *allowed_by;
};

static void tally_add(struct tally *t, const struct policy *p, const struct facts *f)
{
	if (p->dry_run)
		return;
	if (p->action == ACTION_DENY) {
		if (!t->denied_by && policy_holds(p, f))
			t->denied_by = p;
		return;
	}
	t->any_allow = true;
	if (!t->allowed_by && !t->denied_by && policy_holds(p, f))
		t->allowed_by = p;
}

static void tally_add_bound(struct tally *t, const struct snap *s, const char *ns,
			    const struct facts *f)
{
	struct policy *const *p;
	size_t n = snap_policies_of_ns(s, ns, &p);

	for (size_t i = 0; i < n; i++)
		tally_add(t, p[i], f);
}

static void result_set(struct rbac_result *ret, bool allow, bool explicit_deny, const char *policy)
{
	ret->allow = allow;
	ret->explicit_deny = explicit_deny;
	snprintf(ret->policy, sizeof(ret->policy), "%s", policy);
}

void rbac_check(const struct snap *s, const struct facts *f, struct rbac_result *ret)
{
	struct tally t = { 0 };

	if (!f->dst) {
		/* Without a destination nobody can say which policies bind it. */
		result_set(ret, false, false, "");
		return;
	}
	for (size_t i = 0; i < f->dst->n_policies; i++) {
		const struct policy *p = snap_policy_by_key(s, str_of(f->dst->policies[i]));

		if (!p) {
			result_set(ret, false, true, f->dst->policies[i]);
			return;
		}
		tally_add(&t, p, f);
	}
	tally_add_bound(&t, s, NULL, f);
	tally_add_bound(&t, s, f->dst->ns, f);

	if (t.denied_by)
		result_set(ret, false, true, t.denied_by->key);
	else if (t.allowed_by)
		result_set(ret, true, false, t.allowed_by->key);
	else
		result_set(ret, !t.any_allow, false, "");
}

void rbac_facts_of(const struct workload *src, const struct workload *dst, uint16_t port,
		   struct facts *ret)
{
	struct str identity;

	*ret = (struct facts){ .dst = dst, .dst_port = port };
	if (!src)
		return;
	identity = str_of(src->identity);
	if (!str_has_prefix(identity, SPIFFE_SCHEME))
		return;
	ret->has_identity = true;
	ret->principal = (struct str){ identity.p + SPIFFE_SCHEME.n, identity.n - SPIFFE_SCHEME.n };
	ret->id = (struct spiffe){ str_of(src->trust_domain), str_of(src->ns),
				   str_of(src->service_account) };
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
