// SPDX-License-Identifier: Apache-2.0
/*
 * Pods that istio-cni tells of (zds_state.h), as struct zds_ops of a struct pods. Their namespaces
 * come as descriptors and have no path here; in them istio-cni has put its rules, which stay the
 * way by which connections from outside come to the listeners (docs/decisions/0025-zds.md).
 */
#define LOG_SCOPE "pod"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "io/netns.h"
#include "pod/pods_priv.h"
#include "pod/state.h"
#include "pod/zds_state.h"

static struct pod *find_uid(const struct pods *p, const char *uid)
{
	list_for_each(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);

		if (pod->zds_uid && strcmp(pod->zds_uid, uid) == 0)
			return pod;
	}
	return NULL;
}

#define NS_MAX 63
#define NAME_MAX_POD 253
#define UID_MAX 127

/* Letters, digits, '-' and '.', and it does not begin with one of those. */
static bool is_name(const char *s, size_t max)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");

	return n > 0 && n <= max && !s[n] && s[0] != '-' && s[0] != '.';
}

static int on_start(void *arg, const struct zds_pod_info *info, int netns_fd, struct errbuf *err)
{
	struct pods *p = arg;
	const struct pod_ask ask = { .ns = info->ns,
				     .name = info->name,
				     .netns_path = "",
				     .service_account = info->service_account,
				     .zds_uid = info->uid };
	struct pod *pod;
	int fd, r;

	/* They become the name of a file, and rows for people. */
	if (!is_name(info->ns, NS_MAX) || !is_name(info->name, NAME_MAX_POD) ||
	    !is_name(info->uid, UID_MAX))
		return errbuf_set(err, -EINVAL, "namespace, name or uid is none of Kubernetes");
	fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return errbuf_set(err, -errno, "pod %s/%s: %s", info->ns, info->name,
				  log_strerror(-errno));
	r = netns_check(fd);
	if (r < 0) {
		close(fd);
		return errbuf_set(err, r, "pod %s/%s: the descriptor is no network namespace",
				  info->ns, info->name);
	}
	return pods_enrol_fd(p, &ask, fd, err, &pod);
}

static void on_stop(void *arg, const char *uid)
{
	struct pods *p = arg;
	struct pod *pod = find_uid(p, uid);
	_free_ char *ns = NULL, *name = NULL;

	/* Another one with its name came before it was told to be gone. */
	if (!pod)
		return;
	ns = str_dup(str_of(pod->local->ns));
	name = str_dup(str_of(pod->local->name));
	if (!ns || !name)
		return;
	p->o.on_cut(p->o.arg, pod->local);
	pods_unenrol(p, ns, name, NULL);
}

struct settle {
	struct pods *p;
	const struct zds_state *st;
	size_t n;
};

static void settle_one(void *arg, const struct pod_record *rec)
{
	struct settle *s = arg;

	if (!rec->zds_uid[0] || zds_state_knows(s->st, rec->zds_uid))
		return;
	log_info("pod %s/%s left the mesh while weftd was down", rec->ns, rec->name);
	pod_state_remove(s->p->o.run_dir, rec->ns, rec->name);
	s->n++;
}

/* An earlier daemon's pods that istio-cni does not name are not kept closed any longer. */
static void on_settled(void *arg, const struct zds_state *st)
{
	struct pods *p = arg;
	struct settle s = { p, st, 0 };

	pod_state_each(p->o.run_dir, settle_one, &s);
	if (s.n)
		pods_look(p);
}

struct zds_ops pods_zds_ops(struct pods *p)
{
	return (struct zds_ops){ on_start, on_stop, on_settled, p };
}
