// SPDX-License-Identifier: Apache-2.0
/* The metrics page: istio_tcp_* by report/, weft_* here. docs/metrics.md lists them. Control
 * thread, once per scrape. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "codec/promtext.h"
#include "daemon/daemon.h"
#include "feed/file.h"
#include "ident/revoke.h"
#include "ident/store.h"
#include "kern/kern.h"
#include "pod/pods.h"
#include "report/access.h"
#include "report/dnscount.h"
#include "report/metric.h"
#include "version.h"

static void flow_seen(void *arg, const struct weft_flow_live *l)
{
	uint64_t *open = arg;

	if (l->path < WEFT_PATH_MAX && l->opened_ns)
		open[l->path]++;
}

struct fill {
	struct daemon *d;
	const struct snap *s;
	uint64_t ended[WEFT_PATH_MAX][WEFT_REASON_MAX];
};

/* A workload that left the mesh keeps its number in the kernel; its labels are gone, so its
 * counts are shown with unknown ones, which only grow as well. */
static void kernel_row(void *arg, const struct weft_total_key *k, const struct weft_total *t)
{
	struct fill *f = arg;
	struct tcp_labels l = {
		.reporter = k->path == WEFT_PATH_PLAIN ? REPORTER_DESTINATION : REPORTER_SOURCE,
		.src = snap_workload_by_id(f->s, k->src),
		.dst = snap_workload_by_id(f->s, k->dst),
		.service = snap_service_by_port_id(f->s, k->service, NULL),
		.reason = k->reason,
	};

	if (k->path < WEFT_PATH_MAX && k->reason < WEFT_REASON_MAX)
		f->ended[k->path][k->reason ? k->reason : WEFT_REASON_OK] += t->closed + t->failed;
	/* Which services a pod belongs to is known even if its address was dialled. */
	if (!l.service && l.dst && l.dst->n_services == 1)
		l.service = snap_service_by_key(f->s, str_of(l.dst->services[0].key));
	metrics_kernel_row(f->d->metrics, &l, t);
	if (k->path == WEFT_PATH_DIRECT) {
		/* Recorded once for both ends. What never reached the server is not its. */
		struct weft_total at_server = *t;

		at_server.failed = 0;
		l.reporter = REPORTER_DESTINATION;
		if (t->opened || t->closed || t->sent_bytes || t->received_bytes)
			metrics_kernel_row(f->d->metrics, &l, &at_server);
	}
}

static void kernel_fill(void *arg)
{
	struct fill *f = arg;

	kern_totals_each(f->d->kern, kernel_row, f);
}

static void family(struct prom *w, const char *name, enum prom_type type, const char *help)
{
	prom_family(w, name, type, help);
}

static void sample(struct prom *w, const char *name, enum prom_type type, const char *key,
		   const char *value, double v)
{
	prom_begin(w, name, type);
	if (key)
		prom_label(w, key, value);
	prom_f64(w, v);
}

static void one(struct prom *w, const char *name, enum prom_type type, const char *help, double v)
{
	family(w, name, type, help);
	sample(w, name, type, NULL, NULL, v);
}

static const char *const path_label[WEFT_PATH_MAX] = {
	[WEFT_PATH_PASSTHROUGH] = "passthrough",
	[WEFT_PATH_DIRECT] = "direct",
	[WEFT_PATH_HBONE] = "hbone",
	[WEFT_PATH_PLAIN] = "plain",
	[WEFT_PATH_DENIED] = "denied",
};

static const char *const reason_label[WEFT_REASON_MAX] = {
#define X(name, number, token, flag, sentence) [number] = token,
	WEFT_REASONS(X)
#undef X
};

static void count_open(struct worker *w, void *arg)
{
	uint64_t *open = arg;

	list_for_each(n, &w->conns->conns)
		open[list_entry(n, struct conn, node)->path]++;
}

