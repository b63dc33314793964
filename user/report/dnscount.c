// SPDX-License-Identifier: Apache-2.0
/* Registry of the istio_dns_* series, see dnscount.h. Used by dns/ and the metrics page. */
#include "report/dnscount.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hmap.h"
#include "base/own.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/promtext.h"
#include "report/labels.h"

#define SERIES_MAX 10000
#define TEXT_MAX 1024

static const uint64_t limit_ns[DNSCOUNT_BUCKETS] = { 500000,    1000000,    10000000,
						     100000000, 1000000000, 5000000000 };
static const char *const limit_text[DNSCOUNT_BUCKETS] = { "0.0005", "0.001", "0.01",
							  "0.1",    "1.0",   "5.0" };

struct one {
	struct hnode by_labels;
	struct dns_series counts;
	size_t n_labels;
	char labels[];
};

struct table {
	struct hmap map;
	VEC(struct one *) all;
};

struct dnscount {
	pthread_mutex_t lock; /* guards the tables */
	struct table queries, resolved; /* resolved: of those only counts.requests */
	struct one *rest; /* what has no series of its own; labels all unknown */
};

static struct one *one_new(struct str labels)
{
	struct one *o = calloc(1, sizeof(*o) + labels.n + 1);

	if (!o)
		return NULL;
	memcpy(o->labels, labels.p, labels.n);
	o->n_labels = labels.n;
	return o;
}

