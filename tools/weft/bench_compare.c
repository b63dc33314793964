// SPDX-License-Identifier: Apache-2.0
/*
 * What changed between two runs beyond the noise. A change counts when the ranges of both runs
 * do not touch and the medians are further apart than the spread explains; with a single
 * repetition there is no spread, and only a large change counts.
 */
#include <math.h>
#include <string.h>

#include "base/own.h"
#include "bench.h"
#include "out.h"

#define CHANGE_MIN 0.03    /* of the old median, however small the spread */
#define CHANGE_SMALL 0.005 /* in the value's unit: nothing, whatever the ratio */
#define CHANGE_SINGLE 0.20 /* where there is but one repetition */
#define TAIL 3     /* times more of both for the slowest 1 %, which few events decide */

static const struct column columns[] = {
	{ "FIGURE", 0, 0, 0 },        { "MODE", 0, 0, 0 }, { "OLD", COL_RIGHT, 0, 0 },
	{ "NEW", COL_RIGHT, 0, 0 },   { "UNIT", 0, 0, 0 }, { "CHANGE", COL_RIGHT, 0, 0 },
	{ "NOISE", COL_RIGHT, 0, 0 },
};

/* What the spread of both explains, relative to the old median. */
static double noise_of(const struct bench_series *a, const struct bench_series *b)
{
	double spread = 3 * 1.4826 * (a->mad + b->mad) / 2 / fabs(a->median);

	double tail = strncmp(a->key, "p99", 3) == 0 ? TAIL : 1;

	if (a->n < 2 || b->n < 2)
		return CHANGE_SINGLE * tail;
	return spread > CHANGE_MIN * tail ? spread : CHANGE_MIN * tail;
}

static bool ranges_touch(const struct bench_series *a, const struct bench_series *b)
{
	return a->min <= b->max && b->min <= a->max;
}

/* +1 better, -1 worse, 0 no change that can be told from noise */
static int change_of(const struct bench_series *a, const struct bench_series *b,
		     enum bench_better better)
{
	double change;

	if (a->median == 0 || better == BENCH_NEITHER || ranges_touch(a, b))
		return 0;
	change = b->median / a->median - 1;
	if (fabs(change) < noise_of(a, b) || fabs(b->median - a->median) < CHANGE_SMALL)
		return 0;
	return (change > 0) == (better == BENCH_HIGHER) ? 1 : -1;
}

static void change_row(struct table *t, const struct bench_series *a, const struct bench_series *b,
		       int change)
{
	const struct bench_value *v = bench_value_of(a->key);
	char was[32], is[32];

	table_cell(t, COLOUR_NONE, "%s, %s", bench_test_title(a->test), v->title);
	table_cell(t, COLOUR_NONE, "%s%s%s", a->mode, a->place[0] ? ", " : "",
		   bench_place_title(a->place));
	table_cell(t, COLOUR_NONE, "%s", bench_number(was, a->median));
	table_cell(t, COLOUR_BOLD, "%s", bench_number(is, b->median));
	table_cell(t, COLOUR_NONE, "%s", v->unit);
	table_cell(t, change > 0 ? COLOUR_GREEN : COLOUR_RED, "%+.1f %%",
		   (b->median / a->median - 1) * 100);
	table_cell(t, COLOUR_DIM, "%.1f %%", noise_of(a, b) * 100);
}

static size_t changes_print(const struct bench_run *before, const struct bench_run *after, int want,
			    size_t *ret_compared, FILE *to)
{
	struct table t;
	size_t n = 0;

	*ret_compared = 0;
	table_init(&t, columns, ARRAY_LEN(columns), to);
	bench_for_each(a, before)
	{
		const struct bench_series *b = bench_find(after, a->test, a->key, a->mode, a->place);
		const struct bench_value *v = bench_value_of(a->key);

		if (!b || !bench_headline(a->test, a->key))
			continue;
		++*ret_compared;
		if (change_of(a, b, v->better) != want)
			continue;
		change_row(&t, a, b, want);
		n++;
	}
	if (n > 0) {
		fprintf(to, "%s:\n", want > 0 ? "Better" : "Worse");
		table_print(&t, to, 0);
		fputc('\n', to);
	}
	table_fini(&t);
	return n;
}

static void machines_check(const struct bench_run *a, const struct bench_run *b, FILE *to)
{
	static const char *const numbers[] = { "seconds", "cpus", "quick" };
	static const char *const keys[] = { "cpu", "kernel", "congestion", "version.envoy" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(bench_about(a, keys[i]), bench_about(b, keys[i])) != 0)
			fprintf(to, "Not the same %s: %s and %s\n", keys[i],
				bench_about(a, keys[i]), bench_about(b, keys[i]));
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (bench_about_int(a, numbers[i]) != bench_about_int(b, numbers[i]))
			fprintf(to, "Not the same %s: %ld and %ld\n", numbers[i],
				bench_about_int(a, numbers[i]), bench_about_int(b, numbers[i]));
}

int bench_compare(const struct bench_run *before, const struct bench_run *after, FILE *to)
{
	size_t n = 0, better, worse;

	machines_check(before, after, to);
	worse = changes_print(before, after, -1, &n, to);
	better = changes_print(before, after, 1, &n, to);
	fprintf(to, "%zu figures compared: %zu better, %zu worse, %zu within the noise\n", n,
		better, worse, n - better - worse);
	return worse > 0;
}
