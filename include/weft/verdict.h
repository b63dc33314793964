/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * weft_verdicts: decisions of the one evaluator in user space (policy/), cached for pairs of
 * pods of this node. A missing entry, or one of another epoch, means: ask the relay.
 */
#include "weft/addr.h"

enum weft_verdict_kind {
	WEFT_VERDICT_NONE = 0,
	WEFT_VERDICT_ALLOW = 1,
	WEFT_VERDICT_DENY = 2,
};

struct weft_verdict_key {
	__u32 src; /* workload id */
	__u32 dst; /* workload id */
	__u16 port; /* destination port */
	__u16 pad;
};
weft_static_assert(sizeof(struct weft_verdict_key) == 12, "contract");

struct weft_verdict {
	__u32 epoch; /* valid only while equal to weft_state.epoch */
	__u32 kind;  /* enum weft_verdict_kind */
};
weft_static_assert(sizeof(struct weft_verdict) == 8, "contract");

/* weft_refused: what of a pod no connection without an identity may reach, from whatever address.
 * A missing entry, or one of another epoch, means: ask the relay. */
struct weft_refuse_key {
	struct weft_addr addr; /* of the pod */
	__u16 port;        /* 0: every port that has no entry of its own */
	__u16 pad;
};
weft_static_assert(sizeof(struct weft_refuse_key) == 20, "contract");

struct weft_refuse {
	__u32 epoch; /* valid only while equal to weft_state.epoch */
	__u32 kind;  /* enum weft_verdict_kind; ALLOW: the relay decides */
	__u32 dst;   /* workload id of the pod */
	__u32 pad;
};
weft_static_assert(sizeof(struct weft_refuse) == 16, "contract");

/* weft_state: one-element array, the only mutable global the programs read. */
struct weft_state {
	__u32 epoch;
	__u32 pad;
};
weft_static_assert(sizeof(struct weft_state) == 8, "contract");
