/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The lookup tables of one snapshot. Built once, then only read. They point to the objects of
 * the snapshot and own only themselves, so that an object may stand in several snapshots.
 */
#include "base/errbuf.h"
#include "base/hmap.h"
#include "model/snap.h"

struct index_node {
	struct hnode node;
	void *obj;
};

struct index_table {
	struct hmap map;
	struct index_node *nodes; /* one array for all nodes of the map */
	size_t n, cap;
};

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
	struct workload **by_id; /* sorted by id */
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
