/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The text that HBONE carries in CONNECT headers: authority, forwarded, baggage, traceparent.
 * Pure functions; every one of them reads bytes of strangers and is fuzzed.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"

#define HBONE_TEXT_MAX 1024

struct hbone_authority {
	bool is_ip;
	struct weft_addr addr; /* when is_ip */
	struct str host;       /* when not, points into the input */
	uint16_t port;
};
/* "ip:port", "[v6]:port" or "hostname:port"; port 1..65535. -EINVAL. */
int hbone_authority_parse(struct str s, struct hbone_authority *ret);

struct hbone_baggage { /* absent members have p == NULL; they point into the input */
	struct str cluster, ns, workload_type, workload_name, service_name, service_version, region,
		zone;
};
/* Unknown keys are skipped; a malformed member is skipped, the rest is kept. */
void hbone_baggage_parse(struct str s, struct hbone_baggage *ret);
/* k8s.cluster.name, k8s.namespace.name, k8s.<type>.name, service.name, service.version,
 * cloud.region, cloud.availability_zone in this order. Length, or -ENAMETOOLONG. */
int hbone_baggage_format(char *buf, size_t cap, const struct hbone_baggage *b);

struct hbone_forwarded { /* p == NULL when absent */
	struct str for_, host;
};
/* RFC 7239, first element only; quotes removed. */
void hbone_forwarded_parse(struct str s, struct hbone_forwarded *ret);
/* for="<ip:port>"[;host=<host>]; length or -ENAMETOOLONG. */
int hbone_forwarded_format(char *buf, size_t cap, const struct weft_ep *client, struct str host);

/* 00-<32 hex>-<16 hex>-00 with fresh random ids into buf[56]. */
void hbone_traceparent(char *buf);
