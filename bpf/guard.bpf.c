// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Guards at the edges of the node. Never authorization: they only keep addresses honest, so
 * that an approval (a 4-tuple) cannot be forged, and keep plaintext from leaving by accident.
 *   weft_guard      tcx ingress of each pod's host-side veth: the source must be the pod's; a
 *                   SYN around the connect hook (a foreign cgroup, more subflows of MPTCP) to a
 *                   peer that is reached by tunnel only is dropped; bytes outside HBONE are
 *                   counted; so are SYNs that sk_lookup refused, by the RST that answers them
 *   weft_uplink_*   uplink ingress: nobody outside may claim an address of a local pod
 */
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "lib/addr.h"
#include "lib/event.h"
#include "lib/flow.h"
#include "lib/refuse.h"

#define VLAN_TAGS_MAX 4
#define IP_FRAG_MASK 0x1fff

struct packet {
	struct weft_addr src, dst;
	__u16 sport, dport;
	__u8 proto;
	__u8 syn; /* SYN without ACK, or TCP whose flags cannot be seen */
	__u8 flags; /* of TCP, as in the header */
	__be32 seq;
};

struct vlan_tag {
	__be16 tci, proto;
};

struct frag6 {
	__u8 nexthdr, reserved;
	__be16 off;
	__be32 id;
};

/* What is behind the Ethernet header. Tags are skipped: the kernel takes the outer one off
 * before tcx, but it also takes off those of VLAN 0 below it, later and silently. NULL: IP may be
 * there, out of sight. *proto is not IP where there is none. */
static __always_inline void *ip_find(void *data, void *end, __be16 *proto)
{
	struct ethhdr *eth = data;
	struct vlan_tag *tag = (void *)(eth + 1);

	*proto = 0;
	if ((void *)(eth + 1) > end)
		return data;
	*proto = eth->h_proto;
	for (int i = 0; i < VLAN_TAGS_MAX; i++, tag++) {
		if (*proto != bpf_htons(ETH_P_8021Q) && *proto != bpf_htons(ETH_P_8021AD))
			return tag;
		if ((void *)(tag + 1) > end)
			return NULL;
		*proto = tag->proto;
	}
	return NULL;
}

static __always_inline void tcp_parse(void *at, void *end, struct packet *p)
{
	struct tcphdr *tcp = at;

	if (p->proto != IPPROTO_TCP)
		return;
	p->syn = 1;
	if ((void *)(tcp + 1) > end)
		return;
	p->sport = bpf_ntohs(tcp->source);
	p->dport = bpf_ntohs(tcp->dest);
	p->flags = ((__u8 *)tcp)[13];
	p->seq = tcp->seq;
	p->syn = tcp->syn && !tcp->ack;
}

/* Fragments from the second 8 bytes on have no flags; the one before has nothing else. */
static __always_inline int frag_parse(__u16 offset, struct packet *p)
{
	if (!offset)
		return 0;
	p->syn = offset == 1 && p->proto == IPPROTO_TCP;
	return 1;
}

static __always_inline int v4_parse(struct iphdr *ip, void *end, struct packet *p)
{
	if ((void *)(ip + 1) > end)
		return -1;
	addr_set_v4(&p->src, ip->saddr);
	addr_set_v4(&p->dst, ip->daddr);
	p->proto = ip->protocol;
	if (!frag_parse(bpf_ntohs(ip->frag_off) & IP_FRAG_MASK, p))
		tcp_parse((void *)ip + ip->ihl * 4, end, p);
	return 0;
}

static __always_inline int v6_parse(struct ipv6hdr *ip6, void *end, struct packet *p)
{
	struct frag6 *frag = (void *)(ip6 + 1);
	void *next = frag;

	if ((void *)(ip6 + 1) > end)
		return -1;
	__builtin_memcpy(p->src.b, &ip6->saddr, 16);
	__builtin_memcpy(p->dst.b, &ip6->daddr, 16);
	p->proto = ip6->nexthdr;
	if (p->proto == IPPROTO_FRAGMENT) {
		if ((void *)(frag + 1) > end)
			return -1;
		p->proto = frag->nexthdr;
		if (frag_parse(bpf_ntohs(frag->off) >> 3, p))
			return 0;
		next = frag + 1;
	}
	/* No stack puts these in front of TCP unless a program asks for it. */
	if (p->proto == IPPROTO_HOPOPTS || p->proto == IPPROTO_ROUTING ||
	    p->proto == IPPROTO_DSTOPTS || p->proto == IPPROTO_AH || p->proto == IPPROTO_MH)
		p->syn = 1;
	else
		tcp_parse(next, end, p);
	return 0;
}

