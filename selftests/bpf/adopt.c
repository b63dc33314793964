// SPDX-License-Identifier: Apache-2.0
/* kern_open() again and again over the same pins, as a daemon that is replaced does: what is in
 * the maps stays, links stay where they hang, programs are new. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/errbuf.h"
#include "h_env.h"
#include "io/netns.h"
#include "kern/priv.h"

static void pin_dir(char *buf, size_t n)
{
	snprintf(buf, n, "/sys/fs/bpf/weft-test-%d", getpid());
}

/* addrs: what weft_addrs is to have room for, 0 as usual */
static int kern_try(const struct env *e, uint32_t addrs, struct errbuf *err, struct kern **ret)
{
	char dir[64];
	const struct kern_opts o = { .pin_dir = dir, .cgroup = e->cgroup, .addrs_max = addrs };

	pin_dir(dir, sizeof(dir));
	return kern_open(&o, err, ret);
}

static struct kern *kern_up_sized(const struct env *e, uint32_t addrs)
{
	struct errbuf err = { 0 };
	struct kern *k;

	if (kern_try(e, addrs, &err, &k) < 0)
		fail_msg("%s", err.text);
	return k;
}

static struct kern *kern_up(const struct env *e)
{
	return kern_up_sized(e, 0);
}

#define LINKS_MAX 16

struct links {
	size_t n;
	uint32_t link[LINKS_MAX], prog[LINKS_MAX];
};

static struct links links_of(struct kern *k)
{
	struct links all = { 0 };

	vec_for_each(l, &k->links) {
		struct bpf_link_info info = { 0 };
		__u32 len = sizeof(info);

		assert_true(all.n < LINKS_MAX);
		assert_int_equal(bpf_link_get_info_by_fd(bpf_link__fd(l->link), &info, &len), 0);
		all.link[all.n] = info.id;
		all.prog[all.n++] = info.prog_id;
	}
	return all;
}

static int pins(void)
{
	char dir[64], path[80];
	struct dirent *d;
	DIR *folder;
	int n = 0;

	pin_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/v%d", dir, WEFT_ABI_VERSION);
	folder = opendir(path);
	assert_non_null(folder);
	while ((d = readdir(folder)))
		n += d->d_name[0] != '.';
	closedir(folder);
	return n;
}

static int setup(void **state)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	close(env_enter_cgroup(e));
	*state = e;
	return 0;
}

static int teardown(void **state)
{
	struct env *e = *state;
	char dir[64];

	pin_dir(dir, sizeof(dir));
	assert_int_equal(kern_unpin_all(dir), 0);
	env_leave_cgroup(e);
	free(e);
	return 0;
}

static void maps_keep_what_they_hold(void **state)
{
	const struct weft_addr a = addr("10.0.0.1");
	const struct weft_wld w = { .workload = 7, .flags = WEFT_WLD_HBONE };
	const struct weft_pod pod = { .workload = 7, .slot = 3, .v4 = a };
	const struct weft_total_key key = { .src = 7, .path = WEFT_PATH_DIRECT };
	struct weft_total per_cpu[256] = { { .opened = 5 } };
	struct weft_wld got;
	struct kern *k = kern_up(*state);
	uint64_t cookie = 4711;
	uint32_t epoch;

	assert_int_equal(kern_addr_set(k, &a, &w), 0);
	assert_int_equal(kern_pod_set(k, cookie, &pod), 0);
	assert_int_equal(kern_verdict_set_any(k, 7, 8, 80, true), 0);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(k->skel->maps.weft_totals), &key, per_cpu, BPF_ANY),
		0);
	kern_epoch_bump(k);
	epoch = kern_epoch_any(k);
	kern_close(&k);

	k = kern_up(*state);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(k->skel->maps.weft_addrs), &a, &got), 0);
	assert_memory_equal(&got, &w, sizeof(w));
	assert_int_equal(map_entries(k->skel->maps.weft_pods), 1);
	assert_int_equal(map_entries(k->skel->maps.weft_verdicts), 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(k->skel->maps.weft_totals), &key, per_cpu),
			 0);
	assert_int_equal(per_cpu[0].opened, 5);
	assert_int_equal(kern_epoch_any(k), epoch);
	kern_close(&k);
}

static void links_stay_and_programs_are_new(void **state)
{
	struct kern *k = kern_up(*state);
	const struct links first = links_of(k);
	struct links again;
	int n = pins();

	assert_int_equal(first.n, 9);
	kern_close(&k);
	for (int i = 0; i < 5; i++) {
		k = kern_up(*state);
		again = links_of(k);
		assert_int_equal(again.n, first.n);
		for (size_t j = 0; j < first.n; j++) {
			assert_int_equal(again.link[j], first.link[j]);
			assert_int_not_equal(again.prog[j], first.prog[j]);
		}
		assert_int_equal(pins(), n);
		kern_close(&k);
	}
}

/* Without a daemon the hooks still hold: an enrolled sender with nobody to serve it is refused. */
static void the_hooks_hold_while_there_is_no_daemon(void **state)
{
	struct kern *k = kern_up(*state);
	const struct weft_addr far = addr("192.0.2.1");
	const struct weft_wld w = { .workload = 7, .flags = WEFT_WLD_HBONE };
	const struct weft_pod pod = { .workload = 6, .slot = 1, .v4 = addr("127.0.0.2") };
	int home = netns_open("/proc/self/ns/net");
	uint64_t cookie;

	assert_int_equal(netns_cookie(home, &cookie), 0);
	assert_int_equal(kern_addr_set(k, &far, &w), 0);
	assert_int_equal(kern_pod_set(k, cookie, &pod), 0);
	kern_close(&k);
	assert_int_equal(dial(home, "192.0.2.1", 80), -ECONNREFUSED);
	k = kern_up(*state);
	kern_pod_del(k, cookie);
	kern_close(&k);
	close(home);
}

