// SPDX-License-Identifier: Apache-2.0
/*
 * The page of a run: one file without scripts and without anything from elsewhere. What was
 * measured on what machine, the figures that matter most, plots, all numbers, and how it was
 * done.
 */
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "bench_html.h"

void html_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else
			fputc(*s, f);
	}
}

const char *html_mode_title(const struct bench_run *run, const char *mode)
{
	char key[BENCH_CASE_MAX + 8];
	const char *title;

	snprintf(key, sizeof(key), "mode.%s", mode);
	title = bench_about(run, key);
	return title[0] ? title : mode;
}

const char *html_unit(const struct bench_value *v)
{
	return strcmp(v->unit, "us") == 0 ? "µs" : v->unit;
}

/* ---- head ---- */
static long about_int(const struct bench_run *run, const char *key)
{
	json_t *v = json_object_get(run->about, key);

	if (!v)
		v = json_object_get(json_object_get(run->about, "values"), key);
	return (long)json_number_value(v);
}

static void page_head(FILE *f, const struct bench_run *run)
{
	fprintf(f,
		"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		"<title>Weft benchmark, %.10s</title>\n<style>\n%s</style></head><body>\n"
		"<h1>Weft benchmark</h1>\n<p class=\"dim\">",
		bench_about(run, "date"), html_style);
	html_text(f, bench_about(run, "version.weft"));
	fprintf(f, ", %.10s. ", bench_about(run, "date"));
	html_text(f, bench_about(run, "cpu"));
	fprintf(f, ", %ld CPUs%s, Linux ", about_int(run, "cpus"),
		json_is_true(json_object_get(json_object_get(run->about, "values"), "virtual"))
			? " (virtual machine)"
			: "");
	html_text(f, bench_about(run, "kernel"));
	fprintf(f,
		". Medians of %ld repetitions in turns, windows of %ld s; the thin line on a bar "
		"is the range.</p>\n",
		about_int(run, "reps"), about_int(run, "seconds"));
	if (about_int(run, "quick"))
		fprintf(f, "<p><b>A quick run:</b> good for trends, not for publication.</p>\n");
	if (run->errors > 0)
		fprintf(f, "<p><b>%.0f operations failed</b>; see the errors in the table.</p>\n",
			run->errors);
}

/* ---- cards ---- */
static const struct {
	const char *test, *key, *mode, *place, *title;
} cards[] = {
	{ "bulk-1", "gbit_s", "hbone", "cross", "One encrypted stream between nodes" },
	{ "bulk-1", "cpu_s_per_gb", "hbone", "cross", "CPU of the whole machine for that" },
	{ "rtt-1", "p50_us", "hbone", "cross", "Median round trip between nodes, encrypted" },
	{ "rtt-1", "p50_us", "direct", "same", "Median round trip on a node" },
	{ "conn-16", "per_s", "hbone", "cross", "Connections between nodes, encrypted" },
	{ "conn-16", "per_s", "direct", "same", "Connections on a node" },
	{ "http1", "per_s", "hbone", "cross", "HTTP/1.1 requests between nodes, encrypted" },
	{ "idle", "kb_each_1000", "hbone", "cross", "Memory per idle connection, both nodes" },
};

static void page_cards(FILE *f, const struct bench_run *run)
{
	char buf[32];

	fprintf(f, "<div class=\"cards\">\n");
	for (size_t i = 0; i < ARRAY_LEN(cards); i++) {
		const struct bench_series *s = bench_find(run, cards[i].test, cards[i].key,
							  cards[i].mode, cards[i].place);
		const struct bench_value *v = bench_value_of(cards[i].key);

		if (!s)
			continue;
		fprintf(f, "<div class=\"card\">%s<b>%s <span class=\"unit\">%s</span></b><small>",
			cards[i].title, bench_number(buf, s->median), html_unit(v));
		if (s->to_plain > 0)
			fprintf(f, "%.2f× plain TCP", s->to_plain);
		if (s->to_sidecar > 0)
			fprintf(f, "%s%.2f× sidecars", s->to_plain > 0 ? ", " : "", s->to_sidecar);
		fprintf(f, " (%s is better)</small></div>\n",
			v->better == BENCH_HIGHER ? "more" : "less");
	}
	fprintf(f, "</div>\n");
}

static void page_modes(FILE *f, const struct bench_run *run)
{
	_free_ char *modes = str_dup(str_of(bench_about(run, "modes")));
	struct str rest = str_of(modes);

	fprintf(f, "<dl>\n");
	while (rest.n > 0) {
		struct str one = str_cut(&rest, ' ');
		_free_ char *mode = str_dup(one);

		if (!mode || !one.n)
			continue;
		fprintf(f,
			"<dt><span class=\"key m-%s\" style=\"background:var(--%s,var(--weft))\">"
			"</span>%s</dt><dd>",
			mode, mode, mode);
		html_text(f, html_mode_title(run, mode));
		fprintf(f, "</dd>\n");
	}
	fprintf(f, "</dl>\n");
}

/* ---- plots ---- */
static bool starts_figure(const struct bench_run *run, const struct bench_series *s)
{
	const struct bench_series *before = s - 1;

	return s == run->series.p || strcmp(before->test, s->test) != 0 ||
	       strcmp(before->key, s->key) != 0;
}

