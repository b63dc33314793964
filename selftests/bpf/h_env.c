// SPDX-License-Identifier: Apache-2.0
/* The stage of the tests of the BPF programs: see h_env.h for a picture of it. */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "h_env.h"
#include "io/netns.h"

void sh(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	r = system(cmd);
	if (r)
		fail_msg("status %d: %s", r, cmd);
}

static void cgroup_mount(char *ret, size_t cap)
{
	_fclose_ FILE *f = setmntent("/proc/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2") != 0)
			continue;
		snprintf(ret, cap, "%s", m->mnt_dir);
		return;
	}
	fail_msg("no cgroup2 mount");
}

static void enter(const char *folder)
{
	char path[640];
	_fclose_ FILE *f = NULL;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%d\n", getpid());
	assert_int_equal(fflush(f), 0);
}

int env_enter_cgroup(struct env *e)
{
	_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	char mount[96], line[400];

	assert_non_null(f);
	cgroup_mount(mount, sizeof(mount));
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::", 3) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(e->old_cgroup, sizeof(e->old_cgroup), "%s%s", mount, line + 3);
	}
	snprintf(e->cgroup, sizeof(e->cgroup), "%s/weft-test-%d", mount, getpid());
	assert_int_equal(mkdir(e->cgroup, 0755), 0);
	enter(e->cgroup);
	return open(e->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void env_leave_cgroup(struct env *e)
{
	if (!e->cgroup[0])
		return;
	enter(e->old_cgroup);
	rmdir(e->cgroup);
	e->cgroup[0] = '\0';
}

int sock_outside(struct env *e, int ns)
{
	int fd;

	enter(e->old_cgroup);
	fd = sock_in(ns, AF_INET, SOCK_STREAM, 0);
	enter(e->cgroup);
	return fd;
}

static int ns_make(const char *what)
{
	char path[64];
	int fd;

	sh("ip netns add wt%d%s && ip -n wt%d%s link set lo up", getpid(), what, getpid(), what);
	snprintf(path, sizeof(path), "/var/run/netns/wt%d%s", getpid(), what);
	fd = netns_open(path);
	assert_true(fd >= 0);
	return fd;
}

static void ns_join(const char *what, int last)
{
	const int p = getpid();

	sh("ip -n wt%dh link add p%s type veth peer name eth0 netns wt%d%s", p, what, p, what);
	sh("ip -n wt%dh link set p%s master br0 up", p, what);
	sh("ip -n wt%d%s addr add 10.9.0.%d/24 dev eth0", p, what, last);
	sh("ip -n wt%d%s addr add fd09::%d/64 dev eth0 nodad", p, what, last);
	sh("ip -n wt%d%s link set eth0 up", p, what);
}

static void net_up(struct env *e)
{
	const int p = getpid();
	const char *const all[] = { "a", "b", "x" };
	const int last[] = { 1, 2, 9 };

	e->home = netns_open("/proc/self/ns/net");
	e->host = ns_make("h");
	e->a = ns_make("a");
	e->b = ns_make("b");
	e->x = ns_make("x");
	sh("ip -n wt%dh link add br0 type bridge && ip -n wt%dh link set br0 up", p, p);
	for (int i = 0; i < 3; i++)
		ns_join(all[i], last[i]);
	assert_int_equal(netns_cookie(e->a, &e->cookie_a), 0);
	assert_int_equal(netns_cookie(e->b, &e->cookie_b), 0);
	setns(e->host, CLONE_NEWNET);
	e->if_a = if_nametoindex("pa");
	setns(e->home, CLONE_NEWNET);
}

static void link_keep(struct env *e, struct bpf_link *link)
{
	assert_non_null(link);
	e->links[e->n_links++] = link;
}

static void programs_up(struct env *e)
{
	_close_ int cgroup = env_enter_cgroup(e);

	e->skel = weft__open();
	assert_non_null(e->skel);
	e->skel->rodata->weft_knobs.same_node_mtls = e->o.same_node_mtls;
	if (e->o.approved)
		bpf_map__set_max_entries(e->skel->maps.weft_approved, e->o.approved);
	if (e->o.origdst)
		bpf_map__set_max_entries(e->skel->maps.weft_origdst, e->o.origdst);
	if (e->o.totals)
		bpf_map__set_max_entries(e->skel->maps.weft_totals, e->o.totals);
	assert_int_equal(weft__load(e->skel), 0);
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_sockops, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_getpeer4, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_getpeer6, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_connect4, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_connect6, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_sendmsg4, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_sendmsg6, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_recvmsg4, cgroup));
	link_keep(e, bpf_program__attach_cgroup(e->skel->progs.weft_recvmsg6, cgroup));
}

