// SPDX-License-Identifier: Apache-2.0
/*
 * What the demo shows, asked from the control sockets once a second; the sums of the summary
 * come from the access logs, because a connection can come and go between two looks. Used by
 * demo.c and demo_screen.c; one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/own.h"
#include "base/str.h"
#include "base/vec.h"
#include "demo.h"
#include "lab_env.h"
#include "lab_json.h"
#include "lab_state.h"
#include "lab_up.h"

int demo_init(struct demo *d, struct lab_env *e, const struct lab_spec *s)
{
	*d = (struct demo){ .env = e, .spec = s, .screen = isatty(STDOUT_FILENO) };
	d->start_ns = d->last_ns = clock_mono_ns();
	lab_for_each(const struct lab_node, n, &s->nodes) {
		struct demo_node node = { .name = n->name };

		ip_format(node.address, &n->v4);
		if (vec_push(&d->nodes, node) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void node_replies_drop(struct demo_node *n)
{
	own_json(&n->status);
	own_json(&n->pods);
	own_json(&n->drops);
	own_json(&n->connections);
}

void demo_fini(struct demo *d)
{
	vec_for_each(n, &d->nodes) {
		node_replies_drop(n);
		own_json(&n->seen);
	}
	vec_fini(&d->nodes);
}

static json_t *ask(struct demo *d, const struct demo_node *n, const char *cmd)
{
	struct errbuf ignored = { 0 };

	return node_call(d->env, n->name, json_pack("{s:s}", "cmd", cmd), &ignored);
}

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

static void id_text(const json_t *row, char *buf, size_t cap)
{
	const json_t *id = json_object_get(row, "id");

	if (json_is_string(id))
		snprintf(buf, cap, "%s", json_string_value(id));
	else
		snprintf(buf, cap, "%lld", (long long)json_integer_value(id));
}

static void row_account(const struct demo_node *n, json_t *row, json_t *seen, double seconds)
{
	double bytes = number(row, "sent_bytes") + number(row, "received_bytes");
	double delta;
	char id[64];

	id_text(row, id, sizeof(id));
	delta = bytes - number(n->seen, id);
	if (delta < 0)
		delta = bytes;
	json_object_set_new(seen, id, json_real(bytes));
	/* At the first look a rate would be the whole past. */
	json_object_set_new(row, "rate", json_real(n->seen && seconds > 0 ? delta / seconds : 0));
}

static void connections_look(struct demo *d, struct demo_node *n, double seconds)
{
	_json_ json_t *reply = ask(d, n, "connections");
	json_t *seen = json_object();
	size_t i;
	json_t *row;

	n->connections = json_incref(json_object_get(reply, "connections"));
	json_array_foreach(n->connections, i, row)
		row_account(n, row, seen, seconds);
	json_decref(n->seen);
	n->seen = seen;
}

uint64_t demo_rss_kib(const struct demo_node *n)
{
	_free_ char *path = str_printf("/proc/%lld/status", (long long)number(n->status, "pid"));
	_fclose_ FILE *f = path ? fopen(path, "re") : NULL;
	unsigned long long kib;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "VmRSS: %llu", &kib) == 1)
			return kib;
	}
	return 0;
}

void demo_look(struct demo *d)
{
	uint64_t now = clock_mono_ns();
	double seconds = (double)(now - d->last_ns) / 1e9;

	d->last_ns = now;
	vec_for_each(n, &d->nodes) {
		uint64_t rss;

		node_replies_drop(n);
		n->status = ask(d, n, "status");
		/* One that does not answer is not asked three times more. */
		if (!n->status)
			continue;
		n->pods = ask(d, n, "pods");
		n->drops = ask(d, n, "drops");
		connections_look(d, n, seconds);
		rss = demo_rss_kib(n);
		n->peak_rss_kib = rss > n->peak_rss_kib ? rss : n->peak_rss_kib;
	}
}

/* A connection between nodes is known on both, a direct one to both ends: the client's side
 * counts. Who is not in the mesh has no side of his own. */
static bool side_counts(const char *direction, const char *path)
{
	return strcmp(direction, "outbound") == 0 || strcmp(path, "plain") == 0;
}

static void sum_add(json_t *sums, const char *path, double bytes, bool failed)
{
	json_t *sum = json_object_get(sums, path);

	if (!sum) {
		sum = json_object();
		json_object_set_new(sums, path, sum);
	}
	json_object_set_new(sum, "connections", json_real(number(sum, "connections") + 1));
	json_object_set_new(sum, "bytes", json_real(number(sum, "bytes") + bytes));
	json_object_set_new(sum, "failed", json_real(number(sum, "failed") + failed));
}

/* The value behind ` name=`, without quotes; "" if there is none. */
static void field_read(const char *line, const char *name, char *buf, size_t cap)
{
	const char *at = strstr(line, name);

	buf[0] = '\0';
	if (!at)
		return;
	at += strlen(name);
	at += *at == '"';
	snprintf(buf, cap, "%.*s", (int)strcspn(at, " \"\n"), at);
}

static void line_sum(json_t *sums, const char *line)
{
	char path[32], direction[16], sent[24], received[24];
	uint64_t n = 0, m = 0;

	field_read(line, " path=", path, sizeof(path));
	field_read(line, " direction=", direction, sizeof(direction));
	field_read(line, " bytes_sent=", sent, sizeof(sent));
	field_read(line, " bytes_recv=", received, sizeof(received));
	if (!path[0] || !side_counts(direction, path))
		return;
	str_to_u64(str_of(sent), &n);
	str_to_u64(str_of(received), &m);
	sum_add(sums, path, (double)n + (double)m, strstr(line, " error=") != NULL);
}

static void log_sum(json_t *sums, const char *path)
{
	_fclose_ FILE *f = fopen(path, "re");
	_free_ char *line = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0)
		line_sum(sums, line);
}

json_t *demo_sums(const struct demo *d)
{
	json_t *sums = json_object();

	for (const struct demo_node *n = d->nodes.p; sums && n < d->nodes.p + d->nodes.n; n++) {
		char path[LAB_PATH_MAX];
		size_t i;
		json_t *row;

		log_sum(sums, env_node_file(d->env, path, n->name, "access.log"));
		json_array_foreach(n->connections, i, row) {
			if (side_counts(state_text(row, "direction"), state_text(row, "path")))
				sum_add(sums, state_text(row, "path"),
					number(row, "sent_bytes") + number(row, "received_bytes"),
					false);
		}
	}
	return sums;
}