/* Reads the addresses, and for TCP ports and flags. 0, or -1 when it is not whole IP. */
static __always_inline int packet_parse(void *data, void *end, __be16 proto, struct packet *p)
{
	return proto == bpf_htons(ETH_P_IP) ? v4_parse(data, end, p) : v6_parse(data, end, p);
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

/* weftd's own, from inside the pod: sockops has noted it before the SYN left. */
static __always_inline int is_own_leg(const struct packet *p)
{
	struct weft_tuple t = { .src = p->src, .dst = p->dst, .sport = p->sport, .dport = p->dport };
	struct weft_approval *a = bpf_map_lookup_elem(&weft_approved, &t);

	return a && a->kind == WEFT_APPROVED_LEAVES;
}

/* A connection attempt that the hooks did not see, to a peer on another node that must be
 * reached through a tunnel or a waypoint. */
static __always_inline int plain_syn(const struct packet *p)
{
	struct weft_wld *w;

	if (!p->syn || p->dport == WEFT_PORT_HBONE)
		return 0;
	w = bpf_map_lookup_elem(&weft_addrs, &p->dst);
	if (!w)
		return range_flags(&p->dst) & WEFT_WLD_RELAY;
	return (w->flags & (WEFT_WLD_HBONE | WEFT_WLD_SERVICE | WEFT_WLD_RELAY)) &&
	       !(w->flags & WEFT_WLD_LOCAL);
}

#define TCP_RST 0x04
#define TCP_ACK 0x10

/* The answer to a SYN that nobody takes: RST, ACK, and no sequence number of its own (RFC 9293
 * 3.10.7.1). All other resets continue a sequence or have no ACK. */
static __always_inline int is_refusal(__u8 flags, __be32 seq)
{
	return (flags & (TCP_RST | TCP_ACK)) == (TCP_RST | TCP_ACK) && !seq;
}

/* The pod answers a SYN with RST. If sk_lookup made it do so, because every policy refuses
 * plaintext there, that was a denied connection. */
static __always_inline void count_refused(const struct packet *p)
{
	struct weft_tuple t = { .src = p->dst, .dst = p->src, .sport = p->dport, .dport = p->sport };
	struct weft_flow_rec r = { .path = WEFT_PATH_PLAIN };
	struct weft_total_key key;
	struct weft_total *total;
	struct weft_event *e;
	struct weft_wld *w;

	r.dst = refused_by(&t);
	/* With an approval the SYN got through, and it was the application that refused. */
	if (!r.dst || weft_port_is_reserved(t.dport) ||
	    lets_in(bpf_map_lookup_elem(&weft_approved, &t)))
		return;
	w = bpf_map_lookup_elem(&weft_addrs, &t.src);
	if (w)
		r.src = w->workload;
	total_key(&key, &r, WEFT_REASON_POLICY_DENIED);
	total = total_of(&key);
	if (total)
		count(&total->failed, 1);
	e = event_reserve(WEFT_EVENT_DENIED, r.path, WEFT_REASON_POLICY_DENIED);
	if (!e)
		return;
	e->tuple = t;
	e->src = r.src;
	e->dst = r.dst;
	event_submit(e);
}

/* tcx runs with softirqs off, so nothing on this CPU comes between: no atomic add. */
static __always_inline void count_packet(enum weft_stat packets, enum weft_stat bytes, __u32 len)
{
	__u32 i = packets, j = bytes;
	__u64 *n_packets = bpf_map_lookup_elem(&weft_stats, &i);
	__u64 *n_bytes = bpf_map_lookup_elem(&weft_stats, &j);

	if (n_packets)
		*n_packets += 1;
	if (n_bytes)
		*n_bytes += len;
}

static __always_inline int pass(__u16 sport, __u16 dport, __u32 len)
{
	if (dport == WEFT_PORT_HBONE || sport == WEFT_PORT_HBONE)
		count_packet(WEFT_STAT_GUARD_HBONE_PACKETS, WEFT_STAT_GUARD_HBONE_BYTES, len);
	else
		count_packet(WEFT_STAT_GUARD_PLAIN_PACKETS, WEFT_STAT_GUARD_PLAIN_BYTES, len);
	return TCX_NEXT;
}

/*
 * What nearly every packet is: whole TCP right behind Ethernet and a plain IP header, from the
 * pod's own address, no SYN and not the refusal of one. Ten packets of a short connection pass here, so this counts:
 * all of guard_any() for each of them cost 4 % of the connections per second.
 */
static __always_inline struct tcphdr *usual_tcp(void *data, void *end, const struct weft_veth *v)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) + sizeof(*tcp) > end)
		return NULL;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		tcp = (void *)(ip + 1);
		if (ip->ihl != 5 || ip->protocol != IPPROTO_TCP ||
		    (ip->frag_off & bpf_htons(IP_FRAG_MASK)) || ip->saddr != addr_word(&v->v4, 3))
			return NULL;
	} else {
		tcp = (void *)(ip6 + 1);
		if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(tcp + 1) > end ||
		    ip6->nexthdr != IPPROTO_TCP ||
		    !addr_eq((const struct weft_addr *)&ip6->saddr, &v->v6))
			return NULL;
	}
	if (is_refusal(((__u8 *)tcp)[13], tcp->seq))
		return NULL;
	return tcp->syn && !tcp->ack ? NULL : tcp;
}

