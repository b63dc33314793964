// SPDX-License-Identifier: Apache-2.0
/*
 * What the page says first: what is missing, the headlines, and every aim with what came out,
 * drawn so that right of the line is good whatever the figure is.
 */
#include <math.h>
#include <string.h>

#include "base/own.h"
#include "bench_html.h"

/* ---- what is missing ---- */
static void story_lost(FILE *f, const struct bench_run *run)
{
	if (run->lost.n == 0 && run->errors == 0)
		return;
	fprintf(f, "<div class=\"alarm\"><b>Not everything that was asked for is here.</b><ul>\n");
	bench_for_each_lost(l, run)
	{
		fprintf(f, "<li><b>");
		html_text(f, l->test);
		fprintf(f, "</b> of <b>");
		html_text(f, l->mode);
		fprintf(f, "</b>%s%s: ", l->place[0] ? ", " : "", bench_place_title(l->place));
		html_text(f, l->why);
		fprintf(f, " (%zu)</li>\n", l->n);
	}
	if (run->errors > 0)
		fprintf(f,
			"<li>%.0f operations failed; see the errors in the table of all numbers</li>\n",
			run->errors);
	fprintf(f, "</ul></div>\n");
}

/* ---- headlines ---- */
static const char *verdict_class(enum bench_verdict v)
{
	static const char *const name[] = {
		[AIM_NOT_MEASURED] = "none", [AIM_MISSED] = "missed", [AIM_MISSED_MAYBE] = "near",
		[AIM_MET_MAYBE] = "near",    [AIM_MET] = "met",
	};

	return name[v];
}

/* "2.31", "22": of what is less, how many times less. */
static void times_text(FILE *f, double v, bool less)
{
	if (less)
		v = 1 / v;
	fprintf(f, "%.*f", v >= 19.5 ? 0 : v >= 9.5 ? 1 : 2, v);
}

static void story_tiles(FILE *f, const struct bench_result *all, size_t n)
{
	fprintf(f, "<div class=\"tiles\">\n");
	for (size_t i = 0; i < n; i++) {
		const struct bench_ratio *r = &all[i].ratio;
		bool less = all[i].aim->at_most;

		if (!all[i].aim->tile || r->n == 0 || r->median <= 0 || r->low <= 0)
			continue;
		fprintf(f, "<div class=\"tile v-%s\"><b>", verdict_class(all[i].verdict));
		times_text(f, r->median, less);
		fprintf(f, "×</b><p>%s</p><small>", all[i].aim->tile);
		if (r->n > 1) {
			times_text(f, less ? r->high : r->low, less);
			fprintf(f, " to ");
			times_text(f, less ? r->low : r->high, less);
			fprintf(f, "; ");
		}
		fprintf(f, "aim %g", less ? 1 / all[i].aim->aim : all[i].aim->aim);
		fprintf(f, "×: %s</small></div>\n", bench_verdict_text(all[i].verdict));
	}
	fprintf(f, "</div>\n");
}

/* ---- the table of the aims ---- */
enum { AIM_WIDTH = 260, AIM_HEIGHT = 22 };

/* Factor better than the aim, as a place: the aim in the middle, 2.5 times at the ends. */
static double aim_x(double good)
{
	double x = log(good) / log(2.5);

	return AIM_WIDTH / 2.0 + fmax(-1, fmin(1, x)) * (AIM_WIDTH / 2.0 - 9);
}

static double goodness(const struct bench_aim *aim, double ratio)
{
	return aim->at_most ? aim->aim / fmax(ratio, 1e-9) : ratio / aim->aim;
}

static void aim_plot(FILE *f, const struct bench_result *res)
{
	double a = goodness(res->aim, res->ratio.low), b = goodness(res->aim, res->ratio.high);
	double at = goodness(res->aim, res->ratio.median), mid = AIM_HEIGHT / 2.0;

	fprintf(f,
		"<svg class=\"aim v-%s\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\">"
		"<rect class=\"good\" x=\"%d\" width=\"%d\" height=\"%d\"/>"
		"<path class=\"zero\" d=\"M%d 0V%d\"/>",
		verdict_class(res->verdict), AIM_WIDTH, AIM_HEIGHT, AIM_WIDTH / 2, AIM_WIDTH / 2,
		AIM_HEIGHT, AIM_WIDTH / 2, AIM_HEIGHT);
	if (res->ratio.n)
		fprintf(f, "<path class=\"span\" d=\"M%.1f %.1fH%.1f\"/>", aim_x(fmin(a, b)), mid,
			aim_x(fmax(a, b)));
	if (res->ratio.n && at <= 2.5 && at >= 0.4)
		fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", aim_x(at), mid);
	else if (res->ratio.n) /* beyond the end: an arrow */
		fprintf(f, "<path class=\"arrow\" d=\"M%.1f %.1fl%d 6v-12z\"/>",
			aim_x(at) + (at > 1 ? 7 : -7), mid, at > 1 ? -10 : 10);
	fprintf(f, "</svg>");
}

