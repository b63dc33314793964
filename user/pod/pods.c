// SPDX-License-Identifier: Apache-2.0
/*
 * Enrolment and its undoing. The order of enrol() leaves no moment in which traffic is taken
 * and nobody serves it, or in which a pod counts as protected and is not; undo() runs the
 * same steps backwards from wherever enrol() came to.
 */
#define LOG_SCOPE "pod"
#include "pod/pods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "ident/store.h"
#include "io/loop.h"
#include "io/netns.h"
#include "io/tcp.h"
#include "kern/kern.h"
#include "pod/state.h"
#include "weft/abi.h"

#define CHECK_NS (5 * NS_PER_S)
#define PODS_MAX 1024

struct pods {
	struct pods_opts o;
	struct list all;
	size_t n;
	uint32_t next_slot;
	struct timer check;
	bool quiesced;
	/* Cookies of pods that an earlier daemon had enrolled and this one has not (yet). Their
	 * kernel entries stay, so nothing of theirs goes out in plain text. */
	uint64_t closed[PODS_MAX];
	size_t n_closed;
};

static const uint16_t listen_port[] = {
	[CONN_LISTEN_OUTBOUND] = WEFT_PORT_OUTBOUND,
	[CONN_LISTEN_HBONE] = WEFT_PORT_HBONE,
	[CONN_LISTEN_PLAIN] = WEFT_PORT_PLAINTEXT,
};

static struct pod *find(const struct pods *p, const char *ns, const char *name)
{
	list_for_each(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);

		if (strcmp(pod->local->ns, ns) == 0 && strcmp(pod->local->name, name) == 0)
			return pod;
	}
	return NULL;
}

bool pods_closed(const struct pods *p, uint64_t cookie)
{
	for (size_t i = 0; i < p->n_closed; i++)
		if (p->closed[i] == cookie)
			return true;
	return false;
}

static void closed_del(struct pods *p, uint64_t cookie)
{
	for (size_t i = 0; i < p->n_closed; i++) {
		if (p->closed[i] != cookie)
			continue;
		p->closed[i] = p->closed[--p->n_closed];
		return;
	}
}

static void pod_free(struct pod *pod)
{
	for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
		own_close(&pod->fd[i]);
	free(pod->netns_path);
	free(pod->wanted);
	conn_local_put(&pod->local);
	free(pod);
}

/* Never deleted by address: an entry goes away with its socket, and by then the address may
 * belong to another pod, whose entries these would be. */
static void kernel_listen(struct pods *p, struct pod *pod)
{
	const struct weft_addr *addrs[] = { &pod->local->v4, &pod->local->v6 };

	for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
		if (ip_is_any(addrs[i]))
			continue;
		kern_listen_set(p->o.kern, addrs[i], WEFT_LISTEN_HBONE, pod->fd[CONN_LISTEN_HBONE]);
		kern_listen_set(p->o.kern, addrs[i], WEFT_LISTEN_PLAIN, pod->fd[CONN_LISTEN_PLAIN]);
	}
}

/* Takes the pod out of the mesh, from whatever point of enrolment it had reached; one that was
 * closed before stays closed. */
static void undo(struct pods *p, struct pod *pod)
{
	const struct conn_local *l = pod->local;
	const struct weft_veth passing = { .v4 = l->v4, .v6 = l->v6, .slot = l->slot,
					   .flags = WEFT_VETH_PASSING };
	bool closed = pods_closed(p, l->cookie);

	if (pod->guarded && !closed)
		kern_guard_set(p->o.kern, pod->veth_ifindex, &passing);
	/* Outbound first: from here on the pod is like any other that is not enrolled. */
	if (pod->in_map && !closed)
		kern_pod_del(p->o.kern, pod->local->cookie);
	if (pod->guarded && !closed)
		kern_guard_detach(p->o.kern, pod->veth_ifindex);
	if (pod->attached && !closed)
		kern_lookup_detach(p->o.kern, pod->local->cookie);
	if (pod->fd[0] >= 0)
		p->o.on_unlisten(p->o.arg, pod->local);
	if (pod->wanted)
		ident_forget(p->o.ident, pod->wanted);
	if (pod->node.next) {
		list_del(&pod->node);
		p->n--;
	}
	pod_free(pod);
}

