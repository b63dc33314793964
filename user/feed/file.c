// SPDX-License-Identifier: Apache-2.0
/*
 * The mesh file as a feed: watches, reads, applies. Owned by the daemon, lives on the control
 * loop. The folder of the path is watched and, when the path is a symlink, the folder of what
 * it leads to, because files are replaced by renaming and, in Kubernetes, by swapping a symlink
 * to a folder. Events only say "look again": what counts is whether the file is another one
 * than at the last attempt.
 */
#define LOG_SCOPE "mesh"
#include "feed/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/apply.h"
#include "io/file.h"
#include "io/loop.h"

/* A burst of events (write, rename, chmod) is one change. */
#define SETTLE_NS (50 * NS_PER_MS)
/* What is not there cannot be watched. */
#define RETRY_NS NS_PER_S
/* Not everything gives events: network file systems, symlinks further up in the path. */
#define POLL_NS (5 * NS_PER_S)

#define EVENTS \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | \
	 IN_MOVE_SELF | IN_ATTRIB)

enum { FOLDER_OF_PATH, FOLDER_OF_TARGET, FOLDER_MAX };

struct feed_file {
	struct loop *loop;
	struct applier applier;
	const struct feed_defaults *defaults;
	char *path, *folder;
	int inotify_fd;
	int wd[FOLDER_MAX]; /* -1 none */
	struct watch watch;
	struct timer look; /* always armed */
	bool settling;    /* it is armed because of an event */
	struct file_identity seen; /* at the last attempt */
	struct feed_file_status status;
};

static void feed_rejected(struct feed_file *f, const struct errbuf *err)
{
	f->status.rejected++;
	f->status.last_rejected_s = clock_wall_s();
	snprintf(f->status.last_error, sizeof(f->status.last_error), "%s", err->text);
	log_error("%s; the mesh stays as it was", err->text);
}

/* First phase: everything that can fail. */
static int feed_prepare(const char *path, const struct feed_defaults *defaults, struct model *m,
			struct errbuf *err, struct file_identity *ret_seen, struct snap **ret)
{
	cleanup_with(model_input_fini) struct model_input in = { 0 };
	struct errbuf build_err = { 0 };
	_free_ char *text = NULL;
	size_t n = 0;
	int r = file_read(path, err, ret_seen, &text, &n);

	if (r == 0)
		r = feed_file_decode_with((struct str){ text, n }, path, defaults, err, &in);
	if (r < 0)
		return errbuf_set(err, r, "%s: %s", path, log_strerror(r));
	r = model_build(m, &in, &build_err, ret);
	if (r < 0)
		return errbuf_set(err, r, "%s: %.400s", path, build_err.text);
	return 0;
}

int feed_file_snap(struct model *m, const char *path, const struct feed_defaults *defaults,
		   struct errbuf *err, struct snap **ret)
{
	struct file_identity seen;

	return feed_prepare(path, defaults, m, err, &seen, ret);
}

static void feed_apply(struct feed_file *f)
{
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	if (feed_prepare(f->path, f->defaults, f->applier.model, &err, &f->seen, &s) < 0) {
		feed_rejected(f, &err);
		return;
	}
	log_info("%s: %zu workloads, %zu services, %zu policies", f->path, s->n_workloads,
		 s->n_services, s->n_policies);
	apply_snap(&f->applier, s);
	f->status.applied++;
	f->status.last_applied_s = clock_wall_s();
	f->status.last_error[0] = '\0';
}

static void folder_watch(struct feed_file *f, int which, const char *folder)
{
	int wd = folder ? inotify_add_watch(f->inotify_fd, folder, EVENTS | IN_ONLYDIR) : -1;
	int old = f->wd[which];

	f->wd[which] = wd;
	/* Both may be the same folder, and so the same watch. */
	if (old >= 0 && old != f->wd[FOLDER_OF_PATH] && old != f->wd[FOLDER_OF_TARGET])
		inotify_rm_watch(f->inotify_fd, old);
}

static void feed_look(void *arg);

static void feed_look_in(struct feed_file *f, uint64_t delay_ns, bool settling)
{
	f->settling = settling;
	timer_set(f->loop, &f->look, delay_ns, feed_look, f);
}

