/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the model room: lookups in an index, as snap_*() but while it is being built. */
#include "base/bug.h"
#include "model/index.h"

static inline uint64_t hash_addr(const struct weft_addr *a)
{
	return hash_bytes(a->b, sizeof(a->b));
}

/* Hash of the text "a/b", without making it. */
static inline uint64_t hash_pair_str(struct str a, struct str b)
{
	return hash_str(a) * 31 + hash_str(b);
}

static inline uint64_t hash_pair(const char *a, const char *b)
{
	return hash_pair_str(str_of(a), str_of(b));
}

struct workload *lookup_addr(const struct snap_index *x, const struct weft_addr *a);
struct workload *lookup_uid(const struct snap_index *x, struct str uid);
struct workload *lookup_pod(const struct snap_index *x, const char *ns, const char *name);
struct service *lookup_svc_key(const struct snap_index *x, struct str key);
