// SPDX-License-Identifier: Apache-2.0
/*
 * Registry of the istio_tcp_* series. Used by conn (one lookup per connection and reporter) and
 * by admin's metrics page. A series is identified by its rendered label text, so the source and
 * the destination reporter, the relay and the kernel cannot disagree about what is one series,
 * and no reference to the model is kept. Series are never removed: a counter that disappears
 * is a counter that lies.
 *
 * Threads: metrics_tcp_any from anywhere (label text is rendered outside the lock); writing and
 * kernel rows on the control thread only.
 */
#include "report/metric.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/hmap.h"
#include "base/own.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/promtext.h"
#include "report/labels.h"

#define SERIES_MAX 100000

struct series {
	struct hnode by_labels;
	struct tcp_series counts;
	struct weft_total kernel; /* of the current scrape; control thread only */
	const char *flag;	  /* response_flags, static text */
	size_t n_labels;
	char labels[];
};

struct metrics {
	pthread_mutex_t lock; /* guards map and all */
	struct hmap map;
	VEC(struct series *) all; /* in order of birth */
	_Atomic uint64_t dropped;
};

int metrics_new(struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return 0;
}

void metrics_free(struct metrics **m)
{
	if (!*m)
		return;
	vec_for_each(s, &(*m)->all)
		free(*s);
	vec_fini(&(*m)->all);
	hmap_fini(&(*m)->map);
	pthread_mutex_destroy(&(*m)->lock);
	free(*m);
	*m = NULL;
}

static struct series *series_find(struct metrics *m, struct str labels, uint64_t hash)
{
	for (struct hnode *n = hmap_first(&m->map, hash); n; n = hmap_next_same(n)) {
		struct series *s = container_of(n, struct series, by_labels);

		if (str_eq((struct str){ s->labels, s->n_labels }, labels))
			return s;
	}
	return NULL;
}

/* NULL at the limit and when out of memory. */
static struct series *series_add(struct metrics *m, struct str labels, uint64_t hash,
				 const char *flag)
{
	_free_ struct series *s = NULL;

	if (m->all.n >= SERIES_MAX || vec_reserve(&m->all, m->all.n + 1) < 0)
		return NULL;
	s = calloc(1, sizeof(*s) + labels.n + 1);
	if (!s)
		return NULL;
	memcpy(s->labels, labels.p, labels.n);
	s->n_labels = labels.n;
	s->flag = flag;
	if (hmap_insert(&m->map, &s->by_labels, hash) < 0)
		return NULL;
	m->all.p[m->all.n++] = s;
	return TAKE_PTR(s);
}

static struct series *series_get(struct metrics *m, const struct tcp_labels *l)
{
	char buf[LABELS_TEXT_MAX];
	struct series *s = NULL;
	int n = labels_format(buf, sizeof(buf), l);

	if (n >= 0) {
		struct str text = { buf, (size_t)n };
		uint64_t hash = hash_str(text);

		pthread_mutex_lock(&m->lock);
		s = series_find(m, text, hash);
		if (!s)
			s = series_add(m, text, hash, labels_flag(l->reason));
		pthread_mutex_unlock(&m->lock);
	}
	if (!s)
		atomic_fetch_add_explicit(&m->dropped, 1, memory_order_relaxed);
	return s;
}

struct tcp_series *metrics_tcp_any(struct metrics *m, const struct tcp_labels *l)
{
	struct series *s = series_get(m, l);

	return s ? &s->counts : NULL;
}

void metrics_kernel_row(struct metrics *m, const struct tcp_labels *l, const struct weft_total *t)
{
	struct series *s = series_get(m, l);

	if (!s)
		return;
	s->kernel.opened += t->opened;
	s->kernel.closed += t->closed;
	s->kernel.failed += t->failed;
	s->kernel.sent_bytes += t->sent_bytes;
	s->kernel.received_bytes += t->received_bytes;
}

/*
 * Which samples exist although they are zero: everything of a series with flag "-", because a
 * rate needs a first point; the byte counters of a denied one, because graphs are drawn from
 * those two families alone and a refusal would not be on them.
 */
enum when { WHEN_PLAIN = 1, WHEN_DENIED = 2 };

