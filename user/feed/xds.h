/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * istiod as the feed: a client of its aggregated delta discovery service for the two types of
 * resources that a node proxy needs (istio.workload.Address, istio.security.Authorization).
 *
 * A message of istiod is decoded while it arrives, and held back until it is complete; then its
 * good resources are kept, and the others refused by name (NACK). The mesh is applied when both
 * types have been answered for the first time, and after every change from then on. During an
 * outage everything that was learned stays in force; on the way back istiod is told what is
 * held and sends what has changed. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "h2/grpc.h"
#include "model/snap.h"

struct demand;
struct loop;
struct xds;

enum xds_type { XDS_ADDRESS, XDS_AUTHORIZATION, XDS_TYPES };

struct xds_meta { /* one entry of the node's metadata; value is JSON if json */
	const char *name, *value;
	bool json;
};

struct xds_opts {
	struct grpc_channel_opts channel;
	const char *node, *network, *pod_name, *pod_namespace, *instance_ip;
	const struct xds_meta *meta;
	size_t n_meta;
	struct demand *demand; /* addresses are fetched when they are asked for; NULL: all of them */
};

/* The strings of o must outlive it. on_apply runs on the loop after each publish. */
int xds_start(struct loop *loop, struct model *m, const struct xds_opts *o,
	      void (*on_apply)(void *arg, const struct snap *s), void *arg, struct xds **ret);
void xds_stop(struct xds **x);
/* Ends the connection and begins a new one; what is held stays. */
void xds_reconnect(struct xds *x);

struct xds_status {
	char server[300], peer[64]; /* "host:port"; where it is connected to, "" if it is not */
	bool connected;      /* istiod has answered on this stream */
	bool synced[XDS_TYPES];     /* this type was answered on this stream */
	uint64_t since_s;     /* of connected, or not; Unix seconds */
	char error[512];     /* why it is not connected, "" while it is */
	uint64_t messages[XDS_TYPES], bytes;
	size_t held[XDS_TYPES];
	uint64_t rejected[XDS_TYPES], unknown_values;
	size_t rejected_now; /* resources of which the last version was refused */
	char rejection[512]; /* the last one of those, "" none */
	uint64_t applied, failed; /* versions of the mesh */
	uint64_t last_applied_s, apply_ns; /* apply_ns: how long the last one took */
	char apply_error[512]; /* of the last one, "" if it went well */
	/* How streams ended: could not be made, with an error, broken or told to go, orderly. */
	uint64_t ended_unreachable, ended_error, ended_reconnect, ended_complete;
};
void xds_status(const struct xds *x, struct xds_status *ret);
