// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * sk_lookup, attached to each enrolled pod's netns: who gets a SYN that reaches the pod.
 * Approved by the hooks of this node (a direct connection, or weftd's own leg to the
 * application) -> the application. Port 15008 -> HBONE listener.
 * Anything else from outside -> plaintext listener, which knows no identity; where no policy
 * lets anybody in without one, the SYN is refused instead. Without a
 * listener (weftd is down) the SYN is refused: fail closed.
 */
#include <linux/in.h>

#include "lib/dns.h"
#include "lib/refuse.h"

#define LO_IFINDEX 1 /* in every namespace; 0: a hook that asks who would get it */

static __always_inline int steer(struct bpf_sk_lookup *ctx, const struct weft_addr *local, __u32 kind)
{
	struct weft_listen_key key = { .addr = *local, .kind = kind };
	struct bpf_sock *sk = bpf_map_lookup_elem(&weft_listen, &key);
	long r;

	if (!sk) {
		stat_inc(WEFT_STAT_LOOKUP_NO_LISTENER);
		return SK_DROP;
	}
	r = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_REPLACE);
	bpf_sk_release(sk);
	if (r)
		return SK_DROP;
	stat_inc(kind == WEFT_LISTEN_HBONE ? WEFT_STAT_LOOKUP_HBONE : WEFT_STAT_LOOKUP_PLAIN);
	return SK_PASS;
}

static __always_inline void lookup_tuple(struct bpf_sk_lookup *ctx, struct weft_tuple *t)
{
	int v4 = ctx->family == AF_INET;

	addr_from_ctx(&t->src, v4, ctx->remote_ip4, ctx->remote_ip6);
	addr_from_ctx(&t->dst, v4, ctx->local_ip4, ctx->local_ip6);
	t->sport = bpf_ntohs(ctx->remote_port);
	t->dport = ctx->local_port;
}

SEC("sk_lookup")
int weft_sklookup(struct bpf_sk_lookup *ctx)
{
	struct weft_tuple t;

	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	lookup_tuple(ctx, &t);
	/* The pod calling itself, or its connection captured to port 15001. From outside such a
	 * packet is a martian and never gets here. */
	if (addr_eq(&t.src, &t.dst) || addr_is_loopback(&t.dst)) {
		stat_inc(WEFT_STAT_LOOKUP_LOCAL);
		return SK_PASS;
	}
	/* Nor is one to an address that stands for a nameserver, but IPv6 knows no martians. */
	if (dns_n(&t.dst, 1)) {
		stat_inc(WEFT_STAT_LOOKUP_LOCAL);
		return ctx->ingress_ifindex <= LO_IFINDEX && t.dport == WEFT_PORT_DNS ? SK_PASS
										      : SK_DROP;
	}
	if (lets_in(bpf_map_lookup_elem(&weft_approved, &t))) {
		stat_inc(WEFT_STAT_LOOKUP_APPROVED);
		return SK_PASS;
	}
	if (t.dport == WEFT_PORT_HBONE)
		return steer(ctx, &t.dst, WEFT_LISTEN_HBONE);
	if (weft_port_is_reserved(t.dport)) {
		stat_inc(WEFT_STAT_LOOKUP_RESERVED);
		return SK_DROP;
	}
	/* No policy could let it in: an RST at once, instead of accepting it to reset it. Seen here
	 * are late packets of ended connections, too, so the guard counts, by that RST. */
	if (refused_by(&t)) {
		stat_inc(WEFT_STAT_LOOKUP_REFUSED);
		return SK_DROP;
	}
	return steer(ctx, &t.dst, WEFT_LISTEN_PLAIN);
}

char LICENSE[] SEC("license") = "GPL";
