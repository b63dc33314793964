// SPDX-License-Identifier: Apache-2.0
/* What the kernel counted: totals, statistics, live flows, events. Control thread. */
#define LOG_SCOPE "kern"
#include <errno.h>
#include <string.h>

#include "weft/abi.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

#define RING_GATHER_NS (20 * NS_PER_MS)

void kern_totals_each(struct kern *k,
		      void (*fn)(void *arg, const struct weft_total_key *key,
				 const struct weft_total *t),
		      void *arg)
{
	int fd = bpf_map__fd(k->skel->maps.weft_totals), n_cpu = libbpf_num_possible_cpus();
	struct weft_total_key key, next, *prev = NULL;
	_free_ struct weft_total *per_cpu = NULL;

	if (n_cpu <= 0)
		return;
	per_cpu = calloc((size_t)n_cpu, sizeof(*per_cpu));
	if (!per_cpu)
		return;
	/* Never deleted while the map lives, so the walk cannot restart. */
	while (bpf_map_get_next_key(fd, prev, &next) == 0) {
		struct weft_total sum = { 0 };

		key = next;
		prev = &key;
		if (bpf_map_lookup_elem(fd, &key, per_cpu) < 0)
			continue;
		for (int i = 0; i < n_cpu; i++) {
			sum.opened += per_cpu[i].opened;
			sum.closed += per_cpu[i].closed;
			sum.failed += per_cpu[i].failed;
			sum.sent_bytes += per_cpu[i].sent_bytes;
			sum.received_bytes += per_cpu[i].received_bytes;
		}
		fn(arg, &key, &sum);
	}
}

void kern_stats(struct kern *k, uint64_t ret[WEFT_STAT_MAX])
{
	int fd = bpf_map__fd(k->skel->maps.weft_stats), n_cpu = libbpf_num_possible_cpus();
	_free_ uint64_t *per_cpu = n_cpu > 0 ? calloc((size_t)n_cpu, sizeof(*per_cpu)) : NULL;

	memset(ret, 0, sizeof(uint64_t) * WEFT_STAT_MAX);
	for (uint32_t i = 0; per_cpu && i < WEFT_STAT_MAX; i++) {
		if (bpf_map_lookup_elem(fd, &i, per_cpu) < 0)
			continue;
		for (int c = 0; c < n_cpu; c++)
			ret[i] += per_cpu[c];
	}
}

int kern_flows_each(struct kern *k, void (*fn)(void *arg, const struct weft_flow_live *l), void *arg)
{
	union bpf_iter_link_info li = { .map.map_fd = (__u32)bpf_map__fd(k->skel->maps.weft_flow) };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &li, .link_info_len = sizeof(li));
	struct bpf_link *link = bpf_program__attach_iter(k->skel->progs.weft_flows, &opts);
	_free_ char *buf = malloc(256 * sizeof(struct weft_flow_live));
	_close_ int fd = -1;
	size_t have = 0;
	ssize_t n;

	if (!link)
		return -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	if (fd < 0 || !buf)
		return fd < 0 ? fd : -ENOMEM;
	while ((n = read(fd, buf + have, 256 * sizeof(struct weft_flow_live) - have)) > 0) {
		size_t at = 0;

		have += (size_t)n;
		for (; have - at >= sizeof(struct weft_flow_live);
		     at += sizeof(struct weft_flow_live)) {
			struct weft_flow_live live;

			memcpy(&live, buf + at, sizeof(live));
			fn(arg, &live);
		}
		memmove(buf, buf + at, have - at);
		have -= at;
	}
	return n < 0 ? -errno : 0;
}

static int on_ring(void *arg, void *data, size_t n)
{
	struct kern *k = arg;
	const struct weft_event *e = data;

	if (n >= sizeof(*e) && e->version == WEFT_ABI_VERSION)
		k->on_event(k->on_event_arg, e);
	return 0;
}

static void on_ring_due(void *arg)
{
	struct kern *k = arg;

	ring_buffer__consume(k->ring);
	watch_set(&k->ring_watch, EPOLLIN);
}

/* The kernel wakes us for the first record of an empty ring only. Leaving it there for a
 * moment makes one wake-up of many: at 10,000 connections a second that is the difference
 * between a busy control thread and an idle one. The ring holds some 9,000 records. */
static void on_ring_ready(void *arg, uint32_t events)
{
	struct kern *k = arg;

	(void)events;
	watch_set(&k->ring_watch, 0);
	timer_set(k->ring_watch.loop, &k->ring_due, RING_GATHER_NS, on_ring_due, k);
}

int kern_events_start(struct kern *k, struct loop *loop,
		      void (*fn)(void *arg, const struct weft_event *e), void *arg)
{
	k->on_event = fn;
	k->on_event_arg = arg;
	k->ring = ring_buffer__new(bpf_map__fd(k->skel->maps.weft_events), on_ring, k, NULL);
	if (!k->ring)
		return -errno;
	return watch_add(loop, &k->ring_watch, ring_buffer__epoll_fd(k->ring), EPOLLIN,
			 on_ring_ready, k);
}
