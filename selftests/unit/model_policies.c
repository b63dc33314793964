// SPDX-License-Identifier: Apache-2.0
/* The set of policies: versions after any changes are what a fresh build gives, old versions
 * stay what they were, rules are filed where a connection looks for them. */
#include "model/policies.h"
#include "unit/model_make.h"

#define MANY 200

/* "From all namespaces but this one", the same for many policies: their rules are groups. */
static struct clause not_from(unsigned int variant)
{
	struct match *m = calloc(1, sizeof(*m));

	m->not_namespaces = calloc(1, sizeof(*m->not_namespaces));
	m->not_namespaces[0] =
		(struct string_match){ MATCH_EXACT, str_printf("guard%u", variant % 3) };
	m->n_not_namespaces = 1;
	return (struct clause){ m, 1 };
}

static struct policy *make(size_t i, unsigned int variant)
{
	_free_ char *name = str_printf("p%03zu", i);
	_free_ char *ns = str_printf("ns%u", variant % 5);
	struct policy *p = make_policy("keys", name, (enum policy_scope)(variant % 3));

	p->key = str_printf("keys/%s", name);
	free(p->ns);
	p->ns = str_dup(str_of(ns));
	p->action = (enum policy_action)(variant / 3 % 2);
	p->dry_run = variant % 11 == 0;
	p->n_rules = variant % 4;
	p->rules = p->n_rules ? calloc(p->n_rules, sizeof(*p->rules)) : NULL;
	for (size_t k = 0; k < p->n_rules; k++) {
		struct match *m = calloc(1, sizeof(*m));

		p->rules[k].clauses = calloc(2, sizeof(struct clause));
		p->rules[k].n_clauses = 2;
		p->rules[k].clauses[0] = not_from(variant + (unsigned int)k);
		p->rules[k].clauses[1] = (struct clause){ m, 1 };
		m->destination_ports = calloc(2, sizeof(uint16_t));
		m->destination_ports[0] = (uint16_t)(variant % 7 + k);
		m->destination_ports[1] = (uint16_t)(i + 100);
		m->n_destination_ports = 2;
	}
	return p;
}

static void same_filed(const struct policies *a, const struct policies *b, const char *ns,
		       enum policy_action action, enum policy_key kind, uint64_t value)
{
	const struct posting *pa, *pb;
	size_t n = policies_filed(a, ns, action, kind, value, &pa);

	assert_int_equal(policies_filed(b, ns, action, kind, value, &pb), n);
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(pa[i].p, pb[i].p);
		assert_int_equal(pa[i].rule, pb[i].rule);
	}
}

/* A directory has the first rule of each group, in order; gives the number of rules in all. */
static size_t same_groups(const struct policies *a, const struct policies *b, const char *ns,
			  enum policy_action action, enum policy_key kind, uint64_t value)
{
	const struct posting *pa, *pb, *group, *other;
	size_t n = policies_directory(a, ns, action, kind, value, &pa), rules = 0;

	assert_int_equal(policies_directory(b, ns, action, kind, value, &pb), n);
	for (size_t i = 0; i < n; i++) {
		const struct filed_rule *f = &pa[i].p->filed[pa[i].rule];
		uint64_t hash = key_group(ns, action, f);
		size_t k = postings_find(&a->table, hash, &group);

		assert_ptr_equal(pa[i].p, pb[i].p);
		assert_int_equal(pa[i].rule, pb[i].rule);
		assert_true(i == 0 || strcmp(pa[i - 1].p->key, pa[i].p->key) <= 0);
		assert_int_equal(postings_find(&b->table, hash, &other), k);
		assert_true(k > 0 && group[0].p == pa[i].p && group[0].rule == f->rule);
		for (size_t j = 0; j < k; j++)
			assert_true(group[j].p == other[j].p && group[j].rule == other[j].rule);
		rules += k;
	}
	return rules;
}

