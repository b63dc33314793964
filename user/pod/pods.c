// SPDX-License-Identifier: Apache-2.0
/*
 * Enrolment and its undoing. The order of enrol() leaves no moment in which traffic is taken
 * and nobody serves it, or in which a pod counts as protected and is not; undo() runs the
 * same steps backwards from wherever enrol() came to.
 */
#define LOG_SCOPE "pod"
#include "pod/pods_priv.h"

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
#include "weft/abi.h"

static const uint16_t listen_port[] = {
	[CONN_LISTEN_OUTBOUND] = WEFT_PORT_OUTBOUND,
	[CONN_LISTEN_HBONE] = WEFT_PORT_HBONE,
	[CONN_LISTEN_PLAIN] = WEFT_PORT_PLAINTEXT,
	[CONN_LISTEN_HOOKED] = WEFT_PORT_HOOKED, /* with istio-cni's rules only */
};

struct pod *pods_find(const struct pods *p, const char *ns, const char *name)
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
	for (size_t i = 0; i < ARRAY_LEN(pod->dns_fd); i++)
		own_close(&pod->dns_fd[i]);
	free(pod->netns_path);
	free(pod->wanted);
	free(pod->zds_uid);
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
void pods_undo(struct pods *p, struct pod *pod)
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
	pod_dns_close(p, pod);
	if (pod->in_map && !closed)
		kern_dns_forget(p->o.kern, pod->local->cookie);
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
		const struct tcp_listen_opts o = {
			.netns_fd = pod->local->netns_fd,
			.port = listen_port[i],
			.backlog = 4096,
			.keepalive_s = p->o.keepalive_s,
						   /* Beside those of a ztunnel. */
			.reuse_port = pod->zds_uid && i != CONN_LISTEN_HOOKED,
			.congestion = i == CONN_LISTEN_HBONE ? NULL : p->o.congestion
		};
		int fd;

		if (i == CONN_LISTEN_HOOKED && !pod->zds_uid)
			continue;
		fd = tcp_listen(&o);
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

