// SPDX-License-Identifier: Apache-2.0
/*
 * weft drops: why connections were refused or cut. Three tables: ends by reason, what the
 * kernel programs refused or lost, and the last refusals with the policy that decided.
 */
#include <string.h>
#include <time.h>

#include "listing.h"

#define RECENT_ROWS 20

/* Rows without a count tell nothing here; -o json has them all. */
static void drop_counted(struct targets *ts, const char *key)
{
	vec_for_each(t, &ts->v) {
		json_t *list = json_object_get(t->reply, key);

		for (size_t i = json_array_size(list); i-- > 0;)
			if (get_num(json_array_get(list, i), "count") <= 0)
				json_array_remove(list, i);
	}
}

/* Events of healthy traffic, which only -o json and the metrics show. */
static bool is_normal(const char *event)
{
	static const char *const names[] = {
		"connect_own",	     "connect_not_enrolled", "connect_loopback",
		"connect_direct",    "connect_passthrough",  "connect_relay",
		"verdict_hit",	     "verdict_miss",	     "lookup_approved",
		"lookup_hbone",	     "lookup_plain",	     "lookup_local",
		"guard_plain_bytes", "guard_plain_packets",  "guard_hbone_bytes",
		"guard_hbone_packets",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(event, names[i]) == 0)
			return true;
	return false;
}

static void drop_normal(struct targets *ts)
{
	vec_for_each(t, &ts->v) {
		json_t *list = json_object_get(t->reply, "events");

		for (size_t i = json_array_size(list); i-- > 0;)
			if (is_normal(get_text(json_array_get(list, i), "name")))
				json_array_remove(list, i);
	}
}

/* The newest refusals fit a screen; -o json has them all. */
static void keep_last(struct targets *ts, const char *key, size_t max)
{
	vec_for_each(t, &ts->v) {
		json_t *list = json_object_get(t->reply, key);

		while (json_array_size(list) > max)
			json_array_remove(list, 0);
	}
}

static void reason_row(struct table *t, const json_t *row)
{
	table_cell(t, COLOUR_RED, "%s", get_text(row, "reason"));
	cell_count(t, row, "count");
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "sentence"));
}

static void event_row(struct table *t, const json_t *row)
{
	const char *name = get_text(row, "name");
	bool lost = strstr(name, "_full") || strstr(name, "_lost");

	table_cell(t, lost ? COLOUR_RED : COLOUR_NONE, "%s", name);
	cell_count(t, row, "count");
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "help"));
}

static void cell_clock(struct table *t, double unix_s)
{
	time_t s = (time_t)unix_s;
	char text[16] = "-";
	struct tm tm;

	if (s > 0 && localtime_r(&s, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	table_cell(t, COLOUR_NONE, "%s", text);
}

static void cell_peer(struct table *t, const json_t *row, const char *name, const char *addr)
{
	const char *text = get_text(row, name);

	table_cell(t, COLOUR_NONE, "%s", text[0] ? text : get_text(row, addr));
}

static void recent_row(struct table *t, const json_t *row)
{
	cell_clock(t, get_num(row, "time_s"));
	cell_peer(t, row, "src_workload", "src");
	cell_peer(t, row, "dst_workload", "dst");
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "dst"));
	table_cell(t, COLOUR_RED, "%s", get_text(row, "reason"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "policy"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "where"));
}

static const struct column reason_columns[] = {
	{ .title = "NODE" },
	{ .title = "REASON" },
	{ .title = "COUNT", .flags = COL_RIGHT },
	{ .title = "MEANING", .flags = COL_CUT_END },
};
static const struct column event_columns[] = {
	{ .title = "NODE" },
	{ .title = "KERNEL EVENT" },
	{ .title = "COUNT", .flags = COL_RIGHT },
	{ .title = "MEANING", .flags = COL_CUT_END },
};
static const struct column recent_columns[] = {
	{ .title = "NODE" },
	{ .title = "TIME" },
	{ .title = "SOURCE", .flags = COL_CUT_END },
	{ .title = "DESTINATION", .flags = COL_CUT_END },
	{ .title = "ADDRESS", .flags = COL_CUT_END, .from_width = 100 },
	{ .title = "REASON" },
	{ .title = "POLICY", .flags = COL_CUT_END },
	{ .title = "WHERE" },
};

static const struct listing drop_lists[] = {
	{
		.cmd = "drops",
		.columns = reason_columns,
		.n_columns = ARRAY_LEN(reason_columns),
		.empty = "No connection was refused or cut.",
		.row = reason_row,
	},
	{
		.cmd = "drops",
		.key = "events",
		.columns = event_columns,
		.n_columns = ARRAY_LEN(event_columns),
		.row = event_row,
	},
	{
		.cmd = "drops",
		.key = "recent",
		.columns = recent_columns,
		.n_columns = ARRAY_LEN(recent_columns),
		.row = recent_row,
	},
};

static bool has_rows(struct targets *ts, const struct listing *l)
{
	vec_for_each(t, &ts->v)
		if (json_array_size(json_object_get(t->reply, l->key ? l->key : l->cmd)))
			return true;
	return false;
}

int cmd_drops(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_list(c, "drops", &ts, &done);

	if (done)
		return r;
	drop_counted(&ts, "drops");
	drop_counted(&ts, "events");
	drop_normal(&ts);
	keep_last(&ts, "recent", RECENT_ROWS);
	for (size_t i = 0, shown = 0; i < ARRAY_LEN(drop_lists); i++) {
		bool rows = has_rows(&ts, &drop_lists[i]);

		if (rows && shown++)
			printf("\n");
		if (rows || drop_lists[i].empty)
			listing_print(&ts, &drop_lists[i]);
	}
	return r;
}