static void write_connections(struct fill *f, struct prom *w, const uint64_t *open)
{
	family(w, "weft_connections_open", PROM_GAUGE, "open connections");
	for (int p = 0; p < WEFT_PATH_MAX; p++)
		if (path_label[p] && p != WEFT_PATH_DENIED)
			sample(w, "weft_connections_open", PROM_GAUGE, "path", path_label[p],
			       (double)open[p]);
	family(w, "weft_connections", PROM_COUNTER, "connections that ended, by how");
	for (int p = 0; p < WEFT_PATH_MAX; p++) {
		for (int r = 0; path_label[p] && r < WEFT_REASON_MAX; r++) {
			uint64_t n = f->ended[p][r] + f->d->shared.ended[p][r];

			if (!n)
				continue;
			prom_begin(w, "weft_connections", PROM_COUNTER);
			prom_label(w, "path", path_label[p]);
			prom_label(w, "reason", reason_label[r]);
			prom_u64(w, n);
		}
	}
}

static void write_kernel(struct daemon *d, struct prom *w)
{
	static const char *const label[] = {
#define X(name, label, help) label,
		WEFT_STATS(X)
#undef X
	};
	uint64_t stat[WEFT_STAT_MAX];

	kern_stats(d->kern, stat);
	family(w, "weft_verdict_cache", PROM_COUNTER, "decisions in the connect hook");
	sample(w, "weft_verdict_cache", PROM_COUNTER, "result", "hit",
	       (double)stat[WEFT_STAT_VERDICT_HIT]);
	sample(w, "weft_verdict_cache", PROM_COUNTER, "result", "miss",
	       (double)stat[WEFT_STAT_VERDICT_MISS]);
	family(w, "weft_bpf_events", PROM_COUNTER, "early exits and full tables of the programs");
	for (int i = 0; i < WEFT_STAT_MAX; i++)
		sample(w, "weft_bpf_events", PROM_COUNTER, "event", label[i], (double)stat[i]);
}

static void write_policies(struct daemon *d, struct prom *w)
{
	const struct snap *s = model_snap(d->model);
	size_t denied, names = snap_missing_policies(s, &denied), warnings = 0;

	for (size_t i = 0; i < s->n_policies; i++)
		warnings += s->policy[i]->n_warnings > 0;
	one(w, "weft_policies_missing", PROM_GAUGE,
	    "names of policies in workloads that do not exist; these workloads are denied",
	    (double)names);
	one(w, "weft_workloads_without_policy", PROM_GAUGE,
	    "workloads that name a policy that does not exist", (double)denied);
	one(w, "weft_policies_not_as_written", PROM_GAUGE,
	    "policies of which something is not carried out (weft policies)", (double)warnings);
}

#define MAPS_MAX 64

struct maps {
	struct kern_map_row row[MAPS_MAX];
	size_t n;
};

static void add_map(void *arg, const struct kern_map_row *r)
{
	struct maps *maps = arg;

	if (r->entries >= 0 && maps->n < MAPS_MAX)
		maps->row[maps->n++] = *r;
}

/* Counting the entries walks the maps: once for both. */
static void write_maps(struct daemon *d, struct prom *w)
{
	struct maps maps = { 0 };

	kern_map_each(d->kern, add_map, &maps);
	family(w, "weft_map_entries", PROM_GAUGE, "used entries of a map");
	for (size_t i = 0; i < maps.n; i++)
		sample(w, "weft_map_entries", PROM_GAUGE, "map", maps.row[i].name,
		       (double)maps.row[i].entries);
	family(w, "weft_map_max_entries", PROM_GAUGE, "capacity of a map");
	for (size_t i = 0; i < maps.n; i++)
		sample(w, "weft_map_max_entries", PROM_GAUGE, "map", maps.row[i].name,
		       (double)maps.row[i].max_entries);
}

static void prog_attached(void *arg, const struct kern_prog_row *r)
{
	if (strcmp(r->type, "tracing") != 0) /* iterators are run, not attached */
		sample(arg, "weft_program_attachments", PROM_GAUGE, "program", r->name, r->attached);
}

static void cert_expiry(void *arg, const struct ident_row *row)
{
	if (row->not_after_s)
		sample(arg, "weft_certificate_expiry_seconds", PROM_GAUGE, "identity", row->uri,
		       (double)row->not_after_s - (double)clock_wall_s());
}

struct tunnel_sum {
	double client, server, streams, revoked[2], ended[2][WEFT_REASON_MAX];
};

