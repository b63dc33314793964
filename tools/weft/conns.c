// SPDX-License-Identifier: Apache-2.0
/* weft connections: who talks to whom, on which path, how much and how fast. */
#include "conns.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hmap.h"
#include "base/str.h"
#include "codec/spiffe.h"

/* Below this there is one column of bytes, and names are shortened. */
#define WIDE 110

/* The peer as seen from the local pod. */
static const char *peer_text(const json_t *row, const char *what, char *buf, size_t cap)
{
	bool out = strcmp(get_text(row, "direction"), "inbound") != 0;

	snprintf(buf, cap, "%s_%s", out ? "dst" : "src", what);
	return get_text(row, buf);
}

/* On a narrow screen the namespace is left out where it is the pod's own. */
static bool needs_namespace(const struct table *t, const json_t *row, const char *ns)
{
	struct str pod = str_of(get_text(row, "pod"));

	return ns[0] &&
	       (t->width == 0 || t->width >= WIDE || !str_eq(str_cut(&pod, '/'), str_of(ns)));
}

static void cell_peer(struct table *t, const json_t *row)
{
	bool out = strcmp(get_text(row, "direction"), "inbound") != 0;
	const char *dialled = get_text(row, "dialled"), *dst = get_text(row, "dst");
	const char *addr = out ? (dialled[0] ? dialled : dst) : get_text(row, "src");
	char key[32];
	const char *name = peer_text(row, "workload", key, sizeof(key));
	const char *ns = peer_text(row, "namespace", key, sizeof(key));
	const char *port = out ? strrchr(addr, ':') : NULL;

	if (!name[0])
		table_cell(t, COLOUR_NONE, "%s", addr);
	else if (needs_namespace(t, row, ns))
		table_cell(t, COLOUR_NONE, "%s/%s%s", ns, name, port ? port : "");
	else
		table_cell(t, COLOUR_NONE, "%s%s", name, port ? port : "");
}

/* Without the scheme; on a narrow screen namespace and service account only. */
static void cell_identity(struct table *t, const json_t *row)
{
	char key[32];
	const char *uri = peer_text(row, "identity", key, sizeof(key));
	struct str text = str_of(uri);
	struct spiffe id;

	if (t->width && t->width < WIDE && spiffe_parse(text, &id) == 0) {
		table_cell(t, COLOUR_NONE, "%.*s/%.*s", STR_FMT(id.ns), STR_FMT(id.sa));
		return;
	}
	if (str_has_prefix(text, STR("spiffe://")))
		uri += STR("spiffe://").n;
	table_cell(t, COLOUR_NONE, "%s", uri);
}

static void cell_rate(struct table *t, double rate)
{
	char buf[24];

	if (rate < 0)
		table_cell(t, COLOUR_NONE, "-");
	else if (rate < 1)
		table_cell(t, COLOUR_DIM, "0");
	else
		table_cell(t, COLOUR_NONE, "%s/s", human_bytes(buf, rate));
}

/* Is there a namespace that all pods share? Then a narrow screen does without it. */
static bool one_namespace(struct conn_rows *rows)
{
	struct str first = { 0 };

	vec_for_each(row, &rows->v) {
		struct str pod = str_of(get_text(row->json, "pod"));
		struct str ns = str_cut(&pod, '/');

		if (!first.p)
			first = ns;
		else if (!str_eq(ns, first))
			return false;
	}
	return true;
}

static void cell_pod(struct table *t, const json_t *row, bool one_ns)
{
	const char *pod = get_text(row, "pod"), *slash = strchr(pod, '/');
	bool narrow = t->width && t->width < WIDE;

	table_cell(t, COLOUR_NONE, "%s", narrow && one_ns && slash ? slash + 1 : pod);
}

static void conn_cells(struct table *t, const struct conn_row *c, bool one_ns, bool live)
{
	const char *path = get_text(c->json, "path");
	const char *direction = get_text(c->json, "direction");
	double rtt = get_num(c->json, "rtt_us");
	char buf[24];

	cell_pod(t, c->json, one_ns);
	table_cell(t, COLOUR_NONE, "%s", strcmp(direction, "inbound") == 0 ? "in" : "out");
	cell_peer(t, c->json);
	table_cell(t, path_colour(path), "%s", path);
	table_cell(t, COLOUR_NONE, "%s", get_text(c->json, "service"));
	cell_identity(t, c->json);
	table_cell(t, COLOUR_NONE, "%s", human_bytes(buf, c->bytes));
	table_cell(t, COLOUR_NONE, "%s", human_bytes(buf, get_num(c->json, "sent_bytes")));
	table_cell(t, COLOUR_NONE, "%s", human_bytes(buf, get_num(c->json, "received_bytes")));
	if (live)
		cell_rate(t, c->rate);
	table_cell(t, COLOUR_NONE, "%s", human_duration(buf, get_num(c->json, "age_ms") / 1000));
	if (rtt > 0)
		table_cell(t, COLOUR_NONE, "%.2fms", rtt / 1000);
	else
		table_cell(t, COLOUR_NONE, "-");
}

