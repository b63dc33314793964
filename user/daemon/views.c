// SPDX-License-Identifier: Apache-2.0
/* The commands of the control socket, docs/control.md. Control thread. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "admin/views.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "feed/file.h"
#include "ident/store.h"
#include "kern/kern.h"
#include "pod/mesh.h"
#include "pod/pods.h"
#include "report/access.h"
#include "tls/record.h"
#include "version.h"

static void set_int(json_t *j, const char *key, uint64_t v)
{
	json_object_set_new(j, key, json_integer((json_int_t)v));
}

struct cert_count {
	uint64_t ready, pending, failed;
};

static void count_cert(void *arg, const struct ident_row *row)
{
	struct cert_count *c = arg;

	if (strcmp(row->state, "ready") == 0)
		c->ready++;
	else if (strcmp(row->state, "pending") == 0)
		c->pending++;
	else
		c->failed++;
}

bool daemon_ready(struct daemon *d, char *buf, size_t cap)
{
	struct cert_count c = { 0 };
	size_t n = 0;

	buf[0] = '\0';
	if (!d->first_apply)
		n += (size_t)snprintf(buf + n, cap - n, "%s",
				      d->istiod.xds ? "istiod" : "mesh file");
	ident_each(d->ident, count_cert, &c);
	if (c.pending + c.failed && n < cap)
		n += (size_t)snprintf(buf + n, cap - n, "%scertificates", n ? ", " : "");
	if (zds_pending(d) && n < cap)
		snprintf(buf + n, cap - n, "%s%s", n ? ", " : "", zds_pending(d));
	return buf[0] == '\0';
}

static json_t *status_mesh(struct daemon *d)
{
	const struct snap *s = model_snap(d->model);
	struct feed_file_status fs;
	json_t *j = json_object();
	size_t denied;

	snap_missing_policies(s, &denied);
	json_object_set_new(j, "source", json_string(d->istiod.xds ? "istiod" : "file"));
	if (d->istiod.xds) {
		istiod_view(d, j);
	} else {
		feed_file_status(d->feed, &fs);
		json_object_set_new(j, "path", view_text(fs.path));
		set_int(j, "applied", fs.applied);
		set_int(j, "rejected", fs.rejected);
		set_int(j, "last_applied_s", fs.last_applied_s);
		json_object_set_new(j, "last_error", view_text(fs.last_error));
	}
	set_int(j, "version", s->version);
	set_int(j, "workloads", s->n_workloads);
	set_int(j, "services", s->n_services);
	set_int(j, "policies", s->n_policies);
	set_int(j, "workloads_without_policy", denied);
	return j;
}

static void worker_row(struct worker *w, void *arg)
{
	json_t *status = arg, *tunnels = json_object_get(status, "tunnels");
	struct loop_stats ls;
	struct tunnel_stats ts;
	json_t *row;

	loop_stats_any(w->loop, &ls);
	tunnel_stats(w->conns->tunnel, &ts);
	row = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", loop_name(w->loop), "turns",
			(json_int_t)ls.turns, "events", (json_int_t)ls.events, "busy_ns",
			(json_int_t)ls.busy_ns, "max_lag_ns", (json_int_t)ls.max_lag_ns,
			"connections", (json_int_t)w->conns->n_conns);
	json_array_append_new(json_object_get(status, "workers"), row);
	set_int(tunnels, "client",
		(uint64_t)json_integer_value(json_object_get(tunnels, "client")) + ts.client_conns);
	set_int(tunnels, "server",
		(uint64_t)json_integer_value(json_object_get(tunnels, "server")) + ts.server_conns);
	set_int(tunnels, "streams",
		(uint64_t)json_integer_value(json_object_get(tunnels, "streams")) + ts.streams);
}

static void set_connections(struct daemon *d, json_t *status)
{
	json_t *all = view_connections(d), *row, *by = json_object();
	uint64_t open = 0, opened = 0, stat[WEFT_STAT_MAX];
	size_t i;

	json_array_foreach(json_object_get(all, "connections"), i, row) {
		const char *path = json_string_value(json_object_get(row, "path"));
		const char *to = json_string_value(json_object_get(row, "direction"));

		/* A direct one has both its ends here: two rows, one connection. */
		if (strcmp(path, "direct") == 0 && strcmp(to, "inbound") == 0)
			continue;
		open++;
		set_int(by, path, (uint64_t)json_integer_value(json_object_get(by, path)) + 1);
	}
	kern_stats(d->kern, stat);
	opened = stat[WEFT_STAT_CONNECT_DIRECT] + stat[WEFT_STAT_CONNECT_PASSTHROUGH];
	for (int p = 0; p < WEFT_PATH_MAX; p++)
		opened += d->shared.opened[p];
	json_object_set_new(status, "connections",
			    json_pack("{s:I, s:I, s:o}", "open",
				      (json_int_t)open, "opened", (json_int_t)opened, "by_path", by));
	json_object_set_new(status, "cache",
			    json_pack("{s:I, s:I, s:I}", "hits",
				      (json_int_t)stat[WEFT_STAT_VERDICT_HIT], "misses",
				      (json_int_t)stat[WEFT_STAT_VERDICT_MISS], "epoch",
				      (json_int_t)kern_epoch_any(d->kern)));
	json_decref(all);
}

