/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/* Ring-buffer records: numbers only, user space makes the words. */
#include "lib/maps.h"

/* A zeroed record to fill and hand to event_submit(), or NULL (counted). */
static __always_inline struct weft_event *event_reserve(__u8 kind, __u8 path, __u8 reason)
{
	struct weft_event *e = bpf_ringbuf_reserve(&weft_events, sizeof(*e), 0);

	if (!e) {
		stat_inc(WEFT_STAT_EVENT_LOST);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->version = WEFT_ABI_VERSION;
	e->kind = kind;
	e->path = path;
	e->reason = reason;
	return e;
}

static __always_inline void event_submit(struct weft_event *e)
{
	bpf_ringbuf_submit(e, 0);
}
