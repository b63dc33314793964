/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A snapshot of the mesh: built by one thread, published by one pointer store, read by all
 * workers under RCU (urcu-qsbr, read sections end at the loop turn). Whoever needs a
 * workload longer takes a reference on the workload, never on the snapshot.
 */
#include <stdint.h>

#include "base/errbuf.h"
#include "model/types.h"

struct snap {
	uint64_t version;
	uint64_t mesh_version; /* of its workloads and services; > 0, others of other ones */
	struct workload **workload;
	size_t n_workloads;
	struct service **service;
	size_t n_services;
	struct policy **policy; /* sorted by key */
	size_t n_policies;
	bool addrs_may_repeat;
	struct snap_index *index;
	struct policies *policies;
};

struct model; /* the published snapshot plus the ids given so far */

int model_new(struct model **ret);
void model_free(struct model **m);

/* A mesh with more addresses, or more pairs of a VIP and a port, is refused; at first
 * WEFT_ADDRS_MAX and WEFT_SERVICES_MAX. */
void model_limit(struct model *m, size_t addrs, size_t pairs);

/* Ids read back from pinned maps: a workload that has this address gets this id; adopted ids
 * that nobody claims at the first publish are never given to anybody else. Before the first
 * publish only (-EBUSY later). */
int model_adopt_workload_id(struct model *m, const struct weft_addr *addr, uint32_t id);
int model_adopt_service_id(struct model *m, const struct weft_addr *vip, uint16_t port, uint32_t id);

/* What a feed hands over; owns its objects until model_build() takes them. */
struct model_input {
	struct workload **workload;
	size_t n_workloads;
	struct service **service;
	size_t n_services;
	struct policy **policy;
	size_t n_policies;
	/* An address may be on several workloads, as it may for a moment while a control plane
	 * tells of one pod that goes and another one that comes: a healthy workload is found before
	 * others, then one that speaks HBONE, then the one with the greater uid. */
	bool addrs_may_repeat;
};
/* One-element allocation helpers used by feeds. */
struct workload *workload_new(void); /* zeroed, refs 1, strings NULL */
struct service *service_new(void);
struct policy *policy_new(void);
void labels_free(struct label *l, size_t n);
/* Drops everything an input owns; safe on a zeroed one. */
void model_input_drop(struct model_input *in);

/*
 * First phase: gives ids, resolves endpoints, builds indexes. Takes the references in *in
 * (also on failure, then they are dropped). Strings left NULL become "", an identity left NULL
 * is made of its parts, keys left NULL are "ns/hostname" or "ns/name". Errors, with the name
 * in err: duplicate uid, service key or policy key (-EEXIST); the same address twice on
 * pods that are not host_network (-EEXIST, unless addrs_may_repeat); -ENOMEM. Workloads with host_network are not found
 * by address: it is the node's. A service key, a {service key, port}, and the uid of a workload that was
 * published get the same id again; no id is ever given to two of them.
 */
int model_build(struct model *m, struct model_input *in, struct errbuf *err, struct snap **ret);
/*
 * As model_build(), for policies only: everything else is what is published now, and shared
 * with it. Takes the references in change (also on failure). Fast: see docs/performance.md.
 */
struct policy_change {
	struct policy *policy; /* fresh; NULL: the one with this key is removed */
	const char *key;       /* "ns/name", used if policy is NULL */
};
int model_build_policies(struct model *m, struct policy_change *change, size_t n,
			 struct errbuf *err, struct snap **ret);
void snap_free(struct snap **s); /* of one that was never published */
/* The same content for somebody who needs it over several turns of the loop, as long as he wants;
 * shares everything, costs nothing that grows with the mesh. Control thread. snap_free() it. NULL
 * when out of memory. */
struct snap *snap_share(const struct snap *s);
/* Second phase: readers see it from now on; frees the old one after a grace period. The
 * calling thread must be registered with urcu-qsbr. */
void model_publish(struct model *m, struct snap *s);
/* The current snapshot, valid until the calling thread's next quiescent point; never NULL
 * after model_new() (an empty one is published there). */
const struct snap *model_snap(const struct model *m);

/* All of these: NULL when not found; nothing is referenced for the caller. Where several
 * services share a VIP or a hostname, a canonical one is found, else the first one listed; by
 * hostname one that is for everybody before those that are for their own namespace only. */
struct workload *snap_workload_by_addr(const struct snap *s, const struct weft_addr *a);
struct workload *snap_workload_by_uid(const struct snap *s, struct str uid);
struct workload *snap_workload_by_id(const struct snap *s, uint32_t id);
/* A pod of this node, by name; service_account may be NULL (any). */
struct workload *snap_workload_by_pod(const struct snap *s, const char *ns, const char *name);
/* With this hostname of its own (WorkloadEntry, not the name of a pod). */
struct workload *snap_workload_by_host(const struct snap *s, struct str ns, struct str hostname);
struct service *snap_service_by_vip(const struct snap *s, const struct weft_addr *vip);
/* All that share it, in that order; n from 0. */
struct service *snap_service_by_vip_nth(const struct snap *s, const struct weft_addr *vip, size_t n);
struct service *snap_service_by_hostname_nth(const struct snap *s, struct str hostname, size_t n);
/* Does w say that it is an endpoint of svc? */
bool workload_is_member(const struct workload *w, const struct service *svc);
/* May clients of namespace ns use it? */
bool service_is_visible(const struct service *svc, const char *ns);
/* For those that could be meant, in their order, by a client of namespace ns: *first (NULL before) is the
 * one by now; true: for good. */
bool service_is_meant(struct service *svc, const char *ns, struct service **first);
/* The one that a client of namespace ns means: of its own namespace, else the first one that it may
 * use. */
struct service *snap_service_by_vip_for(const struct snap *s, const struct weft_addr *vip,
					const char *ns);
struct service *snap_service_by_range_for(const struct snap *s, const struct weft_addr *a,
					  const char *ns);
/* A service that has a range with this address in it: the longest counts. */
struct service *snap_service_by_range(const struct snap *s, const struct weft_addr *a);
/* All ranges, each before those that it wins against. */
struct snap_range {
	struct ip_prefix prefix;
	struct service *svc; /* not referenced */
	size_t order;
};
/* IPv4 addresses are inside of ::/0 as they are written here, and not meant by it. */
bool snap_range_has(const struct snap_range *r, const struct weft_addr *a);
const struct snap_range *snap_ranges(const struct snap *s, size_t *ret_n);
struct service *snap_service_by_hostname(const struct snap *s, struct str hostname);
struct service *snap_service_by_key(const struct snap *s, struct str key);
/* By the per-port id of the kernel maps; *ret_port may be NULL. */
struct service *snap_service_by_port_id(const struct snap *s, uint32_t id, uint16_t *ret_port);
struct policy *snap_policy_by_key(const struct snap *s, struct str key);
/* First service of w that maps a port to target_port, for labels of traffic to a pod address. */
struct service *snap_service_of(const struct snap *s, const struct workload *w, uint16_t target_port);
/* Names of workloads' policies that do not exist; workloads that have such. Walks the mesh. */
size_t snap_missing_policies(const struct snap *s, size_t *ret_workloads);
