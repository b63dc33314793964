// SPDX-License-Identifier: Apache-2.0
/*
 * Plots of the page that are not simple bars: lines over the number of streams, times on a
 * logarithmic axis, stacked CPU times. Pure SVG with the classes of bench_style.c.
 */
#include <math.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "bench_html.h"

/* ---- lines ---- */
enum { LINES_HEIGHT = 250, LINES_LEFT = 44, LINES_RIGHT = 138, LINES_TOP = 12, LINES_BOTTOM = 30 };

static const int streams[] = { 1, 4, 16, 64 };

struct lines {
	const struct bench_run *run;
	const char *tail, *key, *place;
	double top; /* of the axis */
	bool has[4]; /* anything for this number of streams */
	double taken[16]; /* heights of labels so far */
	size_t n_taken;
};

static const struct bench_series *point(const struct lines *l, const char *mode, size_t i)
{
	char test[64];

	snprintf(test, sizeof(test), "bulk-%d%s", streams[i], l->tail);
	return bench_find(l->run, test, l->key, mode, l->place);
}

static double line_x(const struct lines *l, size_t i)
{
	size_t before = 0, all = 0;

	for (size_t k = 0; k < ARRAY_LEN(streams); k++) {
		before += k < i && l->has[k];
		all += l->has[k];
	}
	return LINES_LEFT + 16 +
	       (double)before * (SVG_WIDTH - LINES_LEFT - LINES_RIGHT - 32) / (double)(all - 1);
}

static double line_y(const struct lines *l, double v)
{
	return LINES_HEIGHT - LINES_BOTTOM - v / l->top * (LINES_HEIGHT - LINES_TOP - LINES_BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that there are four to eight steps. */
static double axis_step(double max)
{
	double p = pow(10, floor(log10(max / 4)));

	if (max / (p * 5) >= 4)
		return p * 5;
	return max / (p * 2) >= 4 ? p * 2 : p;
}

static void lines_axis(FILE *f, const struct lines *l, double step)
{
	for (double v = 0; v <= l->top * 1.001; v += step)
		fprintf(f,
			"<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"dim end\" x=\"%d\" "
			"y=\"%.1f\">%g</text>\n",
			LINES_LEFT, line_y(l, v), SVG_WIDTH - LINES_RIGHT, LINES_LEFT - 8,
			line_y(l, v) + 4, v < step / 2 ? 0 : v);
	for (size_t i = 0; i < ARRAY_LEN(streams); i++)
		if (l->has[i])
			fprintf(f, "<text class=\"dim mid\" x=\"%.1f\" y=\"%d\">%d</text>\n",
				line_x(l, i), LINES_HEIGHT - LINES_BOTTOM + 18, streams[i]);
}

/* Labels at the ends of lines are pushed apart. */
static double label_y(struct lines *l, double y)
{
	for (size_t tries = 0; tries < 32; tries++) {
		bool free = true;

		for (size_t i = 0; i < l->n_taken; i++)
			if (fabs(l->taken[i] - y) < 14) {
				y = l->taken[i] + 14;
				free = false;
			}
		if (free)
			break;
	}
	if (l->n_taken < ARRAY_LEN(l->taken))
		l->taken[l->n_taken++] = y;
	return y;
}

static void line_of(FILE *f, struct lines *l, const char *mode)
{
	const struct bench_series *last = NULL;
	double x = 0;
	char buf[32];

	fprintf(f, "<g class=\"l-%s\"><path class=\"line\" d=\"", mode);
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		const struct bench_series *s = point(l, mode, i);

		if (s)
			fprintf(f, "%s%.1f %.1f", last ? "L" : "M", line_x(l, i),
				line_y(l, s->median));
		last = s ? s : last;
		x = s ? line_x(l, i) : x;
	}
	fprintf(f, "\"/>\n");
	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		const struct bench_series *s = point(l, mode, i);

		if (!s)
			continue;
		fprintf(f,
			"<path class=\"range\" d=\"M%.1f %.1fV%.1f\"/><circle cx=\"%.1f\" cy=\"%.1f\" "
			"r=\"4\"><title>%s, %d: %s</title></circle>\n",
			line_x(l, i), line_y(l, s->min), line_y(l, s->max), line_x(l, i),
			line_y(l, s->median), mode, streams[i], bench_number(buf, s->median));
	}
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\">%s <tspan class=\"number\">%s</tspan></text></g>\n",
		x + 12, label_y(l, line_y(l, last->median)) + 4, mode,
		bench_number(buf, last->median));
}

/* Modes in the order of the run that have points, highest end first, so that labels that are
 * pushed down do not cross lines. */