static void aim_number(FILE *f, double v)
{
	fprintf(f, "%.*f", v < 0.2 ? 3 : 2, v);
}

static void aim_row(FILE *f, const struct bench_result *res)
{
	fprintf(f, "<tr><td>");
	html_text(f, res->aim->title);
	fprintf(f, "</td><td class=\"plot\">");
	aim_plot(f, res);
	fprintf(f, "</td><td class=\"r\"><b>");
	if (res->ratio.n)
		aim_number(f, res->ratio.median);
	fprintf(f, "</b></td><td class=\"r dim wide\">");
	if (res->ratio.n > 1) {
		aim_number(f, res->ratio.low);
		fprintf(f, " – ");
		aim_number(f, res->ratio.high);
	}
	fprintf(f, "</td><td class=\"r\">%s %g</td><td class=\"v-%s verdict\">%s</td></tr>\n",
		res->aim->at_most ? "≤" : "≥", res->aim->aim, verdict_class(res->verdict),
		bench_verdict_text(res->verdict));
}

static void story_aims(FILE *f, const struct bench_run *run, const struct bench_result *all, size_t n)
{
	const char *group = NULL;

	fprintf(f, "<h2 id=\"aims\">Against the aims</h2>\n<p class=\"dim\">Each ratio is found within a "
		   "repetition, where both sides were measured one after the other; ");
	if (bench_about_int(run, "reps") > 1)
		fprintf(f,
			"shown is the median of %ld repetitions and between what it lies with %.0f&nbsp;%% "
			"confidence. ",
			bench_about_int(run, "reps"),
			stat_coverage((size_t)bench_about_int(run, "reps")) * 100);
	else
		fprintf(f, "there is only one, and so nothing is certain. ");
	fprintf(f, "Right of the line, in the shaded half, is better than the aim, whether more or less "
		   "is wanted; the ends are 2.5 times better and worse.</p>\n"
		   "<div class=\"scroll\"><table class=\"aims\">\n");
	for (size_t i = 0; i < n; i++) {
		if (all[i].aim->group != group) {
			fprintf(f, "<tr class=\"group\"><th>");
			html_text(f, all[i].aim->group);
			fprintf(f, "</th><th class=\"plot\"></th><th class=\"r\">ratio</th>"
				   "<th class=\"r wide\">interval</th><th class=\"r\">aim</th>"
				   "<th></th></tr>\n");
		}
		group = all[i].aim->group;
		aim_row(f, &all[i]);
	}
	fprintf(f, "</table></div>\n");
}

static void story_score(FILE *f, const struct bench_result *all, size_t n)
{
	size_t count[AIM_MET + 1] = { 0 }, measured = 0;

	for (size_t i = 0; i < n; i++) {
		count[all[i].verdict]++;
		measured += all[i].verdict != AIM_NOT_MEASURED;
	}
	if (measured == 0)
		return;
	fprintf(f, "<p class=\"score\">Of %zu aims", n);
	fprintf(f, " <b class=\"v-met\">%zu %s met</b>", count[AIM_MET],
		count[AIM_MET] == 1 ? "is" : "are");
	fprintf(f,
		", <b class=\"v-near\">%zu cannot be told from the aim with certainty</b> "
		"(%zu on its good side)",
		count[AIM_MET_MAYBE] + count[AIM_MISSED_MAYBE], count[AIM_MET_MAYBE]);
	fprintf(f, ", <b class=\"v-missed\">%zu missed</b>", count[AIM_MISSED]);
	if (count[AIM_NOT_MEASURED])
		fprintf(f, ", %zu not measured", count[AIM_NOT_MEASURED]);
	fprintf(f, ": <a href=\"#aims\">all of them</a>.</p>\n");
}

void page_story(FILE *f, const struct bench_run *run)
{
	struct bench_result all[BENCH_AIMS_MAX];
	size_t n = bench_aims(run, all);

	story_tiles(f, all, n);
	story_score(f, all, n);
	story_lost(f, run);
	story_aims(f, run, all, n);
}