static void count_pod(void *arg, const struct pod *pod)
{
	(void)pod;
	++*(uint64_t *)arg;
}

static json_t *pending_list(struct daemon *d, bool *ret_ready)
{
	json_t *a = json_array();
	char buf[256];
	struct str rest, one;

	*ret_ready = daemon_ready(d, buf, sizeof(buf));
	rest = str_of(buf);
	while (!*ret_ready && rest.p) {
		one = str_trim(str_cut(&rest, ','));
		json_array_append_new(a, json_stringn(one.p, one.n));
	}
	return a;
}

json_t *views_status(struct daemon *d)
{
	static const char *const guard[] = { [OPTS_GUARD_AUTO] = "auto", [OPTS_GUARD_XDP] = "xdp",
					     [OPTS_GUARD_TCX] = "tcx", [OPTS_GUARD_OFF] = "off" };
	json_t *j = json_object();
	struct cert_count c = { 0 };
	uint64_t pods = 0;
	bool ready;

	json_object_set_new(j, "node", view_text(d->opts.node));
	json_object_set_new(j, "version", json_string(WEFT_VERSION));
	set_int(j, "pid", (uint64_t)getpid());
	set_int(j, "uptime_s", (clock_mono_ns() - d->started_ns) / NS_PER_S);
	json_object_set_new(j, "pending", pending_list(d, &ready));
	json_object_set_new(j, "ready", json_boolean(ready));
	json_object_set_new(j, "aead", json_string(record_engine()));
	json_object_set_new(j, "same_node",
			    json_string(d->opts.same_node == OPTS_MTLS ? "mtls" : "direct"));
	json_object_set_new(j, "uplink", json_pack("{s:s, s:s, s:s}", "name", d->uplink, "guard",
						   guard[d->opts.uplink_guard], "mode",
						   kern_uplink_text(d->kern)));
	json_object_set_new(j, "pins",
			    json_pack("{s:o, s:o}", "path", view_text(kern_pin_dir(d->kern)),
				      "error", view_text(d->pins_error.text)));
	json_object_set_new(j, "mesh", status_mesh(d));
	pods_each(d->pods, count_pod, &pods);
	set_int(j, "pods", pods);
	zds_view(d, j);
	json_object_set_new(j, "tunnels", json_object());
	json_object_set_new(j, "workers", json_array());
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], worker_row, j);
	set_connections(d, j);
	ident_each(d->ident, count_cert, &c);
	json_object_set_new(j, "certificates",
			    json_pack("{s:I, s:I, s:I}", "ready", (json_int_t)c.ready, "pending",
				      (json_int_t)c.pending, "failed", (json_int_t)c.failed));
	json_object_set_new(j, "access_log",
			    json_pack("{s:I}", "dropped", (json_int_t)access_dropped_any(d->access)));
	json_object_set_new(j, "log", json_pack("{s:I}", "dropped", (json_int_t)log_lost()));
	return j;
}

