// SPDX-License-Identifier: Apache-2.0
/* What the benchmark makes of the lines of a run: series, aims, what is missing, what changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "bench.h"

struct files {
	char dir[32], raw[64], out[64];
};

static int setup(void **state)
{
	struct files *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/weft-br-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->raw, sizeof(f->raw), "%s/raw.jsonl", f->dir);
	snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct files *f = *state;
	char path[64];

	unlink(f->raw);
	unlink(f->out);
	snprintf(path, sizeof(path), "%s/results.json", f->dir);
	unlink(path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void add(const struct files *f, const char *line)
{
	_fclose_ FILE *to = fopen(f->raw, "ae");

	assert_non_null(to);
	assert_true(fprintf(to, "%s\n", line) > 0);
}

static void add_value(const struct files *f, const char *test, const char *mode, const char *place,
		      int rep, const char *key, double v)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "{\"test\":\"%s\",\"mode\":\"%s\",\"place\":\"%s\",\"rep\":%d,\"values\":{\"%s\":%g}}",
		 test, mode, place, rep, key, v);
	add(f, line);
}

static struct bench_run load(const struct files *f, const char *path)
{
	struct bench_run run = { 0 };
	struct errbuf err = { 0 };

	if (bench_load(path ? path : f->dir, &err, &run) < 0)
		fail_msg("%s", err.text);
	return run;
}

/* All that was printed, to be freed. */
static char *printed(const struct bench_run *run)
{
	char *text = NULL;
	size_t n;
	FILE *to = open_memstream(&text, &n);

	bench_print(run, false, to);
	fclose(to);
	return text;
}

static void what_failed_and_what_is_short_of_repetitions_is_named(void **state)
{
	const struct files *f = *state;
	struct bench_run run;

	add(f, "{\"kind\":\"run\",\"reps\":3,\"mem_reps\":1,\"modes\":\"plain sidecar\"}");
	for (int rep = 1; rep <= 3; rep++)
		add_value(f, "rtt-1", "plain", "same", rep, "p50_us", 80);
	add_value(f, "rtt-1", "sidecar", "same", 1, "p50_us", 200);
	add_value(f, "crowd", "sidecar", "cross", 1, "mb_crowd", 400);
	add(f, "{\"kind\":\"lost\",\"test\":\"bulk-1\",\"mode\":\"sidecar\",\"place\":\"cross\","
	       "\"rep\":1,\"why\":\"cannot start: no Envoy\"}");
	add(f, "{\"kind\":\"lost\",\"test\":\"bulk-1\",\"mode\":\"sidecar\",\"place\":\"cross\","
	       "\"rep\":2,\"why\":\"cannot start: no Envoy\"}");
	run = load(f, NULL);
	assert_int_equal(run.lost.n, 2);
	assert_string_equal(run.lost.p[0].why, "cannot start: no Envoy");
	assert_int_equal(run.lost.p[0].n, 2);
	assert_string_equal(run.lost.p[1].test, "rtt-1");
	assert_int_equal(run.lost.p[1].n, 2);
	_free_ char *text = printed(&run);

	assert_non_null(strstr(text, "MISSING"));
	assert_non_null(strstr(text, "bulk-1 sidecar, between nodes: cannot start: no Envoy"));
	bench_fini(&run);
}

static const struct bench_result *result(const struct bench_result *all, size_t n, const char *title)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].aim->title, title) == 0)
			return &all[i];
	fail_msg("no aim: %s", title);
	return NULL;
}

/* 80 Gbit/s for each side are 0.2 s/GB on top of the relay's one second. */
static void the_relay_is_charged_with_the_encryption_that_it_does_not_do(void **state)
{
	const struct files *f = *state;
	struct bench_result all[BENCH_AIMS_MAX];
	const struct bench_result *one;
	struct bench_run run;

	add(f, "{\"kind\":\"run\",\"reps\":2,\"mem_reps\":2}");
	for (int rep = 1; rep <= 2; rep++) {
		add_value(f, "bulk-16", "relay", "cross", rep, "cpu_s_per_gb", 1.0);
		add_value(f, "bulk-16", "hbone", "cross", rep, "cpu_s_per_gb", 1.2);
		add_value(f, "limits", "core", "", rep, "seal_gbit_s", 80);
		add_value(f, "limits", "core", "", rep, "open_gbit_s", 80);
		add_value(f, "crowd", "hbone", "cross", rep, "mb_crowd", 10);
		add_value(f, "crowd", "hbone", "cross", rep, "map_mb_crowd", 30);
		add_value(f, "crowd", "sidecar", "cross", rep, "mb_crowd", 400);
	}
	run = load(f, NULL);
	bench_aims(&run, all);
	one = result(all, bench_aims(&run, all), "CPU per GB, 16 streams; AEAD added to the relay");
	assert_int_equal((int)(one->ratio.median * 1000 + 0.5), 1000);
	assert_int_equal(one->verdict, AIM_MET);
	one = result(all, bench_aims(&run, all), "memory: 2 nodes, 20 pods, 1,000 connections");
	assert_int_equal((int)(one->ratio.median * 1000 + 0.5), 25);
	one = result(all, bench_aims(&run, all), "the same, the kernel's BPF maps included");
	assert_int_equal((int)(one->ratio.median * 1000 + 0.5), 100);
	assert_int_equal(one->verdict, AIM_MISSED);
	bench_fini(&run);
}

