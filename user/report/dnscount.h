/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The istio_dns_* families, with the labels of ztunnel. A series is found once per query (locked
 * hash) and counted with relaxed atomics. Types of records that have no name count as "unknown",
 * so what a pod asks cannot make series without end.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "model/types.h"

#define DNSCOUNT_BUCKETS 6

struct dns_series {
	_Atomic uint64_t requests, upstream, failures;
	/* Of answers from nameservers: each in the first bucket that it fits, the last one all others. */
	_Atomic uint64_t bucket[DNSCOUNT_BUCKETS + 1];
	_Atomic uint64_t sum_ns;
};

struct dnscount;
struct prom;

int dnscount_new(struct dnscount **ret);
void dnscount_free(struct dnscount **c);
/* Any thread; lives as long as the registry. type: text of a bounded set; w: who asks, NULL unknown.
 * Never NULL: at the limit of series all further ones are one, with unknown labels. */
struct dns_series *dnscount_get_any(struct dnscount *c, const char *type, bool tcp,
				    const struct workload *w);
/* A connection of src needs this hostname of an endpoint resolved (istio_on_demand_dns_total). Any
 * thread; at the limit of series it is not counted. */
void dnscount_resolved_any(struct dnscount *c, const struct workload *src, const char *hostname);
void dnscount_time_any(struct dns_series *s, uint64_t ns);
void dnscount_write(struct dnscount *c, struct prom *w);
