/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of pod/: the shadow of the kernel's mesh tables. */
#include "weft/svc.h"
#include "weft/wld.h"
#include "base/hmap.h"
#include "io/loop.h"
#include "pod/mesh.h"

struct addr_node {
	struct hnode by_addr;
	struct weft_addr addr;
	struct weft_wld value;
	uint32_t round; /* of the last snapshot that had it */
};

struct svc_node {
	struct hnode by_key;
	struct weft_svc_key key;
	struct weft_svc value;
	struct weft_ep *slots;
	size_t n_slots;
	uint32_t round;
};

struct mesh {
	struct kern *kern;
	struct model *model;
	struct pods *pods;
	const char *node;
	struct loop *loop;
	struct timer again; /* the second look at live connections */
	struct hmap addrs, services;
	uint32_t round;
	struct mesh_stats stats;
};
