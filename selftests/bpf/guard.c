// SPDX-License-Identifier: Apache-2.0
/* The guards on crafted packets, by BPF_PROG_TEST_RUN: nothing is attached, nothing is sent. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "h_env.h"
#include "kern/priv.h"
#include "kern/probe.h"

/* A frame; what is not set is a SYN from a to the far peer's port 80. */
struct frame {
	const char *src, *dst;
	uint16_t sport, dport;
	uint16_t frag_off; /* of IPv4, as on the wire but host order */
	uint8_t options;   /* 32-bit words of IPv4 options */
	uint8_t ext;	   /* IPv6: a destination options header in front of TCP */
	uint8_t proto;	   /* instead of TCP */
	uint8_t vlan;	   /* number of 802.1Q tags with VLAN 0 */
	bool ack;
	bool refusal;	   /* RST and ACK without a sequence number */
	bool frag6;	   /* IPv6: a fragment header in front of TCP, */
	uint16_t frag6_at; /* for bytes from 8 times this on */
	size_t cut; /* send only so many bytes */
};

static size_t put_v4(uint8_t *p, const struct frame *f, size_t tcp_n)
{
	const struct weft_addr src = addr(f->src), dst = addr(f->dst);
	struct iphdr ip = { .version = 4, .ihl = 5 + f->options, .ttl = 64,
			    .protocol = f->proto ? f->proto : IPPROTO_TCP,
			    .frag_off = htons(f->frag_off),
			    .tot_len = htons((uint16_t)(20 + 4 * f->options + tcp_n)) };

	memcpy(&ip.saddr, src.b + 12, 4);
	memcpy(&ip.daddr, dst.b + 12, 4);
	memcpy(p, &ip, sizeof(ip));
	memset(p + sizeof(ip), 1, 4u * f->options);
	return sizeof(ip) + 4u * f->options;
}

static size_t put_v6(uint8_t *p, const struct frame *f, size_t tcp_n)
{
	const struct weft_addr src = addr(f->src), dst = addr(f->dst);
	const uint8_t proto = f->proto ? f->proto : IPPROTO_TCP;
	const uint8_t dstopts[8] = { proto, 0, 1, 4 };
	const uint8_t frag[8] = { proto, 0, (uint8_t)(f->frag6_at >> 5),
				  (uint8_t)(f->frag6_at << 3) };
	const uint8_t *ext = f->frag6 ? frag : dstopts;
	const size_t ext_n = f->ext || f->frag6 ? 8 : 0;
	struct ipv6hdr ip = { .version = 6, .hop_limit = 64,
			      .nexthdr = f->frag6 ? IPPROTO_FRAGMENT
					 : f->ext ? IPPROTO_DSTOPTS
						  : proto,
			      .payload_len = htons((uint16_t)(tcp_n + ext_n)) };

	memcpy(&ip.saddr, src.b, 16);
	memcpy(&ip.daddr, dst.b, 16);
	memcpy(p, &ip, sizeof(ip));
	memcpy(p + sizeof(ip), ext, ext_n);
	return sizeof(ip) + ext_n;
}

static size_t frame_make(const struct frame *f, uint8_t *p)
{
	const bool v6 = strchr(f->src, ':');
	const struct tcphdr tcp = { .source = htons(f->sport ? f->sport : 40000),
				    .dest = htons(f->dport ? f->dport : 80), .doff = 5,
				    .syn = !f->refusal, .rst = f->refusal,
				    .ack = f->ack || f->refusal };
	size_t n = 12;

	memset(p, 2, 12);
	for (uint8_t i = 0; i < f->vlan; i++, n += 4)
		memcpy(p + n, "\x81\x00\x00\x00", 4);
	memcpy(p + n, v6 ? "\x86\xdd" : "\x08\x00", 2);
	n += 2;
	n += v6 ? put_v6(p + n, f, sizeof(tcp)) : put_v4(p + n, f, sizeof(tcp));
	memcpy(p + n, &tcp, sizeof(tcp));
	n += sizeof(tcp);
	return f->cut ? f->cut : n;
}

