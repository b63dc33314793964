/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * What the kernel knows of a connection. Ports in host byte order.
 *
 * weft_flow (sk_storage): one per socket of an enrolled pod that the hooks saw.
 * weft_approved: token that a connection was allowed by the connect hook, keyed by the 4-tuple
 *   as the destination sees it; read by sk_lookup.
 * weft_origdst: where a connection captured to port 15001 wanted to go, keyed by the captured
 *   connection's source; read by the relay.
 */
#include "weft/addr.h"

enum weft_path {
	WEFT_PATH_NONE = 0,
	WEFT_PATH_PASSTHROUGH = 1, /* destination outside the mesh: untouched */
	WEFT_PATH_DIRECT = 2,    /* same node, allowed in the connect hook, no proxy */
	WEFT_PATH_RELAY = 3,    /* captured to the relay; counted there, not here */
	WEFT_PATH_HBONE = 4,    /* user space only: through a tunnel */
	WEFT_PATH_PLAIN = 5,    /* user space only: plaintext inbound, splice */
	WEFT_PATH_DENIED = 6,    /* refused */
	WEFT_PATH_MAX
};

/* Host-endian 4-tuple of the client's point of view. */
struct weft_tuple {
	struct weft_addr src;
	struct weft_addr dst;
	__u16 sport;
	__u16 dport;
};
weft_static_assert(sizeof(struct weft_tuple) == 36, "contract");

enum weft_approval_kind {
	WEFT_APPROVED_DIRECT = 1,    /* allowed by a verdict of the connect hook */
	WEFT_APPROVED_OWN = 2,      /* weftd's own leg to an application, judged by the relay */
	WEFT_APPROVED_WITHDRAWN = 3, /* denied since; weft_reap ends the connection */
	/* weftd's own, to what takes no tunnel: the guard lets it out. No policy was asked, so a pod of
	 * this node takes it as it takes any stranger. */
	WEFT_APPROVED_LEAVES = 4,
};

struct weft_approval {
	__u32 kind; /* enum weft_approval_kind */
};
weft_static_assert(sizeof(struct weft_approval) == 4, "contract");

struct weft_origdst_key {
	struct weft_addr src;
	__u32 slot; /* pod slot of the client */
	__u16 sport;
	__u16 pad;
};
weft_static_assert(sizeof(struct weft_origdst_key) == 24, "contract");

struct weft_origdst {
	struct weft_ep dialled; /* what the application asked for */
	struct weft_ep chosen; /* endpoint picked for it; equal to dialled for a pod address */
	__u32 service;  /* service id or 0 */
	__u32 dst;  /* workload id of chosen */
};
weft_static_assert(sizeof(struct weft_origdst) == 48, "contract");

enum weft_flow_flag {
	WEFT_FLOW_OPENED = 1u << 0,    /* was established */
	WEFT_FLOW_REWRITTEN = 1u << 1, /* getpeername must answer with .dialled */
	WEFT_FLOW_DONE = 1u << 2,      /* closed was counted */
	WEFT_FLOW_COUNTED = 1u << 3,   /* opened is in weft_totals */
};

/* Of the client's socket. Fields behind the bpf_spin_lock that bpf/lib/flowval.h puts in front. */
struct weft_flow_rec {
	__u64 opened_ns; /* CLOCK_BOOTTIME at established, 0 before */
	__u64 folded_tx; /* bytes this socket sent that are already in weft_totals */
	__u64 folded_rx;
	struct weft_ep dialled;
	struct weft_ep chosen;
	__u32 src, dst;  /* workload ids, 0 unknown */
	__u32 service;
	__u32 slot;  /* pod slot */
	__u32 flags;  /* enum weft_flow_flag */
	__u8 path;  /* enum weft_path */
	__u8 pad[3];
};
weft_static_assert(sizeof(struct weft_flow_rec) == 88, "contract");

/* weft_totals: per-CPU hash; sums that only grow. Bytes are client to server (received) and
 * server to client (sent), the orientation of istio_tcp_*_bytes_total. A connection is counted
 * here once, by its client's socket; what it does in an orderly life is all in one row, so that
 * its end costs one look-up. */
struct weft_total_key {
	__u32 src, dst; /* workload ids, 0 unknown */
	__u32 service; /* service id, 0 none */
	__u8 path; /* enum weft_path */
	__u8 reason; /* enum weft_reason of failed and closed; 0: opened, bytes, and closed with
			 * WEFT_REASON_OK */
	__u8 pad[2];
};
weft_static_assert(sizeof(struct weft_total_key) == 16, "contract");

struct weft_total {
	__u64 opened;
	__u64 closed;
	__u64 failed;
	__u64 sent_bytes;     /* server -> client */
	__u64 received_bytes; /* client -> server */
};
weft_static_assert(sizeof(struct weft_total) == 40, "contract");

/* One record per live flow from the storage iterator (kern/flows.c reads them as a stream). */
struct weft_flow_live {
	struct weft_tuple tuple; /* client's point of view */
	__u32 rtt_us;
	__u32 src, dst, service, slot;
	__u64 opened_ns;
	__u64 sent_bytes, received_bytes; /* orientation as in weft_total */
	struct weft_ep dialled;
	__u8 path, state, pad[2];
};
weft_static_assert(sizeof(struct weft_flow_live) == 104, "contract");

/* What weft_reap writes where the kernel has no bpf_sock_destroy(): a connection that weftd has
 * to destroy (kern/reap.c). */
struct weft_reaped {
	struct weft_tuple tuple; /* client's point of view; the socket is the client's */
	__u32 ifindex;		 /* that the socket is bound to, 0 none */
};
weft_static_assert(sizeof(struct weft_reaped) == 40, "contract");