static int open_listeners(struct pods *p, struct pod *pod, struct errbuf *err)
{
	for (size_t i = 0; i < ARRAY_LEN(listen_port); i++) {
		const struct tcp_listen_opts o = { .netns_fd = pod->local->netns_fd,
						   .port = listen_port[i], .backlog = 4096,
						   .keepalive_s = p->o.keepalive_s,
						   .congestion = i == CONN_LISTEN_HBONE
									 ? NULL : p->o.congestion };
		int fd = tcp_listen(&o);

		if (fd < 0)
			return errbuf_set(err, fd, "pod %s/%s: cannot listen on port %u in it: %s%s",
					  pod->local->ns, pod->local->name, o.port,
					  log_strerror(fd),
					  fd == -EADDRINUSE ? "; something in the pod uses it" : "");
		pod->fd[i] = fd;
		kern_own_mark_any(p->o.kern, fd);
	}
	return 0;
}

static void want_identity(struct pods *p, struct pod *pod, const struct workload *w)
{
	if (pod->wanted || !w)
		return;
	pod->wanted = str_dup(str_of(w->identity));
	if (pod->wanted && ident_want(p->o.ident, pod->wanted) < 0)
		log_warn("pod %s/%s: no certificate for %s yet, it will be tried again",
			 pod->local->ns, pod->local->name, pod->wanted);
}

static int set_pod_entry(struct pods *p, struct pod *pod)
{
	const struct weft_pod v = { .workload = pod->workload, .slot = pod->local->slot,
				    .v4 = pod->local->v4, .v6 = pod->local->v6 };

	return kern_pod_set(p->o.kern, pod->local->cookie, &v);
}