static json_t *on_status(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return views_status(arg);
}

/* ---- pods ---- */

static json_t *pod_row(const struct pod *pod)
{
	static const char *const state[] = { [POD_ENROLLED] = "enrolled",
					     [POD_NOT_IN_MESH] = "not-in-mesh",
					     [POD_GONE] = "gone" };
	const struct conn_local *l = pod->local;
	json_t *ips = json_array(), *j;
	char text[IP_TEXT_MAX];

	if (!ip_is_any(&l->v4))
		json_array_append_new(ips, json_string(ip_format(text, &l->v4)));
	if (!ip_is_any(&l->v6))
		json_array_append_new(ips, json_string(ip_format(text, &l->v6)));
	j = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:i, s:i, s:s, s:I, s:i}", "namespace",
		      view_text(l->ns), "name", view_text(l->name), "identity",
		      view_text(l->identity), "ips", ips, "netns", view_text(pod->netns_path),
		      "cookie", (json_int_t)l->cookie, "slot", (int)l->slot, "workload",
		      (int)pod->workload, "state", state[pod_state(pod)], "since_s",
		      (json_int_t)pod->since_s, "connections", 0);
	if (j) {
		const char *sa = strrchr(l->identity, '/');

		json_object_set_new(j, "service_account", view_text(sa ? sa + 1 : ""));
		json_object_set_new(j, "by", json_string(pod->zds_uid ? "zds" : "weft"));
		json_object_set_new(j, "uid", view_text(pod->zds_uid));
	}
	return j;
}

static void add_pod(void *arg, const struct pod *pod)
{
	json_array_append_new(arg, pod_row(pod));
}

static json_t *on_pods(void *arg, const json_t *req, struct errbuf *err)
{
	struct daemon *d = arg;
	json_t *rows = json_array(), *all = view_connections(d), *row, *c;
	size_t i, j;

	(void)req;
	(void)err;
	pods_each(d->pods, add_pod, rows);
	json_array_foreach(rows, i, row) {
		char name[400];
		uint64_t n = 0;

		snprintf(name, sizeof(name), "%s/%s",
			 json_string_value(json_object_get(row, "namespace")),
			 json_string_value(json_object_get(row, "name")));
		json_array_foreach(json_object_get(all, "connections"), j, c)
			n += strcmp(json_string_value(json_object_get(c, "pod")), name) == 0;
		set_int(row, "connections", n);
	}
	json_decref(all);
	return json_pack("{s:o}", "pods", rows);
}

static json_t *on_enrol(void *arg, const json_t *req, struct errbuf *err)
{
	struct daemon *d = arg;
	const char *ns, *name, *netns;
	struct pod *pod;

	if (json_unpack((json_t *)req, "{s:s, s:s, s:s}", "namespace", &ns, "name", &name, "netns",
			&netns) < 0) {
		errbuf_set(err, -EINVAL, "pod.enrol needs namespace, name and netns");
		return NULL;
	}
	if (strchr(ns, '/') || strchr(name, '/') || !ns[0] || !name[0]) {
		errbuf_set(err, -EINVAL, "'%s/%s' is not a namespace and a pod name", ns, name);
		return NULL;
	}
	if (pods_enrol(d->pods, ns, name, netns, err, &pod) < 0) {
		errbuf_set(err, -EIO, "pod %s/%s: cannot be enrolled", ns, name);
		return NULL;
	}
	return pod_row(pod);
}