static int run(const struct bpf_program *prog, uint32_t ifindex, const uint8_t *p, size_t n)
{
	struct __sk_buff skb = { .ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p, .data_size_in = (__u32)n, .repeat = 1);
	int r;

	if (ifindex) {
		o.ctx_in = &skb;
		o.ctx_size_in = sizeof(skb);
	}
	r = bpf_prog_test_run_opts(bpf_program__fd(prog), &o);
	if (r)
		fail_msg("test run: %d", r);
	return (int)o.retval;
}

/* Through the guard of a's interface: passes, or dropped and counted in why. */
static void expect_guard(struct env *e, const struct frame *f, int verdict, enum weft_stat why)
{
	const uint64_t before = stat_now(e, why);
	uint8_t p[256];
	size_t n = frame_make(f, p);

	setns(e->host, CLONE_NEWNET);
	assert_int_equal(run(e->skel->progs.weft_guard, e->if_a, p, n), verdict);
	setns(e->home, CLONE_NEWNET);
	assert_int_equal(stat_now(e, why), before + 1);
}

static void expect_passes(struct env *e, const struct frame f)
{
	expect_guard(e, &f, TCX_NEXT, WEFT_STAT_GUARD_PLAIN_PACKETS);
}

static void expect_spoofed(struct env *e, const struct frame f)
{
	expect_guard(e, &f, TCX_DROP, WEFT_STAT_GUARD_SPOOFED);
}

static void expect_plain_syn(struct env *e, const struct frame f)
{
	expect_guard(e, &f, TCX_DROP, WEFT_STAT_GUARD_PLAIN_SYN);
}

static int eth0_of(struct env *e)
{
	int i;

	setns(e->a, CLONE_NEWNET);
	i = (int)if_nametoindex("eth0");
	setns(e->home, CLONE_NEWNET);
	return i;
}

static int reset(void **state)
{
	struct env *e = *state;
	const struct weft_veth v = { .v4 = addr("10.9.0.1"), .v6 = addr("fd09::1"), .slot = 1 };
	int r = env_reset(state);

	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_veths), &e->if_a, &v, BPF_ANY);
	return r;
}

static void the_own_addresses_pass(void **state)
{
	expect_passes(*state, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9" });
	expect_passes(*state, (struct frame){ .src = "fd09::1", .dst = "fd09::9" });
	expect_passes(*state, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9",
					      .options = 10 });
	expect_passes(*state, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9",
					      .proto = IPPROTO_UDP });
}

static void a_foreign_source_is_dropped(void **state)
{
	static const char *const v4[] = { "10.9.0.2", "10.9.0.3", "127.0.0.1", "8.8.8.8",
					  "169.254.1.1", "255.255.255.255", "10.9.0.0" };
	static const char *const v6[] = { "fd09::2", "fd09::3", "::1", "2001:db8::1", "::2",
					  "ff02::1", "fec0::1", "::ffff:10.9.0.2" };

	for (size_t i = 0; i < ARRAY_LEN(v4); i++)
		expect_spoofed(*state, (struct frame){ .src = v4[i], .dst = "10.9.0.9" });
	for (size_t i = 0; i < ARRAY_LEN(v6); i++)
		expect_spoofed(*state, (struct frame){ .src = v6[i], .dst = "fd09::9" });
	/* Any protocol, and without ports. */
	expect_spoofed(*state, (struct frame){ .src = "10.9.0.2", .dst = "10.9.0.9",
					       .proto = IPPROTO_ICMP });
	expect_spoofed(*state, (struct frame){ .src = "10.9.0.2", .dst = "10.9.0.9",
					       .frag_off = 100 });
	expect_spoofed(*state, (struct frame){ .src = "fd09::2", .dst = "fd09::9", .ext = 1 });
}