static void same(const struct policies *a, const struct policies *b)
{
	static const char *const ns[] = { NULL, "ns0", "ns1", "ns2", "ns3", "ns4", "keys" };
	size_t rules = 0, filed = 0;

	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		assert_ptr_equal(a->all[i], b->all[i]);
		assert_ptr_equal(policies_find(a, str_of(b->all[i]->key)), b->all[i]);
	}
	assert_memory_equal(a->filed, b->filed, sizeof(a->filed));
	assert_memory_equal(a->grouped, b->grouped, sizeof(a->grouped));
	for (size_t i = 0; i < ARRAY_LEN(ns); i++) {
		same_filed(a, b, ns[i], ACTION_ALLOW, KEY_BOUND, 0);
		same_filed(a, b, ns[i], ACTION_ALLOW, KEY_ALLOW, 0);
		for (uint16_t port = 0; port < 100 + MANY; port++) {
			same_filed(a, b, ns[i], ACTION_ALLOW, KEY_PORT, key_port(port));
			same_filed(a, b, ns[i], ACTION_DENY, KEY_PORT, key_port(port));
			rules += same_groups(a, b, ns[i], ACTION_ALLOW, KEY_PORT, key_port(port));
			rules += same_groups(a, b, ns[i], ACTION_DENY, KEY_PORT, key_port(port));
		}
	}
	for (int scope = 0; scope < 2; scope++)
		filed += a->grouped[scope][ACTION_ALLOW][KEY_PORT] +
			 a->grouped[scope][ACTION_DENY][KEY_PORT];
	assert_int_equal(rules, filed);
	assert_int_equal(policies_bytes(a) > 0, 1);
}

static struct policies *build(struct policy *const *list, size_t n)
{
	struct policies *s = NULL;
	struct errbuf err = { 0 };

	if (policies_build(list, n, &err, &s) < 0)
		fail_msg("%s", err.text);
	return s;
}

/* Replaces policy i by p (NULL: removes it) in the version and in the list of what should be. */
static void replace(struct policies **s, struct policy **list, size_t i, struct policy *p)
{
	_free_ char *key = str_printf("keys/p%03zu", i);
	struct policies *next = NULL;

	assert_int_equal(policies_replace(*s, str_of(key), p, &next), 0);
	policies_put(s);
	*s = next;
	policy_put(&list[i]);
	list[i] = p;
}

static size_t listed(struct policy *const *list, struct policy **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < MANY; i++)
		if (list[i])
			ret[n++] = list[i];
	return n;
}

static void any_row_of_changes_gives_what_a_fresh_build_gives(void **state)
{
	struct policy *list[MANY] = { 0 }, *there[MANY];
	struct policies *s = build(NULL, 0);
	uint32_t x = 12345;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		x = x * 1664525u + 1013904223u;
		replace(&s, list, x >> 8 & 127,
			(x >> 16) % 4 == 0 ? NULL : make(x >> 8 & 127, x >> 18));
		if (round % 200 == 199) {
			size_t n = listed(list, there);
			cleanup_with(policies_put) struct policies *fresh = build(there, n);

			same(s, fresh);
		}
	}
	policies_put(&s);
	for (size_t i = 0; i < MANY; i++)
		policy_put(&list[i]);
}

static void an_old_version_stays_what_it_was(void **state)
{
	struct policy *list[MANY], *before[MANY];
	struct policies *s, *old, *fresh;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		before[i] = policy_get(list[i] = make(i, (unsigned int)i));
	s = build(list, MANY);
	old = policies_get(s);
	for (size_t i = 0; i < MANY; i++)
		replace(&s, list, i, i % 2 ? make(i, (unsigned int)i + 1) : NULL);
	assert_int_equal(s->n, MANY / 2);
	fresh = build(before, MANY);
	same(old, fresh);
	policies_put(&s);
	policies_put(&old);
	policies_put(&fresh);
	for (size_t i = 0; i < MANY; i++) {
		policy_put(&list[i]);
		policy_put(&before[i]);
	}
}

static void a_key_that_is_there_twice_is_refused(void **state)
{
	struct policy *list[2] = { make(1, 1), make(1, 2) };
	struct policies *s = NULL;
	struct errbuf err = { 0 };

	(void)state;
	assert_int_equal(policies_build(list, 2, &err, &s), -EEXIST);
	assert_non_null(strstr(err.text, "keys/p001"));
	assert_null(s);
	policy_put(&list[0]);
	policy_put(&list[1]);
}

/* ---- where rules are filed */

static struct string_match text_match(enum match_kind kind, const char *text)
{
	return (struct string_match){ kind, (char *)(uintptr_t)text };
}

static struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p;

	assert_int_equal(ip_parse_prefix(str_of(text), &p), 0);
	return p;
}

