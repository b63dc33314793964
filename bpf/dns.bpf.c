// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * cgroup sendmsg4/6 and recvmsg4/6: a question that is sent without a connect(2) goes to weftd, and
 * the answer comes from whom was asked. connect.bpf.c and getname.bpf.c do the same for sockets that
 * are connected. Of all other datagrams only the port is looked at.
 */
#include <linux/in.h>

#include "lib/dns.h"

/* As addr_eq(), without a branch for each word: for a loop. */
static __always_inline int addr_same(const struct weft_addr *a, const struct weft_addr *b)
{
	return !((addr_word(a, 0) ^ addr_word(b, 0)) | (addr_word(a, 1) ^ addr_word(b, 1)) |
		 (addr_word(a, 2) ^ addr_word(b, 2)) | (addr_word(a, 3) ^ addr_word(b, 3)));
}

/* Never changes what it has once said, so a socket may use the address for as long as it likes. */
__u32 weft_dns_number(__u64 cookie, const struct weft_addr *server)
{
	struct weft_dns_key key = { .cookie = cookie };
	struct weft_addr *known, own;
	__u32 n;

	if (!server)
		return 0;
	own = *server; /* Linux 6.1 takes a value for a map from the own stack only */
	key.v6 = !addr_is_v4(&own);
	/* In a variable of its own: in memory, Linux 6.1 does not see that it grows. */
	for (n = 1; n <= WEFT_DNS_MAX; n++) {
		key.n = n;
		known = bpf_map_lookup_elem(&weft_dns, &key);
		if (!known)
			break;
		if (addr_same(known, &own))
			return n;
	}
	if (n > WEFT_DNS_MAX)
		return 0;
	/* Somebody else may be faster, with another one: then this question goes there directly. */
	bpf_map_update_elem(&weft_dns, &key, &own, BPF_NOEXIST);
	known = bpf_map_lookup_elem(&weft_dns, &key);
	return known && addr_same(known, &own) ? n : 0;
}

/* 1: *to is where the datagram really goes. */
static __always_inline int send_common(struct bpf_sock_addr *ctx, struct weft_ep *to)
{
	struct bpf_sock *sk = ctx->sk;
	struct weft_pod *pod;
	__u64 cookie;

	if (ctx->protocol != IPPROTO_UDP || !sk)
		return 0;
	cookie = bpf_get_netns_cookie(ctx);
	pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod || bpf_sk_storage_get(&weft_own, sk, 0, 0))
		return 0;
	return dns_capture(ctx, cookie, pod, to, 0);
}

SEC("cgroup/sendmsg4")
int weft_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct weft_ep to = {};

	if (ctx->user_port != bpf_htons(DNS_PORT))
		return 1;
	addr_set_v4(&to.addr, ctx->user_ip4);
	to.port = DNS_PORT;
	if (send_common(ctx, &to)) {
		ctx->user_ip4 = addr_word(&to.addr, 3);
		ctx->user_port = bpf_htons(to.port);
	}
	return 1;
}

SEC("cgroup/sendmsg6")
int weft_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct weft_ep to = {};

	if (ctx->user_port != bpf_htons(DNS_PORT))
		return 1;
	ctx_addr6(ctx, &to.addr);
	to.port = DNS_PORT;
	if (send_common(ctx, &to))
		ctx_set6(ctx, &to);
	return 1;
}

SEC("cgroup/recvmsg4")
int weft_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct weft_ep from = { .port = WEFT_PORT_DNS };

	if (ctx->user_port != bpf_htons(WEFT_PORT_DNS))
		return 1;
	addr_set_v4(&from.addr, ctx->user_ip4);
	if (dns_meant(ctx, &from)) {
		ctx->user_ip4 = addr_word(&from.addr, 3);
		ctx->user_port = bpf_htons(from.port);
	}
	return 1;
}

SEC("cgroup/recvmsg6")
int weft_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct weft_ep from = { .port = WEFT_PORT_DNS };

	if (ctx->user_port != bpf_htons(WEFT_PORT_DNS))
		return 1;
	ctx_addr6(ctx, &from.addr);
	if (dns_meant(ctx, &from))
		ctx_set6(ctx, &from);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
