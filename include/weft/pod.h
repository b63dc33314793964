/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * weft_pods: who a local sender is. Key: netns cookie (SO_NETNS_COOKIE, host byte order),
 * written only by the daemon, so a pod cannot claim another identity.
 */
#include "weft/addr.h"

enum weft_pod_flag {
	/* istio-cni's rules are in it: what shall not be caught by them must carry WEFT_PASS_MARK. */
	WEFT_POD_RULES = 1u << 0,
};

struct weft_pod {
	__u32 workload;	    /* workload id, see wld.h; 0: enrolled, but not (yet) in the mesh file */
	__u32 slot;	    /* small number of this enrolment on this node, > 0 */
	struct weft_addr v4; /* own addresses, all zero when the pod has none of that family */
	struct weft_addr v6;
	__u32 flags; /* enum weft_pod_flag */
};
weft_static_assert(sizeof(struct weft_pod) == 44, "contract");

/* weft_own: socket of weftd -> how far it is weftd's own. */
enum weft_own_kind {
	WEFT_OWN = 1, /* the hooks leave it alone */
	WEFT_OWN_ASKS = 2, /* it asks a nameserver for the pod: only that is left alone, else it is the pod's */
};

/* weft_veths: host-side interface index -> what may come out of it (guard.bpf.c). */
enum weft_veth_flag {
	WEFT_VETH_BARE_IP = 1u << 0, /* no Ethernet header in front: netkit in its default mode */
	WEFT_VETH_PASSING = 1u << 1, /* joins or leaves the mesh: its SYNs are not judged */
};

struct weft_veth {
	struct weft_addr v4;
	struct weft_addr v6;
	__u32 slot;
	__u32 flags; /* enum weft_veth_flag; kern_guard_attach() finds them out */
};
weft_static_assert(sizeof(struct weft_veth) == 40, "contract");

/* weft_listen: SOCKHASH {pod address, kind} -> listening socket inside the pod's netns. */
enum weft_listen_kind {
	WEFT_LISTEN_HBONE = 1,
	WEFT_LISTEN_PLAIN = 2,
};

struct weft_listen_key {
	struct weft_addr addr;
	__u32 kind; /* enum weft_listen_kind */
};
weft_static_assert(sizeof(struct weft_listen_key) == 20, "contract");
