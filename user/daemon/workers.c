// SPDX-License-Identifier: Apache-2.0
/* Worker threads, and what the control thread asks of them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bug.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "io/netns.h"

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	int r = netns_home_open();

	BUG_ON(r < 0);
	loop_run(w->loop);
	return NULL;
}

int workers_start(struct daemon *d)
{
	for (uint32_t i = 0; i < d->n_workers; i++) {
		struct worker *w = &d->worker[i];
		char name[16];
		int r;

		w->d = d;
		snprintf(name, sizeof(name), "worker-%u", (unsigned)(uint8_t)i);
		r = loop_new(&w->loop, name);
		if (r == 0)
			r = conn_worker_new(w->loop, &d->shared, i, &w->conns);
		if (r == 0)
			r = dns_worker_new(w->loop, &d->names, &w->names);
		if (r == 0)
			r = -pthread_create(&w->thread, NULL, worker_main, w);
		if (r < 0)
			return log_err(r, "cannot start %s", name);
		w->started = true;
		d->shared.worker[i] = w->conns;
	}
	d->shared.n_workers = d->n_workers;
	return 0;
}

static void run_call(void *arg)
{
	struct worker_call *c = arg;

	c->fn(c->w, c->arg);
	sem_post(&c->done);
}

static void call_begin(struct worker_call *c, struct worker *w,
		       void (*fn)(struct worker *w, void *arg), void *arg)
{
	*c = (struct worker_call){ .w = w, .fn = fn, .arg = arg };
	if (!w->started)
		return;
	sem_init(&c->done, 0, 0);
	c->posted = loop_post_any(w->loop, run_call, c) == 0;
	if (!c->posted)
		sem_destroy(&c->done);
}

static void call_end(struct worker_call *c)
{
	if (!c->posted)
		return;
	while (sem_wait(&c->done) < 0 && errno == EINTR)
		;
	sem_destroy(&c->done);
}

void worker_call(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
	struct worker_call c;

	call_begin(&c, w, fn, arg);
	call_end(&c);
}

static void workers_call_end(struct daemon *d, struct workers_call *c)
{
	for (uint32_t i = 0; i < d->n_workers; i++)
		call_end(&c->of[i]);
}

struct listen_call {
	struct conn_local *l;
	enum conn_listen kind;
	int fd;
};

static void do_listen(struct worker *w, void *arg)
{
	struct listen_call *c = arg;
	int r = conn_listen(w->conns, c->l, c->kind, c->fd);

	if (r < 0)
		log_error("pod %s/%s: %s cannot serve it: %s", c->l->ns, c->l->name,
			  loop_name(w->loop), log_strerror(r));
}

void workers_listen(void *arg, struct conn_local *l, enum conn_listen kind, int fd)
{
	struct daemon *d = arg;
	struct listen_call c = { l, kind, fd };

	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], do_listen, &c);
}

static void do_unlisten(struct worker *w, void *arg)
{
	conn_unlisten(w->conns, arg);
}

void workers_unlisten(void *arg, struct conn_local *l)
{
	struct daemon *d = arg;

	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], do_unlisten, l);
}

static void do_cut(struct worker *w, void *arg)
{
	conn_cut_pod(w->conns, arg);
}

void workers_cut(void *arg, struct conn_local *l)
{
	struct daemon *d = arg;

	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], do_cut, l);
}

static void do_recheck(struct worker *w, void *arg)
{
	(void)arg;
	conn_recheck(w->conns);
}

static void run_recheck_end(void *arg)
{
	struct worker *w = arg;

	conn_recheck_end(w->conns);
}

static void do_recheck_trust(struct worker *w, void *arg)
{
	(void)arg;
	tunnel_recheck(w->conns->tunnel);
}

void workers_recheck_trust(struct daemon *d)
{
	struct workers_call c;

	for (uint32_t i = 0; i < d->n_workers; i++)
		call_begin(&c.of[i], &d->worker[i], do_recheck_trust, NULL);
	workers_call_end(d, &c);
}

void workers_recheck_begin(struct daemon *d, struct workers_call *ret)
{
	for (uint32_t i = 0; i < d->n_workers; i++)
		call_begin(&ret->of[i], &d->worker[i], do_recheck, NULL);
}

void workers_recheck_end(struct daemon *d, struct workers_call *c)
{
	workers_call_end(d, c);
	/* Where there is no memory to say it, the next change does. */
	for (uint32_t i = 0; i < d->n_workers; i++)
		if (d->worker[i].started)
			loop_post_any(d->worker[i].loop, run_recheck_end, &d->worker[i]);
}

static void do_quiesce(struct worker *w, void *arg)
{
	(void)arg;
	conn_worker_quiesce(w->conns);
}

static void do_end(struct worker *w, void *arg)
{
	(void)arg;
	dns_worker_free(&w->names);
	conn_worker_free(&w->conns);
}

/* In steps over all workers, because they hand connections to each other: nobody accepts any
 * more, then (what was handed over has arrived) everything ends, then the loops. */
void workers_stop(struct daemon *d)
{
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], do_quiesce, NULL);
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], do_end, NULL);
	for (uint32_t i = 0; i < d->n_workers; i++) {
		struct worker *w = &d->worker[i];

		if (!w->started)
			continue;
		loop_stop_any(w->loop);
		pthread_join(w->thread, NULL);
		w->started = false;
	}
	for (uint32_t i = 0; i < d->n_workers; i++)
		loop_free(&d->worker[i].loop);
}
