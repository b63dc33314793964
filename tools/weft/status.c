// SPDX-License-Identifier: Apache-2.0
/* weft status: one page per node that says whether all is well, and if not, what is wrong. */
#include <string.h>

#include "listing.h"

struct page {
	const json_t *reply;
	bool colours;
};

static void print_in(const struct page *p, enum colour colour, const char *text)
{
	fputs(out_colour(p->colours, colour), stdout);
	out_safe(stdout, text);
	fputs(out_colour(p->colours, COLOUR_NONE), stdout);
}

static void print_label(const struct page *p, const char *label)
{
	printf("%s%-13s%s ", out_colour(p->colours, COLOUR_BOLD), label,
	       out_colour(p->colours, COLOUR_NONE));
}

static void print_pending(const struct page *p, const json_t *pending)
{
	const json_t *one;
	size_t i;

	print_in(p, COLOUR_RED, "not ready");
	json_array_foreach(pending, i, one) {
		const char *text = json_string_value(one);

		printf(i ? ", " : ", waiting for ");
		out_safe(stdout, text ? text : "?");
	}
}

static void print_head(const struct page *p)
{
	char buf[24];

	printf("weftd ");
	out_safe(stdout, get_text(p->reply, "version"));
	printf(" on node ");
	print_in(p, COLOUR_BOLD, get_text(p->reply, "node"));
	printf(": ");
	if (get_true(p->reply, "ready"))
		print_in(p, COLOUR_GREEN, "ready");
	else
		print_pending(p, json_object_get(p->reply, "pending"));
	printf(", up %s, pid %.0f\n\n", human_duration(buf, get_num(p->reply, "uptime_s")),
	       get_num(p->reply, "pid"));
}

/* A line below another one, for what is wrong. */
static void print_wrong(const struct page *p, enum colour colour, const char *text)
{
	print_label(p, "");
	print_in(p, colour, text);
	printf("\n");
}

static void print_file(const struct page *p, const json_t *mesh)
{
	char buf[24];

	print_label(p, "Mesh file");
	out_safe(stdout, get_text(mesh, "path"));
	printf(", version %.0f, applied %s, %.0f rejected\n", get_num(mesh, "version"),
	       human_since(buf, get_num(mesh, "last_applied_s")), get_num(mesh, "rejected"));
	if (!get_text(mesh, "last_error")[0])
		return;
	print_wrong(p, COLOUR_RED, "BROKEN, the last good state is in force");
	print_wrong(p, COLOUR_RED, get_text(mesh, "last_error"));
}

static void print_istiod(const struct page *p, const json_t *mesh)
{
	const json_t *istiod = json_object_get(mesh, "istiod");
	double refused = get_num(istiod, "rejected_now");
	bool connected = get_true(istiod, "connected");
	const char *peer = get_text(istiod, "peer");
	char buf[24], text[64];

	print_label(p, "Mesh from");
	printf("istiod ");
	out_safe(stdout, get_text(istiod, "server"));
	if (connected && strcmp(peer, get_text(istiod, "server")) != 0) {
		printf(" (");
		out_safe(stdout, peer);
		printf(")");
	}
	printf(", %s", connected ? "connected " : "");
	if (!connected)
		print_in(p, COLOUR_RED, "NOT CONNECTED since ");
	printf("%s\n", human_since(buf, get_num(istiod, "since_s")));
	if (!connected)
		print_wrong(p, COLOUR_RED, get_text(istiod, "error"));
	print_label(p, "");
	printf("version %.0f, applied %s%s\n", get_num(mesh, "version"),
	       human_since(buf, get_num(mesh, "last_applied_s")),
	       !connected && get_num(mesh, "applied") > 0 ? ", in force while istiod is away" : "");
	if (get_text(mesh, "last_error")[0])
		print_wrong(p, COLOUR_RED, get_text(mesh, "last_error"));
	if (refused > 0) {
		snprintf(text, sizeof(text),
			 "%.0f refused, at most older versions are in force; last:", refused);
		print_wrong(p, COLOUR_RED, text);
		print_wrong(p, COLOUR_RED, get_text(istiod, "rejection"));
	}
}

