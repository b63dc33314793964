// SPDX-License-Identifier: Apache-2.0
/* Label text of the istio_tcp_* series. Used by report/metric.c; owns nothing; any thread. */
#include "report/labels.h"

#include <errno.h>
#include <stdio.h>

#include "base/own.h"
#include "base/str.h"
#include "codec/promtext.h"

#define UNKNOWN "unknown"

struct text {
	char *p;
	size_t n, cap;
	int error;
};

static void put_bytes(struct text *t, const char *p, size_t n)
{
	if (t->error == 0 && n >= t->cap - t->n)
		t->error = -ENAMETOOLONG;
	if (t->error < 0)
		return;
	memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = '\0';
}

static void put_value(struct text *t, const char *value)
{
	int n;

	if (t->error < 0)
		return;
	n = prom_escape(t->p + t->n, t->cap - t->n, value);
	if (n < 0)
		t->error = n;
	else
		t->n += (size_t)n;
}

/* prefix is "source_", "destination_" or ""; a missing value becomes "unknown". */
static void put_label(struct text *t, const char *prefix, const char *key, const char *value)
{
	if (t->n)
		put_bytes(t, ",", 1);
	put_bytes(t, prefix, strlen(prefix));
	put_bytes(t, key, strlen(key));
	put_bytes(t, "=\"", 2);
	put_value(t, value && value[0] ? value : UNKNOWN);
	put_bytes(t, "\"", 1);
}

static const char *workload_label(const struct workload *w)
{
	if (!w)
		return NULL;
	return w->group->workload_name && w->group->workload_name[0] ? w->group->workload_name
								     : w->name;
}

static void put_workload(struct text *t, const char *prefix, const struct workload *w,
			 const char *principal)
{
	const char *canonical = w ? w->group->canonical_name : NULL;
	const char *revision = w ? w->group->canonical_revision : NULL;

	put_label(t, prefix, "workload", workload_label(w));
	put_label(t, prefix, "canonical_service", canonical);
	put_label(t, prefix, "canonical_revision", revision);
	put_label(t, prefix, "workload_namespace", w ? w->ns : NULL);
	put_label(t, prefix, "principal", principal);
	put_label(t, prefix, "app", canonical);
	put_label(t, prefix, "version", revision);
	put_label(t, prefix, "cluster", w ? w->group->cluster : NULL);
}

static bool has_locality(const struct workload *w)
{
	return w &&
	       ((w->group->region && w->group->region[0]) || (w->group->zone && w->group->zone[0]));
}

/* All four or none, so that the label set is the same on both sides of a connection. */
static void put_locality(struct text *t, const struct workload *src, const struct workload *dst)
{
	if (!has_locality(src) && !has_locality(dst))
		return;
	put_label(t, "source_", "region", src ? src->group->region : NULL);
	put_label(t, "source_", "zone", src ? src->group->zone : NULL);
	put_label(t, "destination_", "region", dst ? dst->group->region : NULL);
	put_label(t, "destination_", "zone", dst ? dst->group->zone : NULL);
}

static const char *source_principal(const struct tcp_labels *l)
{
	if (!l->mutual_tls)
		return NULL;
	if (l->src_principal && l->src_principal[0])
		return l->src_principal;
	return l->src ? l->src->identity : NULL;
}

const char *labels_flag(enum weft_reason reason)
{
	static const char *const flag[WEFT_REASON_MAX] = {
#define X(name, number, token, flag_, sentence) [number] = flag_,
		WEFT_REASONS(X)
#undef X
	};

	return (unsigned)reason < WEFT_REASON_MAX && flag[reason] ? flag[reason] : "-";
}

int labels_resolved(char *buf, size_t cap, const struct workload *src, const char *hostname)
{
	struct text t = { .p = buf, .cap = cap };

	put_workload(&t, "source_", src, src->identity);
	put_label(&t, "", "hostname", hostname);
	return t.error < 0 ? t.error : (int)t.n;
}

int labels_format(char *buf, size_t cap, const struct tcp_labels *l)
{
	struct text t = { .p = buf, .cap = cap };
	const struct service *svc = l->service;
	bool source = l->reporter == REPORTER_SOURCE;

	put_label(&t, "", "reporter", source ? "source" : "destination");
	put_workload(&t, "source_", l->src, source_principal(l));
	put_label(&t, "", "destination_service", svc ? svc->hostname : NULL);
	put_label(&t, "", "destination_service_namespace", svc ? svc->ns : NULL);
	put_label(&t, "", "destination_service_name", svc ? svc->name : NULL);
	put_workload(&t, "destination_", l->dst, l->mutual_tls && l->dst ? l->dst->identity : NULL);
	put_label(&t, "", "request_protocol", "tcp");
	put_label(&t, "", "response_flags", labels_flag(l->reason));
	put_label(&t, "", "connection_security_policy", l->mutual_tls ? "mutual_tls" : UNKNOWN);
	put_locality(&t, l->src, l->dst);
	return t.error < 0 ? t.error : (int)t.n;
}
