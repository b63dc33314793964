/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * Names: what an enrolled pod asks a nameserver at port 53 is led to weftd's sockets inside of the
 * pod. The address that it is led to says which nameserver was meant: 127.0.53.<n>, or the last byte
 * of WEFT_DNS_V6, n from 1 to WEFT_DNS_MAX. Both are the pod's own loopback, so nothing of this is
 * ever on a wire.
 */
#include "weft/addr.h"

#define WEFT_PORT_DNS 15053
#define WEFT_DNS_MAX 16 /* nameservers that one pod can ask; further ones are asked directly */
#define WEFT_DNS_V6_LEN 120 /* fd57:6566:7464:6e73::/120, local to lo of each pod that has IPv6 */

/* weft_dns: which nameserver n is. Writer the hooks, on the first question; weftd deletes. */
struct weft_dns_key {
	__u64 cookie; /* netns of the pod */
	__u32 n;
	__u32 v6; /* 1: addressed by WEFT_DNS_V6 */
};
weft_static_assert(sizeof(struct weft_dns_key) == 16, "contract");

static inline void weft_dns_addr(struct weft_addr *a, __u32 v6, __u32 n)
{
	const struct weft_addr at[] = {
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 53, (__u8)n } },
		{ { 0xfd, 0x57, 0x65, 0x66, 0x74, 0x64, 0x6e, 0x73, 0, 0, 0, 0, 0, 0, 0, (__u8)n } },
	};

	*a = at[!!v6];
}

/* n of such an address, which is of the family v6; 0: it is none. */
static inline __u32 weft_dns_n(const struct weft_addr *a, __u32 v6)
{
	struct weft_addr base;
	__u32 n = a->b[15], i;

	weft_dns_addr(&base, v6, n);
	for (i = 0; i < 16; i++)
		if (a->b[i] != base.b[i])
			return 0;
	return n <= WEFT_DNS_MAX ? n : 0;
}