static void print_mesh(const struct page *p)
{
	const json_t *mesh = json_object_get(p->reply, "mesh");

	if (json_object_get(mesh, "istiod"))
		print_istiod(p, mesh);
	else
		print_file(p, mesh);
	print_label(p, "Mesh");
	printf("%.0f workloads, %.0f services, %.0f policies\n", get_num(mesh, "workloads"),
	       get_num(mesh, "services"), get_num(mesh, "policies"));
	if (get_num(mesh, "workloads_without_policy") > 0) {
		char text[32];

		snprintf(text, sizeof(text), "%.0f workloads",
			 get_num(mesh, "workloads_without_policy"));
		print_label(p, "");
		print_in(p, COLOUR_RED, text);
		printf(" name a policy that does not exist, so they are denied (weft policies)\n");
	}
}

static void print_zds(const struct page *p)
{
	const json_t *zds = json_object_get(p->reply, "zds");
	const char *state = get_text(zds, "state");
	bool synced = strcmp(state, "synced") == 0;
	char buf[24], text[64];

	if (!zds)
		return;
	print_label(p, "Pods from");
	printf("istio-cni ");
	out_safe(stdout, get_text(zds, "path"));
	printf(", ");
	print_in(p, synced ? COLOUR_GREEN : COLOUR_RED, state);
	if (get_num(zds, "since_s") > 0)
		printf(" %s", human_since(buf, get_num(zds, "since_s")));
	printf(", %.0f served\n", get_num(zds, "served"));
	if (get_text(zds, "last_error")[0])
		print_wrong(p, COLOUR_RED, get_text(zds, "last_error"));
	if (get_num(zds, "pending") > 0) {
		snprintf(text, sizeof(text), "%.0f pods cannot be served (see the log)",
			 get_num(zds, "pending"));
		print_wrong(p, COLOUR_RED, text);
	}
}

static void print_certificates(const struct page *p)
{
	const json_t *certs = json_object_get(p->reply, "certificates");
	double pending = get_num(certs, "pending"), failed = get_num(certs, "failed");
	char text[64];

	print_label(p, "Certificates");
	printf("%.0f ready", get_num(certs, "ready"));
	if (pending > 0) {
		snprintf(text, sizeof(text), "%.0f pending", pending);
		printf(", ");
		print_in(p, COLOUR_YELLOW, text);
	}
	if (failed > 0) {
		snprintf(text, sizeof(text), "%.0f failed", failed);
		printf(", ");
		print_in(p, COLOUR_RED, text);
		printf(" (weft certs)");
	}
	printf("\n");
}

static void print_connections(const struct page *p)
{
	json_t *conns = json_object_get(p->reply, "connections");
	const json_t *tunnels = json_object_get(p->reply, "tunnels");
	const char *path;
	const char *sep = " (";
	json_t *n;
	char buf[24];

	print_label(p, "Connections");
	printf("%s open", human_count(buf, get_num(conns, "open")));
	json_object_foreach(json_object_get(conns, "by_path"), path, n) {
		if (json_number_value(n) <= 0)
			continue;
		printf("%s", sep);
		print_in(p, path_colour(path), path);
		printf(" %s", human_count(buf, json_number_value(n)));
		sep = ", ";
	}
	printf("%s, %s opened so far\n", sep[0] == ',' ? ")" : "",
	       human_count(buf, get_num(conns, "opened")));
	print_label(p, "Tunnels");
	printf("%.0f to other nodes, %.0f from them, ", get_num(tunnels, "client"),
	       get_num(tunnels, "server"));
	printf("%s streams\n", human_count(buf, get_num(tunnels, "streams")));
	print_label(p, "Encryption");
	out_safe(stdout, get_text(p->reply, "aead"));
	printf("\n");
}

