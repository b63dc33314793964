// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Guards at the edges of the node. Never authorization: they only keep addresses honest, so
 * that an approval (a 4-tuple) cannot be forged, and keep plaintext from leaving by accident.
 *   weft_guard      tcx ingress of each pod's host-side veth: the source must be the pod's; a
 *                   SYN that went around the connect hook (MPTCP, a foreign cgroup) to a peer
 *                   that is reached by tunnel only is dropped; bytes outside HBONE are counted
 *   weft_uplink_*   uplink ingress: nobody outside may claim an address of a local pod
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "lib/addr.h"

struct packet {
	struct weft_addr src, dst;
	__u16 sport, dport;
	__u8 proto;
	__u8 syn; /* SYN without ACK */
};

/* Reads the addresses, and for TCP ports and flags. 0, or -1 when it is not whole IP. */
static __always_inline int packet_parse(void *data, void *end, __be16 eth_proto, struct packet *p)
{
	struct tcphdr *tcp;

	if (eth_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data;

		if ((void *)(ip + 1) > end)
			return -1;
		addr_set_v4(&p->src, ip->saddr);
		addr_set_v4(&p->dst, ip->daddr);
		p->proto = ip->protocol;
		if (ip->frag_off & bpf_htons(0x1fff))
			return 0;
		tcp = data + ip->ihl * 4;
	} else {
		struct ipv6hdr *ip6 = data;

		if ((void *)(ip6 + 1) > end)
			return -1;
		__builtin_memcpy(p->src.b, &ip6->saddr, 16);
		__builtin_memcpy(p->dst.b, &ip6->daddr, 16);
		p->proto = ip6->nexthdr;
		tcp = (void *)(ip6 + 1);
	}
	if (p->proto != IPPROTO_TCP || (void *)(tcp + 1) > end)
		return 0;
	p->sport = bpf_ntohs(tcp->source);
	p->dport = bpf_ntohs(tcp->dest);
	p->syn = tcp->syn && !tcp->ack;
	return 0;
}

static __always_inline int is_ip(__be16 proto)
{
	return proto == bpf_htons(ETH_P_IP) || proto == bpf_htons(ETH_P_IPV6);
}

/* Own address, unspecified (DHCP, DAD) or link-local (neighbour discovery). */
static __always_inline int source_ok(const struct weft_addr *src, const struct weft_veth *v)
{
	if (addr_eq(src, &v->v4) || addr_eq(src, &v->v6))
		return 1;
	if (addr_is_v4(src))
		return addr_word(src, 3) == 0;
	return addr_is_zero(src) || (src->b[0] == 0xfe && (src->b[1] & 0xc0) == 0x80);
}

/* A connection attempt that the hooks did not see, to a peer on another node that must be
 * reached through a tunnel. */
static __always_inline int plain_syn(const struct packet *p)
{
	struct weft_wld *w;

	if (!p->syn || p->dport == WEFT_PORT_HBONE)
		return 0;
	w = bpf_map_lookup_elem(&weft_addrs, &p->dst);
	return w && (w->flags & WEFT_WLD_HBONE) && !(w->flags & WEFT_WLD_LOCAL);
}

SEC("tcx/ingress")
int weft_guard(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 ifindex = skb->ifindex;
	struct packet p = {};
	struct weft_veth *v;

	if (!is_ip(skb->protocol))
		return TCX_NEXT;
	v = bpf_map_lookup_elem(&weft_veths, &ifindex);
	if (!v)
		return TCX_NEXT;
	if (packet_parse(data + ETH_HLEN, end, skb->protocol, &p) || !source_ok(&p.src, v)) {
		stat_inc(WEFT_STAT_GUARD_SPOOFED);
		return TCX_DROP;
	}
	if (plain_syn(&p)) {
		stat_inc(WEFT_STAT_GUARD_PLAIN_SYN);
		return TCX_DROP;
	}
	if (p.dport == WEFT_PORT_HBONE || p.sport == WEFT_PORT_HBONE) {
		stat_inc(WEFT_STAT_GUARD_HBONE_PACKETS);
		stat_add(WEFT_STAT_GUARD_HBONE_BYTES, skb->len);
	} else {
		stat_inc(WEFT_STAT_GUARD_PLAIN_PACKETS);
		stat_add(WEFT_STAT_GUARD_PLAIN_BYTES, skb->len);
	}
	return TCX_NEXT;
}

static __always_inline int claims_local_pod(void *data, void *end, __be16 proto)
{
	struct packet p = {};
	struct weft_wld *w;

	if (!is_ip(proto) || packet_parse(data, end, proto, &p))
		return 0;
	w = bpf_map_lookup_elem(&weft_addrs, &p.src);
	if (!w || !(w->flags & WEFT_WLD_LOCAL))
		return 0;
	stat_inc(WEFT_STAT_GUARD_UPLINK);
	return 1;
}

SEC("tcx/ingress")
int weft_uplink_tcx(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	return claims_local_pod(data + ETH_HLEN, end, skb->protocol) ? TCX_DROP : TCX_NEXT;
}

SEC("xdp.frags")
int weft_uplink_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	return claims_local_pod(eth + 1, end, eth->h_proto) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