static void results_read_back_are_the_same_run(void **state)
{
	const struct files *f = *state;
	struct bench_run run, again;
	char path[64];

	add(f, "{\"kind\":\"run\",\"reps\":2,\"mem_reps\":2,\"modes\":\"plain hbone\"}");
	add_value(f, "rtt-1", "plain", "cross", 1, "p50_us", 80);
	add_value(f, "rtt-1", "hbone", "cross", 2, "p50_us", 160);
	add_value(f, "rtt-1", "plain", "cross", 2, "p50_us", 100);
	add(f, "{\"kind\":\"lost\",\"test\":\"rtt-1\",\"mode\":\"hbone\",\"place\":\"cross\",\"rep\":1,"
	       "\"why\":\"connection reset\"}");
	run = load(f, NULL);
	snprintf(path, sizeof(path), "%s/results.json", f->dir);
	assert_int_equal(bench_write_json(&run, path), 0);
	again = load(f, path);
	assert_int_equal(again.series.n, run.series.n);
	assert_int_equal(again.lost.n, 1);
	/* Paired by the number of the repetition, not by place in the list. */
	for (size_t i = 0; i < run.series.n; i++) {
		assert_memory_equal(&run.series.p[i].to_plain, &again.series.p[i].to_plain,
				    sizeof(struct bench_ratio));
		if (strcmp(run.series.p[i].mode, "hbone") == 0)
			assert_int_equal((int)(again.series.p[i].to_plain.median * 10 + 0.5), 16);
	}
	bench_fini(&run);
	bench_fini(&again);
}

static void a_run_in_parts_has_the_modes_and_figures_of_all(void **state)
{
	const struct files *f = *state;
	struct bench_run run;

	add(f, "{\"kind\":\"run\",\"reps\":1,\"modes\":\"plain hbone\",\"figures\":\"rtt-1\"}");
	add_value(f, "rtt-1", "plain", "cross", 1, "p50_us", 80);
	add(f, "{\"kind\":\"run\",\"reps\":1,\"modes\":\"hbone sidecar\",\"figures\":\"rtt-1k\"}");
	run = load(f, NULL);
	assert_string_equal(bench_about(&run, "modes"), "hbone sidecar plain");
	assert_string_equal(bench_about(&run, "figures"), "rtt-1k rtt-1");
	bench_fini(&run);
}

static void a_broken_line_is_an_error_that_names_it(void **state)
{
	const struct files *f = *state;
	struct bench_run run = { 0 };
	struct errbuf err = { 0 };

	add(f, "{\"kind\":\"run\"}");
	add(f, "{\"test\":\"rtt-1\",");
	assert_int_equal(bench_load(f->dir, &err, &run), -EINVAL);
	assert_non_null(strstr(err.text, "raw.jsonl:2: "));
}

static void a_page_has_no_markup_of_names_and_reasons(void **state)
{
	const struct files *f = *state;
	struct bench_run run;
	_free_ char *page = calloc(1, 1 << 20);
	_fclose_ FILE *from = NULL;

	add(f, "{\"kind\":\"run\",\"reps\":1,\"modes\":\"x\",\"mode.x\":\"<script>1</script>\"}");
	add_value(f, "conn-1", "x", "same", 1, "per_s", 80);
	add(f, "{\"kind\":\"lost\",\"test\":\"rtt-1\",\"mode\":\"x\",\"place\":\"same\",\"rep\":1,"
	       "\"why\":\"<script>2</script>\"}");
	run = load(f, NULL);
	assert_int_equal(bench_write_html(&run, f->out), 0);
	from = fopen(f->out, "re");
	assert_non_null(from);
	assert_true(fread(page, 1, (1 << 20) - 1, from) > 1000);
	assert_null(strstr(page, "<script"));
	assert_non_null(strstr(page, "&lt;script&gt;2"));
	bench_fini(&run);
}

/* Three repetitions each. */
static int compared(struct files *f, const double was[3], const double is[3])
{
	struct bench_run a, b;
	FILE *nowhere = fopen("/dev/null", "we");
	int r;

	unlink(f->raw);
	add(f, "{\"kind\":\"run\",\"reps\":3}");
	for (int i = 0; i < 3; i++)
		add_value(f, "conn-1", "hbone", "cross", i + 1, "per_s", was[i]);
	a = load(f, NULL);
	unlink(f->raw);
	add(f, "{\"kind\":\"run\",\"reps\":3}");
	for (int i = 0; i < 3; i++)
		add_value(f, "conn-1", "hbone", "cross", i + 1, "per_s", is[i]);
	b = load(f, NULL);
	r = bench_compare(&a, &b, nowhere);
	fclose(nowhere);
	bench_fini(&a);
	bench_fini(&b);
	return r;
}

static void a_change_within_the_noise_is_none(void **state)
{
	struct files *f = *state;

	assert_int_equal(compared(f, (double[]){ 100, 101, 99 }, (double[]){ 80, 81, 79 }), 1);
	assert_int_equal(compared(f, (double[]){ 100, 120, 80 }, (double[]){ 80, 81, 79 }), 0);
	assert_int_equal(compared(f, (double[]){ 100, 101, 99 }, (double[]){ 98, 98.5, 97.9 }), 0);
	assert_int_equal(compared(f, (double[]){ 100, 101, 99 }, (double[]){ 130, 131, 129 }), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_failed_and_what_is_short_of_repetitions_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_relay_is_charged_with_the_encryption_that_it_does_not_do, setup, teardown),
		cmocka_unit_test_setup_teardown(results_read_back_are_the_same_run, setup, teardown),
		cmocka_unit_test_setup_teardown(a_run_in_parts_has_the_modes_and_figures_of_all,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_broken_line_is_an_error_that_names_it, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_page_has_no_markup_of_names_and_reasons, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_change_within_the_noise_is_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
