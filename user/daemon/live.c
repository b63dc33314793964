// SPDX-License-Identifier: Apache-2.0
/* Live views: connections (relayed ones of all workers, direct ones of the kernel), drops,
 * programs and maps. Control thread; workers answer by worker_call(). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/views.h"
#include "base/clock.h"
#include "daemon/daemon.h"
#include "kern/kern.h"
#include "pod/pods.h"
#include "report/drops.h"
#include "weft/abi.h"

static const char *const path_name[] = {
	[WEFT_PATH_NONE] = "none",     [WEFT_PATH_PASSTHROUGH] = "passthrough",
	[WEFT_PATH_DIRECT] = "direct", [WEFT_PATH_RELAY] = "relay",
	[WEFT_PATH_HBONE] = "hbone",   [WEFT_PATH_PLAIN] = "plain",
	[WEFT_PATH_DENIED] = "denied",
};
_Static_assert(sizeof(path_name) / sizeof(path_name[0]) == WEFT_PATH_MAX, "name every path");

static void set_ep(json_t *j, const char *key, const struct weft_ep *ep)
{
	char text[IP_TEXT_MAX];

	json_object_set_new(j, key, json_string(ip_format_ep(text, ep)));
}

static void set_workload(json_t *j, const char *side, const struct workload *w, const char *identity)
{
	char key[32];

	snprintf(key, sizeof(key), "%s_workload", side);
	json_object_set_new(j, key, view_text(w ? w->name : ""));
	snprintf(key, sizeof(key), "%s_namespace", side);
	json_object_set_new(j, key, view_text(w ? w->ns : ""));
	snprintf(key, sizeof(key), "%s_identity", side);
	json_object_set_new(j, key, view_text(identity ? identity : ""));
}

static void set_service(json_t *j, const struct service *svc)
{
	json_object_set_new(j, "service", view_text(svc ? svc->hostname : ""));
	json_object_set_new(j, "service_namespace", view_text(svc ? svc->ns : ""));
}

static json_t *conn_row(const struct conn *c)
{
	json_t *j = json_object();
	char text[320];
	const char *own = c->local->identity;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)c->id);
	json_object_set_new(j, "id", json_string(text));
	snprintf(text, sizeof(text), "%s/%s", c->local->ns, c->local->name);
	json_object_set_new(j, "pod", view_text(text));
	json_object_set_new(j, "direction", json_string(c->inbound ? "inbound" : "outbound"));
	json_object_set_new(j, "path", json_string(path_name[c->path]));
	set_ep(j, "src", &c->client);
	set_ep(j, "dst", &c->chosen);
	set_ep(j, "dialled", &c->dialled);
	set_workload(j, "src", c->src, c->inbound ? c->peer_identity : own);
	set_workload(j, "dst", c->dst, c->inbound ? own : c->peer_identity);
	set_service(j, c->service);
	json_object_set_new(j, "sent_bytes", json_integer((json_int_t)conn_bytes_sent(c)));
	json_object_set_new(j, "received_bytes", json_integer((json_int_t)conn_bytes_received(c)));
	json_object_set_new(j, "age_ms",
			    json_integer((json_int_t)((clock_mono_ns() - c->started_ns) / NS_PER_MS)));
	json_object_set_new(j, "action", json_string(conn_action(c)));
	json_object_set_new(j, "rtt_us", json_null()); /* of two legs, neither is the answer */
	return j;
}

static void worker_rows(struct worker *w, void *arg)
{
	json_t *rows = arg;

	list_for_each(n, &w->conns->conns)
		json_array_append_new(rows, conn_row(list_entry(n, struct conn, node)));
}

struct flow_view {
	struct daemon *d;
	json_t *rows;
	const struct snap *s;
	uint64_t now_boot_ns;
};

