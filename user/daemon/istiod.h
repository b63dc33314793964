/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the daemon does with a control plane: channels to istiod and the certificate authority
 * out of the options and the environment, the identities of this node's workloads ahead of
 * their first connection, and what is said about it all. Control thread.
 */
#include <jansson.h>

#include "base/hmap.h"
#include "feed/demand.h"
#include "feed/xds.h"

struct daemon;
struct prom;

#define ISTIOD_HEADERS_MAX 16
#define ISTIOD_META_MAX 64

struct istiod {
	struct xds *xds;
	struct demand *demand; /* NULL: the whole mesh is taken */
	struct grpc_channel_opts ca;
	struct grpc_header xds_headers[ISTIOD_HEADERS_MAX + 1], ca_headers[ISTIOD_HEADERS_MAX + 1];
	struct xds_meta meta[ISTIOD_META_MAX];
	size_t n_meta;
	struct hmap prefetched; /* identities wanted because a workload of this node has them */
	uint64_t round;
};

/* Reads the environment and fills d->istiod.ca; before the identity store is made. */
int istiod_prepare(struct daemon *d, struct errbuf *err);
/* The mesh comes from istiod from now on. */
int istiod_start(struct daemon *d, void (*on_apply)(void *arg, const struct snap *s),
		 struct errbuf *err);
void istiod_stop(struct daemon *d); /* also when nothing was started */
/* After the identity store, whose channel has its headers here. */
void istiod_fini(struct daemon *d);
/* Wants certificates for the workloads of this node that may need them, forgets the others'. */
void istiod_prefetch(struct daemon *d, const struct snap *s);
void istiod_forget(struct daemon *d); /* all of them */

void istiod_view(struct daemon *d, json_t *mesh); /* adds to the status of the mesh */
void istiod_metrics(struct daemon *d, struct prom *w);
