// SPDX-License-Identifier: Apache-2.0
/*
 * The store of identities. Control thread: wants, fetching, renewal. Workers: only
 * ident_current_any(), once per new handshake, so a mutex around the map is enough.
 * Owns one reference to each current identity.
 *
 *	pending --fetched--> ready --fetched--> ready (a rotation)
 *	   |                   '--failed and expired--> failed --fetched--> ready
 *	   '--failed--> failed
 *
 * Renewal is planned on the wall clock, because certificates live by it, and looked at again
 * every few seconds, because it may jump; retries run on the monotonic clock.
 */
#define LOG_SCOPE "ident"
#include "ident/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/hmap.h"
#include "base/log.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/str.h"
#include "codec/spiffe.h"
#include "ident/istio.h"
#include "ident/plan.h"
#include "ident/revoke.h"
#include "ident/source.h"
#include "io/loop.h"
#include "tls/crl.h"
#include "tls/handshake.h"

#define FETCH_BATCH 32   /* fetches in one turn, so that the control thread answers */
#define SETTLE_NS (200 * NS_PER_MS) /* files are replaced one after the other */

struct ident {
	struct hnode node;
	char *uri;
	unsigned wants;
	struct ident_store *store;
	struct istio_request *request;	/* under way, from istiod */
	struct tls_identity *current; /* under store->lock, as revoked */
	bool revoked;        /* current is on a list */
	uint64_t digest, roots;
	int64_t renew_ms;   /* wall */
	uint64_t fetched_ns; /* monotonic, of the last success */
	uint64_t retry_ns;  /* monotonic; 0: no retry pending */
	unsigned failures;  /* in a row */
	uint64_t rotations;
	char error[256];    /* of the last attempt, "" if it succeeded */
};

struct ident_store {
	struct loop *loop;
	struct source *source;
	pthread_mutex_t lock; /* map and ident.current, against the workers */
	struct hmap map;
	struct timer tick, settle;
	struct revoke *revoke; /* NULL: no lists */
	_Atomic uint64_t trust;
	struct task trust_changed;
	void (*on_trust)(void *arg);
	void *on_trust_arg;
	struct watch watch;
	char state_text[300];
};

static void on_tick(void *arg);

static int64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct ident *ident_of(struct hnode *n)
{
	return container_of(n, struct ident, node);
}

static struct ident *ident_find(const struct ident_store *s, const char *uri)
{
	struct hnode *n = hmap_first(&s->map, hash_str(str_of(uri)));

	while (n && strcmp(ident_of(n)->uri, uri) != 0)
		n = hmap_next_same(n);
	return n ? ident_of(n) : NULL;
}

static bool is_past(const struct ident *i)
{
	return i->current && clock_wall_s() >= tls_identity_not_after(i->current);
}

static bool is_usable(const struct ident *i)
{
	return i->current && !i->revoked && !is_past(i);
}

static void publish(struct ident_store *s, struct ident *i, struct tls_identity *id)
{
	struct tls_identity *old;

	pthread_mutex_lock(&s->lock);
	old = i->current;
	i->current = id;
	i->revoked = false;
	pthread_mutex_unlock(&s->lock);
	if (old)
		tls_identity_put(&old);
}

static void trust_changed(struct ident_store *s)
{
	atomic_fetch_add(&s->trust, 1);
	if (s->on_trust)
		task_defer(s->loop, &s->trust_changed, s->on_trust, s->on_trust_arg);
}

/* By the lists that are in force. */
static int revoked(struct ident_store *s, const struct tls_identity *id, struct errbuf *err)
{
	struct tls_crl *crl = revoke_crl_any(s->revoke);
	int r = tls_identity_check(id, crl, err);

	tls_crl_put(&crl);
	return r;
}

static void on_fetched(struct ident_store *s, struct ident *i, struct source_cert *c)
{
	bool first = !i->current, same = !first && i->digest == c->digest;
	bool new_roots = !first && i->roots != c->roots;

	i->failures = 0;
	i->retry_ns = 0;
	i->fetched_ns = clock_mono_ns();
	i->error[0] = '\0';
	i->renew_ms = plan_renewal(c->begin_ms, c->end_ms, wall_ms(), rand_fast());
	if (c->cut_short)
		log_warn("%s: certificate ends early, with the node's intermediate", i->uri);
	if (same) {
		tls_identity_put(&c->id);
		return;
	}
	i->digest = c->digest;
	i->roots = c->roots;
	i->rotations += !first;
	log_info("%s: certificate %s, serial %s, %lld s", i->uri, first ? "ready" : "renewed",
		 tls_identity_serial(c->id), (long long)((c->end_ms - wall_ms()) / 1000));
	publish(s, i, TAKE_PTR(c->id));
	if (new_roots)
		trust_changed(s);
}