static void finding_addresses_and_neighbours_passes(void **state)
{
	struct env *e = *state;
	uint8_t arp[64] = { [12] = 0x08, [13] = 0x06 };

	expect_passes(e, (struct frame){ .src = "0.0.0.0", .dst = "255.255.255.255",
					 .proto = IPPROTO_UDP });
	expect_passes(e, (struct frame){ .src = "::", .dst = "ff02::1", .proto = IPPROTO_ICMPV6 });
	expect_passes(e, (struct frame){ .src = "fe80::1", .dst = "ff02::1",
					 .proto = IPPROTO_ICMPV6 });
	expect_passes(e, (struct frame){ .src = "fd09::1", .dst = "ff02::1",
					 .proto = IPPROTO_ICMPV6 });
	setns(e->host, CLONE_NEWNET);
	assert_int_equal(run(e->skel->progs.weft_guard, e->if_a, arp, sizeof(arp)), TCX_NEXT);
	setns(e->home, CLONE_NEWNET);
}

static void a_syn_around_the_hooks_to_a_peer_behind_a_tunnel_is_dropped(void **state)
{
	struct env *e = *state;

	expect_plain_syn(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3" });
	expect_plain_syn(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3" });
	expect_plain_syn(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3", .options = 3 });
	/* The rest of a connection that was let through, and tunnels. */
	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3", .ack = true });
	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3",
					 .proto = IPPROTO_UDP });
	expect_guard(e, &(struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3",
					 .dport = WEFT_PORT_HBONE }, TCX_NEXT,
		     WEFT_STAT_GUARD_HBONE_PACKETS);
	/* Pods of this node are reached in plain text, what is not in the mesh as well. */
	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2" });
	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9" });
}

/* What has a waypoint is not dialled around it either, by its address or as part of a range; weftd
 * itself goes there for the waypoint. */
static void a_syn_around_the_hooks_and_a_waypoint_is_dropped(void **state)
{
	struct env *e = *state;
	const struct weft_range_key range = { .prefixlen = 96 + 24, .addr = addr("10.8.0.0") };
	const struct weft_wld waypoint = { .flags = WEFT_WLD_RELAY };
	const struct frame to_pod = { .src = "10.9.0.1", .dst = "10.9.0.9" };
	const struct frame to_range = { .src = "10.9.0.1", .dst = "10.8.0.1" };
	struct weft_tuple t = {
		.src = addr("10.9.0.1"), .dst = addr("10.9.0.9"), .sport = 40000, .dport = 80
	};
	struct weft_approval own = { .kind = WEFT_APPROVED_DIRECT };
	int approved = bpf_map__fd(e->skel->maps.weft_approved);

	expect_passes(e, to_range);
	mesh_set(e, "10.9.0.9", 9, WEFT_WLD_RELAY);
	assert_int_equal(bpf_map__update_elem(e->skel->maps.weft_ranges, &range, sizeof(range),
					      &waypoint, sizeof(waypoint), BPF_ANY),
			 0);
	expect_plain_syn(e, to_pod);
	expect_plain_syn(e, to_range);
	assert_int_equal(bpf_map_update_elem(approved, &t, &own, BPF_ANY), 0);
	expect_plain_syn(e, to_pod);
	own.kind = WEFT_APPROVED_OWN; /* which does not leave its pod */
	assert_int_equal(bpf_map_update_elem(approved, &t, &own, BPF_ANY), 0);
	expect_plain_syn(e, to_pod);
	own.kind = WEFT_APPROVED_LEAVES;
	assert_int_equal(bpf_map_update_elem(approved, &t, &own, BPF_ANY), 0);
	expect_passes(e, to_pod);
	assert_int_equal(bpf_map_delete_elem(approved, &t), 0);
}

/* A SYN whose flags are in the second fragment, or behind another header. */
static void a_syn_cannot_hide(void **state)
{
	struct env *e = *state;

	expect_plain_syn(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3",
					    .frag_off = 0x2000,
					    .cut = 14 + 20 + 8 });
	expect_plain_syn(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3", .frag_off = 1,
					    .cut = 14 + 20 + 12 });
	expect_plain_syn(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3", .ext = 1 });
	expect_plain_syn(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3", .frag6 = true });
	expect_plain_syn(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3", .frag6 = true,
					    .frag6_at = 1 });
	/* Further on there are no flags. Without a whole header, nobody knows what it is. */
	expect_passes(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3", .frag6 = true,
					 .frag6_at = 4 });
	expect_spoofed(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3", .frag6 = true,
					  .cut = 14 + 40 + 4 });
}

