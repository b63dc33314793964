// SPDX-License-Identifier: Apache-2.0
/*
 * weft drops: why connections were refused or cut. Three tables: ends by reason, what the
 * kernel programs refused or lost, and the last refusals with the policy that decided.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "listing.h"

#define RECENT_ROWS 20
#define FOLLOW_NS 100000000l

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
		"connect_own",         "connect_not_enrolled", "connect_loopback",
		"connect_direct",      "connect_passthrough",  "connect_relay",
		"verdict_hit",         "verdict_miss",         "lookup_approved",
		"lookup_hbone",        "lookup_plain",         "lookup_local",
		"guard_plain_bytes",   "guard_plain_packets",  "guard_hbone_bytes",
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

static void follow_text(const struct target *t, const json_t *row)
{
	const char *src = get_text(row, "src_workload"), *dst = get_text(row, "dst_workload");
	const json_t *rule = json_object_get(row, "rule");
	time_t s = (time_t)get_num(row, "time_s");
	char clock[16] = "-";
	struct tm tm;

	if (s > 0 && localtime_r(&s, &tm))
		strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s  %s%s%s -> %s  %s  %s", clock, t->node, t->node[0] ? "  " : "",
	       src[0] ? src : get_text(row, "src"), dst[0] ? dst : get_text(row, "dst"),
	       get_text(row, "dst"), get_text(row, "reason"));
	if (get_text(row, "policy")[0])
		printf("  %s", get_text(row, "policy"));
	if (json_is_integer(rule))
		printf("[%d]", (int)json_integer_value(rule));
	printf("  %s\n", get_text(row, "where"));
}

static void follow_json(const struct target *t, json_t *row)
{
	if (t->node[0])
		json_object_set_new(row, "node", json_string(t->node));
	json_dumpf(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	putchar('\n');
}

/* One poll of one daemon; *next is the number of the first drop that was not seen. */
static int follow_one(struct targets *one, bool json, json_int_t *next)
{
	_json_ json_t *request = json_pack("{s:s, s:I}", "cmd", "drops", "since",
					   *next < 0 ? 0 : *next);
	const json_t *list;
	json_t *row;
	size_t i;
	int r = request ? targets_ask(one, request) : EXIT_FAILED;

	if (r != EXIT_DONE)
		return r;
	list = json_object_get(one->v.p[0].reply, "recent");
	json_array_foreach(list, i, row) {
		if (*next >= 0 && json)
			follow_json(&one->v.p[0], row);
		else if (*next >= 0)
			follow_text(&one->v.p[0], row);
	}
	/* What was there before is not news. */
	row = json_array_get(list, json_array_size(list) - 1);
	if (row)
		*next = json_integer_value(json_object_get(row, "seq")) + 1;
	else if (*next < 0)
		*next = 0;
	return EXIT_DONE;
}

static int follow(const struct cli *c, struct targets *ts)
{
	const struct timespec pause = { .tv_nsec = FOLLOW_NS };
	_free_ json_int_t *next = calloc(ts->v.n, sizeof(*next));

	if (!next)
		return EXIT_FAILED;
	for (size_t i = 0; i < ts->v.n; i++)
		next[i] = -1;
	for (;;) {
		for (size_t i = 0; i < ts->v.n; i++) {
			struct targets one = { .v = { .p = &ts->v.p[i], .n = 1 } };
			int r = follow_one(&one, c->json, &next[i]);

			if (r != EXIT_DONE)
				return r;
		}
		if (fflush(stdout) < 0)
			return EXIT_DONE;
		nanosleep(&pause, NULL);
	}
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
	int r;

	if (c->follow) {
		r = targets_find(c, &ts);
		return r == EXIT_DONE ? follow(c, &ts) : r;
	}
	r = client_list(c, "drops", &ts, &done);

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
