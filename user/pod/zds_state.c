// SPDX-License-Identifier: Apache-2.0
/*
 * The state machine of ZDS, see zds_state.h. Used by pod/zds_link.c.
 *
 * A pod is known by its uid; its name may be that of an older one which is still going.
 */
#define LOG_SCOPE "zds"
#include "pod/zds_state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/log.h"
#include "base/own.h"

struct entry {
	struct list node;
	char *uid, *ns, *name, *service_account;
	dev_t dev; /* of the netns */
	ino_t ino;
	int fd; /* owned, while it waits; else -1 */
	bool served, in_snapshot;
};

struct zds_state {
	struct zds_ops ops;
	struct list all;
	size_t n;
	bool snapshot;
};

static struct entry *find(const struct zds_state *st, struct str uid)
{
	list_for_each(n, &st->all) {
		struct entry *e = list_entry(n, struct entry, node);

		if (str_eq(str_of(e->uid), uid))
			return e;
	}
	return NULL;
}

static void entry_free(struct zds_state *st, struct entry *e)
{
	if (e->node.next) {
		list_del(&e->node);
		st->n--;
	}
	own_close(&e->fd);
	free(e->uid);
	free(e->ns);
	free(e->name);
	free(e->service_account);
	free(e);
}

static void entry_stop(struct zds_state *st, struct entry *e)
{
	if (e->served)
		st->ops.stop(st->ops.arg, e->uid);
	e->served = false;
}

static struct entry *entry_new(struct zds_state *st, const struct zds_request *rq)
{
	struct entry *e = st->n < ZDS_PODS_MAX ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return NULL;
	e->fd = -1;
	e->uid = str_dup(rq->uid);
	e->ns = str_dup(rq->ns);
	e->name = str_dup(rq->name);
	e->service_account = str_dup(rq->service_account);
	if (!e->uid || !e->ns || !e->name || !e->service_account) {
		entry_free(st, e);
		return NULL;
	}
	list_add_tail(&st->all, &e->node);
	st->n++;
	return e;
}

static int entry_start(struct zds_state *st, struct entry *e, int fd, struct errbuf *err)
{
	const struct zds_pod_info info = {
		.uid = e->uid, .ns = e->ns, .name = e->name, .service_account = e->service_account
	};
	int r = st->ops.start(st->ops.arg, &info, fd, err);

	e->served = r == 0;
	if (r == 0)
		return 0;
	/* What it means to the connection is not theirs to say. */
	return errbuf_set(err, r == -EPROTO ? -EIO : r, "pod %s/%s: %s", e->ns, e->name,
			  log_strerror(r));
}

/* Takes fd if the pod has to wait. */
static int add_fresh(struct zds_state *st, const struct zds_request *rq, const struct stat *ns,
		     int *fd, struct errbuf *err)
{
	struct entry *e;
	int r;

	if (st->n >= ZDS_PODS_MAX)
		return errbuf_set(err, -ENOSPC, "this node has %d pods, the limit", ZDS_PODS_MAX);
	e = entry_new(st, rq);
	if (!e)
		return errbuf_set(err, -ENOMEM, "out of memory");
	e->dev = ns->st_dev;
	e->ino = ns->st_ino;
	e->in_snapshot = !st->snapshot;
	r = entry_start(st, e, *fd, err);
	if (r == -EINVAL)
		entry_free(st, e);
	else if (r < 0)
		e->fd = TAKE_FD(*fd);
	return r;
}

static int apply_add(struct zds_state *st, const struct zds_request *rq, int *fd, struct errbuf *err)
{
	struct entry *e = find(st, rq->uid);
	struct stat ns;

	if (*fd < 0)
		return errbuf_set(err, -EPROTO, "add without the descriptor of a network namespace");
	if (!rq->has_info || !rq->name.n || !rq->ns.n)
		return errbuf_set(err, -EPROTO, "add without namespace and name of the pod");
	if (fstat(*fd, &ns) < 0)
		return errbuf_set(err, -EINVAL, "the descriptor: %s", log_strerror(-errno));
	if (e && e->served && e->dev == ns.st_dev && e->ino == ns.st_ino) {
		e->in_snapshot = !st->snapshot;
		return 0;
	}
	/* Another namespace, or one that waits: as if it came for the first time. */
	if (e) {
		entry_stop(st, e);
		entry_free(st, e);
	}
	return add_fresh(st, rq, &ns, fd, err);
}

