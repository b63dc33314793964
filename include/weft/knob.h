/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/* weft_knobs: every load-time constant, in .rodata, so that the verifier prunes what is off. */
#include "weft/addr.h"

struct weft_knobs {
	__u32 abi;	      /* WEFT_ABI_VERSION */
	__u32 same_node_mtls; /* 1: never direct, pods of one node use HBONE too */
	__u32 events_open;    /* 1: WEFT_EVENT_OPENED is sent as well */
	__u32 pad;
};
weft_static_assert(sizeof(struct weft_knobs) == 16, "contract");
