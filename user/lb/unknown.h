/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the mesh would have to tell before a connection can be routed, where it tells only what it
 * is asked for (feed/demand.h). Pure.
 */
#include "model/snap.h"

struct unknown {
	char name[512]; /* as the control plane calls it: "network/address", "namespace/hostname" */
	bool by_addr; /* name is addr's */
	struct weft_addr addr;
	bool dialled; /* by_addr: nothing is known of what was dialled itself */
};

/* The name of an address in the network of this node. */
void unknown_addr(const char *network, const struct weft_addr *a, struct unknown *ret);
/*
 * The first thing that is missing: of what was dialled, of a waypoint of it, of a gateway to one of
 * its endpoints, or, of a service without a single endpoint, the service again. False: nothing is.
 */
bool unknown_of(const struct snap *s, const struct workload *src, const char *network,
		const struct weft_addr *dialled, struct unknown *ret);