static void on_failed(struct ident *i, int r, const struct errbuf *err)
{
	int64_t left_ms = 0, pause_ms;

	if (i->current)
		left_ms = (int64_t)tls_identity_not_after(i->current) * 1000 - wall_ms();
	i->failures++;
	pause_ms = plan_backoff(i->failures, left_ms, rand_fast());
	i->retry_ns = clock_mono_ns() + (uint64_t)pause_ms * NS_PER_MS;
	snprintf(i->error, sizeof(i->error), "%.255s", err->text[0] ? err->text : log_strerror(r));
	log_line(is_usable(i) ? LOG_WARN : LOG_ERROR, LOG_SCOPE,
		 "%s: no new certificate: %s; trying again in %lld ms", i->uri, i->error,
		 (long long)pause_ms);
}

static void arm(struct ident_store *s);

/* What is on a list already is no new certificate. */
static void on_issued(struct ident_store *s, struct ident *i, struct source_cert *c)
{
	struct errbuf err = { 0 };
	int r = revoked(s, c->id, &err);

	if (r == 0) {
		on_fetched(s, i, c);
		return;
	}
	tls_identity_put(&c->id);
	on_failed(i, r, &err);
}

static void on_answer(void *arg, int r, const struct errbuf *err, struct source_cert *c)
{
	struct ident *i = arg;

	i->request = NULL;
	if (r < 0)
		on_failed(i, r, err);
	else
		on_issued(i->store, i, c);
	arm(i->store);
}

static void fetch(struct ident_store *s, struct ident *i)
{
	struct istio_ca *istio = source_istio(s->source);
	struct source_cert c = { 0 };
	struct errbuf err = { 0 };
	int r;

	if (i->request)
		return;
	r = istio ? istio_ca_ask(istio, i->uri, on_answer, i, &i->request) :
		    source_fetch(s->source, i->uri, &err, &c);
	if (r < 0)
		on_failed(i, r, &err);
	else if (!istio)
		on_issued(s, i, &c);
}

/* Milliseconds until something has to be done for i; <= 0: now. */
static int64_t due_in_ms(const struct ident *i)
{
	int64_t now = wall_ms();

	if (i->request)
		return PLAN_RECHECK_MS;
	if (i->retry_ns) {
		int64_t left_ns = (int64_t)(i->retry_ns - clock_mono_ns());

		return left_ns <= 0 ? 0 : left_ns / (int64_t)NS_PER_MS + 1;
	}
	/* The clock went back so far that the certificate is of the future: peers refuse it. */
	if (i->current && (uint64_t)now / 1000 < tls_identity_not_before(i->current))
		return (int64_t)(i->fetched_ns + PLAN_RECHECK_MS * NS_PER_MS - clock_mono_ns()) /
		       (int64_t)NS_PER_MS;
	return i->renew_ms - now;
}

static void arm(struct ident_store *s)
{
	int64_t wait = PLAN_RECHECK_MS;

	hmap_for_each(n, &s->map) {
		int64_t due = due_in_ms(ident_of(n));

		if (due < wait)
			wait = due;
	}
	if (wait < 0)
		wait = 0;
	timer_set(s->loop, &s->tick, (uint64_t)wait * NS_PER_MS, on_tick, s);
}

static void reread(void *arg)
{
	struct ident_store *s = arg;

	hmap_for_each(n, &s->map)
		fetch(s, ident_of(n));
	arm(s);
}

static void on_tick(void *arg)
{
	struct ident_store *s = arg;
	unsigned done = 0;

	if (source_watch_renew(s->source))
		timer_set(s->loop, &s->settle, SETTLE_NS, reread, s);
	hmap_for_each(n, &s->map) {
		if (due_in_ms(ident_of(n)) > 0)
			continue;
		fetch(s, ident_of(n));
		if (++done == FETCH_BATCH)
			break;
	}
	arm(s);
}

static void on_files(void *arg, uint32_t events)
{
	struct ident_store *s = arg;

	(void)events;
	if (source_watch_read(s->source) && !timer_armed(&s->settle))
		timer_set(s->loop, &s->settle, SETTLE_NS, reread, s);
}

/* Own certificates that are on a list now are no longer shown to anybody; the CA makes others. */
static void on_lists(void *arg)
{
	struct ident_store *s = arg;

	hmap_for_each(n, &s->map) {
		struct ident *i = ident_of(n);
		struct errbuf err = { 0 };
		bool bad = i->current && revoked(s, i->current, &err) < 0;

		pthread_mutex_lock(&s->lock);
		i->revoked = bad;
		pthread_mutex_unlock(&s->lock);
		if (!bad)
			continue;
		log_warn("%s: %s", i->uri, err.text);
		fetch(s, i);
	}
	trust_changed(s);
	arm(s);
}

static void own_store(struct ident_store **s)
{
	ident_store_free(s);
}

int ident_store_new(struct loop *control, const struct ident_opts *o, struct errbuf *err,
		    struct ident_store **ret)
{
	cleanup_with(own_store) struct ident_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = control;
	pthread_mutex_init(&s->lock, NULL);
	s->on_trust = o->on_trust;
	s->on_trust_arg = o->on_trust_arg;
	r = source_new(control, o, err, &s->source);
	if (r == 0 && o->crl_file && o->crl_file[0])
		r = revoke_start(control, o->crl_file, on_lists, s, err, &s->revoke);
	if (r < 0)
		return r;
	if (source_watch_fd(s->source) >= 0) {
		r = watch_add(control, &s->watch, source_watch_fd(s->source), EPOLLIN, on_files, s);
		if (r < 0)
			return errbuf_set(err, r, "cannot watch files: %s", strerror(-r));
	}
	arm(s);
	*ret = TAKE_PTR(s);
	return 0;
}

