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
static void page_head(FILE *f, const struct bench_run *run)
{
	bool virtual = json_is_true(json_object_get(json_object_get(run->about, "values"), "virtual"));

	fprintf(f,
		"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
		"<title>Weft benchmark, %.10s</title>\n<style>\n%s</style></head><body>\n"
		"<h1>Weft, measured</h1>\n<p class=\"lead\">The same load on plain TCP, on two "
		"copying relays without encryption, on Envoy sidecars with mutual TLS and on Weft: in "
		"turns, on one machine, in one run.</p>\n<p class=\"dim\">",
		bench_about(run, "date"), html_style);
	html_text(f, bench_about(run, "version.weft"));
	fprintf(f, ", Envoy %s, %.10s. ", bench_about(run, "version.envoy"),
		bench_about(run, "date"));
	html_text(f, bench_about(run, "cpu"));
	fprintf(f, ", %ld CPUs%s, Linux ", bench_about_int(run, "cpus"),
		virtual ? " (virtual machine)" : "");
	html_text(f, bench_about(run, "kernel"));
	fprintf(f, ", congestion control ");
	html_text(f, bench_about(run, "congestion"));
	fprintf(f, ". %ld %s.</p>\n", bench_about_int(run, "reps"),
		bench_about_int(run, "reps") == 1 ? "repetition" : "repetitions");
	if (bench_about_int(run, "quick"))
		fprintf(f, "<p class=\"alarm\"><b>A quick run:</b> good for trends, not for "
			   "publication.</p>\n");
}

