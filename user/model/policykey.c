// SPDX-License-Identifier: Apache-2.0
/*
 * Chooses what a rule is filed under (policykey.h). A rule holds only if all its clauses do, a
 * clause only if one of its matches does: so the rule may be filed under the keys of any one
 * clause, and for this it takes one key list of each of the clause's matches. Of all clauses
 * the one is taken that narrows most.
 */
#include "model/policykey.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "base/vec.h"

/* A rule that has more keys than this is filed under KEY_ANY. */
#define RULE_KEYS_MAX 256

/* ns separates namespaces from each other and from the mesh, kind and action the rest. */
uint64_t key_hash(const char *ns, enum policy_action action, enum policy_key kind, uint64_t value)
{
	uint64_t h = ns ? hash_str(str_of(ns)) | 1 : 0;

	h = h * 0x9e3779b97f4a7c15ull + value + (uint64_t)action * KEY_KINDS + kind;
	h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93ull;
	h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93ull;
	return h ^ (h >> 32);
}

static const uint8_t widths[2][KEY_SOURCE_WIDTHS] = {
	{ 32, 48, 64, 128 }, { 96 + 8, 96 + 16, 96 + 24, 96 + 32 }, /* mapped IPv4 */
};

uint64_t key_source(const struct weft_addr *a, size_t width)
{
	uint8_t len = widths[ip_is_v4(a)][width];
	struct weft_addr net = { 0 };

	memcpy(net.b, a->b, len / 8);
	return hash_bytes(net.b, sizeof(net.b));
}

/* How well a kind narrows; smaller is better. */
enum { COST_ONE_PEER, COST_NARROW_NET, COST_NAMESPACE, COST_WIDE_NET, COST_PORT, COST_NONE };

struct keys {
	struct rule_key *out;
	size_t n, max;
};

static void key_add(struct keys *k, enum policy_key kind, uint64_t value)
{
	if (k->n < k->max)
		k->out[k->n] = (struct rule_key){ kind, value };
	k->n++;
}

/* "td/ns/NAMESPACE/..." says the namespace; the principal has no other '/'. */
static bool prefix_namespace(struct str s, struct str *ret)
{
	str_cut(&s, '/');
	if (!s.p || !str_eq(str_cut(&s, '/'), STR("ns")) || !s.p)
		return false;
	*ret = str_cut(&s, '/');
	return s.p;
}

/* ".../ns/NAMESPACE/sa/NAME" says the service account. */
static bool suffix_service_account(struct str s, struct str *ret_ns, struct str *ret_sa)
{
	const char *at = s.n ? memmem(s.p, s.n, "/ns/", 4) : NULL;
	struct str rest;

	if (!at)
		return false;
	rest = (struct str){ at + 4, s.n - (size_t)(at + 4 - s.p) };
	*ret_ns = str_cut(&rest, '/');
	if (!rest.p || !str_eq(str_cut(&rest, '/'), STR("sa")) || !rest.p)
		return false;
	*ret_sa = rest;
	return true;
}

static int principal_key(struct keys *k, const struct string_match *m)
{
	struct str ns, sa;

	if (m->kind == MATCH_EXACT) {
		key_add(k, KEY_PRINCIPAL, key_text(str_of(m->text)));
		return COST_ONE_PEER;
	}
	if (m->kind == MATCH_PREFIX && prefix_namespace(str_of(m->text), &ns)) {
		key_add(k, KEY_NAMESPACE, key_text(ns));
		return COST_NAMESPACE;
	}
	if (m->kind == MATCH_SUFFIX && suffix_service_account(str_of(m->text), &ns, &sa)) {
		key_add(k, KEY_SERVICE_ACCOUNT, key_pair(ns, sa));
		return COST_ONE_PEER;
	}
	return COST_NONE;
}

static int principals_keys(struct keys *k, const struct match *m)
{
	int cost = COST_ONE_PEER;

	for (size_t i = 0; i < m->n_principals; i++) {
		int c = principal_key(k, &m->principals[i]);

		cost = c > cost ? c : cost;
	}
	return m->n_principals ? cost : COST_NONE;
}