static void ident_free(struct ident_store *s, struct ident *i)
{
	istio_ca_cancel(&i->request);
	publish(s, i, NULL);
	free(i->uri);
	free(i);
}

void ident_store_free(struct ident_store **sp)
{
	struct ident_store *s = *sp;

	if (!s)
		return;
	timer_cancel(&s->tick);
	timer_cancel(&s->settle);
	task_cancel(&s->trust_changed);
	watch_del(&s->watch);
	revoke_stop(&s->revoke);
	hmap_for_each_safe(n, &s->map) {
		hmap_remove(&s->map, n);
		ident_free(s, ident_of(n));
	}
	hmap_fini(&s->map);
	source_free(&s->source);
	pthread_mutex_destroy(&s->lock);
	free(s);
	*sp = NULL;
}

static int ident_add(struct ident_store *s, const char *uri, struct ident **ret)
{
	struct ident *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return -ENOMEM;
	i->store = s;
	i->uri = str_dup(str_of(uri));
	if (!i->uri) {
		free(i);
		return -ENOMEM;
	}
	pthread_mutex_lock(&s->lock);
	r = hmap_insert(&s->map, &i->node, hash_str(str_of(uri)));
	pthread_mutex_unlock(&s->lock);
	if (r < 0) {
		free(i->uri);
		free(i);
		return r;
	}
	*ret = i;
	return 0;
}

int ident_want(struct ident_store *s, const char *uri)
{
	struct ident *i = ident_find(s, uri);
	struct spiffe id;
	int r;

	if (i) {
		i->wants++;
		return 0;
	}
	if (strlen(uri) >= sizeof(((struct ident_row *)0)->uri))
		return -ENAMETOOLONG;
	r = spiffe_parse(str_of(uri), &id);
	if (r < 0)
		return r;
	r = ident_add(s, uri, &i);
	if (r < 0)
		return r;
	i->wants = 1;
	fetch(s, i);
	arm(s);
	return 0;
}

void ident_forget(struct ident_store *s, const char *uri)
{
	struct ident *i = ident_find(s, uri);

	if (!i)
		return;
	BUG_ON(i->wants == 0);
	if (--i->wants)
		return;
	pthread_mutex_lock(&s->lock);
	hmap_remove(&s->map, &i->node);
	pthread_mutex_unlock(&s->lock);
	ident_free(s, i);
}

struct tls_identity *ident_current_any(struct ident_store *s, const char *uri)
{
	struct tls_identity *id = NULL;
	struct ident *i;

	pthread_mutex_lock(&s->lock);
	i = ident_find(s, uri);
	if (i && is_usable(i))
		id = tls_identity_get(i->current);
	pthread_mutex_unlock(&s->lock);
	return id;
}

struct tls_crl *ident_crl_any(struct ident_store *s)
{
	return revoke_crl_any(s->revoke);
}

uint64_t ident_trust_any(struct ident_store *s)
{
	return atomic_load(&s->trust);
}

const struct revoke *ident_revoke(const struct ident_store *s)
{
	return s->revoke;
}

static void fill_row(struct ident_store *s, const struct ident *i, struct ident_row *row)
{
	int64_t due_ms = due_in_ms(i);

	*row = (struct ident_row){ .wants = i->wants, .rotations = i->rotations };
	snprintf(row->uri, sizeof(row->uri), "%s", i->uri);
	snprintf(row->error, sizeof(row->error), "%s", i->error);
	row->next_s = (uint64_t)((wall_ms() + (due_ms > 0 ? due_ms : 0)) / 1000);
	if (i->current) {
		row->not_before_s = tls_identity_not_before(i->current);
		row->not_after_s = tls_identity_not_after(i->current);
		snprintf(row->serial, sizeof(row->serial), "%s", tls_identity_serial(i->current));
	}
	if (is_usable(i)) {
		row->state = "ready";
	} else if (i->error[0] || i->current) {
		snprintf(s->state_text, sizeof(s->state_text), "failed: %s%s%s",
			 is_past(i) ? "expired" : "", is_past(i) && i->error[0] ? ", " : "",
			 i->error);
		row->state = s->state_text;
	} else {
		row->state = "pending";
	}
}

static int by_uri(const void *a, const void *b)
{
	return strcmp((*(struct ident *const *)a)->uri, (*(struct ident *const *)b)->uri);
}

void ident_each(struct ident_store *s, void (*fn)(void *arg, const struct ident_row *row), void *arg)
{
	_free_ struct ident **all = calloc(s->map.n + 1, sizeof(struct ident *));
	struct ident_row row;
	size_t n = 0;

	if (!all)
		return;
	hmap_for_each(node, &s->map)
		all[n++] = ident_of(node);
	qsort(all, n, sizeof(struct ident *), by_uri);
	for (size_t k = 0; k < n; k++) {
		fill_row(s, all[k], &row);
		fn(arg, &row);
	}
}