static void flow_row(struct flow_view *v, const struct weft_flow_live *l, bool inbound)
{
	const struct workload *src = snap_workload_by_id(v->s, l->src);
	const struct workload *dst = snap_workload_by_id(v->s, l->dst);
	const struct workload *own = inbound ? dst : src;
	const struct service *svc = snap_service_by_port_id(v->s, l->service, NULL);
	struct weft_ep from = { .addr = l->tuple.src, .port = l->tuple.sport };
	struct weft_ep to = { .addr = l->tuple.dst, .port = l->tuple.dport };
	/* One that is still in its handshake is for the judge (pod/verdict.c) only. */
	json_t *j = l->opened_ns ? json_object() : NULL;
	char text[320];

	if (!j)
		return;
	if (!svc && dst)
		svc = snap_service_of(v->s, dst, to.port);
	snprintf(text, sizeof(text), "k%016llx%s",
		 (unsigned long long)hash_bytes(&l->tuple, sizeof(l->tuple)), inbound ? "i" : "o");
	json_object_set_new(j, "id", json_string(text));
	snprintf(text, sizeof(text), "%s/%s", own ? own->ns : "", own ? own->name : "");
	json_object_set_new(j, "pod", view_text(text));
	json_object_set_new(j, "direction", json_string(inbound ? "inbound" : "outbound"));
	json_object_set_new(j, "path", json_string(path_name[l->path]));
	set_ep(j, "src", &from);
	set_ep(j, "dst", &to);
	set_ep(j, "dialled", inbound ? &to : &l->dialled);
	set_workload(j, "src", src, src ? src->identity : NULL);
	set_workload(j, "dst", dst, dst ? dst->identity : NULL);
	set_service(j, svc);
	json_object_set_new(j, "sent_bytes",
			    json_integer((json_int_t)(inbound ? l->sent_bytes : l->received_bytes)));
	json_object_set_new(j, "received_bytes",
			    json_integer((json_int_t)(inbound ? l->received_bytes : l->sent_bytes)));
	json_object_set_new(j, "age_ms",
			    json_integer((json_int_t)((v->now_boot_ns - l->opened_ns) / NS_PER_MS)));
	json_object_set_new(j, "action", json_string("kernel"));
	json_object_set_new(j, "rtt_us", json_integer(l->rtt_us));
	json_array_append_new(v->rows, j);
}

/* A direct connection is one record and two ends on this node. */
static void flow_rows(void *arg, const struct weft_flow_live *l)
{
	flow_row(arg, l, false);
	if (l->path == WEFT_PATH_DIRECT)
		flow_row(arg, l, true);
}

json_t *view_connections(struct daemon *d)
{
	json_t *rows = json_array();
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	struct flow_view v = { .d = d,
			       .rows = rows,
			       .s = model_snap(d->model),
			       .now_boot_ns = (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec };

	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], worker_rows, rows);
	kern_flows_each(d->kern, flow_rows, &v);
	return json_pack("{s:o}", "connections", rows);
}

static const struct {
	const char *token, *sentence;
} reasons[] = {
#define X(name, number, token, flag, sentence) [number] = { token, sentence },
	WEFT_REASONS(X)
#undef X
};

static const struct {
	const char *name, *help;
} stats[] = {
#define X(name, label, help) { label, help },
	WEFT_STATS(X)
#undef X
};

static json_t *recent_rows(struct daemon *d, uint64_t since)
{
	struct drop_rec *r = calloc(DROPS_RECENT, sizeof(*r));
	json_t *rows = json_array();
	size_t n = r ? drops_recent_any(d->drops, r, DROPS_RECENT) : 0;

	for (size_t i = 0; i < n; i++) {
		json_t *j = r[i].seq >= since ? json_object() : NULL;

		if (!j)
			continue;
		json_object_set_new(j, "seq", json_integer((json_int_t)r[i].seq));
		json_object_set_new(j, "time_s", json_integer((json_int_t)r[i].time_s));
		set_ep(j, "src", &r[i].src);
		set_ep(j, "dst", &r[i].dst);
		json_object_set_new(j, "src_workload", view_text(r[i].src_name));
		json_object_set_new(j, "dst_workload", view_text(r[i].dst_name));
		json_object_set_new(j, "reason", json_string(reasons[r[i].reason].token));
		json_object_set_new(j, "policy", view_text(r[i].policy));
		json_object_set_new(j, "rule",
				    r[i].policy[0] && r[i].rule >= 0 ? json_integer(r[i].rule)
								     : json_null());
		json_object_set_new(j, "where", json_string(r[i].kernel ? "kernel" : "relay"));
		json_array_append_new(rows, j);
	}
	free(r);
	return rows;
}