/* Its SYNs rightly go around the hooks: it is not in weft_pods yet, or not any more. */
static void syns_of_a_pod_that_joins_or_leaves_are_not_judged(void **state)
{
	struct env *e = *state;
	const struct weft_veth v = { .v4 = addr("10.9.0.1"), .v6 = addr("fd09::1"), .slot = 1,
				     .flags = WEFT_VETH_PASSING };

	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_veths), &e->if_a, &v, BPF_ANY);
	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3" });
	expect_passes(e, (struct frame){ .src = "fd09::1", .dst = "fd09::3" });
	expect_spoofed(e, (struct frame){ .src = "10.9.0.2", .dst = "10.9.0.3" });
}

static void refuse_plaintext(struct env *e, const char *ip, uint16_t port)
{
	const struct weft_refuse_key key = { .addr = addr(ip), .port = port };
	const struct weft_refuse v = { .epoch = 1, .kind = WEFT_VERDICT_DENY, .dst = WLD_A };

	assert_int_equal(bpf_map__update_elem(e->skel->maps.weft_refused, &key, sizeof(key), &v,
					      sizeof(v), BPF_ANY),
			 0);
}

static uint64_t refusals(struct env *e)
{
	struct weft_total_key key = { .dst = WLD_A, .path = WEFT_PATH_PLAIN,
				      .reason = WEFT_REASON_POLICY_DENIED };

	return total_now(e, &key).failed;
}

/* A SYN that sk_lookup dropped shows as the pod's answer. */
static void the_answer_to_a_plaintext_syn_that_policies_refuse_is_a_denied_connection(void **state)
{
	const struct frame to[] = {
		{ .src = "10.9.0.1", .dst = "10.9.0.9", .sport = 80, .refusal = true },
		{ .src = "fd09::1", .dst = "fd09::9", .sport = 80, .refusal = true },
	};
	struct env *e = *state;
	const uint64_t before = refusals(e);

	expect_passes(e, to[0]);
	assert_int_equal(refusals(e), before); /* no policy refuses it */
	refuse_plaintext(e, "10.9.0.1", 80);
	refuse_plaintext(e, "fd09::1", 80);
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		struct weft_approval a = { .kind = WEFT_APPROVED_DIRECT };
		struct weft_tuple t = { .src = addr(to[i].dst), .dst = addr(to[i].src),
					.sport = 80, .dport = 80 };

		expect_passes(e, to[i]);
		assert_int_equal(refusals(e), before + i + 1);
		/* with an approval it was the application that refused */
		assert_int_equal(bpf_map__update_elem(e->skel->maps.weft_approved, &t, sizeof(t),
						      &a, sizeof(a), BPF_ANY),
				 0);
		expect_passes(e, to[i]);
		assert_int_equal(refusals(e), before + i + 1);
		bpf_map__delete_elem(e->skel->maps.weft_approved, &t, sizeof(t), 0);
	}
}

/* Nobody reads the events here: counters go on without them. */
static void with_a_full_ring_refusals_are_still_counted(void **state)
{
	const struct frame f = { .src = "10.9.0.1", .dst = "10.9.0.9", .sport = 80,
				 .refusal = true };
	struct env *e = *state;
	const uint64_t lost = stat_now(e, WEFT_STAT_EVENT_LOST), before = refusals(e);
	struct __sk_buff skb = { .ifindex = e->if_a };
	uint8_t p[256];
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p, .repeat = 20000, .ctx_in = &skb,
		    .ctx_size_in = sizeof(skb));

	refuse_plaintext(e, "10.9.0.1", 80);
	o.data_size_in = (__u32)frame_make(&f, p);
	setns(e->host, CLONE_NEWNET);
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(e->skel->progs.weft_guard), &o), 0);
	setns(e->home, CLONE_NEWNET);
	assert_int_equal(refusals(e), before + 20000);
	assert_true(stat_now(e, WEFT_STAT_EVENT_LOST) > lost);
}

