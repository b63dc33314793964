// SPDX-License-Identifier: Apache-2.0
/*
 * Medians, intervals and ratios of few repetitions. Nothing here assumes a distribution: times
 * on a machine that is shared have long tails, and a mean would follow them. Pure functions.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define COVERAGE 0.9

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of_sorted(const double *v, size_t n)
{
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double stat_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), double_cmp);
	return median_of_sorted(v, n);
}

/* How likely the median is between the k-th smallest (from 0) and the k-th largest of n. */
static double covers(size_t n, size_t k)
{
	double choose = 1, outside = 0;

	for (size_t i = 0; i <= k; i++) {
		outside += choose;
		choose = choose * (double)(n - i) / (double)(i + 1);
	}
	return 1 - 2 * outside / pow(2, (double)n);
}

static size_t interval_from(size_t n)
{
	size_t k = 0;

	while (2 * (k + 1) < n && covers(n, k + 1) >= COVERAGE)
		k++;
	return k;
}

void stat_interval(const double *sorted, size_t n, double *ret_low, double *ret_high)
{
	size_t k = interval_from(n);

	*ret_low = sorted[k];
	*ret_high = sorted[n - 1 - k];
}

double stat_coverage(size_t n)
{
	return n < 2 ? 0 : covers(n, interval_from(n));
}

struct bench_ratio bench_ratio_of(const struct bench_series *a, const struct bench_series *b)
{
	double v[BENCH_REPS_MAX];
	struct bench_ratio r = { .n = 0 };

	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < b->n; k++)
			if (a->rep[i] == b->rep[k] && b->v[k] > 0) {
				v[r.n++] = a->v[i] / b->v[k];
				break;
			}
	if (r.n == 0)
		return r;
	r.median = stat_median(v, r.n);
	stat_interval(v, r.n, &r.low, &r.high);
	return r;
}

void bench_series_sum_up(struct bench_series *s)
{
	double v[BENCH_REPS_MAX];

	if (s->n == 0)
		return;
	memcpy(v, s->v, s->n * sizeof(*v));
	s->median = stat_median(v, s->n);
	s->min = v[0];
	s->max = v[s->n - 1];
	for (size_t i = 0; i < s->n; i++)
		v[i] = fabs(s->v[i] - s->median);
	s->mad = stat_median(v, s->n);
}