/* One clause with one match. */
static size_t keys_of(struct match *m, struct rule_key *ret, size_t max)
{
	struct clause c = { m, 1 };
	struct rule rule = { &c, 1 };

	return rule_keys(&rule, ret, max);
}

static void principals_are_filed_under_what_they_say_of_the_peer(void **state)
{
	static const struct {
		enum match_kind kind;
		const char *text;
		enum policy_key key;
	} rows[] = {
		{ MATCH_EXACT, "td/ns/a/sa/b", KEY_PRINCIPAL },
		{ MATCH_PREFIX, "td/ns/a/", KEY_NAMESPACE },
		{ MATCH_PREFIX, "td/ns/a/sa/b", KEY_NAMESPACE },
		{ MATCH_PREFIX, "td/ns/a", KEY_ANY },
		{ MATCH_PREFIX, "td/sn/a/", KEY_ANY },
		{ MATCH_PREFIX, "", KEY_ANY },
		{ MATCH_SUFFIX, "/ns/a/sa/b", KEY_SERVICE_ACCOUNT },
		{ MATCH_SUFFIX, "d/ns/a/sa/b", KEY_SERVICE_ACCOUNT },
		{ MATCH_SUFFIX, "/sa/b", KEY_ANY },
		/* of a namespace that is called "ns" */
		{ MATCH_SUFFIX, "/ns/sa/b", KEY_ANY },
		{ MATCH_SUFFIX, "/ns/ns/sa/b", KEY_SERVICE_ACCOUNT },
		{ MATCH_SUFFIX, "/ns/a/sa", KEY_ANY },
		{ MATCH_SUFFIX, "/ns/a/as/b", KEY_ANY },
		{ MATCH_PREFIX, "ns/ns/ns/", KEY_NAMESPACE },
		{ MATCH_SUFFIX, "ns/a/sa/b", KEY_ANY },
		{ MATCH_PRESENCE, NULL, KEY_ANY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct string_match s = text_match(rows[i].kind, rows[i].text);
		struct match m = { .principals = &s, .n_principals = 1 };
		struct rule_key key;

		assert_int_equal(keys_of(&m, &key, 1), 1);
		if (key.kind != rows[i].key)
			fail_msg("row %zu: kind %d", i, key.kind);
	}
}

static void ranges_are_filed_under_a_width_that_has_them_all(void **state)
{
	static const struct {
		const char *range, *address;
		unsigned int kind;
	} rows[] = {
		{ "10.0.0.0/8", "10.1.2.3", KEY_SOURCE },
		{ "10.1.0.0/15", "10.1.2.3", KEY_SOURCE },
		{ "10.1.0.0/16", "10.1.2.3", KEY_SOURCE + 1 },
		{ "10.1.2.0/25", "10.1.2.3", KEY_SOURCE + 2 },
		{ "10.1.2.3", "10.1.2.3", KEY_SOURCE + 3 },
		{ "fd00::/32", "fd00::1", KEY_SOURCE },
		{ "fd00::/63", "fd00::1", KEY_SOURCE + 1 },
		{ "fd00::1", "fd00::1", KEY_SOURCE + 3 },
		{ "fd00::/100", "fd00::1", KEY_SOURCE + 2 },
		{ "10.0.0.0/7", "10.1.2.3", KEY_ANY },
		{ "0.0.0.0/0", "10.1.2.3", KEY_ANY },
		{ "::/0", "fd00::1", KEY_ANY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_prefix p = prefix(rows[i].range);
		struct match m = { .source_ips = &p, .n_source_ips = 1 };
		struct weft_addr a = make_addr(rows[i].address);
		struct rule_key key;

		assert_int_equal(keys_of(&m, &key, 1), 1);
		assert_int_equal(key.kind, rows[i].kind);
		if (key.kind != KEY_ANY)
			assert_true(key.value == key_source(&a, rows[i].kind - KEY_SOURCE));
	}
}

static void the_clause_that_narrows_most_is_filed(void **state)
{
	uint16_t port = 80;
	struct string_match ns = text_match(MATCH_EXACT, "a"), any = text_match(MATCH_PRESENCE, NULL);
	struct match ports = { .destination_ports = &port, .n_destination_ports = 1 };
	struct match from = { .namespaces = &ns, .n_namespaces = 1 };
	struct match wide = { .namespaces = &any, .n_namespaces = 1 };
	struct match empty = { 0 }, two[2] = { from, wide }, three[3] = { from, empty, ports };
	struct clause clauses[] = { { &ports, 1 }, { &from, 1 }, { NULL, 0 } };
	struct rule rule = { clauses, 3 };
	struct rule_key key[4];

	(void)state;
	assert_int_equal(rule_keys(&rule, key, 4), 1);
	assert_int_equal(key[0].kind, KEY_NAMESPACE);
	/* any match of a clause may be the one that holds */
	clauses[1] = (struct clause){ two, 2 };
	assert_int_equal(rule_keys(&rule, key, 4), 1);
	assert_int_equal(key[0].kind, KEY_PORT);
	clauses[1] = (struct clause){ three, 3 };
	clauses[0] = clauses[2];
	assert_int_equal(rule_keys(&rule, key, 4), 2);
	assert_int_equal(key[0].kind, KEY_NAMESPACE);
	assert_int_equal(key[1].kind, KEY_PORT);
	/* never holds: filed nowhere; always holds: looked at by all */
	clauses[1] = (struct clause){ &empty, 1 };
	assert_int_equal(rule_keys(&rule, key, 4), 0);
	clauses[1] = clauses[2];
	assert_int_equal(rule_keys(&rule, key, 4), 1);
	assert_int_equal(key[0].kind, KEY_ANY);
}

static void a_range_is_a_better_key_than_a_namespace_only_if_it_is_narrow(void **state)
{
	static const struct {
		const char *range;
		unsigned int kind;
	} rows[] = {
		{ "10.0.0.0/8", KEY_NAMESPACE },
		{ "10.1.0.0/16", KEY_NAMESPACE },
		{ "10.1.2.0/24", KEY_SOURCE + 2 },
		{ "10.1.2.3", KEY_SOURCE + 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_prefix p = prefix(rows[i].range);
		struct string_match ns = text_match(MATCH_EXACT, "a");
		struct match m = { .source_ips = &p, .n_source_ips = 1, .namespaces = &ns,
				   .n_namespaces = 1 };
		struct rule_key key;

		assert_int_equal(keys_of(&m, &key, 1), 1);
		assert_int_equal(key.kind, rows[i].kind);
	}
}

static void a_rule_with_very_many_keys_is_looked_at_by_all(void **state)
{
	(void)state;
	for (size_t n = 256; n <= 257; n++) {
		struct policy *p = make_policy("a", "p", SCOPE_GLOBAL);
		struct match *m = calloc(1, sizeof(*m));

		p->rules = calloc(1, sizeof(*p->rules));
		p->n_rules = 1;
		p->rules[0].clauses = calloc(1, sizeof(struct clause));
		p->rules[0].n_clauses = 1;
		p->rules[0].clauses[0] = (struct clause){ m, 1 };
		m->destination_ports = calloc(n, sizeof(uint16_t));
		m->n_destination_ports = n;
		for (size_t i = 0; i < n; i++)
			m->destination_ports[i] = (uint16_t)(i + 1);
		assert_int_equal(policy_file(p), 0);
		assert_int_equal(p->n_filed, n == 256 ? 256 : 1);
		assert_int_equal(p->filed[0].kind, n == 256 ? KEY_PORT : KEY_ANY);
		policy_put(&p);
	}
}

/* What a rule is grouped by, and -1 if it is not. */
static int guard_of(struct clause *clauses, size_t n, uint64_t *ret_guard)
{
	struct rule rule = { clauses, n };
	struct policy p = { .rules = &rule, .n_rules = 1 };
	int clause;

	assert_int_equal(policy_file(&p), 0);
	assert_int_equal(p.n_filed, 1);
	*ret_guard = p.filed[0].guard;
	clause = p.filed[0].guard ? p.filed[0].clause : -1;
	free(p.filed);
	return clause;
}

static void rules_are_grouped_by_the_clause_that_they_are_not_filed_by(void **state)
{
	uint16_t port = 80;
	struct string_match ns = text_match(MATCH_EXACT, "a"), sa = text_match(MATCH_EXACT, "td/ns/a/sa/b");
	struct match ports = { .destination_ports = &port, .n_destination_ports = 1 };
	struct match not_from = { .not_namespaces = &ns, .n_not_namespaces = 1 };
	struct match who = { .principals = &sa, .n_principals = 1 };
	struct match both = { .destination_ports = &port, .n_destination_ports = 1,
			      .not_namespaces = &ns, .n_not_namespaces = 1 };
	struct clause first[] = { { &not_from, 1 }, { &ports, 1 } };
	struct clause second[] = { { &ports, 1 }, { &not_from, 1 } };
	struct clause alone[] = { { &both, 1 } }, peer[] = { { &not_from, 1 }, { &who, 1 } };
	uint64_t guard, same;

	(void)state;
	assert_int_equal(guard_of(first, 2, &guard), 0);
	assert_int_equal(guard_of(second, 2, &same), 1);
	assert_true(same == guard);
	assert_int_equal(guard_of(first, 1, &same), 0);
	assert_true(same == guard);
	assert_int_equal(guard_of(alone, 1, &same), 0);
	assert_true(same != guard);
	/* few others are filed there, or nothing can fail */
	assert_int_equal(guard_of(peer, 2, &same), -1);
	assert_int_equal(guard_of(NULL, 0, &same), -1);
}

/* Each of these says something else, so each is another guard. */
static void what_a_clause_says_is_all_in_its_guard(void **state)
{
	uint16_t ports[] = { 80, 81 };
	struct string_match a[] = { text_match(MATCH_EXACT, "a"), text_match(MATCH_EXACT, "b") };
	struct string_match b = text_match(MATCH_PREFIX, "a"), any = text_match(MATCH_PRESENCE, NULL);
	struct sa_match sa[] = { { (char[]){ "a" }, (char[]){ "b" } }, { (char[]){ "b" }, (char[]){ "a" } } };
	struct ip_prefix net[] = { prefix("10.0.0.0/7"), prefix("10.0.0.0/6"), prefix("12.0.0.0/7") };
	struct match rows[] = {
		{ .not_namespaces = a, .n_not_namespaces = 1 },
		{ .not_namespaces = a, .n_not_namespaces = 2 },
		{ .not_namespaces = &a[1], .n_not_namespaces = 1 },
		{ .not_namespaces = &b, .n_not_namespaces = 1 },
		{ .not_namespaces = &any, .n_not_namespaces = 1 },
		{ .namespaces = &b, .n_namespaces = 1 },
		{ .not_principals = a, .n_not_principals = 1 },
		{ .principals = &b, .n_principals = 1 },
		{ .source_ips = net, .n_source_ips = 1 },
		{ .not_source_ips = net, .n_not_source_ips = 1 },
		{ .not_source_ips = &net[1], .n_not_source_ips = 1 },
		{ .not_source_ips = &net[2], .n_not_source_ips = 1 },
		{ .destination_ips = net, .n_destination_ips = 1 },
		{ .not_destination_ips = net, .n_not_destination_ips = 1 },
		{ .not_destination_ports = ports, .n_not_destination_ports = 1 },
		{ .not_destination_ports = ports, .n_not_destination_ports = 2 },
		{ .not_destination_ports = &ports[1], .n_not_destination_ports = 1 },
		{ .destination_ports = ports, .n_destination_ports = 1 },
		{ .not_service_accounts = sa, .n_not_service_accounts = 1 },
		{ .not_service_accounts = &sa[1], .n_not_service_accounts = 1 },
	};
	uint64_t guard[ARRAY_LEN(rows)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct clause c = { &rows[i], 1 };

		assert_int_equal(guard_of(&c, 1, &guard[i]), 0);
		for (size_t k = 0; k < i; k++)
			if (guard[k] == guard[i])
				fail_msg("rows %zu and %zu", k, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_grouped_by_the_clause_that_they_are_not_filed_by),
		cmocka_unit_test(what_a_clause_says_is_all_in_its_guard),
		cmocka_unit_test(any_row_of_changes_gives_what_a_fresh_build_gives),
		cmocka_unit_test(an_old_version_stays_what_it_was),
		cmocka_unit_test(a_key_that_is_there_twice_is_refused),
		cmocka_unit_test(principals_are_filed_under_what_they_say_of_the_peer),
		cmocka_unit_test(ranges_are_filed_under_a_width_that_has_them_all),
		cmocka_unit_test(a_range_is_a_better_key_than_a_namespace_only_if_it_is_narrow),
		cmocka_unit_test(a_rule_with_very_many_keys_is_looked_at_by_all),
		cmocka_unit_test(the_clause_that_narrows_most_is_filed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