static void page_modes(FILE *f, const struct bench_run *run)
{
	_free_ char *modes = str_dup(str_of(bench_about(run, "modes")));
	struct str rest = str_of(modes);

	fprintf(f, "<h2>What was compared</h2>\n<dl>\n");
	while (rest.n > 0) {
		struct str one = str_cut(&rest, ' ');
		_free_ char *mode = str_dup(one);

		if (!mode || !one.n)
			continue;
		fprintf(f, "<dt><span class=\"key k-");
		html_text(f, mode);
		fprintf(f, "\"></span>");
		html_text(f, mode);
		fprintf(f, "</dt><dd>");
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

static void figure_head(FILE *f, const char *title, const char *unit, enum bench_better better)
{
	fprintf(f, "<figure><h3><span>");
	html_text(f, title);
	if (unit[0])
		fprintf(f, " <span class=\"unit\">%s</span>", unit);
	fprintf(f, "</span>");
	fprintf(f, "<span class=\"unit better\">%s</span></h3>\n",
		better == BENCH_HIGHER  ? "more is better"
		: better == BENCH_LOWER ? "less is better"
					: "");
}

/* Throughput and CPU over the number of streams. True if there was anything to draw. */
static bool page_lines(FILE *f, const struct bench_run *run, const char *key, const char *unit,
		       enum bench_better better)
{
	static const struct {
		const char *tail, *title;
	} kinds[] = {
		{ "", "writes of 64 KB" },
		{ "-down", "writes of 64 KB, to the client" },
		{ "-1k", "writes of 1 KB" },
		{ "-1k-down", "writes of 1 KB, to the client" },
	};
	static const char *const places[] = { "cross", "same" };
	bool any = false;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (size_t p = 0; p < ARRAY_LEN(places); p++) {
			_free_ char *plot = NULL, *title = NULL;
			size_t n;
			FILE *to = open_memstream(&plot, &n);
			bool drawn = to && svg_lines(to, run, kinds[k].tail, key, places[p]);

			if (to)
				fclose(to);
			title = str_printf("%s, %s", bench_place_title(places[p]), kinds[k].title);
			if (!drawn || !title)
				continue;
			figure_head(f, title, unit, better);
			fprintf(f, "%s</figure>\n", plot);
			any = true;
		}
	return any;
}

static void section(FILE *f, const char *title, const char *text)
{
	fprintf(f, "<h2>%s</h2>\n<p class=\"dim\">%s</p>\n<div class=\"figures\">\n", title, text);
}

/* Bars and times of one test. */
static void page_test(FILE *f, const struct bench_run *run, const char *test)
{
	bool times = false;

	bench_for_each(s, run)
	{
		const struct bench_value *v = bench_value_of(s->key);
		bool time = strcmp(s->key, "p50_us") == 0 || strcmp(s->key, "p99_us") == 0 ||
			    strcmp(s->key, "p999_us") == 0;
		_free_ char *title = NULL;

		if (strcmp(s->test, test) != 0 || !starts_figure(run, s) || !has_value(run, s) ||
		    !bench_headline(s->test, s->key) || (time && times))
			continue;
		times = times || time;
		title = str_printf("%s: %s", bench_test_title(test), time ? "times" : v->title);
		figure_head(f, title ? title : "", html_unit(v), v->better);
		if (time)
			svg_times(f, run, test);
		else
			svg_figure(f, run, test, s->key);
		fprintf(f, "</figure>\n");
	}
}

static const struct {
	const char *begins; /* of the names of the tests, by spaces */
	const char *title, *text;
} sections[] = {
	{ "rtt paced", "Round trips",
	  "Half of all answers came within the large dot, 99 and 99.9 % within the others; the "
	  "axis is logarithmic. At a fixed rate a time counts from when the message was due." },
	{ "conn ttfb", "New connections",
	  "Connect, a few bytes there and back, close. hbone shares tunnels between connections; "
	  "with unpooled each connection has a tunnel and a full handshake of its own; sidecars make "
	  "a TLS connection for each, and Envoy resumes TLS sessions." },
	{ "http req", "HTTP",
	  "Answers of 1 KB by nginx. The proxies carry bytes; none of them parses HTTP." },
	{ "idle rest pods crowd workloads", "Memory and rest",
	  "Proportional set size of all proxies of both sides; what the kernel needs for sockets is "
	  "not in it, the memory of BPF maps is shown by itself." },
	{ "limits", "Limits of this machine",
	  "What one core can do of the parts that an encrypting proxy is made of, in the same run." },
};

static bool begins_with_any(const char *test, const char *begins)
{
	struct str rest = str_of(begins);

	while (rest.n > 0) {
		struct str one = str_cut(&rest, ' ');

		if (str_has_prefix(str_of(test), one))
			return true;
	}
	return false;
}

/* Tests whose names begin with one of these; NULL: with none of any section. */
static void page_section(FILE *f, const struct bench_run *run, size_t at)
{
	const char *test = "";
	bool any = false;

	bench_for_each(s, run)
	{
		bool in = at < ARRAY_LEN(sections) && begins_with_any(s->test, sections[at].begins);

		if (at == ARRAY_LEN(sections)) {
			in = !str_has_prefix(str_of(s->test), STR("bulk"));
			for (size_t i = 0; i < ARRAY_LEN(sections); i++)
				in = in && !begins_with_any(s->test, sections[i].begins);
		}
		if (!in || strcmp(test, s->test) == 0)
			continue;
		if (!any)
			section(f, at < ARRAY_LEN(sections) ? sections[at].title : "Others",
				at < ARRAY_LEN(sections) ? sections[at].text : "");
		any = true;
		test = s->test;
		page_test(f, run, s->test);
	}
	if (any)
		fprintf(f, "</div>\n");
}

static void page_bulk(FILE *f, const struct bench_run *run)
{
	static const char *const stacked[] = { "bulk-16", "bulk-1" };
	bool lines;

	section(f, "Throughput",
		"By the number of streams. There is no wire between the nodes: this is what the CPUs "
		"have left, clients and servers included.");
	lines = page_lines(f, run, "gbit_s", "Gbit/s", BENCH_HIGHER);
	bench_for_each(s, run)
	{
		if (!lines && starts_figure(run, s) && strcmp(s->key, "gbit_s") == 0)
			page_test(f, run, s->test);
	}
	fprintf(f, "</div>\n");
	section(f, "CPU per gigabyte",
		"Busy time of all CPUs, and whose it was. What no process is charged with are "
		"interrupts, mostly the network's.");
	for (size_t i = 0; i < ARRAY_LEN(stacked); i++) {
		if (!bench_find(run, stacked[i], "cpu_s_per_gb", "plain", "cross") &&
		    !bench_find(run, stacked[i], "cpu_s_per_gb", "hbone", "cross"))
			continue;
		figure_head(f, bench_test_title(stacked[i]), "s/GB", BENCH_LOWER);
		svg_stack(f, run, stacked[i]);
		fprintf(f, "</figure>\n");
	}
	page_lines(f, run, "cpu_s_per_gb", "s/GB", BENCH_LOWER);
	fprintf(f, "</div>\n");
}

static bool has_bulk(const struct bench_run *run)
{
	bench_for_each(s, run)
	{
		if (str_has_prefix(str_of(s->test), STR("bulk")))
			return true;
	}
	return false;
}

static void page_figures(FILE *f, const struct bench_run *run)
{
	if (has_bulk(run))
		page_bulk(f, run);
	for (size_t i = 0; i <= ARRAY_LEN(sections); i++)
		page_section(f, run, i);
}

/* ---- all numbers ---- */
static void table_number(FILE *f, double v)
{
	char buf[32];

	fprintf(f, "<td class=\"r\">%s</td>", bench_number(buf, v));
}

static void table_ratio(FILE *f, const struct bench_ratio *r)
{
	if (r->n > 1)
		fprintf(f, "<td class=\"r\">%.2f <span class=\"dim\">[%.2f, %.2f]</span></td>",
			r->median, r->low, r->high);
	else if (r->n)
		fprintf(f, "<td class=\"r\">%.2f</td>", r->median);
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
		table_ratio(f, &s->to_plain);
		table_ratio(f, &s->to_sidecar);
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
		"<p>An interval is the narrowest pair of repetitions that has the true median "
		"between them with 90&nbsp;%% confidence; where there are too few repetitions for "
		"that, it is the smallest and the largest, and the confidence is stated. The "
		"thin lines in plots are the smallest and the largest value.</p>\n"
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
	page_story(f, run);
	page_modes(f, run);
	page_figures(f, run);
	page_table(f, run);
	page_method(f, run);
	return fflush(f) == 0 && !ferror(f) ? 0 : -EIO;
}
