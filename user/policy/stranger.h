/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What of a pod nobody without an identity may reach, whatever its address: for the kernel, which
 * then refuses the SYN. A pure function of a snapshot, by the evaluator itself, asked once for
 * each range of source addresses that the policies tell apart.
 */
#include "policy/rbac.h"

#define STRANGER_PORTS_MAX 64

struct strangers {
	bool others; /* refused on every port that is not in the list? */
	size_t n;
	struct {
		uint16_t port;
		bool refused;
	} port[STRANGER_PORTS_MAX];
};

/* dst_ip: one of the pod's addresses; sources are of its family. -E2BIG when the policies tell too
 * many ports or ranges apart: then each connection must be asked for. -ENOMEM. */
int rbac_strangers(const struct snap *s, const struct workload *dst,
		   const struct weft_addr *dst_ip, struct strangers *ret);
/* Does the kernel, told so, refuse the SYN of whoever has no identity? */
bool rbac_strangers_refused(const struct snap *s, const struct workload *dst,
			    const struct weft_ep *to);
