/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the kernel knows of the mesh: the tables weft_addrs, weft_services and weft_slots,
 * kept equal to a snapshot and to the set of pods enrolled here, and the cache of verdicts.
 * Only differences are written; what a reader depends on is written first and removed last.
 * Control thread only.
 */
#include <stdint.h>

#include "base/errbuf.h"
#include "model/snap.h"
#include "pod/pods.h"

struct loop;
struct mesh;

struct mesh_stats {
	uint64_t addrs, services, slots; /* entries held */
	uint64_t writes, errors;
	uint64_t eager_verdicts; /* installed by the last mesh_verdicts() */
	uint64_t judged; /* live direct connections, by the last mesh_enforce() */
	uint64_t cut;	 /* of them, ever */
};

/* Takes over what an earlier daemon left in the maps; ids go to the model (adopt). */
int mesh_new(struct kern *k, struct model *m, struct pods *pods, struct loop *loop,
	     const char *node, struct mesh **ret);
void mesh_free(struct mesh **m);
/* From the first sync on: what the tables do not have is not outside of the mesh, but unknown, and
 * goes to the relay, which asks (feed/demand.h). */
void mesh_on_demand(struct mesh *m);
/* This address is known to be nobody's (on), or not known to be any more. */
void mesh_outside(struct mesh *m, const struct weft_addr *a, bool on);
/* Writes the difference to s. A full map is logged and counted and the rest is written all
 * the same; -ENOMEM leaves what is there and removes nothing. */
int mesh_sync(struct mesh *m, const struct snap *s);
/*
 * A change takes effect, in this order:
 *   mesh_enforce()   new epoch: every cached verdict is a miss; live direct connections are judged
 *                    by s and those denied are destroyed, once more a moment later
 *   mesh_sync()
 *   mesh_verdicts()  verdicts for pairs of local pods and declared ports are made again
 * Verdicts that allow must not be made before mesh_sync(): an address that the kernel still
 * takes for another workload's would be reached by that workload's verdict.
 */
void mesh_enforce(struct mesh *m, const struct snap *s);
void mesh_verdicts(struct mesh *m, const struct snap *s);
/* What a table of the kernel and the snapshot do not agree about. */
struct mesh_diff {
	const char *table; /* "weft_addrs" */
	char key[128], kernel[128], wanted[128]; /* for people; "" : not there */
};

/*
 * Makes anew, from nothing, what s asks for, and compares it with what the kernel has: addresses,
 * ranges, services, slots, pods; and what is cached of verdicts with what the evaluator says. fn sees each
 * difference; *ret_rows: entries compared. -ENOMEM. Between changes, not in the middle of one.
 */
int mesh_check(struct mesh *m, const struct snap *s,
	       void (*fn)(void *arg, const struct mesh_diff *d), void *arg, uint64_t *ret_rows);
void mesh_stats(const struct mesh *m, struct mesh_stats *ret);
