/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Hash map with intrusive nodes (chained), seeded per process, so that foreign keys cannot aim
 * at one bucket. The map never owns its nodes. Not thread safe.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "base/str.h"

struct hnode {
	struct hnode *next;
	uint64_t hash;
};

struct hmap {
	struct hnode **buckets;
	size_t n_buckets, n;
};

/* Keyed hash of bytes; the key is drawn once per process. */
uint64_t hash_bytes(const void *p, size_t n);
static inline uint64_t hash_str(struct str s)
{
	return hash_bytes(s.p, s.n);
}

void hmap_fini(struct hmap *m); /* frees buckets only */
int hmap_insert(struct hmap *m, struct hnode *node, uint64_t hash); /* 0 or -ENOMEM */
void hmap_remove(struct hmap *m, struct hnode *node);
/* First node with this hash, or the next one behind it; the caller compares keys. */
struct hnode *hmap_first(const struct hmap *m, uint64_t hash);
struct hnode *hmap_next_same(const struct hnode *node);
/* Walk over all nodes; NULL starts and NULL ends. The node given back may be removed before
 * the next call only if that call gets the node after it: use hmap_for_each_safe. */
struct hnode *hmap_walk(const struct hmap *m, const struct hnode *prev);

#define hmap_for_each(pos, m) \
	for (struct hnode *pos = hmap_walk((m), NULL); pos; pos = hmap_walk((m), pos))
#define hmap_for_each_safe(pos, m)                                                        \
	for (struct hnode *pos = hmap_walk((m), NULL), *pos##_n = pos ? hmap_walk((m), pos) : NULL; \
	     pos; pos = pos##_n, pos##_n = pos ? hmap_walk((m), pos) : NULL)