static size_t lines_modes(const struct lines *l, const char *ret[16])
{
	double end[16];
	size_t n = 0;

	bench_for_each(s, l->run)
	{
		double v = -1;
		size_t at = n;

		for (size_t i = 0; i < ARRAY_LEN(streams); i++)
			if (point(l, s->mode, i))
				v = point(l, s->mode, i)->median;
		for (size_t i = 0; i < n; i++)
			if (strcmp(ret[i], s->mode) == 0)
				v = -1;
		if (v < 0 || n == 16)
			continue;
		for (; at > 0 && end[at - 1] < v; at--) {
			end[at] = end[at - 1];
			ret[at] = ret[at - 1];
		}
		end[at] = v;
		ret[at] = s->mode;
		n++;
	}
	return n;
}

bool svg_lines(FILE *f, const struct bench_run *run, const char *tail, const char *key,
	       const char *place)
{
	struct lines l = { .run = run, .tail = tail, .key = key, .place = place };
	const char *modes[16];
	size_t n = lines_modes(&l, modes), points = 0;
	double step;

	for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
		for (size_t m = 0; m < n; m++) {
			const struct bench_series *s = point(&l, modes[m], i);

			l.has[i] = l.has[i] || s;
			l.top = s && s->max > l.top ? s->max : l.top;
		}
		points += l.has[i];
	}
	if (points < 2 || l.top <= 0)
		return false;
	step = axis_step(l.top);
	l.top = ceil(l.top / step) * step;
	fprintf(f,
		"<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over the number of "
		"streams\">\n",
		SVG_WIDTH, LINES_HEIGHT, bench_value_of(key)->title);
	lines_axis(f, &l, step);
	for (size_t i = 0; i < n; i++)
		line_of(f, &l, modes[i]);
	fprintf(f, "</svg>\n");
	return true;
}

/* ---- times ---- */
static const char *const quantiles[] = { "p50_us", "p99_us", "p999_us" };

struct times {
	double low, high; /* logarithms of the ends of the axis */
	size_t rows, places;
};

static bool is_of(const struct bench_series *s, const char *test, const char *key)
{
	return strcmp(s->test, test) == 0 && strcmp(s->key, key) == 0;
}

static struct times times_measure(const struct bench_run *run, const char *test)
{
	struct times t = { 9, 0, 0, 0 };
	const char *place = NULL;

	bench_for_each(s, run)
	{
		for (size_t q = 0; q < ARRAY_LEN(quantiles); q++) {
			if (!is_of(s, test, quantiles[q]) || s->median <= 0)
				continue;
			t.low = fmin(t.low, floor(log10(s->median) * 2) / 2);
			t.high = fmax(t.high, ceil(log10(s->median) * 2) / 2);
		}
		if (!is_of(s, test, "p50_us"))
			continue;
		t.rows++;
		t.places += !place || strcmp(place, s->place) != 0;
		place = s->place;
	}
	return t;
}

static double time_x(const struct times *t, double us)
{
	return SVG_LABEL +
	       (log10(us) - t->low) / (t->high - t->low) * (SVG_WIDTH - SVG_LABEL - SVG_NUMBERS);
}

/* Of an axis: 30, 1,000, 0.3 */
static char *number_plain(char *buf, double v)
{
	if (v >= 1000)
		return bench_number(buf, v);
	snprintf(buf, 32, "%g", v);
	return buf;
}

static void times_axis(FILE *f, const struct times *t, double bottom)
{
	char buf[32];

	for (int half = (int)lround(t->low * 2); half <= (int)lround(t->high * 2); half++) {
		double us = half % 2 ? 3 * pow(10, (half - 1) / 2) : pow(10, half / 2);
		double x = time_x(t, us);

		if (x > SVG_WIDTH - SVG_NUMBERS + 1)
			continue;
		fprintf(f, "<path class=\"grid\" d=\"M%.1f 16V%.1f\"/>", x, bottom);
		if (x < SVG_WIDTH - SVG_NUMBERS - 8)
			fprintf(f, "<text class=\"dim mid\" x=\"%.1f\" y=\"10\">%s</text>\n", x,
				number_plain(buf, us));
	}
	fprintf(f, "<text class=\"dim\" x=\"%d\" y=\"10\">50 / 99 / 99.9 %%, µs</text>\n",
		SVG_WIDTH - SVG_NUMBERS + 22);
}

