/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GET /config_dump of the admin port, in the shape that tools written for ztunnel read
 * (istioctl ztunnel-config, Kiali; docs/admin.md lists it). The mesh may be large and the reader
 * slow, so the text is made piece by piece while it is sent: a dump holds the snapshot it began
 * with and what it was given about this node, and never more text than one row. Control thread.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ip.h"

struct dump;
struct ident_store;
struct service;
struct snap;

/* network: of this node; it stands in front of the VIPs. Shares s. 0 or -ENOMEM. */
int dump_new(const struct snap *s, const char *network, struct dump **ret);
void dump_free(struct dump **d);
/* All certificates of this node; 0 or -ENOMEM. */
int dump_certs(struct dump *d, struct ident_store *s);

struct dump_pod { /* copied */
	const char *key, *ns, *name, *trust_domain, *service_account;
	bool up;
};
/* Number of the pod for dump_conn, or -ENOMEM. */
int dump_pod(struct dump *d, const struct dump_pod *pod);

struct dump_conn {
	uint32_t pod; /* as dump_pod() gave it */
	bool inbound, hbone;
	struct weft_ep src, dialled, actual;
	struct service *service; /* of an inbound one, or NULL; a reference is taken */
};
int dump_conn(struct dump *d, const struct dump_conn *c); /* 0 or -ENOMEM */
/* "version" and "config"; takes both (NULL: out of memory, the dump fails). */
void dump_settings(struct dump *d, json_t *version, json_t *config);

/* The next bytes into buf, at most cap; 0 at the end, -ENOMEM. Pods and connections must all be
 * there before the first call. */
ssize_t dump_read(struct dump *d, char *buf, size_t cap);

/* One row each, for tests and the dump; NULL when out of memory. */
struct policy;
struct workload;
json_t *dump_workload(const struct workload *w);
json_t *dump_service(const struct service *svc, const char *network);
json_t *dump_policy(const struct policy *p);
