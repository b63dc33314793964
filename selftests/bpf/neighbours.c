// SPDX-License-Identifier: Apache-2.0
/*
 * Guards beside programs of others, and on devices that are no veth: tcx in front of what was
 * there before, XDP in a dispatcher with a second program, and netkit pairs, which have no
 * Ethernet header. What a kernel lacks is skipped; make selftest-vm finds kernels that have it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <xdp/libxdp.h>

#include "h_stage.h"
#include "kern/probe.h"
#include "skip.h"

#define FOREIGN_XDP "/usr/lib/x86_64-linux-gnu/bpf/xdpfilt_alw_all.o"

static int neighbours_up(void **state)
{
	int r = stage_up(state);
	struct stage *s = *state;

	if (r == 0)
		s->k.has_tcx = probe_tcx(bpf_program__fd(s->e->skel->progs.weft_guard));
	return r;
}

/* An IPv4 packet to port 9 of dst with a source of our choice, in the namespace ns. */
static void say_as(struct stage *s, int ns, const char *src, const char *dst)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} p = { .ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP },
		.udp = { .source = htons(9), .dest = htons(9), .len = htons(8) } };
	_close_ int fd = -1;

	setns(ns, CLONE_NEWNET);
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	setns(s->e->host, CLONE_NEWNET);
	assert_true(fd >= 0);
	inet_pton(AF_INET, src, &p.ip.saddr);
	inet_pton(AF_INET, dst, &p.ip.daddr);
	to.sin_addr.s_addr = p.ip.daddr;
	assert_int_equal(sendto(fd, &p, sizeof(p), 0, (struct sockaddr *)&to, sizeof(to)),
			 sizeof(p));
}

static void expect_grows(struct stage *s, enum weft_stat which, uint64_t before)
{
	for (int i = 0; i < 500 && stat_now(s->e, which) == before; i++)
		poll(NULL, 0, 10);
	assert_true(stat_now(s->e, which) > before);
}

/* Its verdict ends the chain: what comes behind it sees nothing. */
static int foreign_accepts_all(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TCX_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", insns, ARRAY_LEN(insns),
			     NULL);
}

static void the_guard_comes_before_a_program_that_was_there_first(void **state)
{
	struct stage *s = *state;
	const struct weft_veth v = { .v4 = addr("10.9.0.1"), .v6 = addr("fd09::1") };
	_close_ int prog = foreign_accepts_all(), link = -1;
	uint64_t before;

	assert_true(prog >= 0);
	if (!s->k.has_tcx)
		skip_because("the kernel has no tcx");
	link = bpf_link_create(prog, (int)s->e->if_a, BPF_TCX_INGRESS, NULL);
	assert_true(link >= 0);
	assert_int_equal(kern_guard_attach(&s->k, s->e->if_a, &v), 0);
	before = stat_now(s->e, WEFT_STAT_GUARD_SPOOFED);
	say_as(s, s->e->a, "10.9.0.77", "10.9.0.9");
	expect_grows(s, WEFT_STAT_GUARD_SPOOFED, before);
	kern_guard_detach(&s->k, s->e->if_a);
}

static size_t xdp_programs(uint32_t ifindex)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)ifindex);
	struct xdp_program *p = NULL;
	size_t n = 0;

	if (libxdp_get_error(mp))
		return 0;
	while (!xdp_multiprog__is_legacy(mp) && (p = xdp_multiprog__next_prog(p, mp)))
		n++;
	xdp_multiprog__close(mp);
	return n;
}

