// SPDX-License-Identifier: Apache-2.0
/*
 * The sections of a config dump, one after the other, row by row. Owns the shared snapshot, the
 * rows about this node and one piece of text.
 */
#include "admin/dump.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/rows.h"
#include "admin/views.h"
#include "base/str.h"
#include "base/vec.h"
#include "ident/store.h"
#include "model/snap.h"
#include "tls/handshake.h"

enum section {
	SEC_WORKLOADS,
	SEC_SERVICES,
	SEC_POLICIES,
	SEC_STAGED,
	SEC_CERTS,
	SEC_STATE,
	SEC_STATIC,
	SEC_VERSION,
	SEC_CONFIG,
	SEC_END,
};

struct pod_row {
	char *key; /* as JSON, with its quotes */
	json_t *info;
	bool up;
};

struct dump {
	struct snap *snap;
	char *network;
	json_t *certs, *version, *config;
	VEC(struct pod_row) pods;
	VEC(struct dump_conn) conns; /* sorted by pod, inbound ones first, when reading begins */
	enum section section;
	bool begun; /* the section's first row was written */
	size_t row; /* next one of the section */
	size_t conn; /* next one, in SEC_STATE */
	uint8_t part; /* of the pod in SEC_STATE */
	char *piece; /* what of the text was not read yet is from at on */
	size_t n, at;
};

int dump_new(const struct snap *s, const char *network, struct dump **ret)
{
	struct dump *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->snap = snap_share(s);
	d->network = str_dup(str_of(network));
	d->certs = json_array();
	if (!d->snap || !d->network || !d->certs) {
		dump_free(&d);
		return -ENOMEM;
	}
	*ret = d;
	return 0;
}

void dump_free(struct dump **dp)
{
	struct dump *d = TAKE_PTR(*dp);

	if (!d)
		return;
	snap_free(&d->snap);
	json_decref(d->certs);
	json_decref(d->version);
	json_decref(d->config);
	vec_for_each(p, &d->pods) {
		free(p->key);
		json_decref(p->info);
	}
	vec_fini(&d->pods);
	vec_for_each(c, &d->conns)
		service_put(&c->service);
	vec_fini(&d->conns);
	free(d->network);
	free(d->piece);
	free(d);
}

/* ---- what is given ---- */

struct cert_list {
	struct ident_store *store;
	json_t *all, *chain, *roots;
	int r;
};

