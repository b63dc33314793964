// SPDX-License-Identifier: Apache-2.0
/*
 * Names and paths of a lab, its lock and its signals. Everything that a lab makes carries its
 * name as a prefix, so that `weft lab down` finds it without any record. Used by all lab
 * commands; owns the lock and the signalfd; one thread.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "lab_env.h"

static int mount_find_cgroup2(char *buf, size_t cap, struct errbuf *err)
{
	_fclose_ FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		struct str rest = str_of(line);
		struct str where;

		str_cut(&rest, ' ');
		where = str_cut(&rest, ' ');
		if (str_eq(str_cut(&rest, ' '), STR("cgroup2")))
			return str_copy(buf, cap, where);
	}
	return errbuf_set(err, -ENOENT,
			  "no cgroup2 is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup");
}

int env_init(struct lab_env *e, const char *name, struct errbuf *err)
{
	size_t n = strlen(name);
	int r;

	*e = (struct lab_env){ .sigfd = -1, .lock_fd = -1 };
	/* No '-': the prefix "weft-" must not find the things of a lab "weft-2". */
	for (size_t i = 0; i < n; i++) {
		if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]))
			n = 0;
	}
	if (n == 0 || str_copy(e->name, sizeof(e->name), str_of(name)) < 0)
		return errbuf_set(err, -EINVAL, "--name: must be 1 to %d of a-z and 0-9",
				  LAB_NAME_MAX);
	snprintf(e->base, sizeof(e->base), "/run/%s", e->name);
	snprintf(e->dir, sizeof(e->dir), "/run/%s/lab", e->name);
	snprintf(e->pins, sizeof(e->pins), "/sys/fs/bpf/%s", e->name);
	r = mount_find_cgroup2(e->mount, sizeof(e->mount), err);
	if (r == 0)
		snprintf(e->cgroup, sizeof(e->cgroup), "%s/%s-lab", e->mount, e->name);
	return r;
}

void env_fini(struct lab_env *e)
{
	own_close(&e->sigfd);
	own_close(&e->lock_fd);
}

int env_check_root(struct errbuf *err)
{
	if (geteuid() == 0)
		return 0;
	return errbuf_set(err, -EPERM,
			  "must be root: namespaces, cgroups and BPF are made (try sudo)");
}

/* The lock counts only if the file is still the one at the path: its owner unlinks it. */
static int lock_try(struct lab_env *e)
{
	char path[LAB_PATH_MAX];
	struct stat ours, there;
	_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/lab.lock", e->base);
	if (mkdir(e->base, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (fstat(fd, &ours) < 0 || stat(path, &there) < 0 || ours.st_ino != there.st_ino)
		return -EAGAIN;
	e->lock_fd = TAKE_FD(fd);
	return 0;
}

int env_lock(struct lab_env *e, unsigned int wait_s, struct errbuf *err)
{
	int r;

	for (unsigned int i = 0;; i++) {
		r = lock_try(e);
		if (r != -EAGAIN)
			break;
		if (i >= wait_s * 20 + 2)
			return errbuf_set(err, -EBUSY, "another weft lab command is at work on %s",
					  e->dir);
		r = env_wait(e, 50);
		if (r < 0)
			break;
	}
	return r < 0 ? errbuf_set(err, r, "%s: cannot lock: %s", e->base, strerror(-r)) : 0;
}

void env_unlock(struct lab_env *e)
{
	char path[LAB_PATH_MAX];

	if (e->lock_fd < 0)
		return;
	snprintf(path, sizeof(path), "%s/lab.lock", e->base);
	unlink(path);
	rmdir(e->base);
	own_close(&e->lock_fd);
}

static sigset_t end_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

int env_catch_signals(struct lab_env *e)
{
	sigset_t set = end_signals();

	if (e->sigfd >= 0)
		return 0;
	/* A terminal or pipe that went away must not keep us from cleaning up. */
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	e->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return e->sigfd < 0 ? -errno : 0;
}

void env_ignore_signals(struct lab_env *e)
{
	sigset_t set = end_signals();

	sigprocmask(SIG_BLOCK, &set, NULL);
	own_close(&e->sigfd);
	e->signal = 0;
}

int env_wait(struct lab_env *e, int ms)
{
	struct pollfd p = { .fd = e->sigfd, .events = POLLIN };
	struct signalfd_siginfo si;

	if (e->signal)
		return -EINTR;
	if (poll(&p, 1, ms) > 0 && read(e->sigfd, &si, sizeof(si)) == sizeof(si)) {
		e->signal = (int)si.ssi_signo;
		return -EINTR;
	}
	return 0;
}

const char *env_netns(const struct lab_env *e, char *buf, const char *node_or_fabric)
{
	snprintf(buf, LAB_PATH_MAX, LAB_NETNS_DIR "/%s-%s", e->name, node_or_fabric);
	return buf;
}

const char *env_pod_netns(const struct lab_env *e, char *buf, const char *ns, const char *pod)
{
	snprintf(buf, LAB_PATH_MAX, LAB_NETNS_DIR "/%s-%s-%s", e->name, ns, pod);
	return buf;
}

const char *env_pod_cgroup(const struct lab_env *e, char *buf, const char *node, const char *ns,
			   const char *pod)
{
	snprintf(buf, LAB_PATH_MAX, "%s/%s/pods/%s_%s", e->cgroup, node, ns, pod);
	return buf;
}

const char *env_pod_log(const struct lab_env *e, char *buf, const char *ns, const char *pod)
{
	snprintf(buf, LAB_PATH_MAX, "%s/pods/%s_%s.log", e->dir, ns, pod);
	return buf;
}

const char *env_node_file(const struct lab_env *e, char *buf, const char *node, const char *file)
{
	snprintf(buf, LAB_PATH_MAX, "%s/%s/%s", e->dir, node, file);
	return buf;
}

const char *env_node_cgroup(const struct lab_env *e, char *buf, const char *node, const char *sub)
{
	snprintf(buf, LAB_PATH_MAX, "%s/%s%s%s", e->cgroup, node, sub[0] ? "/" : "", sub);
	return buf;
}

const char *env_node_pins(const struct lab_env *e, char *buf, const char *node)
{
	snprintf(buf, LAB_PATH_MAX, "%s/%s", e->pins, node);
	return buf;
}

const char *env_file(const struct lab_env *e, char *buf, const char *file)
{
	snprintf(buf, LAB_PATH_MAX, "%s/%s", e->dir, file);
	return buf;
}

int dir_make(const char *path, unsigned int mode, struct errbuf *err)
{
	char part[LAB_PATH_MAX];
	size_t n = strlen(path);

	if (str_copy(part, sizeof(part), str_of(path)) < 0)
		return errbuf_set(err, -ENAMETOOLONG, "%s: too long", path);
	for (size_t i = 1; i <= n; i++) {
		if (part[i] != '/' && part[i] != '\0')
			continue;
		part[i] = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return errbuf_set(err, -errno, "%s: cannot create: %s", part,
					  strerror(errno));
		part[i] = '/';
	}
	return 0;
}

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

int dir_remove(const char *path)
{
	struct stat st;

	nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return lstat(path, &st) < 0 && errno == ENOENT ? 0 : -EBUSY;
}
