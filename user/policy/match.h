/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the policy room: do the rules of one policy hold for the facts of a connection,
 * and if not, what stands in the way. Shared by the evaluator and by explanations, so that an
 * explanation cannot tell another story than the verdict.
 */
#include "policy/rbac.h"

/* What ruled a match out. */
struct match_miss {
	const char *field; /* as in the mesh file, "notPrincipals"; NULL: it has no condition */
	size_t item;    /* of a negative list: which entry hit; of a positive one none did */
};

/* ret_miss may be NULL; set only when the answer is false. */
bool match_holds(const struct match *m, const struct facts *f, struct match_miss *ret_miss);
bool clause_holds(const struct clause *c, const struct facts *f);
/* *ret_clause (may be NULL) is the first clause that does not hold; set only when false. */
bool rule_holds(const struct rule *rule, const struct facts *f, size_t *ret_clause);
/* The first rule that holds, -1 if none does. */
int policy_rule(const struct policy *p, const struct facts *f);
