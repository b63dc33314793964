/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the feed room: the parts of the client of istiod (xds.c, xds_push.c, xds_request.c). */
#include "base/vec.h"
#include "codec/pb.h"
#include "feed/apply.h"
#include "feed/demand.h"
#include "feed/xds_store.h"
#include "io/loop.h"

#define XDS_MESSAGE_MAX (1u << 30) /* never held as a whole */
#define XDS_RESOURCE_MAX (16u << 20)

extern const char *const xds_type_url[XDS_TYPES];

struct xds_heard { /* about a name that somebody asked for */
	char *name;
	int result;
};

/* One message on its way in: nothing of it counts before it is complete. */
struct xds_push {
	struct pb_split split;
	enum xds_type type;
	bool has_type, unknown_type;
	char *nonce; /* malloc'ed */
	VEC(struct xds_resource *) resources;
	VEC(char *) removed, rejected; /* names */
	VEC(struct xds_heard) heard;
	char errors[2048]; /* "name: reason; name: reason" */
	size_t n_errors;
};

struct xds {
	struct loop *loop;
	struct xds_opts o;
	struct grpc_channel *channel;
	struct grpc_call *call;
	struct xds_decoder decoder;
	struct xds_store store;
	struct xds_push push;
	struct applier applier;
	struct timer retry, patience, apply;
	uint64_t backoff_ns, applied_ns; /* applied_ns: end of the last apply, monotonic */
	uint32_t message; /* number of the one that is coming in */
	bool answered_once[XDS_TYPES];
	bool dirty; /* something differs from what is in force, at least... */
	VEC(char *) policies; /* ...the policies with these names, */
	bool only_policies; /* and nothing else */
	uint64_t lacks_since_ns; /* a workload names a policy that we do not have; monotonic, 0 no */
	struct xds_status status;
};

/* More than these are as well built anew with everything else. */
#define XDS_POLICIES_MAX 256

/* xds_push.c: messages. Results below 0 end the stream. */
int xds_push_bytes(struct xds *x, const void *p, size_t n);
int xds_push_end(struct xds *x);
void xds_push_reset(struct xds_push *p);
/* Everything is in force. */
void xds_clean(struct xds *x);

/* xds_request.c: what we send. */
int xds_send_subscribe(struct xds *x, enum xds_type type);
int xds_send_names(struct xds *x, const char *const *name, size_t n, bool subscribe);
/* error NULL: all of it was good. */
int xds_send_ack(struct xds *x, const char *type_url, const char *nonce, const char *error);
