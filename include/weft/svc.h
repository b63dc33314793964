/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * weft_services: {VIP, port} -> service. weft_slots: {service, n} -> endpoint, n < n_slots.
 * User space expands weights and locality into slots, so the kernel picks one in O(1) by a
 * random number and needs no policy of its own. n_slots == 0: refuse at once.
 */
#include "weft/addr.h"

struct weft_svc_key {
	struct weft_addr vip;
	__u16 port;
	__u16 pad;
};
weft_static_assert(sizeof(struct weft_svc_key) == 20, "contract");

struct weft_svc {
	__u32 service; /* id of this {service, port}, > 0 */
	__u32 n_slots;
};
weft_static_assert(sizeof(struct weft_svc) == 8, "contract");

/* Slots of an IPv6 VIP have this bit set in n: both families share the service id. */
#define WEFT_SLOT_V6 0x80000000u

struct weft_slot_key {
	__u32 service;
	__u32 n;
};
weft_static_assert(sizeof(struct weft_slot_key) == 8, "contract");

struct weft_slot {
	struct weft_ep ep; /* same address family as the VIP */
};
weft_static_assert(sizeof(struct weft_slot) == 20, "contract");