static void times_row(FILE *f, const struct bench_run *run, const struct bench_series *s,
		      const struct times *t, double y)
{
	const struct bench_series *all[ARRAY_LEN(quantiles)];
	double last = s->median, mid = y + SVG_BAR / 2.0;
	char buf[32];

	fprintf(f, "<g class=\"l-%s\"><text class=\"mode\" x=\"%d\" y=\"%.1f\">%s</text>\n",
		s->mode, SVG_LABEL - 10, y + SVG_BAR - 2, s->mode);
	for (size_t q = 0; q < ARRAY_LEN(quantiles); q++) {
		all[q] = bench_find(run, s->test, quantiles[q], s->mode, s->place);
		last = all[q] ? all[q]->median : last;
	}
	fprintf(f, "<path class=\"line\" d=\"M%.1f %.1fH%.1f\"/>\n", time_x(t, s->median), mid,
		time_x(t, last));
	for (size_t q = ARRAY_LEN(quantiles); q-- > 0;)
		if (all[q] && all[q]->median > 0)
			fprintf(f, "<circle class=\"q%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>\n", q,
				time_x(t, all[q]->median), mid, q == 0 ? "5.5" : "4");
	fprintf(f, "<text x=\"%d\" y=\"%.1f\"><tspan class=\"number\">%s</tspan>",
		SVG_WIDTH - SVG_NUMBERS + 22, y + SVG_BAR - 2, bench_number(buf, s->median));
	for (size_t q = 1; q < ARRAY_LEN(quantiles); q++)
		if (all[q])
			fprintf(f, " / %s", bench_number(buf, all[q]->median));
	fprintf(f, "</text></g>\n");
}

void svg_times(FILE *f, const struct bench_run *run, const char *test)
{
	struct times t = times_measure(run, test);
	const char *place = NULL;
	double y = 16, height = 16 + (double)(t.rows * SVG_ROW + t.places * SVG_HEAD) + 4;

	if (t.rows == 0)
		return;
	if (t.high <= t.low)
		t.high = t.low + 0.5;
	fprintf(f, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"", SVG_WIDTH, height);
	html_text(f, bench_test_title(test));
	fprintf(f, "\">\n");
	times_axis(f, &t, height);
	bench_for_each(s, run)
	{
		if (!is_of(s, test, "p50_us"))
			continue;
		y = svg_place(f, s, &place, y);
		times_row(f, run, s, &t, y);
		y += SVG_ROW;
	}
	fprintf(f, "</svg>\n");
}

/* ---- stacked CPU ---- */
static const struct {
	const char *key, *class, *title;
} parts[] = {
	{ "cpu_app_client_s_per_gb", "p-client", "client" },
	{ "cpu_proxy_client_s_per_gb", "p-near", "client's proxy" },
	{ "cpu_proxy_server_s_per_gb", "p-far", "server's proxy" },
	{ "cpu_app_server_s_per_gb", "p-server", "server" },
	{ NULL, "p-rest", "interrupts" },
};

static void stack_key(FILE *f)
{
	double x = SVG_LABEL;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		fprintf(f,
			"<rect class=\"%s\" x=\"%.0f\" y=\"1\" width=\"11\" height=\"11\" rx=\"2\"/>"
			"<text class=\"dim\" x=\"%.0f\" y=\"11\">%s</text>\n",
			parts[i].class, x, x + 16, parts[i].title);
		x += 26 + 6.6 * (double)strlen(parts[i].title);
	}
}

static void stack_row(FILE *f, const struct bench_run *run, const struct bench_series *s,
		      double scale, double y)
{
	double x = SVG_LABEL, seen = 0;
	char buf[32];

	fprintf(f, "<text class=\"mode\" x=\"%d\" y=\"%.1f\">%s</text>", SVG_LABEL - 10,
		y + SVG_BAR - 2, s->mode);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct bench_series *p = parts[i].key ? bench_find(run, s->test, parts[i].key,
									 s->mode, s->place)
							    : NULL;
		double v = p ? p->median : parts[i].key ? 0 : fmax(s->median - seen, 0);

		seen += v;
		if (v * scale < 0.5)
			continue;
		fprintf(f,
			"<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\">"
			"<title>%s: %s s/GB</title></rect>\n",
			parts[i].class, x, y, v * scale, SVG_BAR, parts[i].title,
			bench_number(buf, v));
		x += v * scale;
	}
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"number\">%s</text>\n", x + 8,
		y + SVG_BAR - 2, bench_number(buf, s->median));
}

bool svg_stack(FILE *f, const struct bench_run *run, const char *test)
{
	const char *place = NULL;
	double max = 0, y = 16, height = 20;

	bench_for_each(s, run)
	{
		if (!is_of(s, test, "cpu_s_per_gb"))
			continue;
		max = fmax(max, s->median);
		height += SVG_ROW + (!place || strcmp(place, s->place) != 0 ? SVG_HEAD : 0);
		place = s->place;
	}
	if (max <= 0)
		return false;
	place = NULL;
	fprintf(f, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"CPU by process\">\n",
		SVG_WIDTH, height);
	stack_key(f);
	bench_for_each(s, run)
	{
		if (!is_of(s, test, "cpu_s_per_gb"))
			continue;
		y = svg_place(f, s, &place, y);
		stack_row(f, run, s, (SVG_WIDTH - SVG_LABEL - 60) / max, y);
		y += SVG_ROW;
	}
	fprintf(f, "</svg>\n");
	return true;
}
