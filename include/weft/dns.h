/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * Names: what an enrolled pod asks a nameserver at port 53 is led to weftd's sockets inside of the
 * pod. The address that it is led to says which nameserver was meant: 127.0.53.<n>, or
 * fd57:6566:7464:6e73::<n>, n from 1 to WEFT_DNS_MAX. Both are the pod's own loopback, so nothing of this is
 * ever on a wire.
 */
#include "weft/abi.h"
#include "weft/addr.h"

#define WEFT_DNS_MAX 16 /* nameservers that one pod can ask; further ones are asked directly */
#define WEFT_DNS_V6_LEN 120 /* the prefix, which is made local to lo in pods that have IPv6 */

/* weft_dns: which nameserver n is. Writer the hooks, on the first question; weftd deletes. */
struct weft_dns_key {
	__u64 cookie; /* netns of the pod */
	__u32 n;
	__u32 v6; /* 1: an IPv6 address */
};
weft_static_assert(sizeof(struct weft_dns_key) == 16, "contract");

/* What such an address is made of, in host order: 127.0.53.n, fd57:6566:7464:6e73::n. */
#define WEFT_DNS_V4 0x7f003500u
#define WEFT_DNS_V6_0 0xfd576566u
#define WEFT_DNS_V6_1 0x74646e73u

/* The four words of it. */
#define WEFT_DNS_WORD(i, v6, n) \
	((v6) ? ((i) == 0   ? WEFT_DNS_V6_0 \
		 : (i) == 1 ? WEFT_DNS_V6_1 \
		 : (i) == 2 ? 0u \
			    : (n)) \
	      : ((i) == 3   ? WEFT_DNS_V4 | (n) \
		 : (i) == 2 ? 0xffffu \
			    : 0u))

#ifndef __bpf__ /* bpf/lib/dns.h has its own */
static inline void weft_dns_addr(struct weft_addr *a, int v6, __u32 n)
{
	for (int i = 0; i < 16; i++)
		a->b[i] = (__u8)(WEFT_DNS_WORD(i / 4, v6, n) >> (24 - i % 4 * 8));
}

/* n of such an address, which is of the family v6; 0: it is none. */
static inline __u32 weft_dns_n(const struct weft_addr *a, int v6)
{
	__u32 n = a->b[15], diff = 0;
	struct weft_addr same;

	weft_dns_addr(&same, v6, n);
	for (int i = 0; i < 16; i++)
		diff |= (__u32)(a->b[i] ^ same.b[i]);
	return diff || n > WEFT_DNS_MAX ? 0 : n;
}
#endif
