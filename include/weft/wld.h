/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * weft_addrs: what an address of the mesh is. Key: struct weft_addr.
 * Workload ids are numbers > 0 given by the daemon; they stay the same for a workload as long
 * as the pinned maps live (a restarted daemon reads them back from here), so that counters
 * keyed by them keep their meaning.
 */
#include "weft/addr.h"

/* Addresses (of workloads and VIPs), {VIP, port} pairs and slots that the tables hold, unless weftd is
 * told another number of addresses (mesh_addresses); all three are larger or smaller then. A mesh with
 * more addresses or pairs is refused whole: an address that is missing here would be reached in
 * plain text. */
#define WEFT_ADDRS_MAX 262144
#define WEFT_SERVICES_MAX 65536
#define WEFT_SLOTS_MAX 262144
#define WEFT_RANGES_MAX 4096 /* of services; a mesh with more is refused as well */

enum weft_wld_flag {
	WEFT_WLD_LOCAL = 1u << 0, /* enrolled on this node right now */
	WEFT_WLD_HBONE = 1u << 1, /* must be reached through an HBONE tunnel */
	WEFT_WLD_SERVICE = 1u << 2, /* the address is a service VIP and no workload's */
	WEFT_WLD_VIP = 1u << 3, /* weft_services may have ports of this address */
	/* Whoever has it has a waypoint, or endpoints that are known by name only: the relay decides,
	 * whatever the other flags say. */
	WEFT_WLD_RELAY = 1u << 4,
	/* Local, with istio-cni's rules in it, which would catch a SYN from another pod: reached by
	 * tunnel only. */
	WEFT_WLD_RULES = 1u << 5,
};

struct weft_wld {
	__u32 workload;
	__u32 flags; /* enum weft_wld_flag */
};
weft_static_assert(sizeof(struct weft_wld) == 8, "contract");

/* weft_ranges: LPM trie, asked about addresses that weft_addrs does not have: ranges of services.
 * IPv4 is in the last 32 bits, a /24 has prefixlen 120. Value: struct weft_wld; workload 0, and of
 * the flags only WEFT_WLD_RELAY. */
struct weft_range_key {
	__u32 prefixlen; /* host order, bits */
	struct weft_addr addr;
};
weft_static_assert(sizeof(struct weft_range_key) == 20, "contract");
