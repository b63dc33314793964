// SPDX-License-Identifier: Apache-2.0
/* The results on a terminal: for each test and place the modes, with ratios. */
#include <string.h>

#include "base/own.h"
#include "bench.h"
#include "out.h"

static const struct column columns[] = {
	{ "FIGURE", 0, 0, 0 },           { "MODE", 0, 0, 0 },
	{ "MEDIAN", COL_RIGHT, 0, 0 },   { "MIN", COL_RIGHT, 90, 0 },
	{ "MAX", COL_RIGHT, 90, 0 },     { "UNIT", 0, 0, 0 },
	{ "TO PLAIN", COL_RIGHT, 0, 0 }, { "TO SIDECAR", COL_RIGHT, 0, 0 },
};

static enum colour ratio_colour(const struct bench_value *v, double ratio)
{
	if (ratio == 0 || v->better == BENCH_NEITHER || (ratio > 0.95 && ratio < 1.05))
		return COLOUR_NONE;
	return (ratio > 1) == (v->better == BENCH_HIGHER) ? COLOUR_GREEN : COLOUR_RED;
}

static void ratio_cell(struct table *t, const struct bench_value *v, const struct bench_ratio *r,
		       bool itself)
{
	double ratio = r->median;

	if (ratio < 0.005 || itself)
		table_cell(t, COLOUR_DIM, "%s", "");
	else
		table_cell(t, ratio_colour(v, ratio), "%.2f x", ratio);
}

static void series_row(struct table *t, const struct bench_series *s, bool first)
{
	const struct bench_value *v = bench_value_of(s->key);
	char buf[32];

	table_cell(t, COLOUR_NONE, "%s", first ? v->title : " ");
	table_cell(t, COLOUR_NONE, "%s", s->mode);
	table_cell(t, COLOUR_BOLD, "%s", bench_number(buf, s->median));
	table_cell(t, COLOUR_DIM, "%s", bench_number(buf, s->min));
	table_cell(t, COLOUR_DIM, "%s", bench_number(buf, s->max));
	table_cell(t, COLOUR_NONE, "%s", v->unit);
	ratio_cell(t, v, &s->to_plain, strcmp(s->mode, "plain") == 0);
	ratio_cell(t, v, &s->to_sidecar, strcmp(s->mode, "sidecar") == 0);
}

/* The values of one test in one place, as a table of its own. */
static void group_print(const struct bench_run *run, const char *test, const char *place, bool all,
			FILE *to)
{
	bool colours = to == stdout && out_has_colours();
	const char *key = "";
	struct table t;

	table_init(&t, columns, ARRAY_LEN(columns), to);
	bench_for_each(s, run)
	{
		if (strcmp(s->test, test) != 0 || strcmp(s->place, place) != 0 ||
		    (!all && !bench_headline(s->test, s->key)))
			continue;
		series_row(&t, s, strcmp(key, s->key) != 0);
		key = s->key;
	}
	if (t.cells.n > 0) {
		fprintf(to, "\n%s%s%s%s%s\n", out_colour(colours, COLOUR_BOLD),
			bench_test_title(test), place[0] ? ", " : "", bench_place_title(place),
			out_colour(colours, COLOUR_NONE));
		table_print(&t, to, 0);
	}
	table_fini(&t);
}

static bool is_first(const struct bench_run *run, const struct bench_series *s)
{
	for (const struct bench_series *o = run->series.p; o < s; o++)
		if (strcmp(o->test, s->test) == 0 && strcmp(o->place, s->place) == 0)
			return false;
	return true;
}

/* Last, so that nobody overlooks it. */
static void lost_print(const struct bench_run *run, FILE *to)
{
	bool colours = to == stdout && out_has_colours();
	const char *red = out_colour(colours, COLOUR_RED), *end = out_colour(colours, COLOUR_NONE);

	if (run->lost.n)
		fprintf(to, "\n%sMISSING%s, of what was asked for:\n", red, end);
	bench_for_each_lost(l, run)
	{
		fprintf(to, "  %s%s %s%s%s%s: %s (%zu %s)\n", red, l->test, l->mode,
			l->place[0] ? ", " : "", bench_place_title(l->place), end, l->why, l->n,
			l->n == 1 ? "measurement" : "measurements");
	}
	if (run->errors > 0)
		fprintf(to, "\n%s%.0f operations failed%s; see the errors in results.csv\n", red,
			run->errors, end);
}

void bench_print(const struct bench_run *run, bool all, FILE *to)
{
	fprintf(to, "%s, Linux %s, %s, congestion control %s\n", bench_about(run, "cpu"),
		bench_about(run, "kernel"), bench_about(run, "version.weft"),
		bench_about(run, "congestion"));
	bench_for_each(s, run)
	{
		if (is_first(run, s))
			group_print(run, s->test, s->place, all, to);
	}
	bench_print_aims(run, to);
	lost_print(run, to);
}
