// SPDX-License-Identifier: Apache-2.0
/* weft policies: the policies of the mesh, those that workloads name and nobody has, and what
 * is not carried out as it is written. */
#include <stdlib.h>
#include <string.h>

#include "listing.h"

static void policy_row(struct table *t, const json_t *row)
{
	const char *action = get_text(row, "action");

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "namespace"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "name"));
	table_cell(t, strcmp(action, "None") == 0 ? COLOUR_YELLOW : state_colour(action), "%s",
		   action);
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "scope"));
	cell_count(t, row, "rules");
	table_cell(t, COLOUR_NONE, "%s", get_true(row, "dry_run") ? "yes" : "no");
}

static void missing_row(struct table *t, const json_t *row)
{
	table_cell(t, COLOUR_RED, "%s", get_text(row, "policy"));
	cell_count(t, row, "count");
	cell_texts(t, json_object_get(row, "workloads"), 3);
}

static void warning_row(struct table *t, const json_t *row)
{
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "policy"));
	table_cell(t, COLOUR_YELLOW, "%s", get_text(row, "text"));
}

static const struct column policy_columns[] = {
	{ .title = "NODE" },
	{ .title = "NAMESPACE" },
	{ .title = "POLICY", .flags = COL_CUT_END },
	{ .title = "ACTION" },
	{ .title = "SCOPE" },
	{ .title = "RULES", .flags = COL_RIGHT },
	{ .title = "DRY RUN" },
};
static const struct column missing_columns[] = {
	{ .title = "NODE" },
	{ .title = "DOES NOT EXIST" },
	{ .title = "DENIED WORKLOADS", .flags = COL_RIGHT },
	{ .title = "WHICH", .flags = COL_CUT_END },
};
static const struct column warning_columns[] = {
	{ .title = "NODE" },
	{ .title = "NOT AS WRITTEN" },
	{ .title = "WHY" },
};

static const struct listing lists[] = {
	{
		.cmd = "policies",
		.columns = policy_columns,
		.n_columns = ARRAY_LEN(policy_columns),
		.empty = "The mesh has no policies: every connection is allowed.",
		.row = policy_row,
	},
	{
		.cmd = "policies",
		.key = "missing",
		.columns = missing_columns,
		.n_columns = ARRAY_LEN(missing_columns),
		.row = missing_row,
	},
	{
		.cmd = "policies",
		.key = "warnings",
		.columns = warning_columns,
		.n_columns = ARRAY_LEN(warning_columns),
		.row = warning_row,
	},
};

/* The warnings of all policies, as rows of their own. */
static void collect_warnings(json_t *reply)
{
	json_t *all = json_array(), *row, *text;
	size_t i, k;

	json_array_foreach(json_object_get(reply, "policies"), i, row)
		json_array_foreach(json_object_get(row, "warnings"), k, text)
			json_array_append_new(all, json_pack("{s:s++, s:O}", "policy",
							     get_text(row, "namespace"), "/",
							     get_text(row, "name"), "text", text));
	json_object_set_new(reply, "warnings", all);
}

static bool has_rows(const struct targets *ts, const struct listing *l)
{
	for (size_t i = 0; i < ts->v.n; i++)
		if (json_array_size(json_object_get(ts->v.p[i].reply, l->key ? l->key : l->cmd)))
			return true;
	return false;
}

int cmd_policies(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_list(c, "policies", &ts, &done);

	if (done)
		return r;
	vec_for_each(t, &ts.v)
		collect_warnings(t->reply);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		bool rows = has_rows(&ts, &lists[i]);

		if (rows && i)
			printf("\n");
		if (rows || lists[i].empty)
			listing_print(&ts, &lists[i]);
	}
	return r;
}
