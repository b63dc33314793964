// SPDX-License-Identifier: Apache-2.0
/*
 * What the verifier had to look at, per program, against budget.txt: a program that needs a tenth
 * more than is written there fails, so that growth is a decision and not an accident. Verifiers
 * of other kernels look at other numbers of paths; there the limit is one for all programs.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "h_env.h"

#define TOLERANCE_PERCENT 10
/* Far from the kernel's limit of a million, and more than any program needs anywhere. */
#define OTHER_KERNEL_MAX 20000

static uint32_t insns_of(const struct bpf_program *prog)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	assert_int_equal(bpf_prog_get_info_by_fd(bpf_program__fd(prog), &info, &len), 0);
	return info.verified_insns;
}

/* Is what budget.txt calls "kernel" the head of the running one's version? */
static bool kernel_is(const char *version)
{
	const size_t n = strlen(version);
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	return strncmp(u.release, version, n) == 0 && u.release[n] == '.';
}

/* The number behind the program's name in budget.txt, 0 if there is none. */
static uint32_t budget_of(const char *name)
{
	_fclose_ FILE *f = fopen("selftests/bpf/budget.txt", "re");
	char line[256], word[128], value[64];
	bool same = false;

	if (!f)
		fail_msg("no selftests/bpf/budget.txt; run this from the top of the tree");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%127s %63s", word, value) != 2)
			continue;
		if (strcmp(word, "kernel") == 0)
			same = kernel_is(value);
		if (strcmp(word, name) == 0)
			return same ? (uint32_t)strtoul(value, NULL, 10) : OTHER_KERNEL_MAX;
	}
	return 0;
}

static void no_program_grew_beyond_its_budget(void **state)
{
	struct weft *skel = weft__open_and_load();
	struct bpf_program *prog;
	int over = 0;

	(void)state;
	assert_non_null(skel);
	printf("# %-18s %8s %8s\n", "program", "verified", "budget");
	bpf_object__for_each_program(prog, skel->obj) {
		uint32_t n = insns_of(prog), budget = budget_of(bpf_program__name(prog));
		bool bad = n > budget + budget * TOLERANCE_PERCENT / 100;

		printf("# %-18s %8u %8u%s\n", bpf_program__name(prog), n, budget,
		       bad ? budget ? "  too large" : "  not in budget.txt" : "");
		over += bad;
	}
	weft__destroy(skel);
	assert_int_equal(over, 0);
}

int main(void)
{
	const struct CMUnitTest all[] = { cmocka_unit_test(no_program_grew_beyond_its_budget) };

	return cmocka_run_group_tests(all, NULL, NULL);
}
