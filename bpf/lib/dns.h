/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * What an enrolled pod asks a nameserver is led to weftd's sockets inside of the pod (weft/dns.h), as
 * long as weftd is there: without it the question goes where it was meant to. Names are no traffic of
 * the mesh, and a pod without them cannot even find what is.
 */
#include "weft/dns.h"
#include "lib/addr.h"

#define DNS_PORT 53

/* dns.bpf.c: which of the pod's nameservers this is, from 1; 0: it has asked too many. */
__u32 weft_dns_number(__u64 cookie, const struct weft_addr *server);

static __always_inline void dns_addr(struct weft_addr *a, int v6, __u32 n)
{
	__u32 *w = (__u32 *)a->b;

	w[0] = bpf_htonl(WEFT_DNS_WORD(0, v6, n));
	w[1] = bpf_htonl(WEFT_DNS_WORD(1, v6, n));
	w[2] = bpf_htonl(WEFT_DNS_WORD(2, v6, n));
	w[3] = bpf_htonl(WEFT_DNS_WORD(3, v6, n));
}

/* n of such an address, which is of the family v6; 0: it is none. */
static __always_inline __u32 dns_n(const struct weft_addr *a, int v6)
{
	__u32 last = bpf_ntohl(addr_word(a, 3)), n = last & 0xff;
	__u32 diff = addr_word(a, 0) ^ bpf_htonl(WEFT_DNS_WORD(0, v6, 0));

	diff |= addr_word(a, 1) ^ bpf_htonl(WEFT_DNS_WORD(1, v6, 0));
	diff |= addr_word(a, 2) ^ bpf_htonl(WEFT_DNS_WORD(2, v6, 0));
	diff |= (last ^ n) ^ WEFT_DNS_WORD(3, v6, 0);
	return diff || n > WEFT_DNS_MAX ? 0 : n;
}

/* Has weftd a socket at this address of ours? One that is not marked is somebody else's. */
static __always_inline int dns_is_served(struct bpf_sock_addr *ctx, const struct weft_addr *at,
					 int tcp)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	__u32 size;
	int ours;

	if (addr_is_v4(at)) {
		t.ipv4.saddr = t.ipv4.daddr = addr_word(at, 3);
		t.ipv4.dport = bpf_htons(WEFT_PORT_DNS);
		size = sizeof(t.ipv4);
	} else {
		__builtin_memcpy(t.ipv6.saddr, at->b, sizeof(t.ipv6.saddr));
		__builtin_memcpy(t.ipv6.daddr, at->b, sizeof(t.ipv6.daddr));
		t.ipv6.dport = bpf_htons(WEFT_PORT_DNS);
		size = sizeof(t.ipv6);
	}
	if (tcp)
		sk = bpf_sk_lookup_tcp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_udp(ctx, &t, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	ours = bpf_sk_storage_get(&weft_own, sk, 0, 0) != NULL;
	bpf_sk_release(sk);
	return ours;
}

/* A nameserver inside of the pod is the pod's own affair; of one that is only to be reached by a
 * certain interface the address alone says too little. */
static __always_inline int dns_is_elsewhere(struct bpf_sock_addr *ctx, const struct weft_pod *pod,
					    const struct weft_addr *to)
{
	int v4 = addr_is_v4(to);

	if (addr_is_loopback(to) || addr_eq(to, &pod->v4) || addr_eq(to, &pod->v6))
		return 0;
	if (v4 ? to->b[12] >= 224
	       : to->b[0] == 0xff || (to->b[0] == 0xfe && (to->b[1] & 0xc0) == 0x80))
		return 0;
	return !ctx->sk || !ctx->sk->bound_dev_if;
}

/* 1: *to, a nameserver, has become the address of ours that stands for it. */
static __always_inline int dns_capture(struct bpf_sock_addr *ctx, __u64 cookie,
				       const struct weft_pod *pod, struct weft_ep *to, int tcp)
{
	int v6 = !addr_is_v4(&to->addr);
	struct weft_addr at;
	__u32 n;

	/* istio-cni's rules have one for names, if the pod shall have it. */
	if (to->port != DNS_PORT || pod->flags & WEFT_POD_RULES ||
	    !dns_is_elsewhere(ctx, pod, &to->addr))
		return 0;
	dns_addr(&at, v6, 1);
	if (!dns_is_served(ctx, &at, tcp)) {
		stat_inc(WEFT_STAT_DNS_DIRECT);
		return 0;
	}
	n = weft_dns_number(cookie, &to->addr);
	if (!n) {
		stat_inc(WEFT_STAT_DNS_FULL);
		return 0;
	}
	stat_inc(WEFT_STAT_DNS_CAPTURED);
	dns_addr(&to->addr, v6, n);
	to->port = WEFT_PORT_DNS;
	return 1;
}

/* 1: *from, an address of ours, has become the nameserver that it stands for. */
static __always_inline int dns_meant(struct bpf_sock_addr *ctx, struct weft_ep *from)
{
	struct weft_dns_key key = {};
	struct weft_addr *server;

	if (from->port != WEFT_PORT_DNS)
		return 0;
	key.v6 = !addr_is_v4(&from->addr);
	key.n = dns_n(&from->addr, key.v6);
	if (!key.n)
		return 0;
	key.cookie = bpf_get_netns_cookie(ctx);
	server = bpf_map_lookup_elem(&weft_dns, &key);
	if (!server)
		return 0;
	from->addr = *server;
	from->port = DNS_PORT;
	return 1;
}
