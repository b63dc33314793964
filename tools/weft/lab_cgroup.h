/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Control groups of a lab: who is in them and the end of everybody in them. */
#include <stdbool.h>
#include <sys/types.h>

#include "base/errbuf.h"

/* Moves the calling process; before it opens a socket, or the connect hooks miss it. */
int cgroup_join(const char *path);
/* A living process is in path or below. False if there is no such group. */
bool cgroup_populated(const char *path);
/* A process directly in path, 0 if none. */
pid_t cgroup_first_pid(const char *path);
/* Sends sig to each process directly in path; gives their number. */
int cgroup_signal(const char *path, int sig);
/* SIGKILL for path and everything below, until it is empty; -ETIMEDOUT after 10 s. */
int cgroup_kill(const char *path);
int cgroup_wait_empty(const char *path, int timeout_ms);
/* cgroup_kill, then removes the groups, leaves first. */
int cgroup_remove(const char *path);
