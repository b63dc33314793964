/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the feed room: the resources that istiod has given us and that were good, by name,
 * with the version to tell istiod when we come back.
 */
#include "base/hmap.h"
#include "feed/xds.h"
#include "feed/xds_decode.h"

struct xds_resource {
	struct hnode node; /* by xds_object_name() */
	struct xds_object obj;
	uint32_t seen; /* number of the message that it last came with */
	bool claimed; /* istiod was told on this stream that we hold it */
	char version[];
};

/* A resource of which the last version was refused. An older one may be in force, which must not
 * be claimed then. */
struct xds_refused {
	struct hnode node;
	uint32_t seen;
	char name[];
};

#define XDS_REFUSED_MAX 10000 /* names; more are not remembered */

struct xds_store {
	struct hmap map[XDS_TYPES];
	struct hmap refused[XDS_TYPES];
};

/* Takes the object; NULL (and the object is gone) when out of memory. */
struct xds_resource *xds_resource_new(struct xds_object *obj, struct str version);
void xds_resource_free(struct xds_resource **r);

void xds_store_fini(struct xds_store *s);
struct xds_resource *xds_store_find(const struct xds_store *s, enum xds_type type, struct str name);
/* Takes r, also on failure; replaces one of the same name. */
int xds_store_put(struct xds_store *s, enum xds_type type, struct xds_resource *r);
int xds_store_refuse(struct xds_store *s, enum xds_type type, struct str name, uint32_t seen);
bool xds_store_is_refused(const struct xds_store *s, enum xds_type type, struct str name);
size_t xds_store_refused(const struct xds_store *s); /* how many */
bool xds_store_remove(struct xds_store *s, enum xds_type type, struct str name);
/* Removes what was neither claimed nor seen in message number seen. How many. */
size_t xds_store_sweep(struct xds_store *s, enum xds_type type, uint32_t seen);
/* What model_build() wants: references to workloads and policies, copies of services (those get
 * endpoints of their own in each snapshot). The workloads of node come first, so that a pod is
 * found before one of the same name elsewhere. */
int xds_store_input(const struct xds_store *s, const char *node, struct model_input *ret);