json_t *view_drops(struct daemon *d, uint64_t since)
{
	json_t *drops = json_array(), *events = json_array();
	uint64_t stat[WEFT_STAT_MAX];

	for (int i = 0; i < WEFT_REASON_MAX; i++) {
		uint64_t n = drops_count_any(d->drops, (enum weft_reason)i);

		if (n)
			json_array_append_new(drops,
					      json_pack("{s:s, s:I, s:s}", "reason",
							reasons[i].token, "count", (json_int_t)n,
							"sentence", reasons[i].sentence));
	}
	kern_stats(d->kern, stat);
	for (int i = 0; i < WEFT_STAT_MAX; i++)
		json_array_append_new(events,
				      json_pack("{s:s, s:I, s:s}", "name", stats[i].name, "count",
						(json_int_t)stat[i], "help", stats[i].help));
	return json_pack("{s:o, s:o, s:o}", "drops", drops, "events", events, "recent",
			 recent_rows(d, since));
}

struct prog_view {
	struct daemon *d;
	json_t *rows;
};

struct place_view {
	struct daemon *d;
	json_t *places;
	uint64_t cookie;
	const struct pod *pod;
};

static void match_pod(void *arg, const struct pod *pod)
{
	struct place_view *v = arg;

	if (pod->local->cookie == v->cookie)
		v->pod = pod;
}

/* A person knows pods, not the cookies of their namespaces. */
static void add_place(void *arg, const char *place)
{
	struct str text = str_of(place);
	struct place_view *v = arg;
	char name[400];

	v->pod = NULL;
	if (str_eq(str_cut(&text, ' '), STR("netns")) && str_to_u64(text, &v->cookie) == 0)
		pods_each(v->d->pods, match_pod, v);
	if (v->pod)
		snprintf(name, sizeof(name), "pod %s/%s", v->pod->local->ns, v->pod->local->name);
	json_array_append_new(v->places, view_text(v->pod ? name : place));
}

static void prog_row(void *arg, const struct kern_prog_row *r)
{
	struct prog_view *v = arg;
	struct place_view places = { .d = v->d, .places = json_array() };

	kern_prog_places(v->d->kern, r->name, add_place, &places);
	json_array_append_new(v->rows, json_pack("{s:s, s:i, s:s, s:I, s:I, s:i, s:o}", "name",
						 r->name, "id", (int)r->id, "type", r->type,
						 "run_count", (json_int_t)r->run_count,
						 "run_time_ns", (json_int_t)r->run_time_ns, "insns",
						 (int)r->insns, "attached", places.places));
}

static void map_row(void *arg, const struct kern_map_row *r)
{
	json_t *entries = r->entries < 0 ? json_null() : json_integer((json_int_t)r->entries);

	json_array_append_new(arg, json_pack("{s:s, s:i, s:s, s:o, s:I, s:I}", "name", r->name,
					     "id", (int)r->id, "type", r->type, "entries", entries,
					     "max_entries", (json_int_t)r->max_entries,
					     "memory_bytes", (json_int_t)r->memory_bytes));
}

static void on_stats_off(void *arg)
{
	struct daemon *d = arg;

	kern_run_stats(d->kern, false);
}

json_t *view_bpf(struct daemon *d)
{
	json_t *progs = json_array(), *maps = json_array();
	struct prog_view v = { .d = d, .rows = progs };

	/* Counting runs costs a little per run: on while somebody looks, a minute longer. */
	kern_run_stats(d->kern, true);
	timer_set(d->loop, &d->stats_off, 60 * NS_PER_S, on_stats_off, d);
	kern_prog_each(d->kern, prog_row, &v);
	kern_map_each(d->kern, map_row, maps);
	return json_pack("{s:o, s:o, s:s, s:i}", "programs", progs, "maps", maps, "pin_dir",
			 kern_pin_dir(d->kern), "abi", WEFT_ABI_VERSION);
}