static void apply_del(struct zds_state *st, struct entry *e)
{
	if (!e)
		return;
	/* The end of a snapshot stops what is not in it; it may yet be added again. */
	if (!st->snapshot && e->served) {
		e->in_snapshot = false;
		return;
	}
	entry_stop(st, e);
	entry_free(st, e);
}

static int apply_keep(struct zds_state *st, const struct zds_request *rq, struct errbuf *err)
{
	struct entry *e = find(st, rq->uid);

	if (!e) {
		log_warn("istio-cni keeps pod %.*s without its namespace, and it is not served "
			 "here: its traffic is refused until it is added",
			 STR_FMT(rq->uid));
		e = entry_new(st, rq);
	}
	if (!e)
		return errbuf_set(err, -ENOSPC, "no room for pod %.*s", STR_FMT(rq->uid));
	e->in_snapshot = true;
	return 0;
}

static void apply_snapshot(struct zds_state *st)
{
	list_for_each_safe(n, &st->all) {
		struct entry *e = list_entry(n, struct entry, node);

		if (e->in_snapshot) {
			e->in_snapshot = false;
			continue;
		}
		log_info("pod %s/%s is not in the snapshot of istio-cni", e->ns, e->name);
		entry_stop(st, e);
		entry_free(st, e);
	}
	st->snapshot = true;
	st->ops.settled(st->ops.arg, st);
}

int zds_state_apply(struct zds_state *st, const struct zds_request *rq, int fd_given,
		    struct errbuf *err)
{
	_close_ int fd = fd_given;

	if (rq->kind == ZDS_ADD)
		return apply_add(st, rq, &fd, err);
	if (fd >= 0)
		return errbuf_set(err, -EPROTO, "%s with a descriptor", zds_kind_text(rq->kind));
	if (st->snapshot && (rq->kind == ZDS_KEEP || rq->kind == ZDS_SNAPSHOT_SENT))
		return errbuf_set(err, -EPROTO, "%s after the snapshot was complete",
				  zds_kind_text(rq->kind));
	if (rq->kind == ZDS_DEL)
		apply_del(st, find(st, rq->uid));
	else if (rq->kind == ZDS_KEEP)
		return apply_keep(st, rq, err);
	else
		apply_snapshot(st);
	return 0;
}

void zds_state_retry(struct zds_state *st)
{
	list_for_each_safe(n, &st->all) {
		struct entry *e = list_entry(n, struct entry, node);
		struct errbuf err = { 0 };
		int r;

		if (e->served || e->fd < 0)
			continue;
		r = entry_start(st, e, e->fd, &err);
		if (r == 0) {
			log_info("pod %s/%s is served after all", e->ns, e->name);
			own_close(&e->fd);
		} else {
			log_debug("%s", err.text);
		}
	}
}

void zds_state_begin(struct zds_state *st)
{
	st->snapshot = false;
	list_for_each_safe(n, &st->all) {
		struct entry *e = list_entry(n, struct entry, node);

		e->in_snapshot = false;
		if (!e->served)
			entry_free(st, e);
	}
}

void zds_state_lost(struct zds_state *st)
{
	st->snapshot = false;
}

bool zds_state_knows(const struct zds_state *st, const char *uid)
{
	return find(st, str_of(uid)) != NULL;
}

void zds_state_counts(const struct zds_state *st, struct zds_counts *ret)
{
	struct zds_counts c = { .snapshot = st->snapshot };

	list_for_each(n, &st->all) {
		if (list_entry(n, struct entry, node)->served)
			c.served++;
		else
			c.pending++;
	}
	*ret = c;
}

int zds_state_new(const struct zds_ops *ops, struct zds_state **ret)
{
	struct zds_state *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->ops = *ops;
	list_init(&st->all);
	*ret = st;
	return 0;
}

void zds_state_free(struct zds_state **sp)
{
	struct zds_state *st = *sp;

	if (!st)
		return;
	*sp = NULL;
	while (!list_empty(&st->all))
		entry_free(st, list_first(&st->all, struct entry, node));
	free(st);
}