static void serve(struct pods *p, struct pod *pod)
{
	for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
		if (pod->fd[i] >= 0)
			p->o.on_listen(p->o.arg, pod->local, (enum conn_listen)i, pod->fd[i]);
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

struct weft_pod pods_entry(const struct pod *pod)
{
	return (struct weft_pod){ .workload = pod->workload,
				  .slot = pod->local->slot,
				  .v4 = pod->local->v4,
				  .v6 = pod->local->v6,
				  .flags = pod->zds_uid ? WEFT_POD_RULES : 0 };
}

static int set_pod_entry(struct pods *p, struct pod *pod)
{
	const struct weft_pod v = pods_entry(pod);

	return kern_pod_set(p->o.kern, pod->local->cookie, &v);
}

/* Who gets the SYNs that come to the pod. In one of istio-cni's that is for its rules to say, which
 * know of probes and of pods that take their own: they redirect to the listeners' ports. */
static int steer_inbound(struct pods *p, struct pod *pod, struct errbuf *err)
{
	struct conn_local *l = pod->local;
	int r;

	if (pod->zds_uid) {
		kern_lookup_detach(p->o.kern, l->cookie); /* of an enrolment by hand */
		return 0;
	}
	kernel_listen(p, pod);
	r = kern_lookup_attach(p->o.kern, l->cookie, l->netns_fd);
	if (r < 0)
		return errbuf_set(err, r, "pod %s/%s: cannot attach sk_lookup: %s%s", l->ns,
				  l->name, log_strerror(r),
				  r == -ENOENT ? "; the folder of pins is gone, see weft status"
					       : "");
	pod->attached = true;
	return 0;
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
	serve(p, pod);
	pod_dns_open(p, pod);
	r = steer_inbound(p, pod, err);
	if (r < 0)
		return r;
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

/* Takes fd over; NULL: out of memory. */
static struct pod *pod_new(struct pods *p, const struct pod_ask *ask, int fd)
{
	struct pod *pod = calloc(1, sizeof(*pod));
	struct conn_local *l = calloc(1, sizeof(*l));

	if (!pod || !l) {
		free(pod);
		free(l);
		close(fd);
		return NULL;
	}
	pod->local = l;
	l->refs = 1;
	l->netns_fd = fd;
	l->slot = ++p->next_slot;
	l->ns = str_dup(str_of(ask->ns));
	l->name = str_dup(str_of(ask->name));
	l->service_account = str_dup(str_of(ask->service_account));
	l->identity = str_dup(STR(""));
	pod->netns_path = str_dup(str_of(ask->netns_path));
	pod->zds_uid = ask->zds_uid[0] ? str_dup(str_of(ask->zds_uid)) : NULL;
	l->pass_mark = pod->zds_uid ? WEFT_PASS_MARK : 0;
	pod->since_s = clock_wall_s();
	for (size_t i = 0; i < ARRAY_LEN(pod->fd); i++)
		pod->fd[i] = -1;
	for (size_t i = 0; i < ARRAY_LEN(pod->dns_fd); i++)
		pod->dns_fd[i] = -1;
	if (!l->ns || !l->name || !l->service_account || !l->identity || !pod->netns_path ||
	    (ask->zds_uid[0] && !pod->zds_uid)) {
		pod_free(pod);
		return NULL;
	}
	return pod;
}

static int pod_open(struct pods *p, const struct pod_ask *ask, int fd, struct errbuf *err,
		    struct pod **ret)
{
	struct pod *pod = pod_new(p, ask, fd);
	const struct workload *w;
	struct conn_local *l;
	int r;

	if (!pod)
		return errbuf_set(err, -ENOMEM, "pod %s/%s: out of memory", ask->ns, ask->name);
	l = pod->local;
	w = conn_local_workload(model_snap(p->o.model), l);
	pod->workload = w ? w->id : 0;
	if (w) {
		free(l->identity);
		l->identity = str_dup(str_of(w->identity));
	}
	r = l->identity ? netns_cookie(fd, &l->cookie) : -ENOMEM;
	if (r == 0)
		r = pod_inspect(fd, w, &l->v4, &l->v6, &pod->veth_ifindex);
	if (r < 0) {
		pod_free(pod);
		return errbuf_set(err, r, "pod %s/%s: %s", ask->ns, ask->name,
				  r == -EADDRNOTAVAIL ? "it has no address yet" : log_strerror(r));
	}
	want_identity(p, pod, w);
	*ret = pod;
	return 0;
}

bool pods_same_netns(const struct pod *pod, int fd)
{
	struct stat a, b;

	return fstat(pod->local->netns_fd, &a) == 0 && fstat(fd, &b) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
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

		if (pods_same_netns(other, fd) &&
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
	const struct pod_ask ask = {
		.ns = ns, .name = name, .netns_path = netns_path, .service_account = "", .zds_uid = ""
	};
	int fd = netns_open(netns_path);

	if (fd < 0)
		return errbuf_set(err, fd, "pod %s/%s: %s is not a network namespace: %s", ns, name,
				  netns_path, log_strerror(fd));
	return pods_enrol_fd(p, &ask, fd, err, ret);
}

/* Another one of this name has to go first: it is in another namespace, or istio-cni takes over
 * what was enrolled by hand. */
static bool is_done(const struct pod *pod, const struct pod_ask *ask, int fd)
{
	return pods_same_netns(pod, fd) &&
	       (!ask->zds_uid[0] || (pod->zds_uid && strcmp(pod->zds_uid, ask->zds_uid) == 0));
}

int pods_enrol_fd(struct pods *p, const struct pod_ask *ask, int fd_given, struct errbuf *err,
		  struct pod **ret)
{
	struct pod *pod = pods_find(p, ask->ns, ask->name);
	_close_ int fd = fd_given;
	int r;

	if (p->quiesced)
		return errbuf_set(err, -ESHUTDOWN, "pod %s/%s: weftd is ending, ask the next one",
				  ask->ns, ask->name);
	r = netns_refuse(p, ask->ns, ask->name, fd, err);
	if (r < 0)
		return r;
	if (pod && is_done(pod, ask, fd)) {
		*ret = pod;
		return 0;
	}
	if (pod && pod->zds_uid)
		p->o.on_cut(p->o.arg, pod->local);
	if (pod)
		pods_undo(p, pod);
	if (p->n >= PODS_MAX)
		return errbuf_set(err, -ENOSPC, "this node has %d pods enrolled, the limit", PODS_MAX);
	r = pod_open(p, ask, TAKE_FD(fd), err, &pod);
	if (r < 0)
		return r;
	list_add_tail(&p->all, &pod->node);
	p->n++;
	r = enrol_steps(p, pod, err);
	if (r < 0) {
		pods_undo(p, pod);
		return r;
	}
	closed_del(p, pod->local->cookie);
	pods_remember(p, pod);
	log_info("pod %s/%s enrolled%s: slot %u, netns %s", ask->ns, ask->name,
		 pod->zds_uid ? " by istio-cni" : "", pod->local->slot,
		 pod->zds_uid ? pod->zds_uid : ask->netns_path);
	p->o.on_change(p->o.arg);
	*ret = pod;
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
	serve(p, pod);
}

/* The name alone is not it: that may be a pod of before, or of after. */
static void say_not_its(struct pod *pod, const struct snap *s)
{
	const struct conn_local *l = pod->local;
	const struct workload *w = pod->not_its ? NULL : snap_workload_by_pod(s, l->ns, l->name);

	if (!w)
		return;
	pod->not_its = true;
	log_warn("pod %s/%s: istio-cni says service account %s, the mesh %s: not served as that "
		 "workload",
		 l->ns, l->name, l->service_account, w->group->service_account);
}

void pods_sync(struct pods *p, const struct snap *s)
{
	if (p->quiesced)
		return;
	list_for_each(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);
		struct workload *w = conn_local_workload(s, pod->local);
		uint32_t id = w ? w->id : 0;

		if (!w)
			say_not_its(pod, s);
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

uint32_t pods_address_flags(const struct pods *p, uint32_t workload, const struct weft_addr *a)
{
	list_for_each(n, &p->all) {
		const struct pod *pod = list_entry(n, struct pod, node);

		if (pod->workload == workload &&
		    (ip_eq(&pod->local->v4, a) || ip_eq(&pod->local->v6, a)))
			return WEFT_WLD_LOCAL | (pod->zds_uid ? WEFT_WLD_RULES : 0);
	}
	return 0;
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

		/* Its questions go to its nameserver from here on. */
		pod_dns_close(p, pod);
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
