/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What policies with "dryRun: true" would change. They decide nothing; this says, for a person
 * who is about to put them in force, which verdicts would then be other ones.
 */
#include "model/policies.h"
#include "policy/rbac.h"

static inline bool dryrun_any(const struct snap *s)
{
	return s->policies->n_dry_run > 0;
}

/* Would the verdict be another one if every dry-run policy were in force? now: what rbac_check()
 * gave for the same snapshot and facts. If true, *ret is the verdict that would hold, and who
 * would decide it; policy "" when no ALLOW would match. Always false when a policy that the
 * workload names does not exist. Where no dry-run policy exists it costs nothing. Pure, any
 * thread that may read the snapshot. */
bool dryrun_differs(const struct snap *s, const struct facts *f, const struct rbac_result *now,
		    struct rbac_result *ret);
