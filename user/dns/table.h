/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dns: answers the names of mesh services to enrolled pods, and passes all else on to the
 * nameserver that the pod had asked.
 *
 * table: which service a name means for a pod, from a snapshot of the mesh, by the rules of
 * ztunnel: the name itself, then what Kubernetes' search path would make of it, then what is left
 * of it without a suffix that a resolver has put behind it; each of them also as a wildcard. Pure,
 * any thread that may read the snapshot; what it gives is valid as long as the snapshot.
 */
#include <stdbool.h>
#include <stddef.h>

#include "codec/dnsmsg.h"
#include "model/snap.h"

#define DNS_ADDRS_MAX 4096 /* of one answer, which has room for as many in 64 KiB */
#define DNS_TTL_S 30u

struct dns_client {
	const char *ns;      /* namespace of the pod */
	const char *network; /* its network, "" unknown */
	const char *preferred; /* namespace of services that count before others of the same name; NULL: none */
	const char *domain; /* of the cluster, without dots around it: "cluster.local" */
	bool v6; /* it can reach IPv6 addresses */
};

struct dns_found {
	const struct service *svc;
	/* The name that is asked for without the suffix that had to be taken off, which then is an
	 * alias of it; "" none. Always "" for a wildcard. */
	char alias[DNS_NAME_MAX + 1];
	bool wildcard;
	unsigned tried; /* names looked up */
};

/* name: lower case, without final dot. False: it is not the mesh's. */
bool dns_table_find(const struct snap *s, const struct dns_client *c, struct str name,
		    struct dns_found *ret);
/* Addresses of svc of the family that type (DNS_A, DNS_AAAA) means, as the pod may use them: its
 * VIPs, or of a service without one those of its endpoints, one each. Those of the pod's network, if
 * there are any. Number, at most cap; the order is for the caller to shuffle. */
size_t dns_table_addrs(const struct service *svc, const struct dns_client *c, enum dns_type type,
		       struct weft_addr *ret, size_t cap);
