// SPDX-License-Identifier: Apache-2.0
/*
 * Tables of the mesh file: authorization policies. A condition that is misread would widen a
 * policy, so nothing is dropped or guessed: what cannot be understood is an error.
 */
#include <stdlib.h>

#include "feed/mesh.h"
#include "model/snap.h"

static int string_match_set(struct decode *d, struct string_match *m, enum match_kind kind,
			    struct str text)
{
	m->kind = kind;
	if (kind == MATCH_PRESENCE)
		return 0;
	m->text = str_dup(text);
	return m->text ? 0 : decode_oom(d);
}

/* "x", "x*", "*x" or "*". */
static int string_match_short(struct decode *d, const struct at *at, const struct yaml *y,
			      struct str s, struct string_match *m)
{
	enum match_kind kind = MATCH_EXACT;

	if (s.n == 0)
		return decode_error(d, at, y, "must not be empty");
	if (str_eq(s, STR("*"))) {
		kind = MATCH_PRESENCE;
	} else if (s.p[0] == '*') {
		kind = MATCH_SUFFIX;
		s = (struct str){ s.p + 1, s.n - 1 };
	} else if (s.p[s.n - 1] == '*') {
		kind = MATCH_PREFIX;
		s.n--;
	}
	if (kind != MATCH_PRESENCE && memchr(s.p, '*', s.n))
		return decode_error(d, at, y, "may have one '*', at its start or end");
	return string_match_set(d, m, kind, s);
}

/* {Exact: x}, {Prefix: x}, {Suffix: x} or {Presence: []} */
static int string_match_long(struct decode *d, const struct at *at, const struct yaml *y,
			     struct string_match *m)
{
	static const struct {
		struct str key;
		enum match_kind kind;
	} kinds[] = {
		{ STR("Exact"), MATCH_EXACT },
		{ STR("Prefix"), MATCH_PREFIX },
		{ STR("Suffix"), MATCH_SUFFIX },
		{ STR("Presence"), MATCH_PRESENCE },
	};
	struct str s = { 0 };
	int r;

	for (size_t i = 0; y->n == 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct yaml *value = y->child[0];

		if (!str_eq_nocase(value->key, kinds[i].key))
			continue;
		r = kinds[i].kind == MATCH_PRESENCE ? 0 : decode_scalar(d, at, value, &s);
		return r < 0 ? r : string_match_set(d, m, kinds[i].kind, s);
	}
	return decode_error(d, at, y, "must have one key: Exact, Prefix, Suffix or Presence");
}

int read_text_match(struct decode *d, const struct at *at, const struct yaml *y,
		    const struct field *f, void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	(void)f;
	return r < 0 ? r : string_match_short(d, at, y, s, obj);
}

static int read_string_match(struct decode *d, const struct at *at, const struct yaml *y,
			     const struct field *f, void *obj)
{
	if (y->kind == YAML_MAP)
		return string_match_long(d, at, y, obj);
	return read_text_match(d, at, y, f, obj);
}

/* It would never hit: a DENY written like that would let everybody in. */
static int check_principal(struct decode *d, const struct at *at, const struct yaml *y,
			   const struct string_match *m)
{
	if (m->text && m->kind != MATCH_SUFFIX && str_has_prefix(str_of(m->text), STR("spiffe://")))
		return decode_error(d, at, y, "principals are written without 'spiffe://'");
	return 0;
}

static int read_principal(struct decode *d, const struct at *at, const struct yaml *y,
			  const struct field *f, void *obj)
{
	int r = read_string_match(d, at, y, f, obj);

	return r < 0 ? r : check_principal(d, at, y, obj);
}

int read_principal_match(struct decode *d, const struct at *at, const struct yaml *y,
			 const struct field *f, void *obj)
{
	int r = read_text_match(d, at, y, f, obj);

	return r < 0 ? r : check_principal(d, at, y, obj);
}

static const struct field sa_fields[] = {
	{ "namespace", read_name, .off = offsetof(struct sa_match, ns), .flags = FIELD_REQUIRED },
	{ "serviceAccount", read_name, .off = offsetof(struct sa_match, sa), .flags = FIELD_REQUIRED },
	{ 0 },
};

