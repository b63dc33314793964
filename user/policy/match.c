// SPDX-License-Identifier: Apache-2.0
/*
 * Rules against facts (match.h). No state, no allocation.
 */
#include "policy/match.h"

#include <sys/types.h>

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

	return f->has_identity && str_eq(str_of(m->ns), f->id.ns) && str_eq(str_of(m->sa), f->id.sa);
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
	const char *field, *not_field;
	bool (*hits)(const void *item, const struct facts *f);
	size_t size;
	size_t list, n_list, not_list, n_not_list;
};

#define CONDITION(name, text, not_text, fn) \
	{ \
		.field = (text), \
		.not_field = (not_text), \
		.hits = (fn), \
		.size = sizeof(*((struct match *)0)->name), \
		.list = offsetof(struct match, name), \
		.n_list = offsetof(struct match, n_##name), \
		.not_list = offsetof(struct match, not_##name), \
		.n_not_list = offsetof(struct match, n_not_##name), \
	}

static const struct condition conditions[] = {
	CONDITION(destination_ports, "destinationPorts", "notDestinationPorts", destination_port_hits),
	CONDITION(destination_ips, "destinationIps", "notDestinationIps", destination_ip_hits),
	CONDITION(source_ips, "sourceIps", "notSourceIps", source_ip_hits),
	CONDITION(service_accounts, "serviceAccounts", "notServiceAccounts", service_account_hits),
	CONDITION(principals, "principals", "notPrincipals", principal_hits),
	CONDITION(namespaces, "namespaces", "notNamespaces", namespace_hits),
};

static size_t list_len(const struct match *m, size_t at)
{
	return *(const size_t *)((const char *)m + at);
}

/* Which entry of the list hits, or -1. */
static ssize_t list_hit(const struct condition *c, const struct match *m, size_t list,
			size_t n_list, const struct facts *f)
{
	const char *item = *(const char *const *)((const char *)m + list);
	size_t n = list_len(m, n_list);

	for (size_t i = 0; i < n; i++)
		if (c->hits(item + i * c->size, f))
			return (ssize_t)i;
	return -1;
}

static bool missed(struct match_miss *ret, const char *field, size_t item)
{
	if (ret)
		*ret = (struct match_miss){ field, item };
	return false;
}

bool match_holds(const struct match *m, const struct facts *f, struct match_miss *ret_miss)
{
	bool empty = true;

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		const struct condition *c = &conditions[i];
		bool positive = list_len(m, c->n_list) > 0;
		bool negative = list_len(m, c->n_not_list) > 0;
		ssize_t hit;

		if (positive && list_hit(c, m, c->list, c->n_list, f) < 0)
			return missed(ret_miss, c->field, 0);
		hit = negative ? list_hit(c, m, c->not_list, c->n_not_list, f) : -1;
		if (hit >= 0)
			return missed(ret_miss, c->not_field, (size_t)hit);
		empty = empty && !positive && !negative;
	}
	/* What is left of a DENY whose HTTP attributes were ignored: must not deny everything. */
	return empty ? missed(ret_miss, NULL, 0) : true;
}

bool clause_holds(const struct clause *c, const struct facts *f)
{
	for (size_t i = 0; i < c->n_matches; i++)
		if (match_holds(&c->matches[i], f, NULL))
			return true;
	return c->n_matches == 0;
}

bool rule_holds(const struct rule *rule, const struct facts *f, size_t *ret_clause)
{
	for (size_t i = 0; i < rule->n_clauses; i++) {
		if (clause_holds(&rule->clauses[i], f))
			continue;
		if (ret_clause)
			*ret_clause = i;
		return false;
	}
	return true;
}

int policy_rule(const struct policy *p, const struct facts *f)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (rule_holds(&p->rules[i], f, NULL))
			return (int)i;
	return -1;
}
