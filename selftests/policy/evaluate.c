// SPDX-License-Identifier: Apache-2.0
/*
 * The evaluator of the daemon as a filter, for check.py: reads one JSON object per line,
 *   {"mesh": {mesh file}, "dst": uid, "connections": [[src ip, dst ip, port, identity|null]]}
 * and writes one line per line, [[allow, policy, rule], ...], or a text with the error. Each
 * set of policies is also built one by one, and explained; the three must agree.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/file.h"
#include "model/policies.h"
#include "policy/explain.h"

static void own_json(json_t **j)
{
	json_decref(*j);
}

#define _json_ cleanup_with(own_json)

static int build(struct model *m, const json_t *mesh, struct errbuf *err, struct snap **ret)
{
	_free_ char *text = json_dumps(mesh, JSON_COMPACT);
	struct model_input in = { 0 };
	int r = feed_file_decode(str_of(text), "case", err, &in);

	return r < 0 ? r : model_build(m, &in, err, ret);
}

/* The same policies, put in one after the other, the last one first, each after another one of
 * its name; then the set of the snapshot is replaced by this. */
static struct policies *build_in_steps(const struct snap *s)
{
	struct policies *set = NULL, *next;

	BUG_ON(policies_build(NULL, 0, NULL, &set) < 0);
	for (size_t i = 0; i < 2 * s->n_policies; i++) {
		struct policy *p = s->policy[(2 * s->n_policies - 1 - i) % s->n_policies];
		struct policy *q = s->policy[i % s->n_policies];

		next = NULL;
		BUG_ON(policies_replace(set, str_of(p->key), i % 3 ? p : NULL, &next) < 0);
		policies_put(&set);
		set = next;
		next = NULL;
		BUG_ON(policies_replace(set, str_of(q->key), q, &next) < 0);
		policies_put(&set);
		set = next;
	}
	for (size_t i = 0; i < s->n_policies; i++) {
		next = NULL;
		BUG_ON(policies_replace(set, str_of(s->policy[i]->key), s->policy[i], &next) < 0);
		policies_put(&set);
		set = next;
	}
	return set;
}

struct told {
	size_t deciders;
	int rule;
};

static void on_policy(void *arg, const struct explain_policy *p)
{
	struct told *t = arg;

	BUG_ON(p->matches != (p->rule >= 0));
	if (!p->decides)
		return;
	t->deciders++;
	t->rule = p->rule;
}

static void on_miss(void *arg, const struct explain_policy *p, const struct explain_miss *m)
{
	const struct clause *c = &p->policy->rules[m->rule].clauses[m->clause];

	(void)arg;
	BUG_ON(p->matches || m->match >= c->n_matches);
}

static void check_same(const struct rbac_result *a, const struct rbac_result *b)
{
	BUG_ON(a->allow != b->allow || a->rule != b->rule || a->missing != b->missing ||
	       a->explicit_deny != b->explicit_deny || strcmp(a->policy, b->policy) != 0);
}

static json_t *ask(const struct snap *s, const struct snap *steps, const struct facts *f)
{
	static const struct explain_ops ops = { on_policy, on_miss };
	struct rbac_result res, other;
	struct told t = { .rule = -1 };

	rbac_check(s, f, &res);
	rbac_check(steps, f, &other);
	check_same(&res, &other);
	policy_explain(s, f, &ops, &t, &other);
	check_same(&res, &other);
	BUG_ON(t.deciders != (res.policy[0] != '\0') || t.rule != res.rule);
	BUG_ON(res.explicit_deny != (!res.allow && res.policy[0]));
	return json_pack("[b,s,i]", res.allow, res.policy, res.rule);
}

#define URI_MAX 512

/* identity is where the text of the identity is kept, as long as the facts are used. */
static int facts_of(const json_t *c, const struct workload *dst, char identity[URI_MAX],
		    struct facts *ret)
{
	const char *src_ip, *dst_ip, *principal = json_string_value(json_array_get(c, 3));
	struct facts f = { .dst = dst };
	int port;

	if (json_unpack((json_t *)(uintptr_t)c, "[s,s,i,o]", &src_ip, &dst_ip, &port,
			&(json_t *){ NULL }) < 0 ||
	    ip_parse(str_of(src_ip), &f.src_ip) < 0 || ip_parse(str_of(dst_ip), &f.dst_ip) < 0)
		return -EINVAL;
	f.dst_port = (uint16_t)port;
	if (principal) {
		snprintf(identity, URI_MAX, "spiffe://%s", principal);
		if (spiffe_parse(str_of(identity), &f.id) < 0)
			return -EINVAL;
		f.has_identity = true;
		f.principal = str_of(identity + strlen("spiffe://"));
	}
	*ret = f;
	return 0;
}

static json_t *run_case(struct model *m, const json_t *line)
{
	cleanup_with(snap_free) struct snap *s = NULL;
	cleanup_with(policies_put) struct policies *set = NULL;
	const json_t *connections = json_object_get(line, "connections"), *c;
	const char *uid = json_string_value(json_object_get(line, "dst"));
	struct errbuf err = { 0 };
	struct snap steps;
	json_t *out;
	size_t i;

	if (!uid || build(m, json_object_get(line, "mesh"), &err, &s) < 0)
		return json_string(err.text);
	set = build_in_steps(s);
	steps = *s;
	steps.policies = set;
	out = json_array();
	json_array_foreach(connections, i, c) {
		char identity[URI_MAX];
		struct facts f;

		if (facts_of(c, snap_workload_by_uid(s, str_of(uid)), identity, &f) < 0)
			json_array_append_new(out, json_null());
		else
			json_array_append_new(out, ask(s, &steps, &f));
	}
	return out;
}

int main(void)
{
	cleanup_with(model_free) struct model *m = NULL;
	_free_ char *text = NULL;
	size_t cap = 0;
	ssize_t n;

	log_set_level(LOG_ERROR);
	if (model_new(&m) < 0)
		return 1;
	while ((n = getline(&text, &cap, stdin)) > 0) {
		_json_ json_t *line = json_loadb(text, (size_t)n, 0, NULL);
		_json_ json_t *out = line ? run_case(m, line) : json_string("not JSON");

		json_dumpf(out, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
		putchar('\n');
		fflush(stdout);
	}
	return 0;
}
