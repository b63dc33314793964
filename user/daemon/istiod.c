// SPDX-License-Identifier: Apache-2.0
/* The daemon's side of istiod; see istiod.h. */
#include "daemon/istiod.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/views.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "codec/promtext.h"
#include "daemon/daemon.h"
#include "ident/store.h"
#include "pod/mesh.h"

#define CA_IDLE_NS (60 * NS_PER_S)

extern char **environ;

/* ---- the environment ---- */

static int add_header(struct grpc_header *headers, const char *name, size_t n, const char *value)
{
	size_t at = 0;

	while (headers[at].name)
		at++;
	if (at == ISTIOD_HEADERS_MAX)
		return -E2BIG;
	headers[at].name = str_dup((struct str){ name, n });
	headers[at].value = str_dup(str_of(value));
	if (!headers[at].name || !headers[at].value)
		return -ENOMEM;
	for (char *c = headers[at].name; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return 0;
}

static int add_meta(struct istiod *i, const char *name, const char *value, bool json)
{
	if (i->n_meta == ISTIOD_META_MAX)
		return -E2BIG;
	i->meta[i->n_meta++] = (struct xds_meta){ name, value, json };
	return 0;
}

static bool has_meta(const struct istiod *i, const char *name)
{
	for (size_t k = 0; k < i->n_meta; k++)
		if (strcmp(i->meta[k].name, name) == 0)
			return true;
	return false;
}

/* The rest of var behind prefix, up to its '=', is not NUL-terminated: names are copied. */
static int read_variable(struct istiod *i, const char *var)
{
	static const struct str json = STR("ISTIO_METAJSON_"), meta = STR("ISTIO_META_");
	static const struct str xds = STR("XDS_HEADER_"), ca = STR("CA_HEADER_");
	struct str all = str_of(var), name = str_cut(&all, '=');
	const char *value = all.p;
	bool is_json = str_has_prefix(name, json);
	char *copy;

	if (!value)
		return 0;
	if (str_has_prefix(name, xds))
		return add_header(i->xds_headers, name.p + xds.n, name.n - xds.n, value);
	if (str_has_prefix(name, ca))
		return add_header(i->ca_headers, name.p + ca.n, name.n - ca.n, value);
	if (!is_json && !str_has_prefix(name, meta))
		return 0;
	name.p += is_json ? json.n : meta.n;
	name.n -= is_json ? json.n : meta.n;
	copy = str_dup(name);
	if (!copy)
		return -ENOMEM;
	if (add_meta(i, copy, value, is_json) == 0)
		return 0;
	free(copy);
	return -E2BIG;
}

static int read_environment(struct daemon *d, struct errbuf *err)
{
	const struct xds_meta own[] = {
		{ "CLUSTER_ID", d->opts.cluster, false },
		{ "NETWORK", d->opts.network, false },
		{ "SERVICE_ACCOUNT", d->opts.service_account, false },
	};
	int r = 0;

	for (char **var = environ; r == 0 && *var; var++)
		r = read_variable(&d->istiod, *var);
	for (size_t k = 0; r == 0 && k < ARRAY_LEN(own); k++) {
		char *name;

		if (!own[k].value[0] || has_meta(&d->istiod, own[k].name))
			continue;
		name = str_dup(str_of(own[k].name));
		r = name ? add_meta(&d->istiod, name, own[k].value, false) : -ENOMEM;
		if (r < 0)
			free(name);
	}
	return r == -E2BIG ? errbuf_set(err, r,
					"the environment has too many of ISTIO_META_*, "
					"XDS_HEADER_*, CA_HEADER_*")
			   : r;
}

/* ---- life ---- */

static void channel_opts(const struct daemon *d, bool ca, struct grpc_channel_opts *ret)
{
	const struct opts *o = &d->opts;
	bool own = ca && o->ca_address[0];
	const char *address = own ? o->ca_address : o->xds_address;

	/* istiod is both unless the CA has an address of its own. */
	*ret = (struct grpc_channel_opts){
		.alt_name = own ? o->ca_alt_hostname : o->xds_alt_hostname,
		.root_ca = own ? o->ca_root_ca : o->xds_root_ca,
		.token = o->auth_token,
		.cluster = o->cluster,
		.headers = ca ? d->istiod.ca_headers : d->istiod.xds_headers,
		.idle_ns = ca ? CA_IDLE_NS : 0,
	};
	grpc_server_parse(address, OPTS_ISTIOD_PORT, NULL, &ret->server);
}

int istiod_prepare(struct daemon *d, struct errbuf *err)
{
	int r = 0;

	channel_opts(d, true, &d->istiod.ca);
	if (opts_is_on(d->opts.xds_on_demand))
		r = demand_new(d->loop, &d->istiod.demand);
	return r < 0 ? r : read_environment(d, err);
}

static void on_outside(void *arg, const struct weft_addr *a, bool on)
{
	struct daemon *d = arg;

	mesh_outside(d->mesh, a, on);
}

int istiod_start(struct daemon *d, void (*on_apply)(void *arg, const struct snap *s),
		 struct errbuf *err)
{
	struct xds_opts o = {
		.node = d->opts.node,
		.network = d->opts.network,
		.pod_name = d->opts.pod_name,
		.pod_namespace = d->opts.pod_namespace,
		.instance_ip = d->opts.instance_ip,
		.meta = d->istiod.meta,
		.n_meta = d->istiod.n_meta,
		.demand = d->istiod.demand,
	};
	int r;

	if (o.demand) {
		mesh_on_demand(d->mesh);
		demand_on_outside(o.demand, on_outside, d);
	}
	channel_opts(d, false, &o.channel);
	r = xds_start(d->loop, d->model, &o, on_apply, d, &d->istiod.xds);
	return r < 0 ? errbuf_set(err, r, "cannot start the client of istiod: %s", log_strerror(r))
		     : 0;
}

void istiod_stop(struct daemon *d)
{
	xds_stop(&d->istiod.xds);
}

void istiod_fini(struct daemon *d)
{
	struct istiod *i = &d->istiod;

	for (size_t k = 0; k < ISTIOD_HEADERS_MAX; k++) {
		free(i->xds_headers[k].name);
		free(i->xds_headers[k].value);
		free(i->ca_headers[k].name);
		free(i->ca_headers[k].value);
	}
	for (size_t k = 0; k < i->n_meta; k++)
		free((char *)(uintptr_t)i->meta[k].name);
	i->n_meta = 0;
	demand_free(&i->demand);
}

/* ---- identities ahead of their use ---- */

struct prefetched {
	struct hnode node;
	uint64_t round;
	char uri[];
};

static struct prefetched *prefetched_find(const struct hmap *m, struct str uri)
{
	for (struct hnode *n = hmap_first(m, hash_str(uri)); n; n = hmap_next_same(n)) {
		struct prefetched *p = container_of(n, struct prefetched, node);

		if (str_eq(str_of(p->uri), uri))
			return p;
	}
	return NULL;
}

static void prefetch(struct daemon *d, struct str uri)
{
	struct prefetched *p = prefetched_find(&d->istiod.prefetched, uri);

	if (p) {
		p->round = d->istiod.round;
		return;
	}
	p = calloc(1, sizeof(*p) + uri.n + 1);
	if (!p)
		return; /* the pod's own want comes later */
	memcpy(p->uri, uri.p, uri.n);
	p->round = d->istiod.round;
	if (ident_want(d->ident, p->uri) < 0) {
		free(p);
		return;
	}
	if (hmap_insert(&d->istiod.prefetched, &p->node, hash_str(uri)) == 0)
		return;
	ident_forget(d->ident, p->uri);
	free(p);
}

static void forget_old(struct daemon *d)
{
	hmap_for_each_safe(n, &d->istiod.prefetched) {
		struct prefetched *p = container_of(n, struct prefetched, node);

		if (p->round == d->istiod.round)
			continue;
		hmap_remove(&d->istiod.prefetched, n);
		ident_forget(d->ident, p->uri);
		free(p);
	}
}

void istiod_prefetch(struct daemon *d, const struct snap *s)
{
	if (d->opts.certificates != OPTS_CERTS_ISTIO)
		return;
	d->istiod.round++;
	for (size_t i = 0; i < s->n_workloads; i++) {
		const struct workload *w = s->workload[i];

		if ((w->protocol == TUNNEL_HBONE || w->native_tunnel) &&
		    strcmp(w->node, d->opts.node) == 0)
			prefetch(d, str_of(w->identity));
	}
	forget_old(d);
}

void istiod_forget(struct daemon *d)
{
	d->istiod.round++;
	forget_old(d);
	hmap_fini(&d->istiod.prefetched);
}

/* ---- what is said ---- */

static void set_int(json_t *j, const char *key, uint64_t v)
{
	json_object_set_new(j, key, json_integer((json_int_t)v));
}

static void set_text(json_t *j, const char *key, const char *text)
{
	json_object_set_new(j, key, view_text(text));
}

void istiod_view(struct daemon *d, json_t *mesh)
{
	struct xds_status s;
	json_t *j = json_object();

	xds_status(d->istiod.xds, &s);
	set_text(j, "server", s.server);
	set_text(j, "peer", s.peer);
	json_object_set_new(j, "connected", json_boolean(s.connected));
	json_object_set_new(j, "synced", json_boolean(s.synced[0] && s.synced[1]));
	set_int(j, "since_s", s.since_s);
	set_text(j, "error", s.error);
	set_int(j, "addresses", s.held[XDS_ADDRESS]);
	set_int(j, "authorizations", s.held[XDS_AUTHORIZATION]);
	set_int(j, "rejected_now", s.rejected_now);
	set_text(j, "rejection", s.rejection);
	set_int(j, "unknown_values", s.unknown_values);
	set_int(j, "apply_ns", s.apply_ns);
	json_object_set_new(j, "on_demand", json_boolean(d->istiod.demand));
	json_object_set_new(mesh, "istiod", j);
	set_text(mesh, "path", s.server);
	set_int(mesh, "applied", s.applied);
	set_int(mesh, "rejected", s.failed);
	set_int(mesh, "last_applied_s", s.last_applied_s);
	set_text(mesh, "last_error", s.apply_error);
}

static void one(struct prom *w, const char *name, enum prom_type type, const char *help, double v)
{
	prom_family(w, name, type, help);
	prom_begin(w, name, type);
	prom_f64(w, v);
}

static void per_type(struct prom *w, const char *name, enum prom_type type, const char *help,
		     const double v[XDS_TYPES])
{
	static const char *const label[XDS_TYPES] = { "address", "authorization" };

	prom_family(w, name, type, help);
	for (int t = 0; t < XDS_TYPES; t++) {
		prom_begin(w, name, type);
		prom_label(w, "type", label[t]);
		prom_f64(w, v[t]);
	}
}

struct labelled { /* a counter by the value of its one label */
	const char *value;
	uint64_t n;
};

static void per_label(struct prom *w, const char *name, const char *help, const char *label,
		      const struct labelled *rows, size_t n)
{
	prom_family(w, name, PROM_COUNTER, help);
	for (size_t i = 0; i < n; i++) {
		prom_begin(w, name, PROM_COUNTER);
		prom_label(w, label, rows[i].value);
		prom_u64(w, rows[i].n);
	}
}

static void write_ends(const struct xds_status *s, struct prom *w)
{
	const struct labelled ends[] = {
		{ "ConnectionError", s->ended_unreachable },
		{ "Error", s->ended_error },
		{ "Reconnect", s->ended_reconnect },
		{ "Complete", s->ended_complete },
	};

	per_label(w, "istio_xds_connection_terminations", "streams to istiod that ended, by how",
		  "reason", ends, ARRAY_LEN(ends));
}

static void write_demand(const struct demand *demand, struct prom *w)
{
	struct demand_stats s;

	demand_stats(demand, &s);
	const struct labelled ends[] = {
		{ "found", s.found },     { "absent", s.absent }, { "refused", s.refused },
		{ "timeout", s.timeout }, { "other", s.other },
	};

	per_label(w, "weft_xds_demands",
		  "connections that waited for something istiod had not told, by how that ended",
		  "result", ends, ARRAY_LEN(ends));
	one(w, "weft_xds_demand_wait_seconds", PROM_COUNTER, "how long they waited, all together",
	    (double)s.waited_ns / 1e9);
	one(w, "weft_xds_demand_names", PROM_COUNTER, "names that istiod was asked for",
	    (double)s.asked);
	one(w, "weft_xds_demand_waiting", PROM_GAUGE, "names without an answer", (double)s.waiting);
	one(w, "weft_xds_demand_outside", PROM_GAUGE,
	    "addresses that are nobody's, and passed by the kernel", (double)s.outside);
}

void istiod_metrics(struct daemon *d, struct prom *w)
{
	double messages[XDS_TYPES], rejected[XDS_TYPES], held[XDS_TYPES];
	uint64_t now = clock_wall_s();
	struct xds_status s;

	xds_status(d->istiod.xds, &s);
	for (int t = 0; t < XDS_TYPES; t++) {
		messages[t] = (double)s.messages[t];
		rejected[t] = (double)s.rejected[t];
		held[t] = (double)s.held[t];
	}
	one(w, "weft_xds_connected", PROM_GAUGE, "1 while istiod answers", s.connected);
	one(w, "weft_xds_stale_seconds", PROM_GAUGE,
	    "how long the mesh has been without istiod, 0 with it",
	    s.connected || now < s.since_s ? 0 : (double)(now - s.since_s));
	per_type(w, "weft_xds_resources", PROM_GAUGE, "resources held", held);
	per_type(w, "weft_xds_messages", PROM_COUNTER, "messages of istiod", messages);
	per_type(w, "weft_xds_rejected", PROM_COUNTER, "resources that were refused (NACK)",
		 rejected);
	one(w, "weft_xds_rejected_now", PROM_GAUGE,
	    "resources of which the last version was refused; an older one is in force, or none",
	    (double)s.rejected_now);
	one(w, "weft_xds_unknown_values", PROM_COUNTER,
	    "values of enumerations that are not known and got a safe one", (double)s.unknown_values);
	one(w, "weft_xds_received_bytes", PROM_COUNTER, "bytes of messages", (double)s.bytes);
	one(w, "weft_xds_apply_seconds", PROM_GAUGE, "how long the last apply took",
	    (double)s.apply_ns / 1e9);
	write_ends(&s, w);
	if (d->istiod.demand)
		write_demand(d->istiod.demand, w);
}
