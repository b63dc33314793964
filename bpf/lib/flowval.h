/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
#include <linux/bpf.h>

#include "weft/flow.h"

/* Per-socket record. The lock makes "read the counter, add the delta, remember it" one step
 * for the close callback and the scrape iterator. */
struct weft_flow_value {
	struct bpf_spin_lock lock;
	__u32 pad;
	struct weft_flow_rec r;
};