/* Every other packet. Verified by itself, and called for few. */
__noinline int guard_any(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 ifindex = skb->ifindex;
	struct packet p = {};
	struct weft_veth *v = bpf_map_lookup_elem(&weft_veths, &ifindex);
	__be16 proto;
	void *ip;

	if (!v)
		return TCX_NEXT;
	if (v->flags & WEFT_VETH_BARE_IP) {
		/* There is no ARP; what claims to be something else than IP is in disguise. */
		proto = skb->protocol;
		ip = is_ip(proto) ? data : NULL;
	} else {
		ip = ip_find(data, end, &proto);
		if (ip && !is_ip(proto))
			return TCX_NEXT;
	}
	if (!ip || packet_parse(ip, end, proto, &p) || !source_ok(&p.src, v)) {
		stat_inc(WEFT_STAT_GUARD_SPOOFED);
		return TCX_DROP;
	}
	/* While it is in weft_veths and not in weft_pods, SYNs rightly went around the hooks. */
	if (!(v->flags & WEFT_VETH_PASSING) && plain_syn(&p) && !is_own_leg(&p)) {
		stat_inc(WEFT_STAT_GUARD_PLAIN_SYN);
		return TCX_DROP;
	}
	if (is_refusal(p.flags, p.seq))
		count_refused(&p);
	return pass(p.sport, p.dport, skb->len);
}

SEC("tcx/ingress")
int weft_guard(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 ifindex = skb->ifindex;
	struct weft_veth *v = bpf_map_lookup_elem(&weft_veths, &ifindex);
	struct tcphdr *tcp;

	if (!v)
		return TCX_NEXT;
	tcp = usual_tcp(data, end, v);
	if (!tcp)
		return guard_any(skb);
	return pass(bpf_ntohs(tcp->source), bpf_ntohs(tcp->dest), skb->len);
}

static __always_inline int claims_local_pod(void *data, void *end)
{
	struct packet p = {};
	struct weft_wld *w;
	__be16 proto;
	void *ip = ip_find(data, end, &proto);

	if (ip) {
		if (!is_ip(proto) || packet_parse(ip, end, proto, &p))
			return 0;
		w = bpf_map_lookup_elem(&weft_addrs, &p.src);
		if (!w || !(w->flags & WEFT_WLD_LOCAL))
			return 0;
	}
	stat_inc(WEFT_STAT_GUARD_UPLINK);
	return 1;
}

SEC("tcx/ingress")
int weft_uplink_tcx(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	return claims_local_pod(data, end) ? TCX_DROP : TCX_NEXT;
}

SEC("xdp.frags")
int weft_uplink_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	return claims_local_pod(data, end) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
