// SPDX-License-Identifier: Apache-2.0
/*
 * What the admin port answers (docs/admin.md): the config dump, connections, levels of the log,
 * the end. Control thread; workers are asked by worker_call().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl.h"
#include "admin/dump.h"
#include "admin/logging.h"
#include "admin/pages.h"
#include "admin/views.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "base/vec.h"
#include "daemon/daemon.h"
#include "kern/kern.h"
#include "model/snap.h"
#include "pod/pods.h"
#include "version.h"
#include "weft/abi.h"

struct dump_slot {
	uint32_t slot, workload, pod;
};

struct dump_fill {
	struct daemon *d;
	struct dump *dump;
	const struct snap *s;
	VEC(struct dump_slot) slots;
	int r;
};

static void fill_pod(void *arg, const struct pod *pod)
{
	struct dump_fill *f = arg;
	const struct conn_local *l = pod->local;
	const struct workload *w = snap_workload_by_id(f->s, pod->workload);
	_free_ char *name = str_printf("%s/%s", l->ns, l->name);
	const struct dump_pod row = { .key = w ? w->uid : name,
				      .ns = l->ns,
				      .name = l->name,
				      .trust_domain = w ? w->group->trust_domain : f->d->opts.trust_domain,
				      .service_account = w ? w->group->service_account : "",
				      .up = w != NULL };
	int r = row.key ? dump_pod(f->dump, &row) : -ENOMEM;

	if (r >= 0)
		r = vec_push(&f->slots, (struct dump_slot){ l->slot, pod->workload, (uint32_t)r });
	if (r < 0)
		f->r = r;
}

static const struct dump_slot *slot_of(const struct dump_fill *f, uint32_t slot, uint32_t workload)
{
	for (size_t i = 0; i < f->slots.n; i++) {
		const struct dump_slot *s = &f->slots.p[i];

		if (slot ? s->slot == slot : workload && s->workload == workload)
			return s;
	}
	return NULL;
}

static void fill_relayed(struct worker *w, void *arg)
{
	struct dump_fill *f = arg;

	list_for_each(n, &w->conns->conns) {
		const struct conn *c = list_entry(n, struct conn, node);
		const struct dump_slot *s = slot_of(f, c->local->slot, 0);
		struct dump_conn row = { .inbound = c->inbound,
					 .hbone = c->path == WEFT_PATH_HBONE,
					 .src = c->client,
					 .dialled = c->dialled,
					 .actual = c->chosen,
					 .service = c->inbound ? c->service : NULL };

		if (!s || !c->opened)
			continue;
		row.pod = s->pod;
		/* Out of a tunnel's begin nobody sees but its end: as ztunnel says it. */
		if (row.hbone && !row.inbound)
			row.actual.port = WEFT_PORT_HBONE;
		if (dump_conn(f->dump, &row) < 0)
			f->r = -ENOMEM;
	}
}

static void fill_end(struct dump_fill *f, const struct weft_flow_live *l, bool inbound)
{
	const struct dump_slot *s = slot_of(f, 0, inbound ? l->dst : l->src);
	struct dump_conn row = { .inbound = inbound,
				 .src = { .addr = l->tuple.src, .port = l->tuple.sport },
				 .dialled = l->dialled,
				 .actual = { .addr = l->tuple.dst, .port = l->tuple.dport } };

	if (!s)
		return;
	row.pod = s->pod;
	if (inbound)
		row.service = snap_service_by_port_id(f->s, l->service, NULL);
	if (dump_conn(f->dump, &row) < 0)
		f->r = -ENOMEM;
}

static void fill_flow(void *arg, const struct weft_flow_live *l)
{
	if (!l->opened_ns)
		return;
	fill_end(arg, l, false);
	if (l->path == WEFT_PATH_DIRECT)
		fill_end(arg, l, true);
}

static json_t *version_json(void)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "version", WEFT_VERSION,
			 "gitRevision", WEFT_VERSION, "rustVersion", "none", "buildProfile",
			 "release", "buildStatus", "", "istioVersion", "unknown", "cryptoProvider",
			 "openssl");
}

static json_t *socket_json(uint16_t port)
{
	char text[24];

	snprintf(text, sizeof(text), "[::]:%u", port);
	return json_pack("{s:s}", "SocketAddr", text);
}

static json_t *text_or_null(const char *text)
{
	return text[0] ? view_text(text) : json_null();
}

/* Few keys, and each in the type that ztunnel's has: readers refuse the whole dump for one that
 * is of another type. */
