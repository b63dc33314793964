/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of pod/: the shadow of the kernel's mesh tables. */
#include "weft/svc.h"
#include "weft/wld.h"
#include "base/hmap.h"
#include "base/ip.h"
#include "base/vec.h"
#include "io/loop.h"
#include "pod/mesh.h"

struct addr_node {
	struct hnode by_addr;
	struct weft_addr addr;
	struct weft_wld value;
	uint32_t round; /* of the last snapshot that had it */
};

struct svc_node {
	struct hnode by_key;
	struct weft_svc_key key;
	struct weft_svc value;
	struct weft_ep *slots;
	size_t n_slots;
	uint32_t round;
};

/* Which family's slots an entry shows (weft/svc.h). */
static inline uint32_t slot_bit(const struct weft_svc_key *key)
{
	return ip_is_v4(&key->vip) ? 0 : WEFT_SLOT_V6;
}

struct range_node {
	struct ip_prefix prefix;
	uint32_t flags;
};

struct mesh {
	struct kern *kern; /* NULL: the shadow alone, of what the kernel should have */
	struct model *model;
	struct pods *pods;
	const char *node;
	struct loop *loop;
	struct timer again; /* the second look at live connections */
	struct hmap addrs, services;
	VEC(struct range_node) ranges; /* what the kernel has */
	uint32_t round;
	struct mesh_stats stats;
};

/* An empty shadow with the pods and the node of m, without a kernel; mesh_free(). */
struct mesh *mesh_shadow(const struct mesh *m);
struct addr_node *mesh_addr_find(struct mesh *m, const struct weft_addr *a);
struct svc_node *mesh_svc_find(struct mesh *m, const struct weft_svc_key *key);
void mesh_write_failed(struct mesh *m, const char *table, int r);
/* mesh_ranges.c: the kernel's weft_ranges are those of s; before the first sync: what it has. */
void mesh_ranges_sync(struct mesh *m, const struct snap *s);
void mesh_ranges_adopt(struct mesh *m);
/* mesh_orphans.c: deletes the slots that no entry in m->services shows. Before the first sync. */
void mesh_orphans_drop(struct mesh *m);
