// SPDX-License-Identifier: Apache-2.0
/*
 * io/netns: a visit to another network namespace. Used by pod/ to enrol and by io/tcp for
 * sockets that live in a pod. Owns one descriptor per thread, the namespace to come back to.
 *
 * Only the calling thread moves, so everything between going and coming back must stay on it;
 * a visit inside a visit is a bug, because coming back always leads home.
 */
#include "io/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <linux/magic.h>
#include <linux/nsfs.h>

#include "base/bug.h"
#include "base/own.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Namespaces are a property of the thread, so is the way home. */
static _Thread_local struct {
	int fd_plus_1; /* zero-initialised means closed */
	bool away;
} home;

int netns_home_open(void)
{
	int fd;

	if (home.fd_plus_1)
		return 0;
	fd = netns_open("/proc/thread-self/ns/net");
	if (fd < 0)
		return fd;
	home.fd_plus_1 = fd + 1;
	return 0;
}

void netns_home_close(void)
{
	int fd = home.fd_plus_1 - 1;

	BUG_ON(home.away);
	own_close(&fd);
	home.fd_plus_1 = 0;
}

int netns_open(const char *path)
{
	/* O_NONBLOCK: whoever wrote the path may have put a FIFO there. */
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return -errno;
	r = netns_check(fd);
	return r < 0 ? r : TAKE_FD(fd);
}

int netns_check(int fd)
{
	struct statfs fs;

	/* To a file of another kind the ioctl may mean anything. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC)
		return -EINVAL;
	return ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET ? 0 : -EINVAL;
}

int netns_run(int netns_fd, int (*fn)(void *arg), void *arg)
{
	int r = netns_home_open();

	if (r < 0)
		return r;
	BUG_ON(home.away);
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	home.away = true;
	r = fn(arg);
	BUG_ON(setns(home.fd_plus_1 - 1, CLONE_NEWNET) < 0);
	home.away = false;
	return r;
}

struct socket_args {
	int domain, type, protocol;
};

static int socket_here(void *arg)
{
	const struct socket_args *a = arg;
	int fd = socket(a->domain, a->type | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);

	return fd < 0 ? -errno : fd;
}

int netns_socket(int netns_fd, int domain, int type, int protocol)
{
	struct socket_args a = { domain, type, protocol };

	return netns_run(netns_fd, socket_here, &a);
}

int netns_cookie(int netns_fd, uint64_t *ret_cookie)
{
	/* A unix socket: there even where the namespace has no IPv4 or IPv6. */
	_close_ int fd = netns_socket(netns_fd, AF_UNIX, SOCK_DGRAM, 0);
	uint64_t cookie;
	socklen_t n = sizeof(cookie);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &n) < 0)
		return -errno;
	*ret_cookie = cookie;
	return 0;
}
