/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Why a connection is allowed or denied: the evaluator's way told policy by policy, for people
 * ("weft why"). Same answers as rbac_check(), made with the same functions; slower, because it
 * goes through all policies that apply and does not stop at the one that decides.
 */
#include "policy/rbac.h"

struct explain_policy {
	const char *key;      /* "namespace/name" */
	const struct policy *policy; /* NULL: named by the workload, and it does not exist */
	bool matches;       /* does any rule hold? False when it does not exist */
	int rule;       /* the first one that does, from 0; -1 none */
	bool decides;       /* it is the one that rbac_check() names */
};

/* What ruled one match of one rule out. Indexes are those of the policy, from 0. */
struct explain_miss {
	size_t rule, clause, match; /* clause: the first of the rule that does not hold */
	const char *field; /* as in the mesh file, "notPrincipals"; NULL: the match is empty */
	/* Of a field that starts with "not": which of its entries hit. Of others, none did. */
	size_t entry;
};

struct explain_ops {
	/* Each policy that applies, once: those the workload names in its order, then GLOBAL,
	 * then NAMESPACE ones, both sorted by key. Dry-run ones too. */
	void (*on_policy)(void *arg, const struct explain_policy *p);
	/* May be NULL. After on_policy() of one that does not match: one call for each match of
	 * the clause that failed, for each rule. None when the policy has no rules. */
	void (*on_miss)(void *arg, const struct explain_policy *p, const struct explain_miss *m);
};

/* The verdict is *ret, as rbac_check() gives it. Pointers in the calls are valid as long as the
 * snapshot. Any thread that may read the snapshot. */
void policy_explain(const struct snap *s, const struct facts *f, const struct explain_ops *ops,
		    void *arg, struct rbac_result *ret);
