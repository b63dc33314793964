/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/* What a pod takes without the relay, and what plaintext every policy refuses: asked by sk_lookup, which
 * lets the SYN in or drops it, and by the guard, which sees the answer to it. */
#include "lib/addr.h"

/* Does it open the pod for its 4-tuple? */
static __always_inline int lets_in(const struct weft_approval *a)
{
	return a && (a->kind == WEFT_APPROVED_DIRECT || a->kind == WEFT_APPROVED_OWN);
}

/* The workload that refuses everybody without an identity on t's destination and port, or 0. */
static __always_inline __u32 refused_by(const struct weft_tuple *t)
{
	struct weft_refuse_key key = { .addr = t->dst, .port = t->dport };
	struct weft_refuse *r = bpf_map_lookup_elem(&weft_refused, &key);

	if (!r) {
		key.port = 0;
		r = bpf_map_lookup_elem(&weft_refused, &key);
	}
	if (!r || r->kind != WEFT_VERDICT_DENY || r->epoch != epoch_now())
		return 0;
	return r->dst;
}
