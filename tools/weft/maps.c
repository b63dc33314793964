// SPDX-License-Identifier: Apache-2.0
/* weft maps check: whether the kernel's tables have what the mesh asks for. */
#include <string.h>

#include "listing.h"

static void diff_row(struct table *t, const json_t *row)
{
	const char *kernel = get_text(row, "kernel"), *wanted = get_text(row, "wanted");

	table_cell(t, COLOUR_RED, "%s", get_text(row, "table"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "key"));
	table_cell(t, COLOUR_NONE, "%s", kernel[0] ? kernel : "(not there)");
	table_cell(t, COLOUR_NONE, "%s", wanted[0] ? wanted : "(nothing)");
}

/* A line for each node; how many differences there are. */
static double say_counts(struct targets *ts)
{
	double all = 0;

	vec_for_each(t, &ts->v) {
		double n = t->reply ? get_num(t->reply, "differences") : 0;

		if (!t->reply)
			continue;
		all += n;
		if (ts->many)
			printf("%s: ", t->node);
		if (n > 0)
			printf("%.0f of %.0f entries and those missing are not what the mesh asks for\n",
			       n, get_num(t->reply, "entries"));
		else
			printf("%.0f entries, all are what the mesh asks for\n",
			       get_num(t->reply, "entries"));
	}
	return all;
}

static bool any_difference(struct targets *ts)
{
	vec_for_each(t, &ts->v)
		if (t->reply && get_num(t->reply, "differences") > 0)
			return true;
	return false;
}

int cmd_maps_check(const struct cli *c)
{
	static const struct column columns[] = {
		{ .title = "NODE" },
		{ .title = "TABLE" },
		{ .title = "KEY", .flags = COL_CUT_END },
		{ .title = "KERNEL", .flags = COL_CUT_END },
		{ .title = "MESH", .flags = COL_CUT_END },
	};
	static const struct listing diffs = {
		.cmd = "maps.check",
		.key = "rows",
		.columns = columns,
		.n_columns = ARRAY_LEN(columns),
		.row = diff_row,
	};
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_list(c, "maps.check", &ts, &done);

	if (!done && say_counts(&ts) > 0) {
		printf("\n");
		listing_print(&ts, &diffs);
	}
	return r == EXIT_DONE && any_difference(&ts) ? EXIT_FAILED : r;
}