static json_t *time_text(uint64_t unix_s)
{
	time_t t = (time_t)unix_s;
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static void add_cert(void *arg, const struct tls_cert_text *c)
{
	struct cert_list *l = arg;
	json_t *j = json_pack("{s:s, s:s, s:o, s:o}", "pem", c->pem_base64, "serialNumber",
			      c->serial, "validFrom", time_text(c->not_before), "expirationTime",
			      time_text(c->not_after));

	l->r |= json_array_append_new(c->root ? l->roots : l->chain, j);
}

static json_t *state_text(const struct ident_row *row)
{
	_free_ char *text = NULL;

	if (strcmp(row->state, "ready") == 0)
		return json_string("Available");
	if (strcmp(row->state, "pending") == 0)
		return json_string("Initializing");
	text = str_printf("Unavailable: %s", row->error[0] ? row->error : "expired");
	return text ? view_text(text) : NULL;
}

static void add_identity(void *arg, const struct ident_row *row)
{
	struct cert_list *l = arg;
	struct tls_identity *id = ident_current_any(l->store, row->uri);
	json_t *j = json_object();

	l->chain = json_array();
	l->roots = json_array();
	if (id)
		l->r |= tls_identity_certs(id, add_cert, l);
	tls_identity_put(&id);
	l->r |= row_set_text(j, "identity", row->uri);
	l->r |= json_object_set_new_nocheck(j, "state", state_text(row));
	l->r |= json_object_set_new_nocheck(j, "certChain", l->chain);
	l->r |= json_object_set_new_nocheck(j, "rootCerts", l->roots);
	l->r |= json_array_append_new(l->all, j);
}

int dump_certs(struct dump *d, struct ident_store *s)
{
	struct cert_list l = { .store = s, .all = d->certs };

	ident_each(s, add_identity, &l);
	return l.r ? -ENOMEM : 0;
}

int dump_pod(struct dump *d, const struct dump_pod *pod)
{
	struct pod_row row = { .up = pod->up };
	_json_ json_t *key = view_text(pod->key);
	int r;

	row.key = json_dumps(key, JSON_ENCODE_ANY);
	row.info = json_pack("{s:o, s:o, s:o, s:o}", "name", view_text(pod->name), "namespace",
			     view_text(pod->ns), "trustDomain", view_text(pod->trust_domain),
			     "serviceAccount", view_text(pod->service_account));
	r = row.key && row.info ? vec_push(&d->pods, row) : -ENOMEM;
	if (r == 0)
		return (int)d->pods.n - 1;
	free(row.key);
	json_decref(row.info);
	return r;
}

int dump_conn(struct dump *d, const struct dump_conn *c)
{
	int r = vec_push(&d->conns, *c);

	if (r == 0)
		service_get(c->service);
	return r;
}

void dump_settings(struct dump *d, json_t *version, json_t *config)
{
	d->version = version;
	d->config = config;
}

/* ---- reading ---- */

static int by_pod(const void *a, const void *b)
{
	const struct dump_conn *x = a, *y = b;

	if (x->pod != y->pod)
		return x->pod < y->pod ? -1 : 1;
	return (int)y->inbound - (int)x->inbound;
}

/* Takes j; its text, behind lead. */
static char *json_piece(const char *lead, json_t *j)
{
	_free_ char *text = j ? json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(j);
	return text ? str_printf("%s%s", lead, text) : NULL;
}

static char *conn_piece(const struct dump_conn *c, bool first)
{
	char src[IP_TEXT_MAX], dialled[IP_TEXT_MAX], actual[IP_TEXT_MAX];
	json_t *to = json_null();

	if (!c->inbound)
		to = json_string(ip_format_ep(dialled, &c->dialled));
	else if (c->service)
		to = view_text(c->service->hostname);
	return json_piece(first ? "\n" : ",\n",
			  json_pack("{s:s, s:o, s:s, s:s}", "src", ip_format_ep(src, &c->src),
				    "originalDst", to, "actualDst", ip_format_ep(actual, &c->actual),
				    "protocol", c->hbone ? "HBONE" : "TCP"));
}

enum { POD_HEAD, POD_IN_FIRST, POD_IN, POD_MIDDLE, POD_OUT_FIRST, POD_OUT, POD_TAIL };

/* The next piece of "workloadState": head of a pod, its inbound connections, its outbound ones,
 * its end. */
static char *state_piece(struct dump *d)
{
	const struct pod_row *p = &d->pods.p[d->row];
	const struct dump_conn *c = d->conn < d->conns.n ? &d->conns.p[d->conn] : NULL;
	bool ours = c && c->pod == d->row;
	bool first = d->part == POD_IN_FIRST || d->part == POD_OUT_FIRST;

	switch (d->part) {
	case POD_HEAD:
		d->part = POD_IN_FIRST;
		return str_printf("%s%s:{\"state\":\"%s\",\"connections\":{\"inbound\":[",
				  d->row ? ",\n" : "\n", p->key, p->up ? "Up" : "Pending");
	case POD_IN_FIRST:
	case POD_IN:
		if (!ours || !c->inbound) {
			d->part = POD_OUT_FIRST;
			return str_printf("],\"outbound\":[");
		}
		d->part = POD_IN;
		break;
	case POD_OUT_FIRST:
	case POD_OUT:
		if (!ours) {
			d->part = POD_TAIL;
			return json_piece("]},\"info\":", json_incref(p->info));
		}
		d->part = POD_OUT;
		break;
	default:
		d->part = POD_HEAD;
		d->row++;
		return str_dup(STR("}"));
	}
	d->conn++;
	return conn_piece(c, first);
}

struct section_spec {
	const char *open, *close;
	size_t (*count)(const struct dump *d);
	char *(*piece)(struct dump *d); /* NULL: json_row */
	json_t *(*row)(const struct dump *d, size_t i);
};

static size_t n_workloads(const struct dump *d)
{
	return d->snap->n_workloads;
}
static size_t n_services(const struct dump *d)
{
	return d->snap->n_services;
}
static size_t n_policies(const struct dump *d)
{
	return d->snap->n_policies;
}
static size_t n_certs(const struct dump *d)
{
	return json_array_size(d->certs);
}
static size_t n_pods(const struct dump *d)
{
	return d->pods.n;
}
static size_t n_none(const struct dump *d)
{
	(void)d;
	return 0;
}
static size_t n_one(const struct dump *d)
{
	(void)d;
	return 1;
}

static json_t *workload_row(const struct dump *d, size_t i)
{
	return dump_workload(d->snap->workload[i]);
}

static json_t *service_row(const struct dump *d, size_t i)
{
	return dump_service(d->snap->service[i], d->network);
}

static json_t *policy_row(const struct dump *d, size_t i)
{
	return dump_policy(d->snap->policy[i]);
}

static json_t *cert_row(const struct dump *d, size_t i)
{
	return json_incref(json_array_get(d->certs, i));
}

static json_t *static_row(const struct dump *d, size_t i)
{
	(void)d;
	(void)i;
	return json_pack("{s:[], s:[], s:[]}", "workloads", "policies", "services");
}

static json_t *version_row(const struct dump *d, size_t i)
{
	(void)i;
	return json_incref(d->version);
}

static json_t *config_row(const struct dump *d, size_t i)
{
	(void)i;
	return json_incref(d->config);
}

static const struct section_spec spec[] = {
	[SEC_WORKLOADS] = { "{\"workloads\":[", "]", n_workloads, .row = workload_row },
	[SEC_SERVICES] = { ",\n\"services\":[", "]", n_services, .row = service_row },
	[SEC_POLICIES] = { ",\n\"policies\":[", "]", n_policies, .row = policy_row },
	[SEC_STAGED] = { ",\n\"stagedServices\":{", "}", n_none, .row = NULL },
	[SEC_CERTS] = { ",\n\"certificates\":[", "]", n_certs, .row = cert_row },
	[SEC_STATE] = { ",\n\"workloadState\":{", "}", n_pods, .piece = state_piece },
	[SEC_STATIC] = { ",\n\"staticConfig\":", "", n_one, .row = static_row },
	[SEC_VERSION] = { ",\n\"version\":", "", n_one, .row = version_row },
	[SEC_CONFIG] = { ",\n\"config\":", "}\n", n_one, .row = config_row },
};

static char *next_piece(struct dump *d)
{
	const struct section_spec *s = &spec[d->section];

	if (!d->begun) {
		d->begun = true;
		d->row = 0;
		return str_dup(str_of(s->open));
	}
	if (d->row >= s->count(d)) {
		d->begun = false;
		d->section++;
		return str_dup(str_of(s->close));
	}
	if (s->piece)
		return s->piece(d);
	d->row++;
	return json_piece(d->row == 1 ? "\n" : ",\n", s->row(d, d->row - 1));
}

ssize_t dump_read(struct dump *d, char *buf, size_t cap)
{
	size_t done = 0;

	if (d->section == SEC_WORKLOADS && !d->begun && d->conns.n)
		qsort(d->conns.p, d->conns.n, sizeof(*d->conns.p), by_pod);
	while (done < cap) {
		size_t n = d->n - d->at;

		if (n == 0 && d->section == SEC_END)
			break;
		if (n == 0) {
			free(d->piece);
			d->piece = next_piece(d);
			if (!d->piece)
				return -ENOMEM;
			d->n = strlen(d->piece);
			d->at = 0;
			continue;
		}
		n = n < cap - done ? n : cap - done;
		memcpy(buf + done, d->piece + d->at, n);
		d->at += n;
		done += n;
	}
	return (ssize_t)done;
}
