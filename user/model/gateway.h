/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a feed writes for a waypoint, and what it means: "namespace/hostname" or an address, with
 * a network in front of a slash and a port behind, both optional. Pure functions.
 */
#include <stdbool.h>

#include "base/ip.h"
#include "base/str.h"

struct gateway_ref {
	bool by_addr;
	struct str ns, hostname; /* of a service or workload, unless by_addr; in the parsed text */
	struct str key; /* "namespace/hostname"; gateway_format() does not need it */
	struct str network; /* by_addr; p == NULL or empty: not said */
	struct weft_addr addr;
	uint16_t port; /* host order, of HBONE; 15008 where none is written */
};

/* -EINVAL: it is neither, or the port is not 1..65535. */
int gateway_parse(struct str text, struct gateway_ref *ret);
/* The text that gateway_parse() reads as ref again, malloc'ed; NULL: out of memory. */
char *gateway_format(const struct gateway_ref *ref);
