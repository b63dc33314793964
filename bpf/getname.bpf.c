// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * cgroup getpeername4/6: an application that was steered elsewhere sees the address it asked
 * for. Nothing is decided here.
 */
#include <linux/in.h>

#include "lib/dns.h"

/* 1: *ret is what was dialled. Of a datagram socket only questions to a nameserver are steered. */
static __always_inline int rewritten(struct bpf_sock_addr *ctx, struct weft_ep *ret)
{
	struct bpf_sock *sk = ctx->sk;
	struct weft_flow_value *f;

	if (!sk)
		return 0;
	if (sk->protocol == IPPROTO_UDP)
		return dns_meant(ctx, ret);
	f = bpf_sk_storage_get(&weft_flow, sk, 0, 0);
	if (!f || !(f->r.flags & WEFT_FLOW_REWRITTEN))
		return 0;
	*ret = f->r.dialled;
	return 1;
}

SEC("cgroup/getpeername4")
int weft_getpeer4(struct bpf_sock_addr *ctx)
{
	struct weft_ep ep = {};

	addr_set_v4(&ep.addr, ctx->user_ip4);
	ep.port = bpf_ntohs(ctx->user_port);
	if (rewritten(ctx, &ep)) {
		ctx->user_ip4 = addr_word(&ep.addr, 3);
		ctx->user_port = bpf_htons(ep.port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int weft_getpeer6(struct bpf_sock_addr *ctx)
{
	struct weft_ep ep = {};

	ctx_addr6(ctx, &ep.addr);
	ep.port = bpf_ntohs(ctx->user_port);
	if (rewritten(ctx, &ep))
		ctx_set6(ctx, &ep);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