static bool has_value(const struct bench_run *run, const struct bench_series *first)
{
	bench_for_each(s, run)
	{
		if (strcmp(s->test, first->test) == 0 && strcmp(s->key, first->key) == 0 && s->max > 0)
			return true;
	}
	return false;
}

static void page_figures(FILE *f, const struct bench_run *run)
{
	const char *test = NULL;

	bench_for_each(s, run)
	{
		const struct bench_value *v = bench_value_of(s->key);

		if (!bench_headline(s->test, s->key) || !starts_figure(run, s) || !has_value(run, s))
			continue;
		if (!test || strcmp(test, s->test) != 0) {
			fprintf(f, "%s<h2>", test ? "</div>\n" : "");
			html_text(f, bench_test_title(s->test));
			fprintf(f, "</h2>\n<div class=\"figures\">\n");
			test = s->test;
		}
		fprintf(f, "<figure><h3>");
		html_text(f, v->title);
		fprintf(f, " <span class=\"unit\">%s%s%s</span></h3>\n", html_unit(v),
			v->better == BENCH_NEITHER ? "" : ", ",
			v->better == BENCH_HIGHER  ? "more is better"
			: v->better == BENCH_LOWER ? "less is better"
						   : "");
		svg_figure(f, run, s->test, s->key);
		fprintf(f, "</figure>\n");
	}
	if (test)
		fprintf(f, "</div>\n");
}

/* ---- all numbers ---- */
static void table_number(FILE *f, double v)
{
	char buf[32];

	fprintf(f, "<td class=\"r\">%s</td>", bench_number(buf, v));
}

static void table_ratio(FILE *f, double ratio)
{
	if (ratio > 0)
		fprintf(f, "<td class=\"r\">%.2f×</td>", ratio);
	else
		fprintf(f, "<td></td>");
}

static void page_table(FILE *f, const struct bench_run *run)
{
	fprintf(f,
		"<h2>All numbers</h2>\n<details><summary>%zu series</summary>"
		"<div class=\"scroll\"><table>\n<tr><th>figure<th>value<th>where<th>mode"
		"<th class=\"r\">median<th class=\"r\">min<th class=\"r\">max"
		"<th class=\"r\">MAD<th>unit<th class=\"r\">to plain<th class=\"r\">to sidecar"
		"</tr>\n",
		run->series.n);
	bench_for_each(s, run)
	{
		const struct bench_value *v = bench_value_of(s->key);

		fprintf(f, "<tr><td>");
		html_text(f, s->test);
		fprintf(f, "</td><td>");
		html_text(f, v->title);
		fprintf(f, "</td><td>%s</td><td>", bench_place_title(s->place));
		html_text(f, s->mode);
		fprintf(f, "</td>");
		table_number(f, s->median);
		table_number(f, s->min);
		table_number(f, s->max);
		table_number(f, s->mad);
		fprintf(f, "<td>%s</td>", html_unit(v));
		table_ratio(f, s->to_plain);
		table_ratio(f, s->to_sidecar);
		fprintf(f, "</tr>\n");
	}
	fprintf(f, "</table></div></details>\n");
}

/* ---- how ---- */
static void page_method(FILE *f, const struct bench_run *run)
{
	const char *key;
	json_t *v;

	fprintf(f,
		"<h2>How it was measured</h2>\n"
		"<p>Two nodes and their pods are network namespaces on one machine, joined by "
		"virtual Ethernet; there is no wire. So client, server, proxies and the network "
		"share the CPUs: throughput is what is left of them, and the CPU time per "
		"gigabyte or request is the figure that carries over to other machines. CPU of "
		"the machine is all busy time of all CPUs in the window, client and server "
		"included.</p>\n"
		"<p>Every mode gets the same load from the same programs, one after the other, "
		"and then all of them again; memory is measured on proxies that have seen nothing "
		"else. Round trips are those of a client that waits for the answer, except at a "
		"fixed rate, where the time counts from when a message was due.</p>\n"
		"<p>The sidecars are Envoy as a TCP proxy with mutual TLS 1.3 in each pod, without "
		"HTTP, access log or statistics sinks, reached by nftables redirect. The relay is "
		"the same path with a minimal copying proxy and no TLS. Weft writes its access log "
		"and its metrics as always.</p>\n<dl>\n");
	json_object_foreach(run->about, key, v) {
		if (strncmp(key, "mode.", 5) == 0 || !json_is_string(v) || strcmp(key, "kind") == 0)
			continue;
		fprintf(f, "<dt>%s</dt><dd>", strncmp(key, "version.", 8) == 0 ? key + 8 : key);
		html_text(f, json_string_value(v));
		fprintf(f, "</dd>\n");
	}
	fprintf(f, "</dl>\n</body></html>\n");
}

int bench_write_html(const struct bench_run *run, const char *path)
{
	_fclose_ FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	page_head(f, run);
	page_modes(f, run);
	page_cards(f, run);
	page_figures(f, run);
	page_table(f, run);
	page_method(f, run);
	return fflush(f) == 0 && !ferror(f) ? 0 : -EIO;
}
