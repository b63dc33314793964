// SPDX-License-Identifier: Apache-2.0
/*
 * The lab knows its processes by their control group and by nothing else: a process id in a
 * file could be somebody else's by now. Used by task start, status, kill and down; no state.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "lab_cgroup.h"
#include "lab_env.h"

#define KILL_TIMEOUT_MS 10000
#define POLL_MS 10

static int file_write(const char *dir, const char *name, const char *text)
{
	char path[LAB_PATH_MAX + 32];
	_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroup_join(const char *path)
{
	return file_write(path, "cgroup.procs", "0");
}

static FILE *group_open(const char *path, const char *name)
{
	char file[LAB_PATH_MAX + 32];

	snprintf(file, sizeof(file), "%s/%s", path, name);
	return fopen(file, "re");
}

bool cgroup_populated(const char *path)
{
	_fclose_ FILE *f = group_open(path, "cgroup.events");
	char line[64];

	while (f && fgets(line, sizeof(line), f)) {
		if (strcmp(line, "populated 1\n") == 0)
			return true;
	}
	return false;
}

static bool pid_next(FILE *f, pid_t *ret)
{
	char line[32];
	uint32_t pid;

	while (fgets(line, sizeof(line), f)) {
		/* 0: a process of a pid namespace that we cannot see */
		if (str_to_u32(str_trim(str_of(line)), &pid) == 0 && pid > 0) {
			*ret = (pid_t)pid;
			return true;
		}
	}
	return false;
}

pid_t cgroup_first_pid(const char *path)
{
	_fclose_ FILE *f = group_open(path, "cgroup.procs");
	pid_t pid = 0;

	return f && pid_next(f, &pid) ? pid : 0;
}

int cgroup_signal(const char *path, int sig)
{
	_fclose_ FILE *f = group_open(path, "cgroup.procs");
	pid_t pid;
	int n = 0;

	while (f && pid_next(f, &pid))
		n += kill(pid, sig) == 0;
	return n;
}

static int group_kill(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP || type == FTW_D)
		cgroup_signal(path, SIGKILL);
	return 0;
}

int cgroup_wait_empty(const char *path, int timeout_ms)
{
	for (int waited = 0; cgroup_populated(path); waited += POLL_MS) {
		if (waited >= timeout_ms)
			return -ETIMEDOUT;
		poll(NULL, 0, POLL_MS);
	}
	return 0;
}

int cgroup_kill(const char *path)
{
	/* Linux 5.14; before that they are killed one by one until no new ones come. */
	if (file_write(path, "cgroup.kill", "1") == 0)
		return cgroup_wait_empty(path, KILL_TIMEOUT_MS);
	for (int waited = 0; cgroup_populated(path); waited += POLL_MS) {
		if (waited >= KILL_TIMEOUT_MS)
			return -ETIMEDOUT;
		nftw(path, group_kill, 16, FTW_PHYS);
		poll(NULL, 0, POLL_MS);
	}
	return 0;
}

static int group_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type != FTW_DP)
		return 0;
	/* EBUSY for a moment after the last process has ended */
	for (int i = 0; i < 200 && rmdir(path) < 0 && errno == EBUSY; i++)
		poll(NULL, 0, POLL_MS);
	return 0;
}

int cgroup_remove(const char *path)
{
	struct stat st;
	int r = cgroup_kill(path);

	if (r < 0)
		return r;
	nftw(path, group_remove, 16, FTW_DEPTH | FTW_PHYS);
	return lstat(path, &st) < 0 && errno == ENOENT ? 0 : -EBUSY;
}