static void fill_addrs(struct kern *k, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++) {
		const struct weft_addr a = { .b = { [12] = 10, (uint8_t)(i >> 8), (uint8_t)i, 1 } };
		const struct weft_wld w = { .workload = i };

		assert_int_equal(kern_addr_set(k, &a, &w), 0);
	}
}

static uint32_t size_of(const struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	assert_int_equal(bpf_map_get_info_by_fd(bpf_map__fd(map), &info, &len), 0);
	return info.max_entries;
}

/* What is in them goes along, hooks stay where they are, and the programs go by the new tables. */
static void tables_change_their_size_and_nothing_else(void **state)
{
	struct kern *k = kern_up_sized(*state, 2048);
	const struct links first = links_of(k);
	const struct weft_svc_key key = { .vip = addr("192.0.2.9"), .port = 80 };
	const struct weft_svc svc = { .service = 4, .n_slots = 1 };
	const struct weft_slot_key slot_key = { .service = 4 };
	const struct weft_slot slot = { .ep = { .addr = addr("192.0.2.1"), .port = 8080 } };
	const struct weft_addr far = addr("192.0.2.1");
	const struct weft_wld w = { .workload = 7, .flags = WEFT_WLD_HBONE };
	const struct weft_pod pod = { .workload = 6, .slot = 1, .v4 = addr("127.0.0.2") };
	int home = netns_open("/proc/self/ns/net"), n = pins();
	struct links now;
	uint64_t cookie;

	assert_int_equal(size_of(k->skel->maps.weft_services), 512);
	fill_addrs(k, 2048);
	assert_int_equal(kern_addr_set(k, &far, &w), -E2BIG);
	assert_int_equal(kern_service_set(k, &key, &svc), 0);
	assert_int_equal(kern_slot_set(k, &slot_key, &slot), 0);
	assert_int_equal(netns_cookie(home, &cookie), 0);
	assert_int_equal(kern_pod_set(k, cookie, &pod), 0);
	kern_close(&k);

	k = kern_up_sized(*state, 5000);
	assert_int_equal(size_of(k->skel->maps.weft_addrs), 5000);
	assert_int_equal(map_entries(k->skel->maps.weft_addrs), 2048);
	assert_int_equal(map_entries(k->skel->maps.weft_services), 1);
	assert_int_equal(map_entries(k->skel->maps.weft_slots), 1);
	assert_int_equal(map_entries(k->skel->maps.weft_pods), 1);
	now = links_of(k);
	for (size_t i = 0; i < first.n; i++)
		assert_int_equal(now.link[i], first.link[i]);
	assert_int_equal(pins(), n);
	assert_int_equal(kern_addr_set(k, &far, &w), 0);
	kern_close(&k);
	/* no relay is there: the hook that refuses knows the address from the new table */
	assert_int_equal(dial(home, "192.0.2.1", 80), -ECONNREFUSED);
	k = kern_up_sized(*state, 5000);
	assert_int_equal(map_entries(k->skel->maps.weft_addrs), 2049);
	kern_pod_del(k, cookie);
	kern_close(&k);
	close(home);
}

/* Some of them without the others would be open: better no daemon, and the hooks as they were. */
static void tables_too_small_for_what_is_in_them_are_refused(void **state)
{
	struct kern *k = kern_up_sized(*state, 4096);
	struct errbuf err = { 0 };
	int n = pins();

	fill_addrs(k, 3000);
	kern_close(&k);
	assert_int_equal(kern_try(*state, 2048, &err, &k), -E2BIG);
	assert_non_null(strstr(err.text, "mesh_addresses"));
	assert_int_equal(pins(), n);
	k = kern_up_sized(*state, 4096);
	assert_int_equal(map_entries(k->skel->maps.weft_addrs), 3000);
	kern_close(&k);
}

/* Pins of a build whose maps looked different cannot be adopted; they are replaced. */
static void pins_that_do_not_fit_are_replaced(void **state)
{
	struct kern *k = kern_up(*state);
	char dir[64], path[128];
	int fd;

	kern_close(&k);
	pin_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/v%d/weft_pods", dir, WEFT_ABI_VERSION);
	unlink(path);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 4, 1, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	k = kern_up(*state);
	assert_int_equal(links_of(k).n, 9);
	assert_int_equal(map_entries(k->skel->maps.weft_pods), 0);
	kern_close(&k);
}

static void nothing_is_left_after_unpinning(void **state)
{
	struct env *e = *state;
	struct kern *k = kern_up(e);
	char dir[64];

	kern_close(&k);
	pin_dir(dir, sizeof(dir));
	assert_int_equal(kern_unpin_all(dir), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest all[] = {
		T(maps_keep_what_they_hold),
		T(links_stay_and_programs_are_new),
		T(the_hooks_hold_while_there_is_no_daemon),
		T(tables_change_their_size_and_nothing_else),
		T(tables_too_small_for_what_is_in_them_are_refused),
		T(pins_that_do_not_fit_are_replaced),
		T(nothing_is_left_after_unpinning),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