/* Folders may have been replaced as well; adding a watch that exists changes nothing. */
static void feed_watch(struct feed_file *f)
{
	_free_ char *target = realpath(f->path, NULL);
	char *slash = target ? strrchr(target, '/') : NULL;

	if (slash)
		slash[slash == target] = '\0';
	folder_watch(f, FOLDER_OF_PATH, f->folder);
	folder_watch(f, FOLDER_OF_TARGET, target);
	feed_look_in(f, target && f->wd[FOLDER_OF_PATH] >= 0 ? POLL_NS : RETRY_NS, false);
}

static void feed_look(void *arg)
{
	struct feed_file *f = arg;
	struct file_identity now;

	/* Watch first: what changes between the two is seen as an event. */
	feed_watch(f);
	now = file_identify(f->path);
	if (!file_identity_eq(&now, &f->seen))
		feed_apply(f);
}

/* A file that was renamed to our path is whole: what it denies shall not wait. */
static bool was_moved_in(const struct feed_file *f, const char *buf, size_t n)
{
	const char *slash = strrchr(f->path, '/'), *name = slash ? slash + 1 : f->path;
	const struct inotify_event *e;

	for (size_t at = 0; at < n; at += sizeof(*e) + e->len) {
		e = (const struct inotify_event *)(buf + at);
		if (e->wd == f->wd[FOLDER_OF_PATH] && (e->mask & IN_MOVED_TO) && e->len &&
		    strcmp(e->name, name) == 0)
			return true;
	}
	return false;
}

static void feed_event(void *arg, uint32_t epoll_events)
{
	struct feed_file *f = arg;
	_Alignas(struct inotify_event) char buf[4096];
	bool whole = false;
	ssize_t n;

	(void)epoll_events;
	/* Which file it was matters for the haste only, so a queue that ran over costs nothing. */
	while ((n = read(f->inotify_fd, buf, sizeof(buf))) > 0)
		whole = whole || was_moved_in(f, buf, (size_t)n);
	if (whole)
		feed_look(f);
	else if (!f->settling)
		feed_look_in(f, SETTLE_NS, true);
}

static int feed_init(struct feed_file *f, const char *path)
{
	char *slash;
	int r = str_copy(f->status.path, sizeof(f->status.path), str_of(path));

	if (r < 0)
		return r;
	f->path = str_dup(str_of(path));
	f->folder = str_dup(strchr(path, '/') ? str_of(path) : STR("./"));
	if (!f->path || !f->folder)
		return -ENOMEM;
	slash = strrchr(f->folder, '/');
	slash[slash == f->folder] = '\0';
	f->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (f->inotify_fd < 0)
		return -errno;
	return watch_add(f->loop, &f->watch, f->inotify_fd, EPOLLIN, feed_event, f);
}

int feed_file_start(struct loop *loop, struct model *m, const char *path,
		    void (*on_apply)(void *arg, const struct snap *s), void *arg,
		    struct feed_file **ret)
{
	return feed_file_start_with(loop, m, path, NULL, on_apply, arg, ret);
}

int feed_file_start_with(struct loop *loop, struct model *m, const char *path,
			 const struct feed_defaults *defaults,
			 void (*on_apply)(void *arg, const struct snap *s), void *arg,
			 struct feed_file **ret)
{
	cleanup_with(feed_file_stop) struct feed_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->applier = (struct applier){ .loop = loop, .model = m, .on_apply = on_apply, .arg = arg };
	f->defaults = defaults;
	f->inotify_fd = -1;
	f->wd[FOLDER_OF_PATH] = f->wd[FOLDER_OF_TARGET] = -1;
	r = feed_init(f, path);
	if (r < 0)
		return r;
	feed_watch(f);
	feed_apply(f);
	*ret = TAKE_PTR(f);
	return 0;
}

void feed_file_stop(struct feed_file **pf)
{
	struct feed_file *f = TAKE_PTR(*pf);

	if (!f)
		return;
	watch_del(&f->watch);
	timer_cancel(&f->look);
	applier_fini(&f->applier);
	own_close(&f->inotify_fd);
	free(f->path);
	free(f->folder);
	free(f);
}

void feed_file_reload(struct feed_file *f)
{
	feed_watch(f);
	feed_apply(f);
}

void feed_file_status(const struct feed_file *f, struct feed_file_status *ret)
{
	*ret = f->status;
}