__attribute__((format(printf, 2, 0))) static int on_libbpf(enum libbpf_print_level level,
							   const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

static void map_clear(const struct bpf_map *map)
{
	char key[64];

	while (bpf_map_get_next_key(bpf_map__fd(map), NULL, key) == 0)
		if (bpf_map_delete_elem(bpf_map__fd(map), key) < 0)
			break;
}

int env_reset(void **state)
{
	struct env *e = *state;
	const struct weft_pod a = { .workload = WLD_A,
				    .slot = 1,
				    .v4 = addr("10.9.0.1"),
				    .v6 = e->o.plain_a ? (struct weft_addr){ { 0 } }
						       : addr("fd09::1") };
	const struct weft_pod b = {
		.workload = WLD_B, .slot = 2, .v4 = addr("10.9.0.2"), .v6 = addr("fd09::2")
	};
	const struct weft_state one = { .epoch = 1 };
	const uint32_t here = WEFT_WLD_LOCAL | WEFT_WLD_HBONE, zero = 0;

	map_clear(e->skel->maps.weft_verdicts);
	map_clear(e->skel->maps.weft_ranges);
	map_clear(e->skel->maps.weft_services);
	map_clear(e->skel->maps.weft_slots);
	map_clear(e->skel->maps.weft_addrs);
	map_clear(e->skel->maps.weft_listen);
	map_clear(e->skel->maps.weft_dns);
	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_state), &zero, &one, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_pods), &e->cookie_a, &a, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_pods), &e->cookie_b, &b, BPF_ANY);
	mesh_set(e, "10.9.0.1", WLD_A, here);
	mesh_set(e, "fd09::1", WLD_A, here);
	mesh_set(e, "10.9.0.2", WLD_B, here);
	mesh_set(e, "fd09::2", WLD_B, here);
	mesh_set(e, "10.9.0.3", WLD_FAR, WEFT_WLD_HBONE);
	mesh_set(e, "fd09::3", WLD_FAR, WEFT_WLD_HBONE);
	return 0;
}

int env_up(void **state)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	if (*state)
		e->o = *(const struct env_opts *)*state;
	libbpf_set_print(on_libbpf);
	*state = e;
	net_up(e);
	programs_up(e);
	return env_reset(state);
}

int env_down(void **state)
{
	struct env *e = *state;
	const int p = getpid();

	for (size_t i = 0; i < e->n_links; i++)
		bpf_link__destroy(e->links[i]);
	weft__destroy(e->skel);
	env_leave_cgroup(e);
	for (const char *what = "habx"; *what; what++)
		sh("ip netns del wt%d%c", p, *what);
	own_close(&e->home);
	own_close(&e->host);
	own_close(&e->a);
	own_close(&e->b);
	own_close(&e->x);
	free(e);
	return 0;
}

void mesh_set(struct env *e, const char *ip, uint32_t workload, uint32_t flags)
{
	const struct weft_wld w = { .workload = workload, .flags = flags };
	const struct weft_addr a = addr(ip);

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_addrs), &a, &w, BPF_ANY),
			 0);
}

void verdict_set(struct env *e, uint32_t src, uint32_t dst, uint16_t port,
		 enum weft_verdict_kind kind, uint32_t epoch)
{
	const struct weft_verdict_key key = { .src = src, .dst = dst, .port = port };
	const struct weft_verdict v = { .epoch = epoch, .kind = kind };

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_verdicts), &key, &v, BPF_ANY), 0);
}

void service_set(struct env *e, const char *vip, uint16_t port, uint32_t service, uint32_t n_slots)
{
	const struct weft_svc_key key = { .vip = addr(vip), .port = port };
	const struct weft_svc v = { .service = service, .n_slots = n_slots };

	mesh_set(e, vip, 0, WEFT_WLD_SERVICE | WEFT_WLD_VIP);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_services), &key, &v, BPF_ANY), 0);
}

void slot_set(struct env *e, uint32_t service, uint32_t n, const char *ip, uint16_t port)
{
	const struct weft_slot_key key = { .service = service, .n = n };
	const struct weft_slot v = { .ep = ep(ip, port) };

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_slots), &key, &v, BPF_ANY), 0);
}

void listener_set(struct env *e, const char *ip, enum weft_listen_kind kind, int fd)
{
	const struct weft_listen_key key = { .addr = addr(ip), .kind = kind };
	const uint64_t v = (uint64_t)fd;

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_listen), &key, &v, BPF_ANY), 0);
}

uint64_t stat_now(struct env *e, enum weft_stat which)
{
	uint64_t per_cpu[256] = { 0 }, sum = 0;
	const uint32_t i = which;

	assert_true(libbpf_num_possible_cpus() <= 256);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_stats), &i, per_cpu), 0);
	for (size_t c = 0; c < ARRAY_LEN(per_cpu); c++)
		sum += per_cpu[c];
	return sum;
}

struct weft_total total_now(struct env *e, const struct weft_total_key *key)
{
	struct weft_total per_cpu[256] = { 0 }, sum = { 0 };

	if (bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_totals), key, per_cpu) < 0)
		return sum;
	for (size_t c = 0; c < ARRAY_LEN(per_cpu); c++) {
		sum.opened += per_cpu[c].opened;
		sum.closed += per_cpu[c].closed;
		sum.failed += per_cpu[c].failed;
		sum.sent_bytes += per_cpu[c].sent_bytes;
		sum.received_bytes += per_cpu[c].received_bytes;
	}
	return sum;
}

int map_entries(const struct bpf_map *map)
{
	char key[64], *prev = NULL;
	int n = 0;

	for (; bpf_map_get_next_key(bpf_map__fd(map), prev, key) == 0; n++)
		prev = key;
	return n;
}

void expect_entries(const struct bpf_map *map, int n)
{
	int have = -1;

	for (int i = 0; i < 500; i++) {
		have = map_entries(map);
		if (have == n)
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("%s has %d entries, not %d", bpf_map__name(map), have, n);
}