static void print_kernel(const struct page *p)
{
	const json_t *uplink = json_object_get(p->reply, "uplink");
	const json_t *cache = json_object_get(p->reply, "cache");
	const json_t *pins = json_object_get(p->reply, "pins");
	double hits = get_num(cache, "hits"), all = hits + get_num(cache, "misses");

	print_label(p, "Same node");
	out_safe(stdout, get_text(p->reply, "same_node"));
	printf("\n");
	print_label(p, "Uplink");
	out_safe(stdout, get_text(uplink, "name"));
	printf(", guard ");
	out_safe(stdout, get_text(uplink, "guard"));
	if (get_text(uplink, "mode")[0]) {
		printf(" (");
		out_safe(stdout, get_text(uplink, "mode"));
		printf(")");
	}
	printf("\n");
	if (get_text(pins, "error")[0]) {
		print_label(p, "Pins");
		print_in(p, COLOUR_RED, get_text(pins, "error"));
		printf("\n");
	}
	print_label(p, "Verdicts");
	printf("epoch %.0f", get_num(cache, "epoch"));
	if (all > 0)
		printf(", %.1f%% of %.0f answered by the cache", 100 * hits / all, all);
	printf("\n");
}

static void print_dropped(const struct page *p, const char *label, const char *key)
{
	double dropped = get_num(json_object_get(p->reply, key), "dropped");
	char text[96];

	if (dropped <= 0)
		return;
	snprintf(text, sizeof(text), "%.0f lines lost: its disk is full, or it is read too slowly",
		 dropped);
	print_label(p, label);
	print_in(p, COLOUR_YELLOW, text);
	printf("\n");
}

static void print_page(const struct page *p)
{
	print_head(p);
	print_mesh(p);
	print_zds(p);
	print_label(p, "Pods");
	printf("%.0f enrolled\n", get_num(p->reply, "pods"));
	print_certificates(p);
	print_connections(p);
	print_kernel(p);
	print_dropped(p, "Access log", "access_log");
	print_dropped(p, "Log", "log");
	printf("\n");
}

static void worker_row(struct table *t, const json_t *row)
{
	double busy = get_num(row, "busy_ns") / 1e9, lag = get_num(row, "max_lag_ns") / 1e9;
	char buf[24];

	table_cell(t, COLOUR_NONE, "%s", get_text(row, "name"));
	cell_count(t, row, "connections");
	cell_count(t, row, "turns");
	cell_count(t, row, "events");
	table_cell(t, COLOUR_NONE, "%s", human_duration(buf, busy));
	if (lag < 0.001)
		table_cell(t, COLOUR_NONE, "%.0fus", lag * 1e6);
	else
		table_cell(t, lag > 0.1 ? COLOUR_YELLOW : COLOUR_NONE, "%s",
			   human_duration(buf, lag));
}

int cmd_status(const struct cli *c)
{
	static const struct column columns[] = {
		{ .title = "NODE" },
		{ .title = "THREAD" },
		{ .title = "CONNECTIONS", .flags = COL_RIGHT },
		{ .title = "TURNS", .flags = COL_RIGHT },
		{ .title = "EVENTS", .flags = COL_RIGHT },
		{ .title = "BUSY", .flags = COL_RIGHT },
		{ .title = "LONGEST TURN", .flags = COL_RIGHT },
	};
	static const struct listing workers = {
		.cmd = "status",
		.key = "workers",
		.columns = columns,
		.n_columns = ARRAY_LEN(columns),
		.row = worker_row,
	};
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_list(c, "status", &ts, &done);

	if (done)
		return r;
	vec_for_each(t, &ts.v)
		if (t->reply)
			print_page(&(struct page){ .reply = t->reply, .colours = out_has_colours() });
	listing_print(&ts, &workers);
	return r;
}
