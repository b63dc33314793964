/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of pod/: the shadow of the kernel's mesh tables. */
#include "weft/svc.h"
#include "weft/wld.h"
#include "base/hmap.h"
#include "base/ip.h"
#include "base/vec.h"
#include "io/loop.h"
#include "lb/pick.h"
#include "pod/mesh.h"

struct local_addr { /* of a pod that is enrolled here */
	struct weft_addr addr;
	uint32_t workload;
};

struct svc_node {
	struct hnode by_key;
	struct weft_svc_key key;
	struct weft_svc value;
	uint64_t sum; /* of the slots that the kernel has, 0 if that is not known */
	struct weft_ep *slots; /* of a shadow only */
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
	char network[256]; /* that the node's pods are in, as of the last sync; "" unknown */
	struct loop *loop;
	struct timer again; /* the next look at live connections */
	uint64_t again_ns;
	struct hmap services;
	VEC(struct local_addr) local; /* sorted by workload; as of the last sync */
	bool local_failed;
	VEC(struct range_node) ranges; /* what the kernel has */
	bool on_demand;
	VEC(struct weft_addr) outside; /* on_demand: nobody's, in weft_ranges as well */
	uint32_t round;
	uint64_t synced; /* snap.mesh_version that the kernel has all of; 0: none */
	struct mesh_stats stats;
};

/* An empty shadow with the pods and the node of m, without a kernel; mesh_free(). */
struct mesh *mesh_shadow(const struct mesh *m);
/* The services' tables, as seen from there, without removing anything. -ENOMEM. */
int mesh_services_sync(struct mesh *m, const struct snap *s, const struct lb_from *from);
struct svc_node *mesh_svc_find(struct mesh *m, const struct weft_svc_key *key);
void mesh_write_failed(struct mesh *m, const char *table, int r);
/* mesh_ranges.c: the kernel's weft_ranges are those of s; before the first sync: what it has. */
void mesh_ranges_sync(struct mesh *m, const struct snap *s);
void mesh_ranges_adopt(struct mesh *m);
/* m, a shadow, expects what is outside of the mesh for of. 0 or -ENOMEM. */
int mesh_ranges_expect(struct mesh *m, const struct mesh *of);
/* mesh_orphans.c: deletes the slots that no entry in m->services shows. Before the first sync. */
void mesh_orphans_drop(struct mesh *m);

/* mesh_addrs.c. What weft_addrs should have of this address; false: nothing. */
bool mesh_addr_wanted(const struct mesh *m, const struct snap *s, const struct weft_addr *a,
		      struct weft_wld *ret);
/* Calls fn once for each address of workloads and VIPs that something can be found by. */
void mesh_addrs_each(const struct snap *s, void (*fn)(void *arg, const struct weft_addr *a),
		     void *arg);
/* Writes what is missing or differs; what is no longer wanted goes with the second. -ENOMEM. */
int mesh_addrs_sync(struct mesh *m, const struct snap *s);
void mesh_addrs_drop_old(struct mesh *m, const struct snap *s);
/* s is what was synced last, only the enrolled pods are others. -ENOMEM. */
int mesh_addrs_sync_pods(struct mesh *m, const struct snap *s);
