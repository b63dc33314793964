/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/* Context -> struct weft_addr for every program type: the only place where v4 and v6 differ. */
#include "lib/maps.h"

#define AF_INET 2
#define AF_INET6 10

static __always_inline void addr_set_v4(struct weft_addr *a, __u32 ip_be)
{
	__u32 *w = (__u32 *)a->b;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = ip_be;
}

static __always_inline __u32 addr_word(const struct weft_addr *a, int i)
{
	return ((const __u32 *)a->b)[i];
}

static __always_inline int addr_is_v4(const struct weft_addr *a)
{
	return addr_word(a, 0) == 0 && addr_word(a, 1) == 0 && addr_word(a, 2) == bpf_htonl(0xffff);
}

static __always_inline int addr_eq(const struct weft_addr *a, const struct weft_addr *b)
{
	return addr_word(a, 0) == addr_word(b, 0) && addr_word(a, 1) == addr_word(b, 1) &&
	       addr_word(a, 2) == addr_word(b, 2) && addr_word(a, 3) == addr_word(b, 3);
}

static __always_inline int addr_is_zero(const struct weft_addr *a)
{
	return !(addr_word(a, 0) | addr_word(a, 1) | addr_word(a, 2) | addr_word(a, 3));
}

/* 127.0.0.0/8 (mapped or not) and ::1. */
static __always_inline int addr_is_loopback(const struct weft_addr *a)
{
	if (addr_is_v4(a))
		return a->b[12] == 127;
	return addr_word(a, 0) == 0 && addr_word(a, 1) == 0 && addr_word(a, 2) == 0 &&
	       addr_word(a, 3) == bpf_htonl(1);
}

/* Reads both forms from a context and keeps the one that the family says. All loads come
 * first: a load inside a branch is merged by clang into one from a computed context pointer,
 * which the verifier refuses. */
#define addr_from_ctx(a, v4, ip4, ip6)                     \
	do {                                               \
		__u32 _4 = (ip4), _0 = (ip6)[0], _1 = (ip6)[1]; \
		__u32 _2 = (ip6)[2], _3 = (ip6)[3];        \
		__u32 *_w = (__u32 *)(a)->b;               \
                                                           \
		barrier_var(_4);                           \
		barrier_var(_0);                           \
		barrier_var(_1);                           \
		barrier_var(_2);                           \
		barrier_var(_3);                           \
		_w[0] = (v4) ? 0 : _0;                     \
		_w[1] = (v4) ? 0 : _1;                     \
		_w[2] = (v4) ? bpf_htonl(0xffff) : _2;     \
		_w[3] = (v4) ? _4 : _3;                    \
	} while (0)

/* The address of a hook that works on IPv6 ones, and its replacement with a port. */
static __always_inline void ctx_addr6(struct bpf_sock_addr *ctx, struct weft_addr *a)
{
	__u32 *w = (__u32 *)a->b;

	w[0] = ctx->user_ip6[0];
	w[1] = ctx->user_ip6[1];
	w[2] = ctx->user_ip6[2];
	w[3] = ctx->user_ip6[3];
}

static __always_inline void ctx_set6(struct bpf_sock_addr *ctx, const struct weft_ep *ep)
{
	ctx->user_ip6[0] = addr_word(&ep->addr, 0);
	ctx->user_ip6[1] = addr_word(&ep->addr, 1);
	ctx->user_ip6[2] = addr_word(&ep->addr, 2);
	ctx->user_ip6[3] = addr_word(&ep->addr, 3);
	ctx->user_port = bpf_htons(ep->port);
}

/* The local and remote end of a sockops context. Ports in host order; the kernel keeps the
 * remote port of this context in network order in the upper half of the word. */
static __always_inline void sockops_ends(struct bpf_sock_ops *ctx, struct weft_ep *local,
					 struct weft_ep *remote)
{
	int v4 = ctx->family == AF_INET;

	addr_from_ctx(&local->addr, v4, ctx->local_ip4, ctx->local_ip6);
	addr_from_ctx(&remote->addr, v4, ctx->remote_ip4, ctx->remote_ip6);
	local->port = ctx->local_port;
	local->pad = 0;
	remote->port = bpf_ntohl(ctx->remote_port);
	remote->pad = 0;
}

static __always_inline void tuple_set(struct weft_tuple *t, const struct weft_ep *client,
				      const struct weft_ep *server)
{
	t->src = client->addr;
	t->dst = server->addr;
	t->sport = client->port;
	t->dport = server->port;
}
