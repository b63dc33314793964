// SPDX-License-Identifier: Apache-2.0
/* Policies as ztunnel's config dump has them: rules are lists of lists of matches, in the names
 * of the wire. Pure translation. */
#include "admin/dump.h"
#include "admin/rows.h"
#include "admin/views.h"
#include "model/snap.h"

static int set_strings(json_t *row, const char *key, const struct string_match *m, size_t n)
{
	static const char *const kind[] = {
		[MATCH_EXACT] = "Exact", [MATCH_PREFIX] = "Prefix", [MATCH_SUFFIX] = "Suffix", [MATCH_PRESENCE] = "Presence"
	};
	json_t *list;
	int r = 0;

	if (!n)
		return 0;
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *one = json_object();
		json_t *value = m[i].kind == MATCH_PRESENCE ? json_array() : view_text(m[i].text);

		r |= json_array_append_new(list, one);
		r |= json_object_set_new_nocheck(one, kind[m[i].kind], value);
	}
	return r | json_object_set_new_nocheck(row, key, list);
}

static int set_prefixes(json_t *row, const char *key, const struct ip_prefix *p, size_t n)
{
	char text[IP_TEXT_MAX];
	json_t *list;
	int r = 0;

	if (!n)
		return 0;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		r |= json_array_append_new(list, json_string(ip_format_prefix(text, &p[i])));
	return r | json_object_set_new_nocheck(row, key, list);
}

static int set_numbers(json_t *row, const char *key, const uint16_t *ports, size_t n)
{
	json_t *list;
	int r = 0;

	if (!n)
		return 0;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		r |= json_array_append_new(list, json_integer(ports[i]));
	return r | json_object_set_new_nocheck(row, key, list);
}

static int set_accounts(json_t *row, const char *key, const struct sa_match *sa, size_t n)
{
	json_t *list;
	int r = 0;

	if (!n)
		return 0;
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *one = json_object();
		int bad = row_set_text(one, "namespace", sa[i].ns);

		bad |= row_set_text(one, "serviceAccount", sa[i].sa);
		r |= row_add(list, one, bad);
	}
	return r | json_object_set_new_nocheck(row, key, list);
}

static json_t *match_row(const struct match *m)
{
	_json_ json_t *j = json_object();
	int r = 0;

#define BOTH(set, key, not_key, member) \
	(r |= set(j, key, m->member, m->n_##member), \
	 r |= set(j, not_key, m->not_##member, m->n_not_##member))
	BOTH(set_strings, "namespaces", "notNamespaces", namespaces);
	BOTH(set_strings, "principals", "notPrincipals", principals);
	BOTH(set_accounts, "serviceAccounts", "notServiceAccounts", service_accounts);
	BOTH(set_prefixes, "sourceIps", "notSourceIps", source_ips);
	BOTH(set_prefixes, "destinationIps", "notDestinationIps", destination_ips);
	BOTH(set_numbers, "destinationPorts", "notDestinationPorts", destination_ports);
#undef BOTH
	return r == 0 ? TAKE_PTR(j) : NULL;
}

static json_t *rule_row(const struct rule *rule)
{
	_json_ json_t *clauses = json_array();
	int r = 0;

	for (size_t i = 0; i < rule->n_clauses; i++) {
		const struct clause *c = &rule->clauses[i];
		json_t *matches = json_array();

		for (size_t k = 0; k < c->n_matches; k++)
			r |= json_array_append_new(matches, match_row(&c->matches[k]));
		r |= json_array_append_new(clauses, matches);
	}
	return r == 0 ? TAKE_PTR(clauses) : NULL;
}

json_t *dump_policy(const struct policy *p)
{
	_json_ json_t *row = json_object();
	json_t *rules = json_array();
	int r = row_set_text(row, "name", p->name);

	r |= row_set_text(row, "namespace", p->ns);
	r |= row_set_text(row, "scope", row_scope_text(p->scope));
	r |= row_set_text(row, "action", row_action_text(p->action));
	for (size_t i = 0; i < p->n_rules; i++)
		r |= json_array_append_new(rules, rule_row(&p->rules[i]));
	r |= json_object_set_new_nocheck(row, "rules", rules);
	r |= json_object_set_new_nocheck(row, "dryRun", json_boolean(p->dry_run));
	return r == 0 ? TAKE_PTR(row) : NULL;
}