static json_t *config_json(const struct opts *o)
{
	json_t *j = json_pack(
		"{s:{s:[b,i]}, s:o, s:o, s:[i,i,i], s:i, s:s}", "adminAddr", "Localhost", 1,
		(int)o->admin_port, "statsAddr", socket_json(o->metrics_port), "readinessAddr",
		socket_json(o->ready_port), "illegalPorts", WEFT_PORT_HBONE, WEFT_PORT_PLAINTEXT,
		WEFT_PORT_OUTBOUND, "numWorkerThreads", (int)o->workers, "proxyMode", "Shared");

	json_object_set_new(j, "network", view_text(o->network));
	json_object_set_new(j, "localNode", view_text(o->node));
	json_object_set_new(j, "clusterId", view_text(o->cluster));
	json_object_set_new(j, "trustDomain", view_text(o->trust_domain));
	json_object_set_new(j, "xdsAddress", text_or_null(o->xds_address));
	json_object_set_new(j, "caAddress",
			    text_or_null(o->ca_address[0] ? o->ca_address : o->xds_address));
	json_object_set_new(j, "altXdsHostname", text_or_null(o->xds_alt_hostname));
	json_object_set_new(j, "altCaHostname", text_or_null(o->ca_alt_hostname));
	json_object_set_new(j, "selfTerminationDeadline",
			    json_pack("{s:I, s:i}", "secs", (json_int_t)(o->drain_ns / 1000000000u),
				      "nanos", (int)(o->drain_ns % 1000000000u)));
	return j;
}

static ssize_t stream_read(void *arg, char *buf, size_t cap)
{
	return dump_read(arg, buf, cap);
}

static void stream_end(void *arg)
{
	struct dump *dump = arg;

	dump_free(&dump);
}

static int admin_stream(void *arg, const char *path, struct page_stream *ret)
{
	struct daemon *d = arg;
	struct dump_fill f = { .d = d, .s = model_snap(d->model) };
	int r;

	if (strcmp(path, "/config_dump") != 0)
		return -ENOENT;
	r = dump_new(f.s, d->opts.network, &f.dump);
	if (r < 0)
		return r;
	f.r = dump_certs(f.dump, d->ident);
	pods_each(d->pods, fill_pod, &f);
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], fill_relayed, &f);
	kern_flows_each(d->kern, fill_flow, &f);
	dump_settings(f.dump, version_json(), config_json(&d->opts));
	vec_fini(&f.slots);
	if (f.r < 0) {
		dump_free(&f.dump);
		return f.r;
	}
	*ret = (struct page_stream){ stream_read, stream_end, f.dump };
	return 0;
}

#define ROW(path, what) "<tr><td>" path "</td><td>" what "</td></tr>\n"

static char *index_html(const struct daemon *d)
{
	return str_printf(
		"<!DOCTYPE html><html><head><title>weftd %s</title></head><body>\n"
		"<h1>weftd on this node</h1>\n<table>\n" ROW(
			"<a href=\"config_dump\">GET config_dump</a>",
			"mesh, certificates, pods and their connections, as ztunnel shows it")
			ROW("<a href=\"connections\">GET connections</a>",
			    "connections of this node's pods, as <code>weft conns</code>")
				ROW("<a href=\"logging\">GET logging</a>",
				    "levels of the log; POST logging?level=info,dns=debug "
				    "sets, POST logging?reset resets")
					ROW("POST quitquitquit",
					    "end, after connections had time to end") "</table>\n<p>%llu pods</p></body></html>\n",
		WEFT_VERSION, (unsigned long long)pods_count(d->pods));
}

static char *levels_answer(void)
{
	_free_ char *levels = log_levels_text();

	return levels ? str_printf("current log level is %s\n", levels) : NULL;
}

static char *admin_get(void *arg, const char *path)
{
	struct daemon *d = arg;
	json_t *j;
	char *text;

	if (strcmp(path, "/") == 0)
		return index_html(d);
	if (strcmp(path, "/logging") == 0)
		return levels_answer();
	if (strcmp(path, "/connections") != 0)
		return NULL;
	j = view_connections(d);
	text = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
	json_decref(j);
	return text;
}

static int admin_post(void *arg, const char *path, const char *query, char **ret)
{
	struct daemon *d = arg;
	struct errbuf err = { 0 };

	if (strcmp(path, "/quitquitquit") == 0) {
		drain_begin(d, "POST /quitquitquit");
		*ret = str_dup(STR("shutdown now\n"));
		return 0;
	}
	if (strcmp(path, "/logging") != 0)
		return -ENOENT;
	if (logging_apply(query, (enum log_level)d->opts.log_level, &err) < 0) {
		*ret = str_printf("%s\n", err.text[0] ? err.text : "out of memory");
		return -EINVAL;
	}
	*ret = levels_answer();
	return 0;
}

static bool page_ready(void *arg, char *buf, size_t cap)
{
	return daemon_ready(arg, buf, cap);
}

int adminport_start(struct daemon *d, struct errbuf *err)
{
	static const struct pages_ops ops = { .metrics = daemon_metrics,
					      .ready = page_ready,
					      .admin_get = admin_get,
					      .admin_stream = admin_stream,
					      .admin_post = admin_post };
	const struct pages_opts po = { d->opts.metrics_port, d->opts.ready_port, d->opts.admin_port };

	return pages_start(d->loop, &po, &ops, d, err, &d->pages);
}