/* The steps after the netns is open, in an order without gaps. */
static int enrol_steps(struct pods *p, struct pod *pod, struct errbuf *err)
{
	struct conn_local *l = pod->local;
	/* Of a pod that comes, the hooks leave SYNs alone until the last step: the guard must not
	 * drop them, now or when they are sent again. */
	struct weft_veth veth = { .v4 = l->v4,
				  .v6 = l->v6,
				  .slot = l->slot,
				  .flags = pods_closed(p, l->cookie) ? 0 : WEFT_VETH_PASSING };
	int r = pod_route_setup(l->netns_fd, err);

	if (r == 0)
		r = open_listeners(p, pod, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
		p->o.on_listen(p->o.arg, l, (enum conn_listen)i, pod->fd[i]);
	kernel_listen(p, pod);
	r = kern_lookup_attach(p->o.kern, l->cookie, l->netns_fd);
	if (r < 0)
		return errbuf_set(err, r, "pod %s/%s: cannot attach sk_lookup: %s%s", l->ns,
				  l->name, log_strerror(r),
				  r == -ENOENT ? "; the folder of pins is gone, see weft status"
					       : "");
	pod->attached = true;
	if (pod->veth_ifindex) {
		r = kern_guard_attach(p->o.kern, pod->veth_ifindex, &veth);
		if (r < 0)
			return errbuf_set(err, r, "pod %s/%s: cannot attach the guard: %s", l->ns,
					  l->name, log_strerror(r));
		pod->guarded = true;
	} else {
		log_warn("pod %s/%s: its host-side interface is not in this namespace, no guard",
			 l->ns, l->name);
	}
	r = set_pod_entry(p, pod);
	if (r < 0)
		return errbuf_set(err, r, "pod %s/%s: weft_pods: %s", l->ns, l->name,
				  log_strerror(r));
	pod->in_map = true;
	veth.flags = 0;
	if (pod->guarded)
		r = kern_guard_set(p->o.kern, pod->veth_ifindex, &veth);
	if (r < 0)
		return errbuf_set(err, r, "pod %s/%s: weft_veths: %s", l->ns, l->name,
				  log_strerror(r));
	return 0;
}

static int pod_open(struct pods *p, const char *ns, const char *name, int netns_fd,
		    const char *path, struct errbuf *err, struct pod **ret)
{
	const struct workload *w = snap_workload_by_pod(model_snap(p->o.model), ns, name);
	struct pod *pod = calloc(1, sizeof(*pod));
	struct conn_local *l = calloc(1, sizeof(*l));
	int r;

	if (!pod || !l) {
		free(pod);
		free(l);
		close(netns_fd);
		return -ENOMEM;
	}
	pod->local = l;
	l->refs = 1;
	l->netns_fd = netns_fd;
	l->slot = ++p->next_slot;
	l->ns = str_dup(str_of(ns));
	l->name = str_dup(str_of(name));
	l->identity = str_dup(str_of(w ? w->identity : ""));
	pod->netns_path = str_dup(str_of(path));
	pod->workload = w ? w->id : 0;
	pod->since_s = clock_wall_s();
	for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
		pod->fd[i] = -1;
	r = l->ns && l->name && l->identity && pod->netns_path ? 0 : -ENOMEM;
	if (r == 0)
		r = netns_cookie(netns_fd, &l->cookie);
	if (r == 0)
		r = pod_inspect(netns_fd, &l->v4, &l->v6, &pod->veth_ifindex);
	if (r < 0) {
		pod_free(pod);
		return errbuf_set(err, r, "pod %s/%s: %s", ns, name,
				  r == -EADDRNOTAVAIL ? "it has no address yet" : log_strerror(r));
	}
	want_identity(p, pod, w);
	*ret = pod;
	return 0;
}

static int same_netns(const struct pod *pod, int fd)
{
	struct stat a, b;

	return fstat(pod->local->netns_fd, &a) == 0 && fstat(fd, &b) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static void remember(struct pods *p, const struct pod *pod)
{
	struct pod_record r = { .cookie = pod->local->cookie };
	int e = str_copy(r.ns, sizeof(r.ns), str_of(pod->local->ns));

	if (e == 0)
		e = str_copy(r.name, sizeof(r.name), str_of(pod->local->name));
	if (e == 0)
		e = str_copy(r.netns, sizeof(r.netns), str_of(pod->netns_path));
	if (e == 0)
		e = pod_state_write(p->o.run_dir, &r);
	if (e < 0)
		log_warn("pod %s/%s: enrolment cannot be remembered over a restart: %s",
			 pod->local->ns, pod->local->name, log_strerror(e));
}

/* The node's own namespace, or that of another pod, is not this pod. */
static int netns_refuse(const struct pods *p, const char *ns, const char *name, int fd,
			struct errbuf *err)
{
	struct stat own, it;

	if (fstat(fd, &it) < 0 || stat("/proc/self/ns/net", &own) < 0)
		return -errno;
	if (own.st_ino == it.st_ino && own.st_dev == it.st_dev)
		return errbuf_set(err, -EINVAL, "pod %s/%s: this is the node's own network namespace",
				  ns, name);
	list_for_each(n, &p->all) {
		const struct pod *other = list_entry(n, struct pod, node);

		if (same_netns(other, fd) &&
		    (strcmp(other->local->ns, ns) != 0 || strcmp(other->local->name, name) != 0))
			return errbuf_set(err, -EBUSY,
					  "pod %s/%s: its network namespace is enrolled as %s/%s", ns,
					  name, other->local->ns, other->local->name);
	}
	return 0;
}

int pods_enrol(struct pods *p, const char *ns, const char *name, const char *netns_path,
	       struct errbuf *err, struct pod **ret)
{
	int fd = netns_open(netns_path), r;
	struct pod *pod = find(p, ns, name);

	if (fd < 0)
		return errbuf_set(err, fd, "pod %s/%s: %s is not a network namespace: %s", ns, name,
				  netns_path, log_strerror(fd));
	if (p->quiesced) {
		close(fd);
		return errbuf_set(err, -ESHUTDOWN, "pod %s/%s: weftd is ending, ask the next one",
				  ns, name);
	}
	r = netns_refuse(p, ns, name, fd, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	if (pod && same_netns(pod, fd)) {
		close(fd);
		*ret = pod;
		return 0;
	}
	if (pod)
		undo(p, pod);
	if (p->n >= PODS_MAX) {
		close(fd);
		return errbuf_set(err, -ENOSPC, "this node has %d pods enrolled, the limit", PODS_MAX);
	}
	r = pod_open(p, ns, name, fd, netns_path, err, &pod);
	if (r < 0)
		return r;
	list_add_tail(&p->all, &pod->node);
	p->n++;
	r = enrol_steps(p, pod, err);
	if (r < 0) {
		undo(p, pod);
		return r;
	}
	closed_del(p, pod->local->cookie);
	remember(p, pod);
	log_info("pod %s/%s enrolled: slot %u, netns %s", ns, name, pod->local->slot, netns_path);
	p->o.on_change(p->o.arg);
	*ret = pod;
	return 0;
}

static void restore_one(void *arg, const struct pod_record *rec)
{
	struct pods *p = arg;
	_close_ int fd = -1;
	struct errbuf err = { 0 };
	uint64_t cookie = 0;
	struct pod *pod;

	if (find(p, rec->ns, rec->name))
		return;
	fd = netns_open(rec->netns);
	if (fd < 0 || netns_cookie(fd, &cookie) < 0 || cookie != rec->cookie) {
		log_info("pod %s/%s went away while weftd was down", rec->ns, rec->name);
		pod_state_remove(p->o.run_dir, rec->ns, rec->name);
		return;
	}
	if (p->n_closed < ARRAY_LEN(p->closed))
		p->closed[p->n_closed++] = cookie;
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
static void restore(struct pods *p)
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
	/* The links of a closed pod are what keeps it closed. */
	if (!p->n_closed)
		kern_pod_links_sweep(p->o.kern);
	free(st);
}

int pods_unenrol(struct pods *p, const char *ns, const char *name, struct errbuf *err)
{
	struct pod *pod = find(p, ns, name);
	size_t closed = p->n_closed;

	if (!pod && !closed)
		return errbuf_set(err, -ENOENT, "pod %s/%s is not enrolled here", ns, name);
	pod_state_remove(p->o.run_dir, ns, name);
	if (pod)
		undo(p, pod);
	else
		restore(p); /* a closed pod is let go when its record is */
	if (!pod && p->n_closed == closed)
		return errbuf_set(err, -ENOENT, "pod %s/%s is not enrolled here", ns, name);
	log_info("pod %s/%s left the mesh", ns, name);
	p->o.on_change(p->o.arg);
	return 0;
}

/* Sockets, slot and kernel entries stay: there is no moment in which the pod is outside of the
 * mesh. Connections that are open keep the identity they were made with. */
static void change_identity(struct pods *p, struct pod *pod, const struct workload *w)
{
	struct conn_local *old = pod->local, *l = pod_local_copy(old, w->identity);
	_free_ char *was_wanted = pod->wanted;

	if (!l) {
		log_error("pod %s/%s: no memory or descriptor to make it %s, it will be tried again",
			  old->ns, old->name, w->identity);
		was_wanted = NULL;
		return;
	}
	log_info("pod %s/%s is now %s", l->ns, l->name, l->identity);
	pod->wanted = NULL;
	want_identity(p, pod, w);
	if (was_wanted)
		ident_forget(p->o.ident, was_wanted);
	pod->local = l;
	p->o.on_unlisten(p->o.arg, old);
	conn_local_put(&old);
	for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
		p->o.on_listen(p->o.arg, l, (enum conn_listen)i, pod->fd[i]);
}

void pods_sync(struct pods *p, const struct snap *s)
{
	if (p->quiesced)
		return;
	list_for_each(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);
		struct workload *w = snap_workload_by_pod(s, pod->local->ns, pod->local->name);
		uint32_t id = w ? w->id : 0;

		want_identity(p, pod, w);
		if (w && strcmp(w->identity, pod->local->identity) != 0)
			change_identity(p, pod, w);
		if (id == pod->workload)
			continue;
		pod->workload = id;
		set_pod_entry(p, pod);
	}
}

void pods_each(struct pods *p, void (*fn)(void *arg, const struct pod *pod), void *arg)
{
	list_for_each(n, &p->all)
		fn(arg, list_entry(n, struct pod, node));
}

bool pods_has_address(const struct pods *p, uint32_t workload, const struct weft_addr *a)
{
	list_for_each(n, &p->all) {
		const struct pod *pod = list_entry(n, struct pod, node);

		if (pod->workload == workload &&
		    (ip_eq(&pod->local->v4, a) || ip_eq(&pod->local->v6, a)))
			return true;
	}
	return false;
}

static bool netns_still_there(const struct pod *pod)
{
	_close_ int fd = -1;

	/* A path by process id says nothing when that process ends: others may live in the
	 * namespace, and a pod that is let go is open. Such a pod stays until it is un-enrolled. */
	if (strncmp(pod->netns_path, "/proc/", strlen("/proc/")) == 0)
		return true;
	fd = netns_open(pod->netns_path);
	return fd >= 0 && same_netns(pod, fd);
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
		restore(p);
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
	timer_set(p->o.loop, &p->check, CHECK_NS, on_check, p);
}

void pods_restore(struct pods *p)
{
	restore(p);
	timer_set(p->o.loop, &p->check, CHECK_NS, on_check, p);
}

int pods_new(const struct pods_opts *o, struct pods **ret)
{
	struct pods *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->o = *o;
	list_init(&p->all);
	*ret = p;
	return 0;
}

size_t pods_count(const struct pods *p)
{
	return p->n;
}

void pods_quiesce(struct pods *p)
{
	p->quiesced = true;
	timer_cancel(&p->check);
	list_for_each(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);

		for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
			own_close(&pod->fd[i]);
	}
}

void pods_free(struct pods **pp)
{
	struct pods *p = *pp;

	if (!p)
		return;
	*pp = NULL;
	timer_cancel(&p->check);
	while (!list_empty(&p->all)) {
		struct pod *pod = list_first(&p->all, struct pod, node);

		list_del(&pod->node);
		pod_free(pod);
	}
	free(p);
}
