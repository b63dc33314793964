/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where a lab lives: every name, path and lock of it, and waiting that a signal ends. One
 * struct lab_env per command; one thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/errbuf.h"

#define LAB_PATH_MAX 384
#define LAB_NAME_MAX 8
#define LAB_NETNS_DIR "/var/run/netns"

struct lab_env {
	char name[LAB_NAME_MAX + 1];
	char base[32];	/* /run/NAME */
	char dir[48];	/* /run/NAME/lab */
	char pins[48];	/* /sys/fs/bpf/NAME */
	char mount[128];  /* of cgroup2 */
	char cgroup[160]; /* MOUNT/NAME-lab */
	int sigfd;	/* -1: signals do what they always do */
	int signal;	/* the one that came, 0 none */
	int lock_fd;
};

/* Checks name and finds the cgroup2 mount. */
int env_init(struct lab_env *e, const char *name, struct errbuf *err);
void env_fini(struct lab_env *e);
int env_check_root(struct errbuf *err);

/* One writer at a time: waits up to wait_s seconds for the other one. -EBUSY, -EINTR. */
int env_lock(struct lab_env *e, unsigned int wait_s, struct errbuf *err);
/* Removes the lock file and an empty base folder as well. */
void env_unlock(struct lab_env *e);

/* From now on INT, TERM and HUP end waits instead of the process. */
int env_catch_signals(struct lab_env *e);
void env_ignore_signals(struct lab_env *e); /* while things are torn down */
/* 0 after ms milliseconds; -EINTR at once when a signal came, also if long ago. */
int env_wait(struct lab_env *e, int ms);

/* All write into buf[LAB_PATH_MAX] and return it. */
const char *env_netns(const struct lab_env *e, char *buf, const char *node_or_fabric);
const char *env_pod_netns(const struct lab_env *e, char *buf, const char *ns, const char *pod);
const char *env_pod_cgroup(const struct lab_env *e, char *buf, const char *node, const char *ns,
			   const char *pod);
const char *env_pod_log(const struct lab_env *e, char *buf, const char *ns, const char *pod);
/* DIR/<node>/<file>, CGROUP/<node>/<sub>, PINS/<node>; sub may be "". */
const char *env_node_file(const struct lab_env *e, char *buf, const char *node, const char *file);
const char *env_node_cgroup(const struct lab_env *e, char *buf, const char *node,
			    const char *sub);
const char *env_node_pins(const struct lab_env *e, char *buf, const char *node);
/* DIR/<file> */
const char *env_file(const struct lab_env *e, char *buf, const char *file);

/* mkdir -p */
int dir_make(const char *path, unsigned int mode, struct errbuf *err);
/* rm -r; a missing one is fine; does not cross into other mounts' subtrees. */
int dir_remove(const char *path);
