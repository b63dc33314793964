// SPDX-License-Identifier: Apache-2.0
/* The benchmark's arithmetic: medians, intervals, ratios within a repetition, verdicts, times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "load.h"

static bool is_near(double a, double b)
{
	return a > b - 1e-9 && a < b + 1e-9;
}

static struct bench_series series_of(const double *v, const int *rep, size_t n)
{
	struct bench_series s = { .n = n };

	for (size_t i = 0; i < n; i++) {
		s.v[i] = v[i];
		s.rep[i] = rep ? rep[i] : (int)i + 1;
	}
	return s;
}

static void a_median_is_the_middle_or_between_the_two_middles(void **state)
{
	double one[] = { 7 }, two[] = { 9, 1 }, three[] = { 5, 100, 1 };

	(void)state;
	assert_true(is_near(stat_median(one, 1), 7));
	assert_true(is_near(stat_median(two, 2), 5));
	assert_true(is_near(stat_median(three, 3), 5));
}

static void an_interval_is_the_extremes_until_there_are_enough_values(void **state)
{
	double v[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 }, low, high;

	(void)state;
	stat_interval(v, 5, &low, &high);
	assert_true(is_near(low, 1) && is_near(high, 5));
	assert_true(is_near(stat_coverage(5), 0.9375));
	stat_interval(v, 9, &low, &high);
	assert_true(is_near(low, 2) && is_near(high, 8));
	assert_true(is_near(stat_coverage(9), 1 - 20.0 / 512));
	stat_interval(v, 1, &low, &high);
	assert_true(is_near(low, 1) && is_near(high, 1));
	assert_true(is_near(stat_coverage(1), 0));
	assert_true(is_near(stat_coverage(2), 0.5));
}

/* The machine gets slower from one repetition to the next, and the ratio does not notice. */
static void a_ratio_is_found_within_each_repetition(void **state)
{
	const double fast[] = { 40, 20, 10, 5 }, slow[] = { 20, 10, 5, 2.5 };
	struct bench_series a = series_of(fast, NULL, 4), b = series_of(slow, NULL, 4);
	struct bench_ratio r = bench_ratio_of(&a, &b);

	(void)state;
	assert_int_equal(r.n, 4);
	assert_true(is_near(r.median, 2) && is_near(r.low, 2) && is_near(r.high, 2));
}

static void a_repetition_that_one_side_lacks_is_left_out(void **state)
{
	const double x[] = { 10, 30 }, y[] = { 5, 1, 10, 0 };
	const int xr[] = { 1, 3 }, yr[] = { 1, 2, 3, 4 };
	struct bench_series a = series_of(x, xr, 2), b = series_of(y, yr, 4);
	struct bench_ratio r = bench_ratio_of(&a, &b), none;

	(void)state;
	assert_int_equal(r.n, 2);
	assert_true(is_near(r.low, 2) && is_near(r.high, 3) && is_near(r.median, 2.5));
	b.n = 0;
	none = bench_ratio_of(&a, &b);
	assert_int_equal(none.n, 0);
}

static void nothing_is_divided_by_zero(void **state)
{
	const double x[] = { 10, 30 }, y[] = { 0, 10 };
	struct bench_series a = series_of(x, NULL, 2), b = series_of(y, NULL, 2);
	struct bench_ratio r = bench_ratio_of(&a, &b);

	(void)state;
	assert_int_equal(r.n, 1);
	assert_true(is_near(r.median, 3));
}

static void an_aim_is_met_only_when_all_of_the_interval_is(void **state)
{
	struct bench_ratio r = { .median = 2.1, .low = 2.0, .high = 2.2, .n = 5 };

	(void)state;
	assert_int_equal(bench_verdict_of(&r, 2.0, false), AIM_MET);
	assert_int_equal(bench_verdict_of(&r, 2.05, false), AIM_MET_MAYBE);
	assert_int_equal(bench_verdict_of(&r, 2.15, false), AIM_MISSED_MAYBE);
	assert_int_equal(bench_verdict_of(&r, 2.3, false), AIM_MISSED);
	assert_int_equal(bench_verdict_of(&r, 2.2, true), AIM_MET);
	assert_int_equal(bench_verdict_of(&r, 2.15, true), AIM_MET_MAYBE);
	assert_int_equal(bench_verdict_of(&r, 2.05, true), AIM_MISSED_MAYBE);
	assert_int_equal(bench_verdict_of(&r, 1.9, true), AIM_MISSED);
}

static void one_repetition_makes_nothing_certain(void **state)
{
	struct bench_ratio r = { .median = 9, .low = 9, .high = 9, .n = 1 };

	(void)state;
	assert_int_equal(bench_verdict_of(&r, 2.0, false), AIM_MET_MAYBE);
	assert_int_equal(bench_verdict_of(&r, 2.0, true), AIM_MISSED_MAYBE);
	r.n = 0;
	assert_int_equal(bench_verdict_of(&r, 2.0, false), AIM_NOT_MEASURED);
}

static void every_aim_has_a_verdict_even_of_an_empty_run(void **state)
{
	const struct bench_run run = { 0 };
	struct bench_result all[BENCH_AIMS_MAX];
	size_t n = bench_aims(&run, all);

	(void)state;
	assert_in_range(n, 20, BENCH_AIMS_MAX);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all[i].verdict, AIM_NOT_MEASURED);
}

static void quantiles_are_exact_to_one_per_cent(void **state)
{
	struct hist *h = calloc(1, sizeof(*h));

	(void)state;
	assert_non_null(h);
	for (uint64_t us = 1; us <= 100000; us++)
		hist_add(h, us * 1000);
	for (int percent = 1; percent < 100; percent++) {
		double want = percent * 1e6, got = (double)hist_at(h, percent / 100.0);

		assert_true(got > want * 0.99 && got < want * 1.01);
	}
	assert_int_equal(h->max, 100000000);
	assert_int_equal(h->n, 100000);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_median_is_the_middle_or_between_the_two_middles),
		cmocka_unit_test(an_interval_is_the_extremes_until_there_are_enough_values),
		cmocka_unit_test(a_ratio_is_found_within_each_repetition),
		cmocka_unit_test(a_repetition_that_one_side_lacks_is_left_out),
		cmocka_unit_test(nothing_is_divided_by_zero),
		cmocka_unit_test(an_aim_is_met_only_when_all_of_the_interval_is),
		cmocka_unit_test(one_repetition_makes_nothing_certain),
		cmocka_unit_test(every_aim_has_a_verdict_even_of_an_empty_run),
		cmocka_unit_test(quantiles_are_exact_to_one_per_cent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
