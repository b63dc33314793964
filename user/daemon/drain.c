// SPDX-License-Identifier: Apache-2.0
/*
 * The end in peace: no pod is served with new connections any more, peers are told by GOAWAY, and
 * relayed connections have the time of the option drain to end by themselves. Direct ones do not
 * need weftd and are not waited for. Control thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "pod/pods.h"
#include "pod/zds_link.h"

#define LOOK_NS (50 * NS_PER_MS)

static uint32_t relayed(const struct daemon *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n_workers; i++)
		if (d->worker[i].conns)
			n += atomic_load_explicit(&d->worker[i].conns->n_conns, memory_order_relaxed);
	return n;
}

static void on_look(void *arg)
{
	struct daemon *d = arg;
	uint32_t n = relayed(d);

	if (n && clock_mono_ns() < d->drain_until_ns) {
		timer_set(d->loop, &d->drain, LOOK_NS, on_look, d);
		return;
	}
	if (n)
		log_warn("%u relayed connections have not ended within the option drain, they are reset",
			 n);
	loop_stop_any(d->loop);
}

static void do_drain(struct worker *w, void *arg)
{
	(void)arg;
	conn_worker_drain(w->conns);
}

void drain_begin(struct daemon *d, const char *why)
{
	if (d->drain_until_ns)
		return;
	log_info("%s: no new connections; relayed ones that are open (%u) have %llu s to end", why,
		 relayed(d), (unsigned long long)(d->opts.drain_ns / NS_PER_S));
	d->drain_until_ns = clock_mono_ns() + d->opts.drain_ns;
	for (uint32_t i = 0; i < d->n_workers; i++)
		worker_call(&d->worker[i], do_drain, NULL);
	/* istio-cni is to tell another one. */
	zds_link_free(&d->zds);
	if (d->pods)
		pods_quiesce(d->pods);
	/* Not at once: whoever asked is to have his answer. */
	timer_set(d->loop, &d->drain, LOOK_NS, on_look, d);
}
