// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * cgroup getpeername4/6: an application that was steered elsewhere sees the address it asked
 * for. Nothing is decided here.
 */
#include "lib/addr.h"

static __always_inline struct weft_flow_value *rewritten(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct weft_flow_value *f;

	if (!sk)
		return NULL;
	f = bpf_sk_storage_get(&weft_flow, sk, 0, 0);
	if (!f || !(f->r.flags & WEFT_FLOW_REWRITTEN))
		return NULL;
	return f;
}

SEC("cgroup/getpeername4")
int weft_getpeer4(struct bpf_sock_addr *ctx)
{
	struct weft_flow_value *f = rewritten(ctx);

	if (f) {
		ctx->user_ip4 = addr_word(&f->r.dialled.addr, 3);
		ctx->user_port = bpf_htons(f->r.dialled.port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int weft_getpeer6(struct bpf_sock_addr *ctx)
{
	struct weft_flow_value *f = rewritten(ctx);

	if (f) {
		ctx->user_ip6[0] = addr_word(&f->r.dialled.addr, 0);
		ctx->user_ip6[1] = addr_word(&f->r.dialled.addr, 1);
		ctx->user_ip6[2] = addr_word(&f->r.dialled.addr, 2);
		ctx->user_ip6[3] = addr_word(&f->r.dialled.addr, 3);
		ctx->user_port = bpf_htons(f->r.dialled.port);
	}
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
