// SPDX-License-Identifier: Apache-2.0
/*
 * The picture of the demo: per node its pods, connections and refusals, below it where to look
 * further. Built in memory and written at once, so that it does not flicker. Used by demo.c;
 * one thread.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "demo.h"
#include "lab_env.h"
#include "lab_json.h"
#include "lab_state.h"
#include "out.h"

#define FIXED_LINES 8	/* title and foot */
#define NODE_LINES 5	/* headings of a node */
#define DENIED_ROWS 2
#define ROWS_MIN 3

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static const char *or_else(const char *a, const char *b)
{
	return a[0] ? a : b;
}

static bool pod_enrolled(const struct demo_node *n, const struct lab_pod *p)
{
	size_t i;
	json_t *row;

	json_array_foreach(json_object_get(n->pods, "pods"), i, row) {
		if (strcmp(state_text(row, "name"), p->name) == 0 &&
		    strcmp(state_text(row, "namespace"), p->ns) == 0)
			return strcmp(state_text(row, "state"), "enrolled") == 0;
	}
	return false;
}

static void pods_print(const struct demo *d, const struct demo_node *n, bool colours, FILE *out)
{
	size_t index = (size_t)(n - d->nodes.p);

	fputs("  pods ", out);
	lab_for_each(const struct lab_pod, p, &d->spec->pods) {
		bool in = pod_enrolled(n, p);

		if (p->node != index)
			continue;
		fprintf(out, " %s%s %s%s", out_colour(colours, in ? COLOUR_GREEN : COLOUR_DIM),
			in ? "[mesh]" : "[-]", p->name, out_colour(colours, COLOUR_NONE));
	}
	fputc('\n', out);
}

static void node_title(const struct demo_node *n, bool colours, FILE *out)
{
	const json_t *connections = json_object_get(n->status, "connections");
	const json_t *tunnels = json_object_get(n->status, "tunnels");
	bool ready = json_is_true(json_object_get(n->status, "ready"));
	const char *state = !n->status ? "no answer" : ready ? "ready" : "starting";
	char rss[24];

	fprintf(out, "%s%s%s %s  %s%s%s", out_colour(colours, COLOUR_BOLD), n->name,
		out_colour(colours, COLOUR_NONE), n->address,
		out_colour(colours, ready ? COLOUR_GREEN : COLOUR_RED), state,
		out_colour(colours, COLOUR_NONE));
	if (n->status)
		fprintf(out, "  open %.0f, opened %.0f  tunnels %.0f out, %.0f in  weftd %s",
			number(connections, "open"), number(connections, "opened"),
			number(tunnels, "client"), number(tunnels, "server"),
			human_bytes(rss, (double)demo_rss_kib(n) * 1024));
	fputc('\n', out);
}

static const struct column connection_columns[] = {
	{ .title = "  PATH" },
	{ .title = "SOURCE", .flags = COL_CUT_END },
	{ .title = "DESTINATION", .flags = COL_CUT_END },
	{ .title = "VIA", .flags = COL_CUT_END, .from_width = 90 },
	{ .title = "BYTES/S", .flags = COL_RIGHT },
	{ .title = "BYTES", .flags = COL_RIGHT },
	{ .title = "AGE", .flags = COL_RIGHT },
};

static void connection_cells(struct table *t, const json_t *row)
{
	bool inbound = strcmp(state_text(row, "direction"), "inbound") == 0;
	const char *path = state_text(row, "path");
	bool direct = strcmp(path, "direct") == 0;
	char rate[24], total[24], age[24];

	table_cell(t, path_colour(path), "  %s%s", path, direct ? "" : inbound ? " in" : " out");
	table_cell(t, COLOUR_NONE, "%s", or_else(state_text(row, "src_workload"),
						 state_text(row, "src")));
	table_cell(t, COLOUR_NONE, "%s", or_else(state_text(row, "dst_workload"),
						 state_text(row, "dst")));
	table_cell(t, COLOUR_DIM, "%s", or_else(state_text(row, "service"),
						state_text(row, "dialled")));
	table_cell(t, COLOUR_NONE, "%s", human_bytes(rate, number(row, "rate")));
	table_cell(t, COLOUR_NONE, "%s", human_bytes(total, number(row, "sent_bytes") +
							   number(row, "received_bytes")));
	table_cell(t, COLOUR_NONE, "%s", human_duration(age, number(row, "age_ms") / 1000));
}

