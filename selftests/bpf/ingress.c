// SPDX-License-Identifier: Apache-2.0
/*
 * How guards hang on a device: links on tcx, and filters of clsact for kernels without it. A filter
 * belongs to nobody, so what a daemon that died has left must be found again, replaced without a
 * gap and taken off, and filters of others must stay. And what the probes say of this kernel.
 */
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "h_stage.h"
#include "kern/probe.h"
#include "skip.h"

static void need_tc(struct stage *s)
{
	if (kern_tc_attach(bpf_program__fd(s->e->skel->progs.weft_guard), s->e->if_a) < 0)
		skip_because("the kernel has no tc filters (CONFIG_NET_CLS_BPF)");
	kern_tc_detach(s->e->if_a);
}

/* Program of the filter with this handle at priority 1, 0 if there is none. */
static uint32_t filter_prog(struct stage *s, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)s->e->if_a,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = 1);

	return bpf_tc_query(&hook, &opts) == 0 ? opts.prog_id : 0;
}

static void foreign_put(struct stage *s, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)s->e->if_a,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = 1,
		    .prog_fd = bpf_program__fd(s->e->skel->progs.weft_uplink_tcx));

	bpf_tc_hook_create(&hook);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

#define OURS 0x77656674u

/* A daemon that dies leaves its list of links, not its pins and filters. */
static void forget(struct kern *k)
{
	vec_for_each(l, &k->links) {
		bpf_link__destroy(l->link);
		free(l->path);
	}
	vec_fini(&k->links);
}

static void a_filter_is_found_again_and_replaced(void **state)
{
	struct stage *s = *state;
	const struct weft_veth v = { .v4 = addr("10.9.0.1") };
	uint32_t first;

	need_tc(s);
	foreign_put(s, 1);
	assert_int_equal(kern_guard_attach(&s->k, s->e->if_a, &v), 0);
	assert_int_equal(kern_guard_attach(&s->k, s->e->if_a, &v), 0);
	first = filter_prog(s, OURS);
	assert_int_not_equal(first, 0);
	forget(&s->k);
	assert_int_equal(filter_prog(s, OURS), first);
	/* Another program stands for that of a newer daemon. */
	assert_int_equal(kern_tc_ensure(&s->k, s->e->skel->progs.weft_uplink_tcx, "guard",
					s->e->if_a), 0);
	assert_int_not_equal(filter_prog(s, OURS), first);
	kern_guard_detach(&s->k, s->e->if_a);
	assert_int_equal(filter_prog(s, OURS), 0);
	assert_int_not_equal(filter_prog(s, 1), 0);
	assert_int_equal(s->k.links.n, 0);
}

static void what_a_dead_daemon_left_is_swept(void **state)
{
	struct stage *s = *state;
	const struct weft_veth v = { .v4 = addr("10.9.0.1") };

	need_tc(s);
	assert_int_equal(kern_guard_attach(&s->k, s->e->if_a, &v), 0);
	forget(&s->k);
	kern_pod_links_sweep(&s->k);
	assert_int_equal(filter_prog(s, OURS), 0);
	assert_int_equal(map_entries(s->e->skel->maps.weft_veths), 0);
}

static void unpinning_takes_filters_off(void **state)
{
	struct stage *s = *state;
	const struct weft_veth v = { .v4 = addr("10.9.0.1") };

	need_tc(s);
	assert_int_equal(kern_guard_attach(&s->k, s->e->if_a, &v), 0);
	forget(&s->k);
	assert_int_equal(kern_unpin_all(s->dir), 0);
	assert_int_equal(filter_prog(s, OURS), 0);
	assert_int_equal(mkdir(s->dir, 0700), 0);
}

static void a_guard_of_another_uplink_leaves_with_the_next_start(void **state)
{
	struct stage *s = *state;
	struct errbuf err = { 0 };
	char name[IF_NAMESIZE];

	s->k.has_tcx = probe_tcx(bpf_program__fd(s->e->skel->progs.weft_guard));
	assert_int_equal(kern_uplink_attach(&s->k, "lo", UPLINK_TCX, &err), 0);
	assert_string_equal(kern_uplink_text(&s->k), s->k.has_tcx ? "tcx" : "tc");
	forget(&s->k);
	assert_int_equal(kern_uplink_attach(&s->k, if_indextoname(s->e->if_a, name), UPLINK_TCX,
					    &err), 0);
	assert_int_equal(s->k.links.n, 1);
	forget(&s->k);
	assert_int_equal(kern_uplink_attach(&s->k, "", UPLINK_OFF, &err), 0);
	assert_int_equal(rmdir(s->dir), 0);
	assert_int_equal(mkdir(s->dir, 0700), 0);
}

struct seen {
	size_t n;
	char names[32][24];
};

static void on_row(void *arg, const struct probe_row *row)
{
	struct seen *s = arg;

	printf("# %-14s %d %s\n", row->name, row->state, row->text);
	assert_true(s->n < ARRAY_LEN(s->names));
	for (size_t i = 0; i < s->n; i++)
		assert_string_not_equal(s->names[i], row->name);
	assert_int_not_equal(row->state, PROBE_MISSING);
	memcpy(s->names[s->n++], row->name, sizeof(row->name));
}

static void this_kernel_can_carry_the_mesh(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_int_equal(probe_all(on_row, &s), 0);
	assert_true(s.n >= 10);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(a_filter_is_found_again_and_replaced),
		cmocka_unit_test(what_a_dead_daemon_left_is_swept),
		cmocka_unit_test(unpinning_takes_filters_off),
		cmocka_unit_test(a_guard_of_another_uplink_leaves_with_the_next_start),
	};
	const struct CMUnitTest probes[] = {
		cmocka_unit_test(this_kernel_can_carry_the_mesh),
	};
	int r = cmocka_run_group_tests(all, stage_up, stage_down);

	return r + cmocka_run_group_tests(probes, NULL, NULL);
}
