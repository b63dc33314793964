// SPDX-License-Identifier: Apache-2.0
/*
 * AuthorizationPolicy (manifest.h). What needs HTTP is not here to be matched: a rule of an
 * ALLOW that has such attributes never matches, in a DENY the attributes are left out. Both are
 * what istiod sends to ztunnel, and both are said in a warning. What cannot be read at all is
 * an error, where istiod drops the entry and widens the rule.
 */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "feed/manifest.h"
#include "feed/mesh.h"

#define RULES_MAX 4096
#define HTTP_TEXT_MAX 200

struct authz {
	struct policy *p;
	struct manifest_meta *meta;
	char http[HTTP_TEXT_MAX]; /* attributes of the rule that need HTTP: "methods, paths" */
};

/* An entry of from, to or when while it is read. */
struct part {
	struct match m;
	struct authz *a;
};

static void http_found(struct authz *a, struct str name)
{
	size_t n = strlen(a->http);

	snprintf(a->http + n, sizeof(a->http) - n, "%s%.*s", n ? ", " : "",
		 (int)(name.n < 64 ? name.n : 64), name.p);
}

/* A list that has no meaning below HTTP. An empty one is no condition. */
static int read_http(struct decode *d, const struct at *at, const struct yaml *y,
		     const struct field *f, void *obj)
{
	struct part *part = obj;

	(void)f;
	if (y->kind != YAML_LIST)
		return decode_error(d, at, y, "must be a list");
	if (y->n)
		http_found(part->a, y->key);
	return 0;
}

/* "sa" of the policy's namespace, or "ns/sa". */
static int read_account(struct decode *d, const struct at *at, const struct yaml *y,
			const struct field *f, void *obj)
{
	static const struct field name = { .read = read_name, .off = offsetof(struct sa_match, sa) };
	struct sa_match *m = obj;
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	(void)f;
	if (r < 0)
		return r;
	if (!s.n || !memchr(s.p, '/', s.n))
		return read_name(d, at, y, &name, m);
	return decode_pair(d, at, y, s, &m->ns, &m->sa);
}

static const struct field item_text = { .read = read_text_match };
static const struct field item_principal = { .read = read_principal_match };
static const struct field item_account = { .read = read_account };
static const struct field item_prefix = { .read = read_prefix };
static const struct field item_port = { .read = read_port };