/* {namespace: n, serviceAccount: s} or "n/s" */
static int read_sa_match(struct decode *d, const struct at *at, const struct yaml *y,
			 const struct field *f, void *obj)
{
	struct sa_match *m = obj;
	struct str s;
	int r;

	(void)f;
	if (y->kind == YAML_MAP)
		return decode_map(d, at, y, sa_fields, m);
	r = decode_scalar(d, at, y, &s);
	return r < 0 ? r : decode_pair(d, at, y, s, &m->ns, &m->sa);
}

static const struct field item_string = { .read = read_string_match };
static const struct field item_principal = { .read = read_principal };
static const struct field item_sa = { .read = read_sa_match };
static const struct field item_prefix = { .read = read_prefix };
static const struct field item_port = { .read = read_port };

#define LIST_OF(type, member, item) \
	.read = read_list, .off = offsetof(type, member), .off_n = offsetof(type, n_##member), \
	.sub = &(item), .size = sizeof(*((type *)0)->member), .max = MESH_ITEMS_MAX, \
	.flags = FIELD_NOT_NULL

static const struct field match_fields[] = {
	{ "namespaces", LIST_OF(struct match, namespaces, item_string) },
	{ "notNamespaces", LIST_OF(struct match, not_namespaces, item_string) },
	{ "principals", LIST_OF(struct match, principals, item_principal) },
	{ "notPrincipals", LIST_OF(struct match, not_principals, item_principal) },
	{ "serviceAccounts", LIST_OF(struct match, service_accounts, item_sa) },
	{ "notServiceAccounts", LIST_OF(struct match, not_service_accounts, item_sa) },
	{ "sourceIps", LIST_OF(struct match, source_ips, item_prefix) },
	{ "notSourceIps", LIST_OF(struct match, not_source_ips, item_prefix) },
	{ "destinationIps", LIST_OF(struct match, destination_ips, item_prefix) },
	{ "notDestinationIps", LIST_OF(struct match, not_destination_ips, item_prefix) },
	{ "destinationPorts", LIST_OF(struct match, destination_ports, item_port) },
	{ "notDestinationPorts", LIST_OF(struct match, not_destination_ports, item_port) },
	{ 0 },
};

static const struct field item_match = { .read = read_nested, .sub = match_fields };
static const struct field item_clause = { LIST_OF(struct clause, matches, item_match) };
static const struct field item_rule = { LIST_OF(struct rule, clauses, item_clause) };

static const struct word scope_words[] = {
	{ "Global", SCOPE_GLOBAL },
	{ "Namespace", SCOPE_NAMESPACE },
	{ "WorkloadSelector", SCOPE_WORKLOAD },
	{ 0 },
};
static const struct word action_words[] = {
	{ "Allow", ACTION_ALLOW },
	{ "Deny", ACTION_DENY },
	{ 0 },
};

static const struct field policy_fields[] = {
	{ "name", read_name, .off = offsetof(struct policy, name), .flags = FIELD_REQUIRED },
	{ "namespace", read_name, .off = offsetof(struct policy, ns), .flags = FIELD_REQUIRED },
	{ "scope", read_word, .off = offsetof(struct policy, scope), .flags = FIELD_REQUIRED,
	  .words = scope_words },
	{ "action", read_word, .off = offsetof(struct policy, action), .flags = FIELD_REQUIRED,
	  .words = action_words },
	{ "rules", read_list, .off = offsetof(struct policy, rules),
	  .off_n = offsetof(struct policy, n_rules), .sub = &item_rule, .size = sizeof(struct rule),
	  .max = MESH_ITEMS_MAX, .flags = FIELD_REQUIRED },
	{ "dryRun", read_bool, .off = offsetof(struct policy, dry_run) },
	{ 0 },
};

static int read_policy(struct decode *d, const struct at *at, const struct yaml *y,
		       const struct field *f, void *obj)
{
	struct policy *p = policy_new();

	(void)f;
	if (!p)
		return decode_oom(d);
	*(struct policy **)obj = p;
	return decode_map(d, at, y, policy_fields, p);
}

const struct field mesh_policy = { .read = read_policy };
