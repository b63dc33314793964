/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Refused connections: a count per reason and the last 256 of them, whichever of the kernel
 * and the relay refused. Any thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "weft/reason.h"
#include "base/ip.h"

#define DROPS_RECENT 256

struct drop_rec {
	uint64_t seq;  /* number of this one, from 0; set by drops_add_any() */
	uint64_t time_s; /* Unix */
	struct weft_ep src, dst;
	char src_name[128], dst_name[128]; /* "ns/pod", "" unknown */
	char policy[256];     /* "" if no policy decided */
	int rule;      /* index of its rule that decided; -1 none */
	enum weft_reason reason;
	bool kernel; /* refused in the connect hook */
};

struct drops;

int drops_new(struct drops **ret);
void drops_free(struct drops **d);
void drops_add_any(struct drops *d, const struct drop_rec *r);
uint64_t drops_count_any(struct drops *d, enum weft_reason reason);
/* Copies up to max of the latest into out, oldest first; returns how many. */
size_t drops_recent_any(struct drops *d, struct drop_rec *out, size_t max);
