/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the lb room: weights -> numbers of slots. */
#include <stddef.h>

#include "lb/pick.h"

struct slot_source {
	struct lb_choice choice;
	uint32_t weight;  /* > 0 */
	uint32_t count;	  /* set by slots_expand() */
	uint64_t order;	  /* differs between daemons: who is left out when not all fit */
	size_t endpoint;  /* the caller's: place in the service's list */
};

/* Number of slots, 0 when n is 0 (then *ret is NULL); -ENOMEM. Reorders src. */
int slots_expand(struct slot_source *src, size_t n, struct lb_choice **ret);