static void sum_tunnels(struct worker *w, void *arg)
{
	struct tunnel_sum *sum = arg;
	struct tunnel_stats ts;

	tunnel_stats(w->conns->tunnel, &ts);
	sum->client += (double)ts.client_conns;
	sum->server += (double)ts.server_conns;
	sum->streams += (double)ts.streams;
	for (int role = 0; role < 2; role++) {
		sum->revoked[role] += (double)ts.revoked[role];
		for (int r = 0; r < WEFT_REASON_MAX; r++)
			sum->ended[role][r] += (double)ts.ended[role][r];
	}
}

static void write_tunnels(struct prom *w, const struct tunnel_sum *t)
{
	family(w, "weft_tunnels", PROM_GAUGE, "HBONE connections");
	sample(w, "weft_tunnels", PROM_GAUGE, "role", "client", t->client);
	sample(w, "weft_tunnels", PROM_GAUGE, "role", "server", t->server);
	one(w, "weft_tunnel_streams", PROM_GAUGE, "connections inside the tunnels", t->streams);
	family(w, "weft_tunnels_ended", PROM_COUNTER,
	       "HBONE connections that ended, in their handshake or later, by why");
	for (int role = 0; role < 2; role++) {
		for (int r = 0; r < WEFT_REASON_MAX; r++) {
			if (!t->ended[role][r])
				continue;
			prom_begin(w, "weft_tunnels_ended", PROM_COUNTER);
			prom_label(w, "role", role ? "server" : "client");
			prom_label(w, "reason", reason_label[r]);
			prom_f64(w, t->ended[role][r]);
		}
	}
}

static void write_loops(struct daemon *d, struct prom *w)
{
	struct loop_stats ls[WORKERS_MAX + 1];
	struct loop *loops[WORKERS_MAX + 1];
	uint32_t n = 0;

	loops[n++] = d->loop;
	for (uint32_t i = 0; i < d->n_workers; i++)
		loops[n++] = d->worker[i].loop;
	for (uint32_t i = 0; i < n; i++)
		loop_stats_any(loops[i], &ls[i]);
	family(w, "weft_loop_max_lag_seconds", PROM_GAUGE, "longest turn since the last scrape");
	for (uint32_t i = 0; i < n; i++)
		sample(w, "weft_loop_max_lag_seconds", PROM_GAUGE, "loop", loop_name(loops[i]),
		       (double)ls[i].max_lag_ns / 1e9);
	family(w, "weft_loop_busy_seconds", PROM_COUNTER, "time spent in callbacks");
	for (uint32_t i = 0; i < n; i++)
		sample(w, "weft_loop_busy_seconds", PROM_COUNTER, "loop", loop_name(loops[i]),
		       (double)ls[i].busy_ns / 1e9);
}

static void count_pod(void *arg, const struct pod *pod)
{
	(void)pod;
	++*(double *)arg;
}

static double open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double n = -3; /* ".", ".." and the walk */

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Names that ambient-mode dashboards know. */
static void write_process(struct prom *w, double pods)
{
	struct rlimit files = { 0 };

	getrlimit(RLIMIT_NOFILE, &files);
	one(w, "process_open_fds", PROM_GAUGE, "open file descriptors", open_fds());
	one(w, "process_max_fds", PROM_GAUGE, "limit of file descriptors", (double)files.rlim_cur);
	one(w, "workload_manager_active_proxy_count", PROM_GAUGE, "enrolled pods", pods);
	family(w, "istio_build", PROM_GAUGE, "Istio component build info");
	prom_begin(w, "istio_build", PROM_GAUGE);
	prom_label(w, "component", "ztunnel");
	prom_label(w, "tag", "weft-" WEFT_VERSION);
	prom_u64(w, 1);
}

static void write_revocation(struct daemon *d, struct prom *w, const struct tunnel_sum *t)
{
	struct revoke_status rs;

	family(w, "istio_crl_policy_rejections", PROM_COUNTER,
	       "tunnels refused or closed because of revoked certificates or removed roots");
	sample(w, "istio_crl_policy_rejections", PROM_COUNTER, "reporter", "source", t->revoked[0]);
	sample(w, "istio_crl_policy_rejections", PROM_COUNTER, "reporter", "destination",
	       t->revoked[1]);
	revoke_status(ident_revoke(d->ident), &rs);
	one(w, "weft_crl_entries", PROM_GAUGE, "revoked certificates on the lists in force",
	    (double)rs.entries);
	one(w, "weft_crl_rejected", PROM_COUNTER,
	    "files of revocation lists that were not understood", (double)rs.rejected);
	one(w, "weft_crl_next_update_seconds", PROM_GAUGE,
	    "until the first list is due for its successor; 0: none says",
	    rs.next_update_s ? (double)rs.next_update_s - (double)clock_wall_s() : 0);
}