/* Fast ones first, then old ones. */
static int row_compare(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	double rx = number(x, "rate"), ry = number(y, "rate");
	double ax = number(x, "age_ms"), ay = number(y, "age_ms");

	if (rx != ry)
		return rx < ry ? 1 : -1;
	return ax < ay ? 1 : ax > ay ? -1 : 0;
}

/* Both ends of a direct connection are on this node: one row is enough. */
static bool row_is_other_end(const json_t *row)
{
	return strcmp(state_text(row, "path"), "direct") == 0 &&
	       strcmp(state_text(row, "direction"), "inbound") == 0;
}

static void connections_print(const struct demo_node *n, bool colours, size_t rows, FILE *out)
{
	size_t all = json_array_size(n->connections), total = 0;
	_free_ json_t **sorted = calloc(all + 1, sizeof(*sorted));
	struct table t;

	if (!sorted)
		return;
	for (size_t i = 0; i < all; i++) {
		json_t *row = json_array_get(n->connections, i);

		if (!row_is_other_end(row))
			sorted[total++] = row;
	}
	qsort(sorted, total, sizeof(*sorted), row_compare);
	table_init(&t, connection_columns, ARRAY_LEN(connection_columns), out);
	t.colours = colours;
	t.width = out_width();
	for (size_t i = 0; i < total && i < rows; i++)
		connection_cells(&t, sorted[i]);
	if (total)
		table_print(&t, out, 0);
	else
		fputs("  no connection is open\n", out);
	table_fini(&t);
	if (total > rows)
		fprintf(out, "  and %zu more\n", total - rows);
}

/* "intruder -> echo-1  demo/no-intruder" -> how often, of the last connections that a policy
 * refused, or of those that failed for another reason. */
static json_t *drops_count(const struct demo_node *n, bool denied)
{
	json_t *counts = json_object();
	size_t i;
	json_t *row;

	json_array_foreach(json_object_get(n->drops, "recent"), i, row) {
		_free_ char *key = str_printf(
			"%s -> %s  %s", or_else(state_text(row, "src_workload"),
						state_text(row, "src")),
			or_else(state_text(row, "dst_workload"), state_text(row, "dst")),
			or_else(state_text(row, "policy"), state_text(row, "reason")));

		if (key && denied == (strncmp(state_text(row, "reason"), "policy_", 7) == 0))
			json_object_set_new(counts, key, json_integer(json_integer_value(
				json_object_get(counts, key)) + 1));
	}
	return counts;
}

static size_t drops_print(const struct demo_node *n, bool denied, bool colours, size_t rows,
			  FILE *out)
{
	_json_ json_t *counts = drops_count(n, denied);
	const char *key;
	json_t *count;

	json_object_foreach(counts, key, count) {
		if (rows == 0)
			break;
		rows--;
		fprintf(out, "  %s%s%s %lld x  ",
			out_colour(colours, denied ? COLOUR_RED : COLOUR_YELLOW),
			denied ? "denied" : "failed", out_colour(colours, COLOUR_NONE),
			(long long)json_integer_value(count));
		out_safe(out, key);
		fputc('\n', out);
	}
	return rows;
}

static void denied_print(const struct demo_node *n, bool colours, size_t rows, FILE *out)
{
	rows = drops_print(n, true, colours, rows, out);
	drops_print(n, false, colours, rows, out);
}

static void foot_line(const char *what, const char *text, bool colours, FILE *out)
{
	fprintf(out, "%s%-8s%s %s\n", out_colour(colours, COLOUR_DIM), what,
		out_colour(colours, COLOUR_NONE), text ? text : "");
}

static void foot_print(const struct demo *d, bool colours, FILE *out)
{
	const struct demo_node *n = d->nodes.p;
	const char *dir = d->env->dir;
	bool named = strcmp(d->env->name, "weft") != 0;
	_free_ char *lab = named ? str_printf("weft lab --name %s", d->env->name) :
				   str_dup(STR("weft lab"));
	_free_ char *metrics = str_printf("%s exec @%s -- curl -s http://%s:15020/metrics",
					  lab ? lab : "", n->name, n->address);
	_free_ char *access = str_printf("tail -f %s/*/access.log", dir);
	_free_ char *sockets = named ? str_printf("weft --socket %s/%s/weftd.sock connections", dir,
						  n->name) :
				       str_printf("weft --node %s connections (%s/%s/weftd.sock)",
						  n->name, dir, n->name);
	_free_ char *shell = str_printf("%s exec client-a -- bash", lab ? lab : "");

	foot_line("metrics", metrics, colours, out);
	foot_line("access", access, colours, out);
	foot_line("socket", sockets, colours, out);
	foot_line("shell", shell, colours, out);
}

