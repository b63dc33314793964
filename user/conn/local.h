/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The local pod of a connection: what conn/ needs of an enrolled pod. Made by pod/, immutable,
 * refcounted by any thread: connections outlive the enrolment.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

struct snap;
struct workload;

struct conn_local {
	_Atomic uint32_t refs;
	uint32_t slot;
	uint64_t cookie;
	int netns_fd; /* owned */
	char *ns, *name;
	char *service_account; /* that the workload must have; "": any */
	char *identity; /* spiffe://..., "" while the mesh file does not know the pod */
	struct weft_addr v4, v6; /* all zero: none */
	/* Of weftd's sockets in the pod that connect to elsewhere: WEFT_PASS_MARK where istio-cni's
	 * rules are, which catch all that has none; else 0. */
	uint32_t pass_mark;
	_Atomic bool replies; /* conn_local_replies() was here */
	_Atomic bool left; /* nothing listens for this one any more; the pod may have another */
};

struct conn_local *conn_local_get(struct conn_local *l);
void conn_local_put(struct conn_local **l);
/* Does weftd listen there in the pod? Nobody may dial it. */
bool conn_local_reserves(const struct conn_local *l, uint16_t port);
/* The workload that it is. NULL: the mesh does not know it, or only one of the same name with
 * another service account, which is not it. */
struct workload *conn_local_workload(const struct snap *s, const struct conn_local *l);

/* Before weftd connects to the pod's application from a foreign address: the rule and the route by
 * which replies come back to it. Quick when it was called before; any thread. 0 or -errno. */
int conn_local_replies(struct conn_local *l);
