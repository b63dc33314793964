/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SPIFFE ids of workloads: spiffe://<trust domain>/ns/<namespace>/sa/<service account>. */
#include "base/str.h"

struct spiffe {
	struct str trust_domain, ns, sa; /* point into the parsed text */
};

/* Exactly these five parts, none empty, only characters allowed in SPIFFE ids; -EINVAL else. */
int spiffe_parse(struct str uri, struct spiffe *ret);
/* malloc'ed text; NULL when out of memory. */
char *spiffe_format(const struct spiffe *id);
