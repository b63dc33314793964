/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
#include <linux/types.h>

/*
 * The one version number of the contract between the BPF programs, the daemon and the tools.
 * Raise it whenever the layout or the meaning of anything in include/weft/ changes: pins of
 * another version are never adopted, they are replaced.
 */
#define WEFT_ABI_VERSION 4

/* In-pod ports (HBONE interop: 15008 is fixed by the peers, the others by custom). */
#define WEFT_PORT_OUTBOUND 15001
#define WEFT_PORT_PLAINTEXT 15006
/* Where the connect hooks send what they capture in a pod with istio-cni's rules: on 15001, where
 * the rules send theirs, a ztunnel may listen as well, which knows nothing of the hooks. */
#define WEFT_PORT_HOOKED 15003
#define WEFT_PORT_HBONE 15008
#define WEFT_PORT_DNS 15053
#define WEFT_PORT_ADMIN 15000
#define WEFT_PORT_METRICS 15020
#define WEFT_PORT_READY 15021

/* Ports that weftd listens on inside pods: nobody may dial them, from no side. */
static inline int weft_port_is_reserved(__u16 port)
{
	return port == WEFT_PORT_OUTBOUND || port == WEFT_PORT_PLAINTEXT ||
	       port == WEFT_PORT_HBONE || port == WEFT_PORT_DNS;
}

/* Mark and table of weftd's own in-pod sockets that carry the client's source address. Only
 * routing uses the mark; no privilege depends on it. */
#define WEFT_ROUTE_MARK 0x539
#define WEFT_ROUTE_TABLE 15539
/* Mark of connections that istio-cni's rules in a pod shall let pass. They look at its lower 12
 * bits, which are those of ztunnel; as a whole it is another one than WEFT_ROUTE_MARK, which keeps
 * packets in the pod. */
#define WEFT_PASS_MARK 0x10539
#define WEFT_PASS_MASK 0xfff