static int service_accounts_keys(struct keys *k, const struct match *m)
{
	for (size_t i = 0; i < m->n_service_accounts; i++) {
		const struct sa_match *sa = &m->service_accounts[i];

		key_add(k, KEY_SERVICE_ACCOUNT, key_pair(str_of(sa->ns), str_of(sa->sa)));
	}
	return m->n_service_accounts ? COST_ONE_PEER : COST_NONE;
}

static int namespaces_keys(struct keys *k, const struct match *m)
{
	for (size_t i = 0; i < m->n_namespaces; i++) {
		if (m->namespaces[i].kind != MATCH_EXACT)
			return COST_NONE;
		key_add(k, KEY_NAMESPACE, key_text(str_of(m->namespaces[i].text)));
	}
	return m->n_namespaces ? COST_NAMESPACE : COST_NONE;
}

static int sources_keys(struct keys *k, const struct match *m)
{
	int cost = COST_NARROW_NET;

	for (size_t i = 0; i < m->n_source_ips; i++) {
		const struct ip_prefix *p = &m->source_ips[i];
		const uint8_t *width = widths[ip_is_v4(&p->addr) && p->len >= 96];
		size_t w = KEY_SOURCE_WIDTHS;

		while (w > 0 && width[w - 1] > p->len)
			w--;
		if (w == 0)
			return COST_NONE;
		key_add(k, (enum policy_key)(KEY_SOURCE + w - 1), key_source(&p->addr, w - 1));
		cost = w <= 2 ? COST_WIDE_NET : cost;
	}
	return m->n_source_ips ? cost : COST_NONE;
}

static int ports_keys(struct keys *k, const struct match *m)
{
	for (size_t i = 0; i < m->n_destination_ports; i++)
		key_add(k, KEY_PORT, key_port(m->destination_ports[i]));
	return m->n_destination_ports ? COST_PORT : COST_NONE;
}

static int (*const kinds[])(struct keys *k, const struct match *m) = {
	service_accounts_keys, principals_keys, namespaces_keys, sources_keys, ports_keys,
};

static bool match_is_empty(const struct match *m)
{
	return !(m->n_namespaces + m->n_not_namespaces + m->n_principals + m->n_not_principals +
		 m->n_source_ips + m->n_not_source_ips + m->n_destination_ips +
		 m->n_not_destination_ips + m->n_destination_ports + m->n_not_destination_ports +
		 m->n_service_accounts + m->n_not_service_accounts);
}

/* Adds the cheapest list of keys of the match. */
static int match_keys(struct keys *k, const struct match *m)
{
	int (*best)(struct keys *, const struct match *) = NULL;
	int cost = COST_NONE;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct keys dry = { 0 };
		int c = kinds[i](&dry, m);

		if (c < cost) {
			cost = c;
			best = kinds[i];
		}
	}
	if (best)
		best(k, m);
	return cost;
}

/* COST_NONE if one of its matches cannot be filed, or if it holds without any. */
static int clause_keys(struct keys *k, const struct clause *c)
{
	int cost = c->n_matches ? COST_ONE_PEER : COST_NONE;

	for (size_t i = 0; i < c->n_matches && cost != COST_NONE; i++) {
		int this = match_is_empty(&c->matches[i]) ? COST_ONE_PEER
							  : match_keys(k, &c->matches[i]);

		cost = this > cost ? this : cost;
	}
	return cost;
}

/* The clause by which the rule is filed; NULL: none narrows it. */
static const struct clause *rule_clause(const struct rule *rule)
{
	const struct clause *best = NULL;
	int cost = COST_NONE;

	for (size_t i = 0; i < rule->n_clauses; i++) {
		struct keys dry = { 0 };
		int c = clause_keys(&dry, &rule->clauses[i]);

		if (c < cost) {
			cost = c;
			best = &rule->clauses[i];
		}
	}
	return best;
}

size_t rule_keys(const struct rule *rule, struct rule_key *ret, size_t max)
{
	struct keys k = { .out = ret, .max = max };
	const struct clause *best = rule_clause(rule);

	if (best)
		clause_keys(&k, best);
	else
		key_add(&k, KEY_ANY, 0);
	return k.n;
}

uint64_t key_group(const char *ns, enum policy_action action, const struct filed_rule *f)
{
	return key_hash(ns, action, (enum policy_key)f->kind,
			f->value + f->guard * 0x9e3779b97f4a7c15ull);
}

