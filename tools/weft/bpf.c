// SPDX-License-Identifier: Apache-2.0
/* weft bpf: programs, where they are attached and what they cost; maps and how full they are. */
#include <string.h>

#include "listing.h"

static void program_row(struct table *t, const json_t *row)
{
	const json_t *attached = json_object_get(row, "attached");
	double runs = get_num(row, "run_count"), ns = get_num(row, "run_time_ns");

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "name"));
	table_cell(t, COLOUR_NONE, "%.0f", get_num(row, "id"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "type"));
	cell_count(t, row, "insns");
	cell_count(t, row, "run_count");
	/* The kernel measures only while kernel.bpf_stats_enabled is on. */
	if (runs > 0 && ns > 0)
		table_cell(t, COLOUR_NONE, "%.0f ns", ns / runs);
	else
		table_cell(t, COLOUR_NONE, "-");
	if (json_array_size(attached))
		cell_texts(t, attached, 4);
	else if (strcmp(get_text(row, "type"), "tracing") == 0)
		table_cell(t, COLOUR_NONE, "(run by weftd)"); /* an iterator */
	else
		table_cell(t, COLOUR_RED, "nowhere");
}

static void map_row(struct table *t, const json_t *row)
{
	double used = get_num(row, "entries"), max = get_num(row, "max_entries");
	double percent = max > 0 ? 100 * used / max : 0;
	char buf[24];

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "name"));
	table_cell(t, COLOUR_NONE, "%.0f", get_num(row, "id"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "type"));
	cell_count(t, row, "entries");
	cell_count(t, row, "max_entries");
	if (json_is_number(json_object_get(row, "entries")))
		table_cell(t,
			   percent >= 95   ? COLOUR_RED
			   : percent >= 80 ? COLOUR_YELLOW
					   : COLOUR_NONE,
			   "%.0f%%", percent);
	else
		table_cell(t, COLOUR_NONE, "-");
	table_cell(t, COLOUR_NONE, "%s", human_bytes(buf, get_num(row, "memory_bytes")));
}

static void print_places(struct targets *ts)
{
	vec_for_each(t, &ts->v) {
		if (!t->reply)
			continue;
		if (ts->many)
			printf("%s: ", t->node);
		printf("pinned in ");
		out_safe(stdout, get_text(t->reply, "pin_dir"));
		printf(", ABI %.0f\n", get_num(t->reply, "abi"));
	}
	printf("\n");
}

int cmd_bpf(const struct cli *c)
{
	static const struct column program_columns[] = {
		{ .title = "NODE" },
		{ .title = "PROGRAM", .flags = COL_CUT_END },
		{ .title = "ID", .flags = COL_RIGHT, .from_width = 100 },
		{ .title = "TYPE", .flags = COL_CUT_END },
		{ .title = "INSNS", .flags = COL_RIGHT, .from_width = 100 },
		{ .title = "RUNS", .flags = COL_RIGHT },
		{ .title = "EACH", .flags = COL_RIGHT },
		{ .title = "ATTACHED TO", .flags = COL_CUT_END },
	};
	static const struct column map_columns[] = {
		{ .title = "NODE" },
		{ .title = "MAP", .flags = COL_CUT_END },
		{ .title = "ID", .flags = COL_RIGHT, .from_width = 100 },
		{ .title = "TYPE", .flags = COL_CUT_END },
		{ .title = "ENTRIES", .flags = COL_RIGHT },
		{ .title = "MAX", .flags = COL_RIGHT },
		{ .title = "FULL", .flags = COL_RIGHT },
		{ .title = "MEMORY", .flags = COL_RIGHT },
	};
	static const struct listing programs = {
		.cmd = "bpf",
		.key = "programs",
		.columns = program_columns,
		.n_columns = ARRAY_LEN(program_columns),
		.empty = "No BPF program is loaded.",
		.row = program_row,
	};
	static const struct listing maps = {
		.cmd = "bpf",
		.key = "maps",
		.columns = map_columns,
		.n_columns = ARRAY_LEN(map_columns),
		.row = map_row,
	};
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_list(c, "bpf", &ts, &done);

	if (done)
		return r;
	print_places(&ts);
	listing_print(&ts, &programs);
	printf("\n");
	listing_print(&ts, &maps);
	return r;
}
