/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * weft_events: ring buffer, one fixed-size record per event; numbers, never text. A full ring
 * loses the event and counts it (WEFT_STAT_EVENT_LOST); counters do not depend on events.
 */
#include "weft/flow.h"

enum weft_event_kind {
	WEFT_EVENT_DENIED = 1, /* refused; reason says why; path PLAIN: inbound, by sk_lookup, else
				* in the connect hook */
	WEFT_EVENT_CLOSED = 2, /* a direct or passthrough connection ended */
	WEFT_EVENT_OPENED = 3, /* a direct or passthrough connection was established */
};

struct weft_event {
	__u32 version; /* WEFT_ABI_VERSION */
	__u8 kind;     /* enum weft_event_kind */
	__u8 path;     /* enum weft_path */
	__u8 reason;   /* enum weft_reason */
	__u8 pad;
	struct weft_tuple tuple;
	struct weft_ep dialled;
	__u32 src, dst, service, slot;
	__u64 duration_ns;
	__u64 sent_bytes, received_bytes; /* orientation as in weft_total */
};
weft_static_assert(sizeof(struct weft_event) == 104, "contract");
