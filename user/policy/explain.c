// SPDX-License-Identifier: Apache-2.0
/*
 * The evaluator's way, told (explain.h).
 */
#include "policy/explain.h"

#include <string.h>

#include "model/policies.h"
#include "policy/match.h"

struct teller {
	const struct snap *s;
	const struct facts *f;
	const struct explain_ops *ops;
	void *arg;
	const struct rbac_result *verdict;
};

static void tell_clause(const struct teller *t, const struct explain_policy *p, size_t rule,
			size_t clause)
{
	const struct clause *c = &p->policy->rules[rule].clauses[clause];

	for (size_t i = 0; i < c->n_matches; i++) {
		struct match_miss miss;

		if (match_holds(&c->matches[i], t->f, &miss))
			continue;
		t->ops->on_miss(t->arg, p,
				&(struct explain_miss){
					.rule = rule,
					.clause = clause,
					.match = i,
					.field = miss.field,
					.entry = miss.item,
				});
	}
}

static void tell(const struct teller *t, const char *key, const struct policy *policy)
{
	struct explain_policy p = { .key = key, .policy = policy, .rule = -1 };
	size_t clause;

	if (policy)
		p.rule = policy_rule(policy, t->f);
	p.matches = p.rule >= 0;
	p.decides = strncmp(key, t->verdict->policy, sizeof(t->verdict->policy) - 1) == 0 &&
		    t->verdict->missing == !policy;
	t->ops->on_policy(t->arg, &p);
	if (!policy || p.matches || !t->ops->on_miss)
		return;
	for (size_t i = 0; i < policy->n_rules; i++)
		if (!rule_holds(&policy->rules[i], t->f, &clause))
			tell_clause(t, &p, i, clause);
}

/* A workload may name a policy twice, or one that binds it anyway. */
static bool is_named(const struct workload *w, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(w->policies[i], key) == 0)
			return true;
	return false;
}

static void tell_bound(const struct teller *t, const char *ns)
{
	const struct workload *dst = t->f->dst;
	const struct posting *at;
	size_t n = policies_filed(t->s->policies, ns, ACTION_ALLOW, KEY_BOUND, 0, &at);

	for (size_t i = 0; i < n; i++)
		if (policy_binds(at[i].p, ns) && !is_named(dst, dst->n_policies, at[i].p->key))
			tell(t, at[i].p->key, at[i].p);
}

void policy_explain(const struct snap *s, const struct facts *f, const struct explain_ops *ops,
		    void *arg, struct rbac_result *ret)
{
	const struct workload *dst = f->dst;
	struct rbac_result verdict;
	struct teller t = { .s = s, .f = f, .ops = ops, .arg = arg, .verdict = &verdict };

	rbac_check(s, f, &verdict);
	for (size_t i = 0; dst && i < dst->n_policies; i++)
		if (!is_named(dst, i, dst->policies[i]))
			tell(&t, dst->policies[i], snap_policy_by_key(s, str_of(dst->policies[i])));
	if (dst) {
		tell_bound(&t, NULL);
		tell_bound(&t, dst->ns);
	}
	*ret = verdict;
}
