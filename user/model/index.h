/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The lookup tables of one snapshot. Built once, then only read. They point to the objects of
 * the snapshot and own only themselves, so that an object may stand in several snapshots.
 */
#include <string.h>

#include "base/errbuf.h"
#include "base/hmap.h"
#include "model/snap.h"

/* Of a hash table whose size is known before it is filled: eight bytes for each place, no node, and
 * as many places as it takes, not a power of two. */
struct index_slot {
	uint32_t tag; /* upper half of the hash */
	uint32_t at;  /* 1 + place in the array of objects; 0: free */
};

struct index_table {
	struct index_slot *slot;
	size_t n, cap, places;
	const void *obj; /* the snapshot's array of pointers to workloads or services */
};

static inline void *index_obj(const struct index_table *t, size_t i)
{
	void *p;

	memcpy(&p, (const char *)t->obj + i * sizeof(p), sizeof(p));
	return p;
}

/* Where the search for a hash begins: its lower half, scaled. */
static inline size_t index_start(const struct index_table *t, uint64_t hash)
{
	return (size_t)((uint64_t)(uint32_t)hash * t->places >> 32);
}

static inline size_t index_after(const struct index_table *t, size_t at)
{
	return at + 1 == t->places ? 0 : at + 1;
}

/* The next object with this hash, from place *at on, which is index_start() at first; NULL: no more. The
 * caller compares keys. Those that were put in first come first. */
static inline void *index_next(const struct index_table *t, uint64_t hash, uint64_t *at)
{
	while (t->slot) {
		const struct index_slot *s = &t->slot[*at];

		if (!s->at)
			break;
		*at = index_after(t, *at);
		if (s->tag == hash >> 32)
			return index_obj(t, s->at - 1);
	}
	return NULL;
}

#define index_for_each(type, pos, t, hash) \
	for (uint64_t pos##_h = (hash), pos##_at = index_start((t), pos##_h), pos##_on = 1; pos##_on; \
	     pos##_on = 0) \
		for (type * pos; (pos = index_next((t), pos##_h, &pos##_at));)

struct id_port {
	uint32_t id;
	uint16_t port;
	struct service *svc;
};

struct snap_index {
	_Atomic uint32_t refs; /* snapshots that have these workloads and services */
	struct index_table addr, uid, pod, host; /* workloads; host: those that have a hostname */
	struct index_table vip, hostname, svc_key; /* services */
	struct snap_range *ranges; /* longer prefixes first, then canonical ones, as listed */
	size_t n_ranges;
	uint32_t *by_id; /* places of workloads in the snapshot's array, sorted by id */
	struct id_port *by_port_id; /* sorted by id */
	size_t n_port_ids;
};

/* Keys only: what model_build() needs before ids and endpoints are known. -EEXIST with the
 * name in err, -ENOMEM. Sets s->index, also on failure. */
int index_build_keys(struct snap *s, struct errbuf *err);
/* What needs the ids. */
int index_build_ids(struct snap *s);
struct snap_index *index_get(struct snap_index *x);
/* True for the last one, who frees the workloads and services as well. */
bool index_put(struct snap_index **px);