uint64_t key_directory(const char *ns, enum policy_action action, enum policy_key kind,
		       uint64_t value)
{
	return key_hash(ns, action, KEY_DIRECTORY, value * KEY_KINDS + kind);
}

static uint64_t more(uint64_t h, uint64_t v)
{
	return hash_bytes((uint64_t[]){ h, v }, 2 * sizeof(v));
}

static uint64_t more_texts(uint64_t h, const struct string_match *m, size_t n)
{
	h = more(h, n);
	for (size_t i = 0; i < n; i++)
		h = more(more(h, m[i].kind), m[i].text ? hash_str(str_of(m[i].text)) : 0);
	return h;
}

static uint64_t more_ranges(uint64_t h, const struct ip_prefix *p, size_t n)
{
	h = more(h, n);
	for (size_t i = 0; i < n; i++)
		h = more(more(h, p[i].len), hash_bytes(p[i].addr.b, sizeof(p[i].addr.b)));
	return h;
}

static uint64_t more_accounts(uint64_t h, const struct sa_match *m, size_t n)
{
	h = more(h, n);
	for (size_t i = 0; i < n; i++)
		h = more(more(h, hash_str(str_of(m[i].ns))), hash_str(str_of(m[i].sa)));
	return h;
}

static uint64_t more_ports(uint64_t h, const uint16_t *port, size_t n)
{
	h = more(h, n);
	return n ? more(h, hash_bytes(port, n * sizeof(*port))) : h;
}

/* Everything that a clause says. */
static uint64_t clause_hash(const struct clause *c)
{
	uint64_t h = c->n_matches;

	for (size_t i = 0; i < c->n_matches; i++) {
		const struct match *m = &c->matches[i];

		h = more_texts(h, m->namespaces, m->n_namespaces);
		h = more_texts(h, m->not_namespaces, m->n_not_namespaces);
		h = more_texts(h, m->principals, m->n_principals);
		h = more_texts(h, m->not_principals, m->n_not_principals);
		h = more_ranges(h, m->source_ips, m->n_source_ips);
		h = more_ranges(h, m->not_source_ips, m->n_not_source_ips);
		h = more_ranges(h, m->destination_ips, m->n_destination_ips);
		h = more_ranges(h, m->not_destination_ips, m->n_not_destination_ips);
		h = more_ports(h, m->destination_ports, m->n_destination_ports);
		h = more_ports(h, m->not_destination_ports, m->n_not_destination_ports);
		h = more_accounts(h, m->service_accounts, m->n_service_accounts);
		h = more_accounts(h, m->not_service_accounts, m->n_not_service_accounts);
	}
	return h | 1;
}

/* The first clause but the one that the rule is filed by: what both say is true of the whole
 * list already. If there is no other, that one: its negations may say more than its key. */
static void guard_set(struct filed_rule *f, const struct rule *rule, const struct clause *by)
{
	size_t at = rule->n_clauses > 1 && by == &rule->clauses[0];

	if (f->kind != KEY_ANY && f->kind != KEY_PORT && f->kind != KEY_NAMESPACE)
		return;
	if (rule->n_clauses == 0)
		return;
	f->clause = (uint8_t)at;
	f->guard = clause_hash(&rule->clauses[at]);
}

int policy_file(struct policy *p)
{
	VEC(struct filed_rule) list = { 0 };
	int r = 0;

	if (p->filed)
		return 0;
	for (uint32_t i = 0; r == 0 && i < p->n_rules; i++) {
		const struct clause *by = rule_clause(&p->rules[i]);
		struct rule_key keys[RULE_KEYS_MAX];
		size_t n = rule_keys(&p->rules[i], keys, RULE_KEYS_MAX);

		if (n > RULE_KEYS_MAX) {
			keys[0] = (struct rule_key){ KEY_ANY, 0 };
			n = 1;
		}
		for (size_t k = 0; r == 0 && k < n; k++) {
			struct filed_rule f = { .value = keys[k].value, .rule = i,
						.kind = (uint8_t)keys[k].kind };

			guard_set(&f, &p->rules[i], by);
			r = vec_push(&list, f);
		}
	}
	if (r < 0) {
		vec_fini(&list);
		return r;
	}
	p->filed = list.p;
	p->n_filed = list.n;
	return 0;
}