/* By tcx or as a tc filter, whatever this kernel has. */
static void guard_attach(struct env *e)
{
	struct bpf_program *prog = e->skel->progs.weft_guard;

	setns(e->host, CLONE_NEWNET);
	if (probe_tcx(bpf_program__fd(prog)))
		e->guard = bpf_program__attach_tcx(prog, (int)e->if_a, NULL);
	else
		assert_int_equal(kern_tc_attach(bpf_program__fd(prog), e->if_a), 0);
	setns(e->home, CLONE_NEWNET);
}

static void guard_detach(struct env *e)
{
	setns(e->host, CLONE_NEWNET);
	bpf_link__destroy(e->guard);
	kern_tc_detach(e->if_a);
	setns(e->home, CLONE_NEWNET);
	e->guard = NULL;
}

/* BPF_PROG_TEST_RUN wants whole IP headers, so these go over the wire. */
static void truncated_headers_are_dropped(void **state)
{
	struct env *e = *state;
	const struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = eth0_of(e) };
	_close_ int raw = sock_in(e->a, AF_PACKET, SOCK_RAW, 0);
	uint64_t before;
	uint8_t p[256];

	guard_attach(e);
	before = stat_now(e, WEFT_STAT_GUARD_SPOOFED);
	for (size_t n = 15; n < 14 + 40; n++) {
		const struct frame f = { .src = n < 34 ? "10.9.0.1" : "fd09::1",
					 .dst = n < 34 ? "10.9.0.9" : "fd09::9" };

		frame_make(&f, p);
		assert_int_equal(sendto(raw, p, n, 0, (const struct sockaddr *)&to, sizeof(to)), n);
	}
	for (int i = 0; i < 500 && stat_now(e, WEFT_STAT_GUARD_SPOOFED) - before < 39; i++)
		poll(NULL, 0, 10);
	guard_detach(e);
	assert_int_equal(stat_now(e, WEFT_STAT_GUARD_SPOOFED) - before, 39);
	/* IP is whole, TCP is not: it leads nowhere, and its address is honest. */
	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9",
					 .cut = 14 + 20 + 4 });
}

/* VLAN 0 is no VLAN: the stack takes such frames like untagged ones. The outer tag is gone
 * before tcx, so one here means two on the wire. */