int dnscount_new(struct dnscount **ret)
{
	struct dnscount *c = calloc(1, sizeof(*c));

	if (c)
		c->rest = one_new(STR("request_query_type=\"unknown\",request_protocol=\"unknown\","
				      "source_canonical_service=\"unknown\","
				      "source_canonical_revision=\"unknown\""));
	if (!c || !c->rest) {
		free(c);
		return -ENOMEM;
	}
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

static void table_fini(struct table *t)
{
	vec_for_each(o, &t->all)
		free(*o);
	vec_fini(&t->all);
	hmap_fini(&t->map);
}

void dnscount_free(struct dnscount **pc)
{
	struct dnscount *c = *pc;

	if (!c)
		return;
	*pc = NULL;
	table_fini(&c->queries);
	table_fini(&c->resolved);
	pthread_mutex_destroy(&c->lock);
	free(c->rest);
	free(c);
}

static struct one *find_or_add(struct table *t, struct str labels)
{
	uint64_t hash = hash_str(labels);
	struct one *o;

	for (struct hnode *n = hmap_first(&t->map, hash); n; n = hmap_next_same(n)) {
		o = container_of(n, struct one, by_labels);
		if (str_eq((struct str){ o->labels, o->n_labels }, labels))
			return o;
	}
	if (t->all.n >= SERIES_MAX || vec_reserve(&t->all, t->all.n + 1) < 0)
		return NULL;
	o = one_new(labels);
	if (o && hmap_insert(&t->map, &o->by_labels, hash) < 0)
		own_free(&o);
	if (o)
		t->all.p[t->all.n++] = o;
	return o;
}

static const char *known(char *buf, size_t cap, const char *text)
{
	return text && text[0] && prom_escape(buf, cap, text) >= 0 ? buf : "unknown";
}

struct dns_series *dnscount_get_any(struct dnscount *c, const char *type, bool tcp,
				    const struct workload *w)
{
	char service[TEXT_MAX / 4], revision[TEXT_MAX / 4], text[TEXT_MAX];
	struct one *o = NULL;
	int n = snprintf(text, sizeof(text),
			 "request_query_type=\"%s\",request_protocol=\"%s\","
			 "source_canonical_service=\"%s\",source_canonical_revision=\"%s\"",
			 type, tcp ? "tcp" : "udp",
			 known(service, sizeof(service), w ? w->group->canonical_name : NULL),
			 known(revision, sizeof(revision), w ? w->group->canonical_revision : NULL));

	if (n > 0 && (size_t)n < sizeof(text)) {
		pthread_mutex_lock(&c->lock);
		o = find_or_add(&c->queries, (struct str){ text, (size_t)n });
		pthread_mutex_unlock(&c->lock);
	}
	return o ? &o->counts : &c->rest->counts;
}

void dnscount_resolved_any(struct dnscount *c, const struct workload *src, const char *hostname)
{
	char text[LABELS_TEXT_MAX];
	int n = labels_resolved(text, sizeof(text), src, hostname);
	struct one *o;

	if (n < 0)
		return;
	pthread_mutex_lock(&c->lock);
	o = find_or_add(&c->resolved, (struct str){ text, (size_t)n });
	pthread_mutex_unlock(&c->lock);
	if (o)
		atomic_fetch_add_explicit(&o->counts.requests, 1, memory_order_relaxed);
}

void dnscount_time_any(struct dns_series *s, uint64_t ns)
{
	size_t i = 0;

	while (i < DNSCOUNT_BUCKETS && ns > limit_ns[i])
		i++;
	atomic_fetch_add_explicit(&s->bucket[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->sum_ns, ns, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

static void write_histogram(struct one *o, struct prom *w, const char *name)
{
	char part[96];
	uint64_t n = 0;

	for (size_t i = 0; i <= DNSCOUNT_BUCKETS; i++) {
		n += get(&o->counts.bucket[i]);
		snprintf(part, sizeof(part), "%s_bucket", name);
		prom_begin(w, part, PROM_HISTOGRAM);
		prom_labels_raw(w, o->labels);
		prom_label(w, "le", i < DNSCOUNT_BUCKETS ? limit_text[i] : "+Inf");
		prom_u64(w, n);
	}
	snprintf(part, sizeof(part), "%s_sum", name);
	prom_begin(w, part, PROM_HISTOGRAM);
	prom_labels_raw(w, o->labels);
	prom_f64(w, (double)get(&o->counts.sum_ns) / 1e9);
	snprintf(part, sizeof(part), "%s_count", name);
	prom_begin(w, part, PROM_HISTOGRAM);
	prom_labels_raw(w, o->labels);
	prom_u64(w, n);
}

static void write_one(struct one *o, struct prom *w, size_t family)
{
	static const char *const name[] = { "istio_dns_requests", "istio_dns_upstream_requests",
					    "istio_dns_upstream_failures" };
	_Atomic uint64_t *const value[] = { &o->counts.requests, &o->counts.upstream,
					    &o->counts.failures };

	prom_begin(w, name[family], PROM_COUNTER);
	prom_labels_raw(w, o->labels);
	prom_u64(w, get(value[family]));
}

void dnscount_write(struct dnscount *c, struct prom *w)
{
	static const struct {
		const char *name, *help;
		enum prom_type type;
	} family[] = {
		{ "istio_dns_requests", "queries of pods that reached weftd", PROM_COUNTER },
		{ "istio_dns_upstream_requests", "queries that went on to a nameserver",
		  PROM_COUNTER },
		{ "istio_dns_upstream_failures", "of them those without an answer", PROM_COUNTER },
		{ "istio_dns_upstream_request_duration_seconds", "until a nameserver answered",
		  PROM_HISTOGRAM },
	};
	bool rest = get(&c->rest->counts.requests) > 0;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < ARRAY_LEN(family); i++) {
		prom_family(w, family[i].name, family[i].type, family[i].help);
		for (size_t k = 0; k < c->queries.all.n + rest; k++) {
			struct one *o = k < c->queries.all.n ? c->queries.all.p[k] : c->rest;

			if (family[i].type == PROM_HISTOGRAM)
				write_histogram(o, w, family[i].name);
			else
				write_one(o, w, i);
		}
	}
	prom_family(w, "istio_on_demand_dns", PROM_COUNTER,
		    "connections to endpoints that are known by a hostname only");
	vec_for_each(o, &c->resolved.all) {
		prom_begin(w, "istio_on_demand_dns", PROM_COUNTER);
		prom_labels_raw(w, (*o)->labels);
		prom_u64(w, get(&(*o)->counts.requests));
	}
	pthread_mutex_unlock(&c->lock);
}