static json_t *on_unenrol(void *arg, const json_t *req, struct errbuf *err)
{
	struct daemon *d = arg;
	const char *ns, *name;

	if (json_unpack((json_t *)req, "{s:s, s:s}", "namespace", &ns, "name", &name) < 0) {
		errbuf_set(err, -EINVAL, "pod.unenrol needs namespace and name");
		return NULL;
	}
	if (strchr(ns, '/') || strchr(name, '/')) {
		errbuf_set(err, -EINVAL, "'%s/%s' is not a namespace and a pod name", ns, name);
		return NULL;
	}
	return pods_unenrol(d->pods, ns, name, err) < 0 ? NULL : json_object();
}

/* ---- the rest ---- */

static json_t *on_workloads(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return json_pack("{s:o}", "workloads", view_workloads(model_snap(((struct daemon *)arg)->model)));
}

static json_t *on_services(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return json_pack("{s:o}", "services", view_services(model_snap(((struct daemon *)arg)->model)));
}

static json_t *on_policies(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return json_pack("{s:o, s:o}", "policies",
			 view_policies(model_snap(((struct daemon *)arg)->model)), "missing",
			 view_missing_policies(model_snap(((struct daemon *)arg)->model)));
}

static json_t *on_certs(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return json_pack("{s:o}", "certs", view_certs(((struct daemon *)arg)->ident));
}

static json_t *on_connections(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return view_connections(arg);
}

static json_t *on_drops(void *arg, const json_t *req, struct errbuf *err)
{
	const json_t *since = json_object_get(req, "since");

	if (since && (!json_is_integer(since) || json_integer_value(since) < 0)) {
		errbuf_set(err, -EINVAL, "since is the number of a drop, from 0");
		return NULL;
	}
	return view_drops(arg, (uint64_t)json_integer_value(since));
}

static json_t *on_bpf(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	return view_bpf(arg);
}

static json_t *on_log_level(void *arg, const json_t *req, struct errbuf *err)
{
	const char *level = json_string_value(json_object_get(req, "level"));
	enum log_level l;

	(void)arg;
	if (!level || log_level_parse(level, &l) < 0) {
		errbuf_set(err, -EINVAL, "level is one of error, warn, info, debug");
		return NULL;
	}
	log_set_level(l);
	return json_pack("{s:s}", "level", level);
}

static json_t *on_reload(void *arg, const json_t *req, struct errbuf *err)
{
	struct daemon *d = arg;
	struct feed_file_status fs;

	(void)req;
	if (d->istiod.xds) {
		errbuf_set(err, -EINVAL, "there is no mesh file to read again, the mesh comes from "
					 "istiod, which tells by itself what has changed");
		return NULL;
	}
	feed_file_reload(d->feed);
	feed_file_status(d->feed, &fs);
	return json_pack("{s:b, s:o}", "applied", fs.last_error[0] == '\0', "error",
			 view_text(fs.last_error));
}

static json_t *on_stop(void *arg, const json_t *req, struct errbuf *err)
{
	(void)req;
	(void)err;
	loop_stop_any(((struct daemon *)arg)->loop);
	return json_object();
}

int views_register(struct daemon *d)
{
	static const struct {
		const char *cmd;
		ctl_fn fn;
	} cmds[] = {
		{ "status", on_status },
		{ "pods", on_pods },
		{ "pod.enrol", on_enrol },
		{ "pod.unenrol", on_unenrol },
		{ "workloads", on_workloads },
		{ "services", on_services },
		{ "policies", on_policies },
		{ "certs", on_certs },
		{ "connections", on_connections },
		{ "drops", on_drops },
		{ "bpf", on_bpf },
		{ "log.level", on_log_level },
		{ "reload", on_reload },
		{ "stop", on_stop },
		{ "why", on_why },
		{ "dns", on_dns },
		{ "maps.check", on_maps_check },
	};

	for (size_t i = 0; i < ARRAY_LEN(cmds); i++) {
		int r = ctl_register(d->ctl, cmds[i].cmd, cmds[i].fn, d);

		if (r < 0)
			return r;
	}
	return 0;
}