static size_t rows_per_node(const struct demo *d)
{
	size_t height = d->screen ? out_height() : 0;
	size_t fixed = FIXED_LINES + d->nodes.n * (NODE_LINES + DENIED_ROWS);

	if (!height)
		return 12;
	return height > fixed + d->nodes.n * ROWS_MIN ? (height - fixed) / d->nodes.n : ROWS_MIN;
}

static void picture_print(const struct demo *d, FILE *out)
{
	bool colours = out_has_colours();
	size_t rows = rows_per_node(d);
	char up[24];

	fprintf(out, "%sWeft demo%s  %s  Ctrl-C ends it and removes everything\n\n",
		out_colour(colours, COLOUR_BOLD), out_colour(colours, COLOUR_NONE),
		human_duration(up, (double)(clock_mono_ns() - d->start_ns) / 1e9));
	for (const struct demo_node *n = d->nodes.p; n < d->nodes.p + d->nodes.n; n++) {
		node_title(n, colours, out);
		pods_print(d, n, colours, out);
		connections_print(n, colours, rows, out);
		denied_print(n, colours, DENIED_ROWS, out);
		fputc('\n', out);
	}
	foot_print(d, colours, out);
}

/* Each line loses its old tail, and what is below the last one goes. */
static void screen_write(const char *text, size_t height)
{
	size_t line = 0;

	fputs("\033[H", stdout);
	while (*text && (!height || line + 1 < height)) {
		size_t n = strcspn(text, "\n");

		fwrite(text, 1, n, stdout);
		fputs("\033[K\r\n", stdout);
		text += n + (text[n] == '\n');
		line++;
	}
	fputs("\033[J", stdout);
}

void demo_show(const struct demo *d)
{
	_free_ char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return;
	picture_print(d, f);
	if (fclose(f) != 0)
		return;
	if (d->screen)
		screen_write(text, out_height());
	else
		printf("%s\n", text);
	fflush(stdout);
}

/* The alternative screen: what was on the terminal is there again afterwards. */
void demo_screen_begin(const struct demo *d)
{
	if (d->screen)
		fputs("\033[?1049h\033[?25l\033[?7l\033[2J", stdout);
}

void demo_screen_end(const struct demo *d)
{
	if (!d->screen)
		return;
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

static void summary_paths(const struct demo *d, FILE *out)
{
	_json_ json_t *sums = demo_sums(d);
	const char *path;
	json_t *sum;
	char bytes[24];

	fprintf(out, "%-12s %12s %12s %12s\n", "PATH", "CONNECTIONS", "BYTES", "FAILED");
	json_object_foreach(sums, path, sum)
		fprintf(out, "%-12s %12.0f %12s %12.0f\n", path, number(sum, "connections"),
			human_bytes(bytes, number(sum, "bytes")), number(sum, "failed"));
	fputc('\n', out);
}

static void summary_node(const struct demo_node *n, FILE *out)
{
	char rss[24], peak[24];
	size_t i;
	json_t *row;

	fprintf(out, "%s: weftd used %s of memory, %s at most\n", n->name,
		human_bytes(rss, (double)demo_rss_kib(n) * 1024),
		human_bytes(peak, (double)n->peak_rss_kib * 1024));
	json_array_foreach(json_object_get(n->drops, "drops"), i, row) {
		if (number(row, "count") > 0)
			fprintf(out, "%s: %.0f x %s: %s\n", n->name, number(row, "count"),
				state_text(row, "reason"), state_text(row, "sentence"));
	}
	denied_print(n, false, 5, out);
}

void demo_summary(const struct demo *d, FILE *out)
{
	char up[24];

	fprintf(out, "Weft demo: %s\n\n",
		human_duration(up, (double)(clock_mono_ns() - d->start_ns) / 1e9));
	summary_paths(d, out);
	for (const struct demo_node *n = d->nodes.p; n < d->nodes.p + d->nodes.n; n++)
		summary_node(n, out);
}