struct family {
	const char *name, *help;
	size_t relay, kernel; /* offsets */
	unsigned zero;	      /* enum when, as bits */
};

#define FAMILY(name_, member, zero_, help_)                                      \
	{ .name = (name_), .help = (help_), .zero = (zero_),                     \
	  .relay = offsetof(struct tcp_series, member),                          \
	  .kernel = offsetof(struct weft_total, member) }

static const struct family families[] = {
	FAMILY("istio_tcp_connections_opened", opened, WHEN_PLAIN,
	       "The total number of TCP connections opened"),
	FAMILY("istio_tcp_connections_closed", closed, WHEN_PLAIN,
	       "The total number of TCP connections closed"),
	FAMILY("istio_tcp_received_bytes", received_bytes, WHEN_PLAIN | WHEN_DENIED,
	       "The size of total bytes received during request in case of a TCP connection"),
	FAMILY("istio_tcp_sent_bytes", sent_bytes, WHEN_PLAIN | WHEN_DENIED,
	       "The size of total bytes sent during response in case of a TCP connection"),
	FAMILY("istio_tcp_connections_failed", failed, 0,
	       "The total number of TCP connections that failed to open (unstable)"),
};

static uint64_t family_value(const struct family *f, const struct series *s)
{
	const _Atomic uint64_t *relay = (const void *)((const char *)&s->counts + f->relay);
	const __u64 *kernel = (const void *)((const char *)&s->kernel + f->kernel);

	return atomic_load_explicit(relay, memory_order_relaxed) + *kernel;
}

static bool family_shows_zero(const struct family *f, const struct series *s)
{
	if (strcmp(s->flag, "-") == 0)
		return f->zero & WHEN_PLAIN;
	return strcmp(s->flag, "DENY") == 0 && (f->zero & WHEN_DENIED);
}

static void family_write(const struct family *f, struct prom *w, struct series *const *s, size_t n)
{
	prom_family(w, f->name, PROM_COUNTER, f->help);
	for (size_t i = 0; i < n; i++) {
		uint64_t v = family_value(f, s[i]);

		if (v == 0 && !family_shows_zero(f, s[i]))
			continue;
		prom_begin(w, f->name, PROM_COUNTER);
		prom_labels_raw(w, s[i]->labels);
		prom_u64(w, v);
	}
}

static void registry_write(struct metrics *m, struct prom *w, size_t n_series)
{
	prom_family(w, "weft_metric_series", PROM_GAUGE, "Label sets of the istio_tcp families");
	prom_begin(w, "weft_metric_series", PROM_GAUGE);
	prom_u64(w, n_series);
	prom_family(w, "weft_metric_series_dropped", PROM_COUNTER,
		    "Lookups that got no series because of the limit or of memory");
	prom_begin(w, "weft_metric_series_dropped", PROM_COUNTER);
	prom_u64(w, atomic_load_explicit(&m->dropped, memory_order_relaxed));
}

/* Pointers to all series, so that rendering holds no lock a worker may want. */
static int series_list(struct metrics *m, struct series ***ret, size_t *ret_n)
{
	struct series **list;
	size_t n;

	pthread_mutex_lock(&m->lock);
	n = m->all.n;
	list = malloc((n + 1) * sizeof(struct series *));
	if (list && n)
		memcpy(list, m->all.p, n * sizeof(struct series *));
	pthread_mutex_unlock(&m->lock);
	if (!list)
		return -ENOMEM;
	*ret = list;
	*ret_n = n;
	return 0;
}

static int kernel_reset(struct metrics *m)
{
	_free_ struct series **list = NULL;
	size_t n;
	int r = series_list(m, &list, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		list[i]->kernel = (struct weft_total){ 0 };
	return 0;
}

void metrics_write(struct metrics *m, struct prom *w, void (*fill)(void *arg), void *arg)
{
	_free_ struct series **list = NULL;
	size_t n = 0;
	int r = kernel_reset(m);

	if (r == 0 && fill)
		fill(arg);
	if (r == 0)
		r = series_list(m, &list, &n);
	if (r < 0) {
		w->error = r;
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		family_write(&families[i], w, list, n);
	registry_write(m, w, n);
}
