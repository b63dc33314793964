// SPDX-License-Identifier: Apache-2.0
/*
 * What outlives a daemon: records of enrolled pods, and their comparison with the kernel, at the
 * start and from time to time. A record is believed only as far as the kernel agrees.
 */
#define LOG_SCOPE "pod"
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "io/loop.h"
#include "io/netns.h"
#include "kern/kern.h"
#include "model/snap.h"
#include "pod/pods_priv.h"
#include "pod/state.h"

#define CHECK_NS (5 * NS_PER_S)

void pods_remember(struct pods *p, const struct pod *pod)
{
	struct pod_record r = { .cookie = pod->local->cookie };
	int e = str_copy(r.ns, sizeof(r.ns), str_of(pod->local->ns));

	if (e == 0)
		e = str_copy(r.name, sizeof(r.name), str_of(pod->local->name));
	if (e == 0)
		e = str_copy(r.netns, sizeof(r.netns), str_of(pod->netns_path));
	if (e == 0)
		e = str_copy(r.zds_uid, sizeof(r.zds_uid), str_of(pod->zds_uid ? pod->zds_uid : ""));
	if (e == 0)
		e = pod_state_write(p->o.run_dir, &r);
	if (e < 0)
		log_warn("pod %s/%s: enrolment cannot be remembered over a restart: %s",
			 pod->local->ns, pod->local->name, log_strerror(e));
}

static void close_cookie(struct pods *p, uint64_t cookie)
{
	if (p->n_closed < ARRAY_LEN(p->closed))
		p->closed[p->n_closed++] = cookie;
}

/* Only istio-cni has its namespace. Until it tells, what was there stays and nobody listens. */
static void keep_closed(struct pods *p, const struct pod_record *rec)
{
	if (p->o.zds) {
		close_cookie(p, rec->cookie);
		return;
	}
	log_warn("pod %s/%s came by ZDS, which is off now: it leaves the mesh", rec->ns, rec->name);
	pod_state_remove(p->o.run_dir, rec->ns, rec->name);
}

static void restore_one(void *arg, const struct pod_record *rec)
{
	struct pods *p = arg;
	_close_ int fd = -1;
	struct errbuf err = { 0 };
	uint64_t cookie = 0;
	struct pod *pod;

	if (pods_find(p, rec->ns, rec->name))
		return;
	if (rec->zds_uid[0]) {
		keep_closed(p, rec);
		return;
	}
	fd = netns_open(rec->netns);
	if (fd < 0 || netns_cookie(fd, &cookie) < 0 || cookie != rec->cookie) {
		log_info("pod %s/%s went away while weftd was down", rec->ns, rec->name);
		pod_state_remove(p->o.run_dir, rec->ns, rec->name);
		return;
	}
	close_cookie(p, cookie);
	if (pods_enrol(p, rec->ns, rec->name, rec->netns, &err, &pod) < 0)
		log_error("%s; it stays fail-closed and is tried again", err.text);
}

struct stale {
	struct pods *p;
	uint64_t cookie[PODS_MAX];
	size_t n;
};

static void find_stale(void *arg, uint64_t cookie, const struct weft_pod *v)
{
	struct stale *st = arg;

	(void)v;
	if (pods_closed(st->p, cookie))
		return;
	list_for_each(n, &st->p->all)
		if (list_entry(n, struct pod, node)->local->cookie == cookie)
			return;
	if (st->n < ARRAY_LEN(st->cookie))
		st->cookie[st->n++] = cookie;
}

/* Enrols what the records name and is not enrolled; what no record names is let go. */
void pods_look(struct pods *p)
{
	struct stale *st = calloc(1, sizeof(*st));

	if (!st)
		return;
	st->p = p;
	p->n_closed = 0;
	pod_state_each(p->o.run_dir, restore_one, p);
	kern_pod_each(p->o.kern, find_stale, st);
	for (size_t i = 0; i < st->n; i++) {
		kern_pod_del(p->o.kern, st->cookie[i]);
		kern_lookup_detach(p->o.kern, st->cookie[i]);
	}
	kern_dns_sweep(p->o.kern);
	/* The links of a closed pod are what keeps it closed. */
	if (!p->n_closed)
		kern_pod_links_sweep(p->o.kern);
	free(st);
}

int pods_unenrol(struct pods *p, const char *ns, const char *name, struct errbuf *err)
{
	struct pod *pod = pods_find(p, ns, name);
	size_t closed = p->n_closed;

	if (!pod && !closed)
		return errbuf_set(err, -ENOENT, "pod %s/%s is not enrolled here", ns, name);
	pod_state_remove(p->o.run_dir, ns, name);
	if (pod)
		pods_undo(p, pod);
	else
		pods_look(p); /* a closed pod is let go when its record is */
	if (!pod && p->n_closed == closed)
		return errbuf_set(err, -ENOENT, "pod %s/%s is not enrolled here", ns, name);
	log_info("pod %s/%s left the mesh", ns, name);
	p->o.on_change(p->o.arg);
	return 0;
}

static bool netns_still_there(const struct pod *pod)
{
	_close_ int fd = -1;

	if (pod->zds_uid)
		return true; /* istio-cni tells */

	/* A path by process id says nothing when that process ends: others may live in the
	 * namespace, and a pod that is let go is open. Such a pod stays until it is un-enrolled. */
	if (strncmp(pod->netns_path, "/proc/", strlen("/proc/")) == 0)
		return true;
	fd = netns_open(pod->netns_path);
	return fd >= 0 && pods_same_netns(pod, fd);
}

enum pod_state pod_state(const struct pod *pod)
{
	if (!netns_still_there(pod))
		return POD_GONE;
	return pod->workload ? POD_ENROLLED : POD_NOT_IN_MESH;
}

/* A record is believed only as far as the kernel agrees: pods whose netns went are let go. */
static void on_check(void *arg)
{
	struct pods *p = arg;

	if (p->n_closed)
		pods_look(p);
	list_for_each_safe(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);
		_free_ char *ns = NULL, *name = NULL;

		if (netns_still_there(pod))
			continue;
		ns = str_dup(str_of(pod->local->ns));
		name = str_dup(str_of(pod->local->name));
		if (!ns || !name)
			break;
		log_info("pod %s/%s: its network namespace is gone", ns, name);
		pods_unenrol(p, ns, name, NULL);
		break; /* the list changed; the rest comes with the next check */
	}
	pods_sync(p, model_snap(p->o.model)); /* what failed the last time */
	pods_dns_retry(p);
	timer_set(p->o.loop, &p->check, CHECK_NS, on_check, p);
}

void pods_restore(struct pods *p)
{
	pods_look(p);
	timer_set(p->o.loop, &p->check, CHECK_NS, on_check, p);
}
