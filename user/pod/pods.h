/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pod: enrolment of this node's pods. It owns, per pod: the open netns, the listeners inside
 * it, its kernel entries, its routing for source addresses, its certificate wish. A pod is
 * known by its netns cookie; its name only says which workload of the mesh it is.
 * Control thread only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/list.h"
#include "conn/conn.h"
#include "dns/dns.h"
#include "model/snap.h"

struct ident_store;
struct kern;
struct loop;
struct pods;
struct zds_ops;

struct pods_opts {
	struct kern *kern;
	struct model *model;
	struct ident_store *ident;
	struct loop *loop;
	const char *run_dir, *node;
	bool zds; /* istio-cni will tell of those that it told an earlier daemon of */
	const char *congestion; /* of captured and plaintext legs, NULL: the system's */
	uint32_t keepalive_s; /* of accepted connections, see tcp_tune() */
	/* To every worker: serve this pod's socket / stop serving it (returns when all have
	 * stopped, because the sockets are closed next). */
	void (*on_listen)(void *arg, struct conn_local *l, enum conn_listen kind, int fd);
	void (*on_unlisten)(void *arg, struct conn_local *l);
	/* The pod is gone: connections of it end now. */
	void (*on_cut)(void *arg, struct conn_local *l);
	bool dns; /* the two below are called: for names, sockets by enum dns_socket, -1 none */
	int (*on_dns)(void *arg, struct conn_local *l, const int *fd, bool rules);
	void (*on_dns_end)(void *arg, struct conn_local *l); /* nothing uses them any more */
	void (*on_change)(void *arg); /* the set of enrolled workloads changed */
	void *arg;
};

enum pod_state { POD_ENROLLED, POD_NOT_IN_MESH, POD_GONE };

struct pod {
	struct list node;
	struct conn_local *local;
	char *netns_path; /* "": it came as a descriptor, by ZDS */
	char *zds_uid;   /* the Kubernetes pod's, of one that came by ZDS; else NULL */
	int fd[CONN_LISTEN_MAX]; /* -1: does not listen for it */
	int dns_fd[DNS_SOCKETS]; /* all -1: names are none of ours */
	bool dns_told; /* that they cannot be opened */
	uint32_t veth_ifindex;
	uint32_t workload; /* id, 0: the mesh file does not know it */
	char *wanted;	   /* identity asked from ident/, NULL none */
	bool guarded, attached, in_map;
	bool not_its; /* the mesh has another workload of its name, and that was said */
	uint64_t since_s;
};

int pods_new(const struct pods_opts *o, struct pods **ret);
/* Stops serving; kernel entries stay, so the pods fail closed until the next daemon. */
void pods_free(struct pods **p);
/* Closes the listeners of all pods, whose kernel entries stay: new connections are refused. No
 * pod can be enrolled afterwards. The workers must have stopped to accept. */
void pods_quiesce(struct pods *p);

/* Idempotent for the same namespace. -EEXIST is never returned: a pod that came back with a
 * new netns replaces the old enrolment. Errors have their sentence. */
int pods_enrol(struct pods *p, const char *ns, const char *name, const char *netns_path,
	       struct errbuf *err, struct pod **ret);
int pods_unenrol(struct pods *p, const char *ns, const char *name, struct errbuf *err);
/* Enrols again what an earlier daemon left in run_dir/pods, as far as the kernel agrees, and
 * removes kernel entries of pods that are gone. */
void pods_restore(struct pods *p);
/* After a new snapshot: workload ids and identities. */
void pods_sync(struct pods *p, const struct snap *s);
size_t pods_count(const struct pods *p);
void pods_each(struct pods *p, void (*fn)(void *arg, const struct pod *pod), void *arg);
/* WEFT_WLD_LOCAL if this is the address of an enrolled pod which is this workload, and
 * WEFT_WLD_RULES if istio-cni's rules are in it; 0. */
uint32_t pods_address_flags(const struct pods *p, uint32_t workload, const struct weft_addr *a);
/* weft_pods of it. */
struct weft_pod pods_entry(const struct pod *pod);
/* What istio-cni's messages do; zds_state.h, zds_link.h. */
struct zds_ops pods_zds_ops(struct pods *p);
/* Whose pod an earlier daemon served and this one cannot: its kernel entries stay. */
bool pods_closed(const struct pods *p, uint64_t cookie);
enum pod_state pod_state(const struct pod *pod);
/* local.c: with a descriptor of its own and one reference; NULL: out of memory or descriptors. */
struct conn_local *pod_local_copy(const struct conn_local *l, const char *identity);
/* route.c: inside the pod's netns. */
int pod_route_setup(int netns_fd, struct errbuf *err);
/* Addresses of the pod, of several those that the workload has (NULL: not known), and its host-side
 * interface (0 if not found). */
int pod_inspect(int netns_fd, const struct workload *w, struct weft_addr *ret_v4,
		struct weft_addr *ret_v6, uint32_t *ret_veth);