struct mesh_count {
	uint64_t applied, rejected;
};

static void count_mesh(struct daemon *d, struct mesh_count *ret)
{
	struct feed_file_status fs;
	struct xds_status xs;

	if (d->feed) {
		feed_file_status(d->feed, &fs);
		*ret = (struct mesh_count){ fs.applied, fs.rejected };
	} else if (d->istiod.xds) {
		xds_status(d->istiod.xds, &xs);
		*ret = (struct mesh_count){ xs.applied, xs.failed };
	}
}

static void write_dry_run(struct daemon *d, struct prom *w)
{
	family(w, "weft_policy_dry_run", PROM_COUNTER,
	       "connections that would have this other verdict with the dry-run policies in force");
	sample(w, "weft_policy_dry_run", PROM_COUNTER, "verdict", "deny",
	       (double)d->shared.dry_run[false]);
	sample(w, "weft_policy_dry_run", PROM_COUNTER, "verdict", "allow",
	       (double)d->shared.dry_run[true]);
}

static void write_daemon(struct daemon *d, struct prom *w)
{
	struct mesh_count mesh = { 0 };
	struct tunnel_sum t = { 0 };
	double pods = 0;

	count_mesh(d, &mesh);
	pods_each(d->pods, count_pod, &pods);
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], sum_tunnels, &t);
	one(w, "weft_pods", PROM_GAUGE, "enrolled pods", pods);
	write_tunnels(w, &t);
	write_revocation(d, w, &t);
	family(w, "weft_certificate_expiry_seconds", PROM_GAUGE, "until the certificate ends");
	ident_each(d->ident, cert_expiry, w);
	one(w, "weft_mesh_applied", PROM_COUNTER, "versions of the mesh applied",
	    (double)mesh.applied);
	one(w, "weft_mesh_rejected", PROM_COUNTER, "versions of the mesh refused",
	    (double)mesh.rejected);
	if (d->istiod.xds)
		istiod_metrics(d, w);
	if (d->opts.zds[0])
		zds_metrics(d, w);
	one(w, "weft_enforce_seconds", PROM_GAUGE,
	    "until every live connection had felt the last change of mesh or pods",
	    (double)d->enforce_ns / 1e9);
	write_dry_run(d, w);
	one(w, "weft_pins_missing", PROM_GAUGE,
	    "1: what keeps pods closed without weftd is not there", d->pins_error.text[0] != '\0');
	one(w, "weft_access_log_suppressed", PROM_COUNTER,
	    "refused connections without a line of their own, see suppressed= in the log",
	    (double)access_suppressed_any(d->access));
	one(w, "weft_access_log_dropped", PROM_COUNTER, "log lines lost",
	    (double)access_dropped_any(d->access));
	one(w, "weft_log_dropped", PROM_COUNTER, "lines of weftd's own log lost", (double)log_lost());
	family(w, "weft_build_info", PROM_GAUGE, "the version of this daemon");
	sample(w, "weft_build_info", PROM_GAUGE, "version", WEFT_VERSION, 1);
	write_process(w, pods);
}

void daemon_metrics(void *arg, struct prom *w)
{
	struct daemon *d = arg;
	struct fill f = { .d = d, .s = model_snap(d->model) };
	uint64_t open[WEFT_PATH_MAX] = { 0 };

	/* Folds the bytes of live flows, so that the totals below are up to now. */
	kern_flows_each(d->kern, flow_seen, open);
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], count_open, open);
	metrics_write(d->metrics, w, kernel_fill, &f);
	dnscount_write(d->dnscount, w);
	write_connections(&f, w, open);
	write_kernel(d, w);
	write_maps(d, w);
	family(w, "weft_program_attachments", PROM_GAUGE, "places where a program is attached");
	kern_prog_each(d->kern, prog_attached, w);
	write_loops(d, w);
	write_policies(d, w);
	write_daemon(d, w);
}
