// SPDX-License-Identifier: Apache-2.0
/*
 * See dryrun.h. The verdict in force is known, so only the dry-run policies are looked at: a
 * DENY of them that matches denies; otherwise ALLOW ones of them add to those in force.
 */
#include "policy/dryrun.h"

#include <stdio.h>

#include "policy/match.h"

/* The first that matches, by scope as rbac_check() goes, or NULL; *any: does one apply? */
static const struct policy *first_dry(const struct snap *s, const struct facts *f,
				      enum policy_action action, bool *any)
{
	const char *const scopes[] = { NULL, f->dst->ns };
	const struct policy *p;

	*any = false;
	for (size_t i = 0; i < f->dst->n_policies; i++) {
		p = snap_policy_by_key(s, str_of(f->dst->policies[i]));
		if (!p || !p->dry_run || p->action != action)
			continue;
		*any = true;
		if (policy_rule(p, f) >= 0)
			return p;
	}
	for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
		const struct posting *at;
		size_t n = policies_filed(s->policies, scopes[i], action, KEY_DRY_RUN, 0, &at);

		for (size_t j = 0; j < n; j++) {
			if (!policy_binds(at[j].p, scopes[i]))
				continue;
			*any = true;
			if (policy_rule(at[j].p, f) >= 0)
				return at[j].p;
		}
	}
	return NULL;
}

static bool differs(const struct policy *p, const struct facts *f, bool allow, struct rbac_result *ret)
{
	*ret = (struct rbac_result){ .allow = allow, .rule = p ? policy_rule(p, f) : -1 };
	snprintf(ret->policy, sizeof(ret->policy), "%s", p ? p->key : "");
	ret->explicit_deny = !allow && p;
	return true;
}

bool dryrun_differs(const struct snap *s, const struct facts *f, const struct rbac_result *now,
		    struct rbac_result *ret)
{
	const struct policy *deny, *allow;
	bool any;

	if (!dryrun_any(s) || !f->dst || now->explicit_deny || now->missing)
		return false; /* nothing takes a DENY back */
	deny = first_dry(s, f, ACTION_DENY, &any);
	if (deny)
		return now->allow && differs(deny, f, false, ret);
	allow = first_dry(s, f, ACTION_ALLOW, &any);
	if (now->allow) /* because no ALLOW applies, or because one matched */
		return any && !allow && !now->policy[0] && differs(NULL, f, false, ret);
	return allow && differs(allow, f, true, ret);
}
