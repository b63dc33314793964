/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Starting programs inside the lab: in a control group, a network namespace, with names. */
#include <sys/types.h>

#include "base/errbuf.h"

struct lab_task {
	const char *cgroup; /* path of the group */
	const char *netns;  /* path of the namespace */
	const char *etc;    /* folder whose hosts and resolv.conf replace those of /etc, or NULL */
	const char *hosts;  /* file in etc that is bound over /etc/hosts */
	const char *hostname; /* NULL: that of the machine */
	const char *log;    /* stdout and stderr are appended here; NULL: they stay */
	char *const *argv;
};

/* Enters all of it with the calling process and executes argv; comes back only on failure:
 * -errno with the sentence. */
int task_exec(const struct lab_task *t, struct errbuf *err);
/* In a new process of its own session; 0 after a successful execve. */
int task_start(const struct lab_task *t, struct errbuf *err, pid_t *ret_pid);
