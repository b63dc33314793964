// SPDX-License-Identifier: Apache-2.0
/* weft pods, workloads, services, certs, bpf: one reply each, as tables. */
#include <string.h>

#include "base/clock.h"
#include "listing.h"

static void pod_row(struct table *t, const json_t *row)
{
	const char *state = get_text(row, "state");
	char buf[24];

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "namespace"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "name"));
	table_cell(t, state_colour(state), "%s", state);
	cell_texts(t, json_object_get(row, "ips"), 2);
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "identity"));
	cell_count(t, row, "connections");
	table_cell(t, COLOUR_NONE, "%s", human_since(buf, get_num(row, "since_s")));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "by"));
}

int cmd_pods(const struct cli *c)
{
	static const struct column columns[] = {
		{ .title = "NODE" },
		{ .title = "NAMESPACE" },
		{ .title = "POD", .flags = COL_CUT_END },
		{ .title = "STATE" },
		{ .title = "IPS", .flags = COL_CUT_END },
		{ .title = "IDENTITY", .flags = COL_CUT_START, .from_width = 100 },
		{ .title = "CONNS", .flags = COL_RIGHT },
		{ .title = "ENROLLED", .flags = COL_RIGHT },
		{ .title = "BY" },
	};
	static const struct listing pods = {
		.cmd = "pods",
		.columns = columns,
		.n_columns = ARRAY_LEN(columns),
		.empty = "No pod is enrolled; `weft pod enrol` does it.",
		.row = pod_row,
	};

	return listing_run(c, &pods);
}

static void workload_row(struct table *t, const json_t *row)
{
	const char *protocol = get_text(row, "protocol"), *status = get_text(row, "status");

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "namespace"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "name"));
	cell_texts(t, json_object_get(row, "ips"), 2);
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "node"));
	table_cell(t, strcmp(protocol, "HBONE") == 0 ? COLOUR_CYAN : COLOUR_NONE, "%s", protocol);
	table_cell(t, state_colour(status), "%s", status);
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "waypoint"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "identity"));
	cell_texts(t, json_object_get(row, "services"), 3);
	cell_texts(t, json_object_get(row, "policies"), 3);
}

int cmd_workloads(const struct cli *c)
{
	static const struct column columns[] = {
		{ .title = "NODE" },
		{ .title = "NAMESPACE" },
		{ .title = "WORKLOAD", .flags = COL_CUT_END },
		{ .title = "ADDRESS", .flags = COL_CUT_END },
		{ .title = "ON NODE", .flags = COL_CUT_END },
		{ .title = "PROTOCOL" },
		{ .title = "STATUS" },
		{ .title = "WAYPOINT", .flags = COL_CUT_END, .from_width = 160 },
		{ .title = "IDENTITY", .flags = COL_CUT_START, .from_width = 120 },
		{ .title = "SERVICES", .flags = COL_CUT_END, .from_width = 150 },
		{ .title = "POLICIES", .flags = COL_CUT_END, .from_width = 150 },
	};
	static const struct listing workloads = {
		.cmd = "workloads",
		.columns = columns,
		.n_columns = ARRAY_LEN(columns),
		.empty = "The mesh has no workloads; see `weft status`.",
		.row = workload_row,
	};

	return listing_run(c, &workloads);
}

static size_t healthy_count(const json_t *endpoints)
{
	const json_t *ep;
	size_t i, n = 0;

	json_array_foreach(endpoints, i, ep)
		n += strcmp(get_text(ep, "status"), "Healthy") == 0;
	return n;
}

static void cell_ports(struct table *t, const json_t *ports)
{
	_json_ json_t *texts = json_array();
	const json_t *p;
	size_t i;

	json_array_foreach(ports, i, p) {
		int port = (int)get_num(p, "port"), target = (int)get_num(p, "target_port");

		json_array_append_new(texts, target && target != port
						     ? json_sprintf("%d>%d", port, target)
						     : json_sprintf("%d", port));
	}
	cell_texts(t, texts, 6);
}

static void service_row(struct table *t, const json_t *row)
{
	const json_t *endpoints = json_object_get(row, "endpoints");
	size_t n = json_array_size(endpoints), healthy = healthy_count(endpoints);

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "namespace"));
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "hostname"));
	cell_texts(t, json_object_get(row, "vips"), 2);
	cell_ports(t, json_object_get(row, "ports"));
	table_cell(t,
		   healthy == 0  ? COLOUR_RED
		   : healthy < n ? COLOUR_YELLOW
				 : COLOUR_NONE,
		   "%zu/%zu", healthy, n);
}

int cmd_services(const struct cli *c)
{
	static const struct column columns[] = {
		{ .title = "NODE" },
		{ .title = "NAMESPACE" },
		{ .title = "SERVICE", .flags = COL_CUT_END },
		{ .title = "VIP", .flags = COL_CUT_END },
		{ .title = "PORTS", .flags = COL_CUT_END },
		{ .title = "ENDPOINTS", .flags = COL_RIGHT },
	};
	static const struct listing services = {
		.cmd = "services",
		.columns = columns,
		.n_columns = ARRAY_LEN(columns),
		.empty = "The mesh has no services.",
		.row = service_row,
	};

	return listing_run(c, &services);
}

/* "in 11h", and "ended" for what should have been renewed. */
static void cell_until(struct table *t, double unix_s, bool ends)
{
	double left = unix_s - (double)clock_wall_s();
	char buf[24];

	if (unix_s <= 0)
		table_cell(t, COLOUR_NONE, "-");
	else if (left > 0)
		table_cell(t, COLOUR_NONE, "in %s", human_duration(buf, left));
	else
		table_cell(t, ends ? COLOUR_RED : COLOUR_YELLOW, ends ? "ended" : "now");
}

static void cert_row(struct table *t, const json_t *row)
{
	const char *state = get_text(row, "state"), *error = get_text(row, "error");
	const char *uri = get_text(row, "identity"), *scheme = "spiffe://";
	bool narrow = t->width && t->width < 120;

	if (narrow && strncmp(uri, scheme, strlen(scheme)) == 0)
		uri += strlen(scheme);
	table_cell(t, COLOUR_NONE, "%s", uri);
	table_cell(t, state_colour(state), "%.*s", (int)strcspn(state, ":"), state);
	cell_until(t, get_num(row, "not_after_s"), true);
	cell_until(t, get_num(row, "next_s"), false);
	cell_count(t, row, "pods");
	cell_count(t, row, "rotations");
	table_cell(t, COLOUR_NONE, "%s", get_text(row, "serial"));
	table_cell(t, error[0] ? COLOUR_RED : COLOUR_NONE, "%s", error);
}

int cmd_certs(const struct cli *c)
{
	static const struct column columns[] = {
		{ .title = "NODE" },
		{ .title = "IDENTITY", .flags = COL_CUT_START },
		{ .title = "STATE" },
		{ .title = "ENDS", .flags = COL_RIGHT },
		{ .title = "NEXT", .flags = COL_RIGHT },
		{ .title = "PODS", .flags = COL_RIGHT },
		{ .title = "ROTATIONS", .flags = COL_RIGHT, .from_width = 90 },
		{ .title = "SERIAL", .flags = COL_CUT_END, .from_width = 120 },
		{ .title = "ERROR", .flags = COL_CUT_END },
	};
	static const struct listing certs = {
		.cmd = "certs",
		.columns = columns,
		.n_columns = ARRAY_LEN(columns),
		.empty = "No certificate is wanted: no enrolled pod is in the mesh file.",
		.row = cert_row,
	};

	return listing_run(c, &certs);
}