static void a_priority_tag_hides_no_source(void **state)
{
	expect_passes(*state, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9", .vlan = 1 });
	expect_spoofed(*state, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9", .vlan = 7,
					       .cut = 14 + 4 + 2 });
	for (uint8_t n = 1; n < 8; n++) {
		const struct frame v4 = { .src = "10.9.0.2", .dst = "10.9.0.9", .vlan = n };
		const struct frame v6 = { .src = "fd09::2", .dst = "fd09::9", .vlan = n };

		expect_spoofed(*state, v4);
		expect_spoofed(*state, v6);
	}
	expect_plain_syn(*state, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.3", .vlan = 1 });
}

static void an_interface_that_is_not_a_pods_is_not_judged(void **state)
{
	struct env *e = *state;
	const struct frame f = { .src = "10.9.0.2", .dst = "10.9.0.9" };
	uint8_t p[256];
	size_t n = frame_make(&f, p);

	bpf_map_delete_elem(bpf_map__fd(e->skel->maps.weft_veths), &e->if_a);
	setns(e->host, CLONE_NEWNET);
	assert_int_equal(run(e->skel->progs.weft_guard, e->if_a, p, n), TCX_NEXT);
	setns(e->home, CLONE_NEWNET);
}

static void bytes_are_counted_by_kind(void **state)
{
	struct env *e = *state;
	const uint64_t plain = stat_now(e, WEFT_STAT_GUARD_PLAIN_BYTES);
	const uint64_t hbone = stat_now(e, WEFT_STAT_GUARD_HBONE_BYTES);

	expect_passes(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9" });
	expect_guard(e, &(struct frame){ .src = "10.9.0.1", .dst = "10.9.0.9",
					 .sport = WEFT_PORT_HBONE, .ack = true },
		     TCX_NEXT, WEFT_STAT_GUARD_HBONE_PACKETS);
	assert_int_equal(stat_now(e, WEFT_STAT_GUARD_PLAIN_BYTES), plain + 54);
	assert_int_equal(stat_now(e, WEFT_STAT_GUARD_HBONE_BYTES), hbone + 54);
}

/* ---- uplink ---- */

static void expect_uplink(struct env *e, const struct frame f, bool drop)
{
	const uint64_t before = stat_now(e, WEFT_STAT_GUARD_UPLINK);
	uint8_t p[256];
	size_t n = frame_make(&f, p);

	assert_int_equal(run(e->skel->progs.weft_uplink_xdp, 0, p, n), drop ? XDP_DROP : XDP_PASS);
	assert_int_equal(run(e->skel->progs.weft_uplink_tcx, 0, p, n), drop ? TCX_DROP : TCX_NEXT);
	assert_int_equal(stat_now(e, WEFT_STAT_GUARD_UPLINK) - before, drop ? 2 : 0);
}

static void nobody_outside_may_claim_a_local_pod(void **state)
{
	struct env *e = *state;

	expect_uplink(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2" }, true);
	expect_uplink(e, (struct frame){ .src = "fd09::1", .dst = "fd09::2" }, true);
	expect_uplink(e, (struct frame){ .src = "10.9.0.2", .dst = "10.9.0.2",
					 .frag_off = 9 }, true);
	expect_uplink(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2",
					 .options = 10 }, true);
	expect_uplink(e, (struct frame){ .src = "fd09::1", .dst = "fd09::2", .ext = 1 }, true);
	expect_uplink(e, (struct frame){ .src = "::ffff:10.9.0.1", .dst = "fd09::2" }, true);
	expect_uplink(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2", .cut = 34 }, true);
}

static void others_come_in(void **state)
{
	struct env *e = *state;
	uint8_t arp[64] = { [12] = 0x08, [13] = 0x06 };

	expect_uplink(e, (struct frame){ .src = "10.9.0.9", .dst = "10.9.0.2" }, false);
	expect_uplink(e, (struct frame){ .src = "10.9.0.3", .dst = "10.9.0.2" }, false);
	expect_uplink(e, (struct frame){ .src = "fd09::3", .dst = "fd09::2" }, false);
	assert_int_equal(run(e->skel->progs.weft_uplink_xdp, 0, arp, sizeof(arp)), XDP_PASS);
	assert_int_equal(run(e->skel->progs.weft_uplink_tcx, 0, arp, sizeof(arp)), TCX_NEXT);
}

static void a_priority_tag_is_no_way_around(void **state)
{
	struct env *e = *state;

	expect_uplink(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2", .vlan = 1 }, true);
	expect_uplink(e, (struct frame){ .src = "fd09::1", .dst = "fd09::2", .vlan = 1 }, true);
	expect_uplink(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2", .vlan = 2 }, true);
	expect_uplink(e, (struct frame){ .src = "10.9.0.1", .dst = "10.9.0.2", .vlan = 9 }, true);
	expect_uplink(e, (struct frame){ .src = "10.9.0.9", .dst = "10.9.0.2", .vlan = 1 }, false);
}

#define T(fn) cmocka_unit_test_setup(fn, reset)

int main(void)
{
	const struct CMUnitTest all[] = {
		T(the_own_addresses_pass),
		T(a_foreign_source_is_dropped),
		T(finding_addresses_and_neighbours_passes),
		T(a_syn_around_the_hooks_to_a_peer_behind_a_tunnel_is_dropped),
		T(a_syn_around_the_hooks_and_a_waypoint_is_dropped),
		T(a_syn_cannot_hide),
		T(syns_of_a_pod_that_joins_or_leaves_are_not_judged),
		T(the_answer_to_a_plaintext_syn_that_policies_refuse_is_a_denied_connection),
		T(with_a_full_ring_refusals_are_still_counted),
		T(truncated_headers_are_dropped),
		T(a_priority_tag_hides_no_source),
		T(an_interface_that_is_not_a_pods_is_not_judged),
		T(bytes_are_counted_by_kind),
		T(nobody_outside_may_claim_a_local_pod),
		T(others_come_in),
		T(a_priority_tag_is_no_way_around),
	};

	return cmocka_run_group_tests(all, env_up, env_down);
}
