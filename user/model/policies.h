/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * All policies of a snapshot, with their index. Immutable and refcounted: snapshots share it
 * until a policy changes, and then share most of its parts (postings.h).
 */
#include <string.h>

#include "base/errbuf.h"
#include "model/policykey.h"
#include "model/postings.h"

struct policies {
	_Atomic uint32_t refs;
	struct postings table;
	struct policy **all; /* sorted by key; the table owns them */
	size_t n;
	/* How many rules are filed under a kind, to skip kinds that nobody uses:
	 * [0 whole mesh, 1 any namespace]; grouped: of them those in groups. */
	uint32_t filed[2][2][KEY_KINDS], grouped[2][2][KEY_KINDS];
	uint32_t n_dry_run; /* policies of any scope, those without an action left out */
};

/* Takes references on the policies; their keys are set. -EEXIST with the name in err if a key
 * is there twice, -ENOMEM. */
int policies_build(struct policy *const *list, size_t n, struct errbuf *err, struct policies **ret);
/* A version in which p has taken the place of the policy with this key, which need not exist;
 * p NULL: removed. Cost grows with the rules of the two policies, not with the number of all.
 * -ENOMEM. */
int policies_replace(const struct policies *from, struct str key, struct policy *p,
		     struct policies **ret);
struct policies *policies_get(struct policies *s);
void policies_put(struct policies **s);
struct policy *policies_find(const struct policies *s, struct str key);
/* What is filed: the number of postings, *ret the first, by key of the policy, then rule. A hash
 * may be that of something else: the caller looks at policy_binds(). */
static inline size_t policies_filed(const struct policies *s, const char *ns,
				    enum policy_action action, enum policy_key kind, uint64_t value,
				    const struct posting **ret)
{
	return postings_find(&s->table, key_hash(ns, action, kind, value), ret);
}

/* The groups of such a list: of each its first rule, in the same order. */
static inline size_t policies_directory(const struct policies *s, const char *ns,
					enum policy_action action, enum policy_key kind,
					uint64_t value, const struct posting **ret)
{
	return postings_find(&s->table, key_directory(ns, action, kind, value), ret);
}

/* Is it one of the whole mesh (ns NULL), or of this namespace? */
static inline bool policy_binds(const struct policy *p, const char *ns)
{
	return ns ? p->scope == SCOPE_NAMESPACE && strcmp(p->ns, ns) == 0 : p->scope == SCOPE_GLOBAL;
}

/* Memory of the index, without the policies themselves. */
size_t policies_bytes(const struct policies *s);

/* May it decide anything? Dry-run ones and those without an action may not. */
static inline bool policy_decides(const struct policy *p)
{
	return !p->dry_run && p->action != ACTION_NONE;
}