void conns_print(struct targets *ts, struct conn_rows *rows, FILE *to, size_t max_rows, bool live)
{
	static const struct column all[] = {
		{ .title = "NODE" },
		{ .title = "POD", .flags = COL_CUT_END },
		{ .title = "DIR" },
		{ .title = "PEER", .flags = COL_CUT_END },
		{ .title = "PATH", .flags = COL_CUT_END },
		{ .title = "SERVICE", .flags = COL_CUT_END, .from_width = 160 },
		{ .title = "IDENTITY", .flags = COL_CUT_START },
		{ .title = "BYTES", .flags = COL_RIGHT, .to_width = WIDE },
		{ .title = "SENT", .flags = COL_RIGHT, .from_width = WIDE },
		{ .title = "RECEIVED", .flags = COL_RIGHT, .from_width = WIDE },
		{ .title = "RATE", .flags = COL_RIGHT },
		{ .title = "AGE", .flags = COL_RIGHT },
		{ .title = "RTT", .flags = COL_RIGHT, .from_width = WIDE },
	};
	struct column columns[ARRAY_LEN(all)];
	bool one_ns = one_namespace(rows);
	size_t n = 0;
	struct table t;

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if ((ts->many || i != 0) && (live || strcmp(all[i].title, "RATE") != 0))
			columns[n++] = all[i];
	table_init(&t, columns, n, stdout);
	for (size_t i = 0; i < rows->v.n && (max_rows == 0 || i < max_rows); i++) {
		if (ts->many)
			table_cell(&t, COLOUR_NONE, "%s", rows->v.p[i].node);
		conn_cells(&t, &rows->v.p[i], one_ns, live);
	}
	table_print(&t, to, max_rows);
	table_fini(&t);
}

static int by_key(const void *a, const void *b)
{
	const struct conn_sample *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static int by_rate(const void *a, const void *b)
{
	const struct conn_row *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate > y->rate ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

/* Node, id and direction: both ends of a direct connection may be pods of one node. */
static uint64_t row_key(const char *node, const json_t *row)
{
	_free_ char *id = json_dumps(json_object_get(row, "id"), JSON_ENCODE_ANY);
	_free_ char *text = str_printf("%s\n%s\n%s", node, id ? id : "", get_text(row, "direction"));

	return text ? hash_str(str_of(text)) : 0;
}

static double rate_of(const struct conn_past *past, const struct conn_row *row, double seconds)
{
	struct conn_sample want = { .key = row->key };
	const struct conn_sample *old;

	if (!past->at_ns || seconds <= 0)
		return -1;
	old = past->v.n ? bsearch(&want, past->v.p, past->v.n, sizeof(want), by_key) : NULL;
	/* A connection that is new since the last sample sent all its bytes since then. */
	if (!old)
		return row->bytes / seconds;
	return row->bytes > old->bytes ? (row->bytes - old->bytes) / seconds : 0;
}

static int past_replace(struct conn_past *past, struct conn_rows *rows, uint64_t now)
{
	past->v.n = 0;
	past->at_ns = now;
	vec_for_each(row, &rows->v) {
		struct conn_sample s = { .key = row->key, .bytes = row->bytes };

		if (vec_push(&past->v, s) < 0)
			return -ENOMEM;
	}
	if (past->v.n)
		qsort(past->v.p, past->v.n, sizeof(*past->v.p), by_key);
	return 0;
}

int conns_collect(struct targets *ts, struct conn_past *past, struct conn_rows *ret)
{
	uint64_t now = clock_mono_ns();
	double seconds = (double)(now - past->at_ns) / (double)NS_PER_S;

	ret->v.n = 0;
	vec_for_each(t, &ts->v) {
		json_t *one, *list = json_object_get(t->reply, "connections");
		size_t i;

		json_array_foreach(list, i, one) {
			struct conn_row row = {
				.node = t->node,
				.json = one,
				.key = row_key(t->node, one),
				.bytes = get_num(one, "sent_bytes") + get_num(one, "received_bytes"),
			};

			row.rate = rate_of(past, &row, seconds);
			if (vec_push(&ret->v, row) < 0)
				return -ENOMEM;
		}
	}
	if (ret->v.n)
		qsort(ret->v.p, ret->v.n, sizeof(*ret->v.p), by_rate);
	return past_replace(past, ret, now);
}

void conns_keep_pod(struct targets *ts, const char *pod)
{
	vec_for_each(t, &ts->v) {
		json_t *list = json_object_get(t->reply, "connections");

		for (size_t i = json_array_size(list); i-- > 0;)
			if (strcmp(get_text(json_array_get(list, i), "pod"), pod) != 0)
				json_array_remove(list, i);
	}
}

static int print_once(struct targets *ts)
{
	struct conn_past past = { 0 };
	struct conn_rows rows = { 0 };
	int r = conns_collect(ts, &past, &rows);

	if (r == 0 && rows.v.n)
		conns_print(ts, &rows, stdout, 0, false);
	else if (r == 0)
		fprintf(stderr, "No connection of an enrolled pod is open.\n");
	vec_fini(&rows.v);
	vec_fini(&past.v);
	return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cmd_connections(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	_json_ json_t *request = json_pack("{s:s}", "cmd", "connections");
	int r = targets_find(c, &ts), printed;

	if (r != EXIT_DONE || !request)
		return r ? r : EXIT_FAILED;
	if (c->watch && c->json) {
		fprintf(stderr, "weft: --watch and -o json exclude each other\n");
		return EXIT_USAGE;
	}
	if (c->watch)
		return conns_watch(c, &ts);
	r = targets_ask(&ts, request);
	if (c->pod)
		conns_keep_pod(&ts, c->pod);
	if (c->json) {
		targets_print_json(&ts);
		return r;
	}
	if (r != EXIT_DONE && !ts.many)
		return r;
	printed = print_once(&ts);
	return r ? r : printed;
}
