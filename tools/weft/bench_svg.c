// SPDX-License-Identifier: Apache-2.0
/*
 * Plots of the page: horizontal bars from zero with the range of the repetitions on top. Pure
 * SVG with the classes of bench_style.c, so that it follows the reader's colours.
 */
#include <string.h>

#include "base/own.h"
#include "bench_html.h"

static const double plot_width = SVG_WIDTH - SVG_LABEL - SVG_NUMBERS;

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static bool is_of(const struct bench_series *s, const char *test, const char *key)
{
	return strcmp(s->test, test) == 0 && strcmp(s->key, key) == 0;
}

static void svg_ratio(FILE *f, const struct bench_ratio *r, const char *to, bool itself)
{
	if (r->median >= 0.005 && !itself)
		fprintf(f, " <tspan class=\"dim\" dx=\"6\">%.*f× %s</tspan>",
			r->median >= 99.5   ? 0
			: r->median >= 9.95 ? 1
					    : 2,
			r->median, to);
}

static void svg_range(FILE *f, const struct bench_series *s, double scale, double y)
{
	double from = SVG_LABEL + s->min * scale, to = SVG_LABEL + s->max * scale;

	if (s->n < 2)
		return;
	fprintf(f, "<path class=\"range\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv6M%.1f %.1fv6\"/>\n", from,
		y, to, from, y - 3, to, y - 3);
}

static void svg_title(FILE *f, const struct bench_run *run, const struct bench_series *s)
{
	char buf[32];

	fprintf(f, "<title>");
	html_text(f, html_mode_title(run, s->mode));
	fprintf(f, ":");
	for (size_t i = 0; i < s->n; i++)
		fprintf(f, " %s", bench_number(buf, s->v[i]));
	fprintf(f, " %s</title>", html_unit(bench_value_of(s->key)));
}

static void svg_row(FILE *f, const struct bench_run *run, const struct bench_series *s,
		    double scale, double y)
{
	double width = larger(s->median * scale, 1);
	char buf[32];

	fprintf(f, "<g>");
	svg_title(f, run, s);
	fprintf(f, "<text class=\"mode\" x=\"%d\" y=\"%.1f\">", SVG_LABEL - 10, y + SVG_BAR - 2);
	html_text(f, s->mode);
	fprintf(f, "</text><rect class=\"bar m-");
	html_text(f, s->mode);
	fprintf(f, "\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n", SVG_LABEL, y,
		width, SVG_BAR);
	svg_range(f, s, scale, y + SVG_BAR / 2.0);
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\"><tspan class=\"number\">%s</tspan>",
		SVG_LABEL + larger(width, s->max * scale) + 8, y + SVG_BAR - 2,
		bench_number(buf, s->median));
	svg_ratio(f, &s->to_plain, "plain", strcmp(s->mode, "plain") == 0);
	svg_ratio(f, &s->to_sidecar, "sidecar", strcmp(s->mode, "sidecar") == 0);
	fprintf(f, "</text></g>\n");
}

/* Rows, places and the largest value of a figure. */
static void svg_measure(const struct bench_run *run, const char *test, const char *key,
			size_t *ret_rows, size_t *ret_places, double *ret_max)
{
	const char *place = NULL;

	*ret_rows = *ret_places = 0;
	*ret_max = 0;
	bench_for_each(s, run)
	{
		if (!is_of(s, test, key))
			continue;
		++*ret_rows;
		*ret_max = larger(*ret_max, s->max);
		if (!place || strcmp(place, s->place) != 0)
			++*ret_places;
		place = s->place;
	}
}

double svg_place(FILE *f, const struct bench_series *s, const char **place, double y)
{
	if (*place && strcmp(*place, s->place) == 0)
		return y;
	*place = s->place;
	fprintf(f, "<text class=\"place\" x=\"0\" y=\"%.1f\">%s</text>\n", y + SVG_HEAD - 7,
		bench_place_title(s->place));
	return y + SVG_HEAD;
}

void svg_figure(FILE *f, const struct bench_run *run, const char *test, const char *key)
{
	const struct bench_value *v = bench_value_of(key);
	const char *place = NULL;
	size_t rows, places;
	double max, y = 0;

	svg_measure(run, test, key, &rows, &places, &max);
	fprintf(f, "<svg viewBox=\"0 0 %d %zu\" role=\"img\" aria-label=\"", SVG_WIDTH,
		rows * SVG_ROW + places * SVG_HEAD + 4);
	html_text(f, bench_test_title(test));
	fprintf(f, ", %s\">\n", v->title);
	bench_for_each(s, run)
	{
		if (!is_of(s, test, key))
			continue;
		y = svg_place(f, s, &place, y);
		svg_row(f, run, s, max > 0 ? plot_width / max : 0, y);
		y += SVG_ROW;
	}
	fprintf(f, "</svg>\n");
}
