/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/netns: sockets inside another network namespace. The calling thread enters, does one
 * thing and comes back; a thread that cannot come back ends the process (BUG_ON), because a
 * socket in the wrong pod would be worse.
 */
#include <stdint.h>
#include <sys/types.h>

/* The thread's home; call once per thread before the first netns_*_in. */
int netns_home_open(void);
/* Before a thread ends, or its descriptor stays open. */
void netns_home_close(void);

/* Opens path (/var/run/netns/x, /proc/PID/ns/net) and checks by NS_GET_NSTYPE that it is a
 * network namespace. Fd or -errno. */
int netns_open(const char *path);

/* Is fd one? 0 or -EINVAL. */
int netns_check(int fd);

/* SO_NETNS_COOKIE of the namespace behind fd. */
int netns_cookie(int netns_fd, uint64_t *ret_cookie);

/* socket(2) inside netns_fd: fd or -errno. Always CLOEXEC | NONBLOCK. */
int netns_socket(int netns_fd, int domain, int type, int protocol);

/* Runs fn(arg) inside netns_fd, gives its result; fn must not block, change threads or
 * enter another namespace. */
int netns_run(int netns_fd, int (*fn)(void *arg), void *arg);
