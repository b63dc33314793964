// SPDX-License-Identifier: Apache-2.0
/*
 * A process enters the lab in this order: control group, network namespace, mount namespace
 * with its own /etc/hosts, host name; then it becomes the program. The control group is first,
 * because a socket made before is not seen by the connect hooks. Used by up, start and exec;
 * no state; one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <linux/close_range.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/own.h"
#include "base/str.h"
#include "lab_cgroup.h"
#include "lab_env.h"
#include "lab_task.h"

#define FILES_WANTED 65536

static int netns_enter(const char *path, struct errbuf *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return errbuf_set(err, -errno, "%s: cannot enter: %s", path, strerror(errno));
	return 0;
}

static int file_bind(const char *from, const char *to, struct errbuf *err)
{
	if (access(to, F_OK) < 0)
		return 0;
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		return errbuf_set(err, -errno, "%s: cannot put it at %s: %s", from, to,
				  strerror(errno));
	return 0;
}

/* Slave, not private: a namespace that `weft lab down` unmounts must vanish here too. */
static int mounts_enter(const struct lab_task *t, struct errbuf *err)
{
	char hosts[LAB_PATH_MAX], resolv[LAB_PATH_MAX];
	int r;

	if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return errbuf_set(err, -errno, "cannot make a mount namespace: %s",
				  strerror(errno));
	snprintf(hosts, sizeof(hosts), "%s/%s", t->etc, t->hosts);
	snprintf(resolv, sizeof(resolv), "%s/resolv.conf", t->etc);
	r = file_bind(hosts, "/etc/hosts", err);
	return r == 0 ? file_bind(resolv, "/etc/resolv.conf", err) : r;
}

static int task_enter(const struct lab_task *t, struct errbuf *err)
{
	int r = cgroup_join(t->cgroup);

	if (r < 0)
		return errbuf_set(err, r, "%s: cannot join: %s", t->cgroup, strerror(-r));
	r = netns_enter(t->netns, err);
	if (r == 0 && t->etc)
		r = mounts_enter(t, err);
	if (r == 0 && t->hostname &&
	    (unshare(CLONE_NEWUTS) < 0 || sethostname(t->hostname, strlen(t->hostname)) < 0))
		r = errbuf_set(err, -errno, "cannot set the host name: %s", strerror(errno));
	return r;
}

/* What a container runtime would set up: signals as usual, enough descriptors for a load. */
static void process_reset(void)
{
	struct rlimit nofile;
	sigset_t none;

	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0 && nofile.rlim_cur < FILES_WANTED) {
		nofile.rlim_cur = nofile.rlim_max < FILES_WANTED ? nofile.rlim_max : FILES_WANTED;
		setrlimit(RLIMIT_NOFILE, &nofile);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

int task_exec(const struct lab_task *t, struct errbuf *err)
{
	int r = task_enter(t, err);

	if (r < 0)
		return r;
	process_reset();
	execvp(t->argv[0], t->argv);
	return errbuf_set(err, -errno, "%s: cannot execute: %s", t->argv[0], strerror(errno));
}

static int output_redirect(const char *log, struct errbuf *err)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : -1;

	if (log && out < 0)
		return errbuf_set(err, -errno, "%s: cannot open: %s", log, strerror(errno));
	if (in < 0 || dup2(in, 0) < 0 || (log && (dup2(out, 1) < 0 || dup2(out, 2) < 0)))
		return errbuf_set(err, -errno, "cannot redirect: %s", strerror(errno));
	return 0;
}

/* The sentence of what went wrong goes through fd, which a successful execve closes. */
__attribute__((noreturn)) static void child_run(const struct lab_task *t, int fd)
{
	struct errbuf err = { 0 };

	setsid();
	/* Locks and pipes of a script that called us must not live as long as a pod. Linux 5.11;
	 * an older kernel keeps them open. */
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (output_redirect(t->log, &err) == 0)
		task_exec(t, &err);
	(void)!write(fd, err.text, strlen(err.text));
	_exit(127);
}

int task_start(const struct lab_task *t, struct errbuf *err, pid_t *ret_pid)
{
	_close_ int rd = -1;
	_close_ int wr = -1;
	char text[sizeof(err->text)];
	int fds[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return errbuf_set(err, -errno, "pipe: %s", strerror(errno));
	rd = fds[0];
	wr = fds[1];
	pid = fork();
	if (pid < 0)
		return errbuf_set(err, -errno, "fork: %s", strerror(errno));
	if (pid == 0)
		child_run(t, wr);
	own_close(&wr);
	n = read(rd, text, sizeof(text) - 1);
	if (n > 0) {
		text[n] = '\0';
		return errbuf_set(err, -ECHILD, "%s", text);
	}
	*ret_pid = pid;
	return 0;
}