static void two_programs_share_a_device_through_the_dispatcher(void **state)
{
	struct stage *s = *state;
	struct errbuf err = { 0 };
	struct xdp_program *other;
	uint64_t before;
	int r;

	r = kern_xdp_attach(&s->k, s->e->if_a, &err);
	kern_xdp_detach(s->e->if_a);
	xdp_program__close(s->k.xdp);
	s->k.xdp = NULL;
	if (r < 0 || !s->k.xdp_dispatcher || access(FOREIGN_XDP, R_OK) < 0)
		skip_because("the kernel does not take the dispatcher of libxdp");
	other = xdp_program__open_file(FOREIGN_XDP, "xdp", NULL);
	assert_int_equal(libxdp_get_error(other), 0);
	assert_int_equal(xdp_program__attach(other, (int)s->e->if_a, XDP_MODE_SKB, 0), 0);
	assert_int_equal(kern_uplink_attach(&s->k, "pa", UPLINK_XDP, &err), 0);
	assert_string_equal(kern_uplink_text(&s->k), "xdp (dispatcher)");
	assert_int_equal(xdp_programs(s->e->if_a), 2);
	/* From a's side come packets that claim to be of b, a pod of this node. */
	before = stat_now(s->e, WEFT_STAT_GUARD_UPLINK);
	say_as(s, s->e->a, "10.9.0.2", "10.9.0.9");
	expect_grows(s, WEFT_STAT_GUARD_UPLINK, before);
	/* A daemon that comes again takes its own off and leaves the other. */
	xdp_program__close(s->k.xdp);
	assert_int_equal(kern_uplink_attach(&s->k, "pa", UPLINK_XDP, &err), 0);
	assert_int_equal(xdp_programs(s->e->if_a), 2);
	kern_xdp_detach(s->e->if_a);
	assert_int_equal(xdp_programs(s->e->if_a), 1);
	assert_int_equal(xdp_program__detach(other, (int)s->e->if_a, XDP_MODE_SKB, 0), 0);
	xdp_program__close(other);
	xdp_program__close(s->k.xdp);
	s->k.xdp = NULL;
}

/* In its default mode a netkit pair carries bare IP. */
static void a_netkit_pair_without_ethernet_is_guarded(void **state)
{
	struct stage *s = *state;
	const struct weft_veth v = { .v4 = addr("10.8.0.1"), .v6 = addr("fd08::1") };
	const int p = getpid();
	uint64_t before;
	uint32_t ifindex;

	if (system("ip link add nkh type netkit 2>/dev/null") != 0)
		skip_because("the kernel has no netkit");
	sh("ip link set nk0 netns wt%da && ip link set nkh up && ip addr add 10.8.0.254/24 dev nkh", p);
	sh("ip -n wt%da link set nk0 up && ip -n wt%da addr add 10.8.0.1/24 dev nk0", p, p);
	ifindex = if_nametoindex("nkh");
	assert_int_equal(kern_guard_attach(&s->k, ifindex, &v), 0);
	before = stat_now(s->e, WEFT_STAT_GUARD_PLAIN_PACKETS);
	say_as(s, s->e->a, "10.8.0.1", "10.8.0.254");
	expect_grows(s, WEFT_STAT_GUARD_PLAIN_PACKETS, before);
	before = stat_now(s->e, WEFT_STAT_GUARD_SPOOFED);
	say_as(s, s->e->a, "10.8.0.77", "10.8.0.254");
	expect_grows(s, WEFT_STAT_GUARD_SPOOFED, before);
	kern_guard_detach(&s->k, ifindex);
	sh("ip link del nkh");
}

/* As when a pod's namespace vanishes in the middle of its enrolment. */
static void a_device_that_is_gone_leaves_no_entry(void **state)
{
	struct stage *s = *state;
	const struct weft_veth v = { .v4 = addr("10.8.0.1"), .v6 = addr("fd08::1") };
	const uint32_t gone = 999999;
	struct weft_veth left;

	assert_true(kern_guard_attach(&s->k, gone, &v) < 0);
	assert_int_equal(bpf_map__lookup_elem(s->e->skel->maps.weft_veths, &gone, sizeof(gone),
					      &left, sizeof(left), 0),
			 -ENOENT);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(a_device_that_is_gone_leaves_no_entry),
		cmocka_unit_test(the_guard_comes_before_a_program_that_was_there_first),
		cmocka_unit_test(two_programs_share_a_device_through_the_dispatcher),
		cmocka_unit_test(a_netkit_pair_without_ethernet_is_guarded),
	};

	return cmocka_run_group_tests(all, neighbours_up, stage_down);
}