#define LIST(key, member, item) \
	{ key, \
	  read_list, \
	  .off = offsetof(struct match, member), \
	  .off_n = offsetof(struct match, n_##member), \
	  .sub = &(item), \
	  .size = sizeof(*((struct match *)0)->member), \
	  .max = MESH_ITEMS_MAX, \
	  .flags = FIELD_NOT_NULL }
#define HTTP(key) { (key), read_http, .flags = FIELD_NOT_NULL }

static const struct field source_fields[] = {
	LIST("principals", principals, item_principal),
	LIST("notPrincipals", not_principals, item_principal),
	LIST("namespaces", namespaces, item_text),
	LIST("notNamespaces", not_namespaces, item_text),
	LIST("serviceAccounts", service_accounts, item_account),
	LIST("notServiceAccounts", not_service_accounts, item_account),
	LIST("ipBlocks", source_ips, item_prefix),
	LIST("notIpBlocks", not_source_ips, item_prefix),
	HTTP("requestPrincipals"),
	HTTP("notRequestPrincipals"),
	HTTP("remoteIpBlocks"),
	HTTP("notRemoteIpBlocks"),
	HTTP("trustDomains"),
	HTTP("notTrustDomains"),
	{ 0 },
};

static const struct field operation_fields[] = {
	LIST("ports", destination_ports, item_port),
	LIST("notPorts", not_destination_ports, item_port),
	HTTP("hosts"),
	HTTP("notHosts"),
	HTTP("methods"),
	HTTP("notMethods"),
	HTTP("paths"),
	HTTP("notPaths"),
	{ 0 },
};

static const struct condition_key {
	struct str key;
	struct field values, not_values;
} condition_keys[] = {
	{ STR("source.ip"), LIST("values", source_ips, item_prefix),
	  LIST("notValues", not_source_ips, item_prefix) },
	{ STR("source.namespace"), LIST("values", namespaces, item_text),
	  LIST("notValues", not_namespaces, item_text) },
	{ STR("source.principal"), LIST("values", principals, item_principal),
	  LIST("notValues", not_principals, item_principal) },
	{ STR("destination.ip"), LIST("values", destination_ips, item_prefix),
	  LIST("notValues", not_destination_ips, item_prefix) },
	{ STR("destination.port"), LIST("values", destination_ports, item_port),
	  LIST("notValues", not_destination_ports, item_port) },
};

/* ---- the three lists of a rule */

typedef int (*part_fn)(struct decode *d, const struct at *at, const struct yaml *y,
		       struct part *part);

static int read_wrapped(struct decode *d, const struct at *at, const struct yaml *y,
			const char *wrapper, const struct field *fields, struct part *part)
{
	const struct field table[] = { { wrapper, read_nested, .sub = fields,
					 .flags = FIELD_REQUIRED | FIELD_NOT_NULL },
				       { 0 } };
	const struct yaml *inner = yaml_get(y, wrapper);
	int r = decode_map(d, at, y, table, part);

	/* It would match nothing here and anything by its looks. */
	if (r == 0 && inner && inner->n == 0)
		return decode_error(d, at, inner, "'%s' has no condition", wrapper);
	return r;
}

static int read_from(struct decode *d, const struct at *at, const struct yaml *y, struct part *part)
{
	int r = read_wrapped(d, at, y, "source", source_fields, part);

	for (size_t i = 0; r == 0 && i < part->m.n_service_accounts; i++)
		if (!part->m.service_accounts[i].ns)
			part->m.service_accounts[i].ns = str_dup(str_of(part->a->meta->ns));
	for (size_t i = 0; r == 0 && i < part->m.n_not_service_accounts; i++)
		if (!part->m.not_service_accounts[i].ns)
			part->m.not_service_accounts[i].ns = str_dup(str_of(part->a->meta->ns));
	return r;
}

static int read_to(struct decode *d, const struct at *at, const struct yaml *y, struct part *part)
{
	return read_wrapped(d, at, y, "operation", operation_fields, part);
}

static const struct condition_key *condition_of(struct str key)
{
	for (size_t i = 0; i < ARRAY_LEN(condition_keys); i++)
		if (str_eq(key, condition_keys[i].key))
			return &condition_keys[i];
	return NULL;
}

static int read_when(struct decode *d, const struct at *at, const struct yaml *y, struct part *part)
{
	const struct yaml *values = yaml_get(y, "values"), *not_values = yaml_get(y, "notValues");
	struct field table[] = { { "key", read_nothing, .flags = FIELD_REQUIRED },
				 { "values", read_nothing, .flags = FIELD_NOT_NULL },
				 { "notValues", read_nothing, .flags = FIELD_NOT_NULL },
				 { 0 } };
	const struct condition_key *c;
	struct at here = { .up = at, .key = STR("key") };
	struct str key = { 0 };
	int r = decode_map(d, at, y, table, part);

	if (r == 0)
		r = decode_scalar(d, &here, yaml_get(y, "key"), &key);
	if (r < 0)
		return r;
	if ((!values || !values->n) && (!not_values || !not_values->n))
		return decode_error(d, at, y, "has neither 'values' nor 'notValues'");
	c = condition_of(key);
	if (!c) {
		http_found(part->a, key);
		return 0;
	}
	table[1] = c->values;
	table[2] = c->not_values;
	return decode_map(d, at, y, table, part);
}

/* Every entry is a match of this clause. */
static int read_clause(struct decode *d, const struct at *at, const struct yaml *y, size_t n,
		       struct yaml *const *entry, part_fn read, struct authz *a,
		       struct clause *clause)
{
	clause->matches = calloc(n, sizeof(*clause->matches));
	if (!clause->matches)
		return decode_oom(d);
	for (size_t i = 0; i < n; i++) {
		struct at here = { .up = at, .index = (size_t)(entry + i - y->child) };
		struct part part = { .a = a };
		int r = read(d, &here, entry[i], &part);

		clause->matches[i] = part.m;
		clause->n_matches = i + 1;
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_clauses(struct decode *d, const struct at *at, const struct yaml *rule,
			const char *key, part_fn read, bool each_alone, struct authz *a,
			struct rule *ret)
{
	const struct yaml *y = yaml_get(rule, key);
	struct at here = { .up = at, .key = str_of(key) };
	size_t step;
	int r = 0;

	if (!y)
		return 0;
	if (y->kind != YAML_LIST)
		return decode_error(d, &here, y, "must be a list");
	step = each_alone ? 1 : y->n;
	for (size_t i = 0; r == 0 && i < y->n; i += step)
		r = read_clause(d, &here, y, step, y->child + i, read, a,
				&ret->clauses[ret->n_clauses++]);
	return r;
}

/* ---- rules */

static bool match_asks(const struct match *m)
{
	static const struct match nothing;

	return memcmp(m, &nothing, sizeof(*m)) != 0;
}

/* Can it match at all, now that attributes are left out? */
static bool rule_asks(const struct rule *rule)
{
	for (size_t i = 0; i < rule->n_clauses; i++) {
		bool asks = false;

		for (size_t k = 0; k < rule->clauses[i].n_matches; k++)
			asks = asks || match_asks(&rule->clauses[i].matches[k]);
		if (!asks)
			return false;
	}
	return true;
}

/* In place of a rule that must not match: it keeps its number, and one empty match. */
static int rule_never(struct decode *d, struct rule *rule)
{
	struct policy *bin = policy_new();
	struct clause *clause = calloc(1, sizeof(*clause));
	struct match *m = calloc(1, sizeof(*m));

	if (!bin || !clause || !m) {
		free(clause);
		free(m);
		policy_put(&bin);
		return decode_oom(d);
	}
	bin->rules = calloc(1, sizeof(*bin->rules));
	if (bin->rules) {
		bin->rules[bin->n_rules++] = *rule;
		*clause = (struct clause){ m, 1 };
		*rule = (struct rule){ clause, 1 };
	} else {
		free(clause);
		free(m);
	}
	policy_put(&bin);
	return rule->n_clauses ? 0 : decode_oom(d);
}

static int http_warn(struct decode *d, const struct yaml *y, struct authz *a, size_t number,
		     struct rule *rule)
{
	int r;

	if (a->p->action == ACTION_ALLOW) {
		r = rule_never(d, rule);
		return r < 0 ? r
			     : policy_warn(d, y->line, a->p,
					   "rules[%zu] never matches here: it has attributes of HTTP (%s), which only a "
					   "waypoint can see; less is allowed than is written",
					   number, a->http);
	}
	if (rule_asks(rule))
		return policy_warn(
			d, y->line, a->p,
			"rules[%zu] is carried out without its attributes of HTTP (%s), which only a "
			"waypoint can see; more is denied than is written",
			number, a->http);
	return policy_warn(
		d, y->line, a->p,
		"rules[%zu] has NO EFFECT here: all that it asks for in one of its parts is HTTP (%s), "
		"which only a waypoint can see; nothing is denied by it",
		number, a->http);
}

static int read_rule(struct decode *d, const struct at *at, const struct yaml *y, size_t number,
		     struct authz *a, struct rule *rule)
{
	static const struct field table[] = { { "from", read_nothing, .flags = FIELD_NOT_NULL },
					      { "to", read_nothing, .flags = FIELD_NOT_NULL },
					      { "when", read_nothing, .flags = FIELD_NOT_NULL },
					      { 0 } };
	const struct yaml *when = yaml_get(y, "when");
	int r = decode_map(d, at, y, table, NULL);

	if (r < 0)
		return r;
	if (when && when->n > MESH_ITEMS_MAX)
		return decode_error(d, at, when, "has too many entries");
	rule->clauses = calloc(2 + (when ? when->n : 0), sizeof(*rule->clauses));
	if (!rule->clauses)
		return decode_oom(d);
	a->http[0] = '\0';
	r = read_clauses(d, at, y, "to", read_to, false, a, rule);
	if (r == 0)
		r = read_clauses(d, at, y, "from", read_from, false, a, rule);
	if (r == 0)
		r = read_clauses(d, at, y, "when", read_when, true, a, rule);
	return r == 0 && a->http[0] ? http_warn(d, y, a, number, rule) : r;
}

static int read_rules(struct decode *d, const struct at *at, const struct yaml *y, struct authz *a)
{
	struct at rules = { .up = at, .key = STR("rules") };
	int r = 0;

	if (!y)
		return 0;
	if (y->kind != YAML_LIST)
		return decode_error(d, &rules, y, "must be a list");
	if (y->n > RULES_MAX)
		return decode_error(d, &rules, y, "has more than %d entries", RULES_MAX);
	a->p->rules = y->n ? calloc(y->n, sizeof(*a->p->rules)) : NULL;
	if (y->n && !a->p->rules)
		return decode_oom(d);
	for (size_t i = 0; r == 0 && i < y->n; i++) {
		struct at here = { .up = &rules, .index = i };

		a->p->n_rules = i + 1;
		r = read_rule(d, &here, y->child[i], i, a, &a->p->rules[i]);
	}
	return r;
}

/* ---- the policy */

enum { DO_ALLOW, DO_DENY, DO_AUDIT, DO_CUSTOM };
static const struct word action_words[] = {
	{ "ALLOW", DO_ALLOW },
	{ "DENY", DO_DENY },
	{ "AUDIT", DO_AUDIT },
	{ "CUSTOM", DO_CUSTOM },
	{ 0 },
};

struct spec {
	struct selector selector;
	int action;
};

static void spec_fini(struct spec *s)
{
	selector_fini(&s->selector);
}

static const struct field spec_fields[] = {
	{ "selector", read_selector, .off = offsetof(struct spec, selector), .flags = FIELD_NOT_NULL },
	{ "action", read_word, .off = offsetof(struct spec, action), .words = action_words,
	  .flags = FIELD_NOT_NULL },
	{ "rules", read_nothing, .flags = FIELD_NOT_NULL },
	{ .key = "targetRef", .read = read_nothing, .flags = FIELD_NOT_NULL },
	{ .key = "targetRefs", .read = read_nothing, .flags = FIELD_NOT_NULL },
	{ .key = "provider", .read = read_nothing },
	{ 0 },
};

/* Not for the node's proxy: it stays visible, and decides nothing. */
static int not_for_us(struct decode *d, const struct yaml *y, struct authz *a,
		      const struct spec *spec, bool *ret)
{
	const struct yaml *refs = yaml_get(y, "targetRefs");

	*ret = true;
	a->p->action = ACTION_NONE;
	if (yaml_get(y, "targetRef") || (refs && refs->n))
		return policy_warn(
			d, a->meta->line, a->p,
			"is not carried out here: it has a targetRef, so it is for a waypoint");
	if (spec->action == DO_AUDIT || spec->action == DO_CUSTOM)
		return policy_warn(d, a->meta->line, a->p,
				   "is not carried out here: action %s needs a waypoint",
				   action_words[spec->action].text);
	a->p->action = spec->action == DO_DENY ? ACTION_DENY : ACTION_ALLOW;
	*ret = false;
	return 0;
}

static int bind_by_labels(struct decode *d, struct manifests *m, struct authz *a,
			  struct selector *selector)
{
	bool everywhere = strcmp(a->meta->ns, manifests_root(m)) == 0;
	struct bound_policy b = { .selector = *selector };

	*selector = (struct selector){ 0 };
	a->p->scope = SCOPE_WORKLOAD;
	b.key = str_printf("%s/%s", a->meta->ns, a->meta->name);
	b.ns = everywhere ? NULL : str_dup(str_of(a->meta->ns));
	if (!b.key || (!everywhere && !b.ns) || vec_push(&m->bound, b) < 0) {
		free(b.key);
		free(b.ns);
		selector_fini(&b.selector);
		return decode_oom(d);
	}
	return 0;
}

int authz_read(struct decode *d, const struct at *at, const struct yaml *y,
	       struct manifest_meta *meta, struct manifests *m)
{
	cleanup_with(policy_put) struct policy *p = NULL;
	cleanup_with(spec_fini) struct spec spec = { 0 };
	struct authz a = { .meta = meta };
	bool foreign = false;
	int r = policy_named(d, str_of(meta->ns), str_of(meta->name), &p);

	a.p = p;
	if (r == 0)
		r = decode_map(d, at, y, spec_fields, &spec);
	if (r == 0)
		r = not_for_us(d, y, &a, &spec, &foreign);
	if (r == 0 && !foreign)
		r = read_rules(d, at, yaml_get(y, "rules"), &a);
	if (r < 0)
		return r;
	p->dry_run = meta->dry_run;
	p->scope = strcmp(meta->ns, manifests_root(m)) == 0 ? SCOPE_GLOBAL : SCOPE_NAMESPACE;
	if (spec.selector.there)
		r = bind_by_labels(d, m, &a, &spec.selector);
	if (r == 0 && vec_push(&m->policies, p) < 0)
		r = decode_oom(d);
	if (r == 0)
		TAKE_PTR(p);
	return r;
}
