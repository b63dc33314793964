/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the feed room: resources of istiod's workload API (istio.workload.Address,
 * istio.security.Authorization) into objects of the model. The tables of fields in the .c
 * files are the schema: numbers and types of what we read. What is there and cannot be kept
 * exactly makes the resource invalid when it would change who may talk to whom (all of a
 * policy); elsewhere it gets a safe value and is counted.
 */
#include <stdint.h>
#include <string.h>

#include "base/errbuf.h"
#include "base/vec.h"
#include "codec/pb.h"
#include "feed/intern.h"
#include "model/snap.h"

enum xds_kind { XDS_NONE, XDS_WORKLOAD, XDS_SERVICE, XDS_POLICY };

struct xds_object {
	enum xds_kind kind;
	union {
		struct workload *workload;
		struct service *service;
		struct policy *policy;
	};
};

/* What the resource must be called: uid, "namespace/hostname" or "namespace/name". */
const char *xds_object_name(const struct xds_object *o);
void xds_object_put(struct xds_object *o);

struct xds_membership {
	struct str key;
	size_t first, n; /* of ports */
};

struct xds_decoder {
	struct intern *strings;
	const char *network; /* our own: addresses of others mean nothing here; "": all are ours */
	uint64_t unknown_values; /* enum values that got a safe one */
	/* Used again for each resource. */
	VEC(struct weft_addr) addrs;
	VEC(struct str) texts; /* policies of a workload, SANs of a service */
	VEC(struct xds_membership) memberships;
	VEC(struct port_map) ports;
	VEC(char) key; /* of what the workloads of a deployment have in common */
};

void xds_decoder_fini(struct xds_decoder *d);

/* All: -EINVAL or -EBADMSG with a sentence in err, -ENOMEM. *ret owns its object. */
int xds_decode_address(struct xds_decoder *d, struct str bytes, struct errbuf *err,
		       struct xds_object *ret);
int xds_decode_policy(struct xds_decoder *d, struct str bytes, struct errbuf *err,
		      struct xds_object *ret);

/* The two kinds of an Address. */
int xds_decode_workload(struct xds_decoder *d, struct str bytes, struct errbuf *err,
			struct workload **ret);
int xds_decode_service(struct xds_decoder *d, struct str bytes, struct errbuf *err,
		       struct service **ret);

/* ---- shared by the decoders ---- */

/* The next n bytes of a block that is made of parts; NULL for none. */
static inline void *xds_carve(char **at, size_t n)
{
	void *p = n ? *at : NULL;

	*at += n;
	return p;
}

static inline char *xds_carve_text(char **at, struct str s)
{
	char *p = *at;

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	*at += s.n + 1;
	return p;
}

struct xds_gateway { /* GatewayAddress */
	struct str ns, hostname, network, address;
	uint32_t port;
};
extern const struct pb_field xds_gateway_fields[];
/* As gateway_parse() reads it, malloc'ed; *ret is left alone where there is none. */
int xds_gateway_text(const struct xds_gateway *g, struct errbuf *err, char **ret);

/* PB_EACH of a repeated Port into d->ports; of a later one with the same service port, that one
 * counts. from: where this list begins. */
int xds_add_port(struct pb_decode *pd, size_t from, const struct pb_value *v);
/* value if it is below known, else safe, and counted. */
int xds_enum(struct xds_decoder *d, int value, int known, int safe);
