// SPDX-License-Identifier: Apache-2.0
/* Unit tests of daemon/confine: each in a child that confines itself and tells by its status. */
#include "daemon/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "skip.h"

enum { FINE, NOT_CONFINED, ALLOWED, OTHER_ERROR, REFUSED };

static int in_child(int (*fn)(void))
{
	struct errbuf err = { 0 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(confine_process(&err) < 0 ? NOT_CONFINED : fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int is_refused(long r)
{
	if (r >= 0)
		return ALLOWED;
	return errno == EPERM ? FINE : OTHER_ERROR;
}

/* FINE if all of them are. */
static int try_all(void)
{
	char *const none[] = { NULL };
	const long results[] = {
		is_refused(syscall(__NR_execve, "/bin/true", none, none)),
		is_refused(syscall(__NR_execveat, AT_FDCWD, "/bin/true", none, none, 0)),
		is_refused(syscall(__NR_clone, 17 /* SIGCHLD: fork */, 0, 0, 0, 0)),
		is_refused(mount("none", "/tmp", "tmpfs", 0, NULL)),
		is_refused(umount2("/tmp", MNT_DETACH)),
		is_refused(unshare(CLONE_NEWNET)),
		is_refused(syscall(__NR_setns, 0, CLONE_NEWNS)),
		is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)),
		is_refused(socket(AF_PACKET, SOCK_RAW, 0)),
		is_refused(socket(AF_VSOCK, SOCK_STREAM, 0)),
		is_refused((long)(intptr_t)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
		is_refused(prctl(PR_SET_SECCOMP, 2, NULL)),
		is_refused(syscall(__NR_io_uring_setup, 1, NULL)),
		is_refused(syscall(__NR_init_module, NULL, 0, "")),
		is_refused(syscall(__NR_kill, getppid(), 0)),
		is_refused(setuid(0)),
	};

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (results[i] != FINE)
			return 100 + (int)i;
	}
	return FINE;
}

static void what_a_stranger_would_try_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	assert_int_equal(in_child(try_all), FINE);
}

static void *nothing(void *arg)
{
	return arg;
}

static int daily_life(void)
{
	pthread_t t;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || ns < 0 || p == MAP_FAILED || setns(ns, CLONE_NEWNET) < 0)
		return REFUSED;
	if (pthread_create(&t, NULL, nothing, NULL) != 0 || pthread_join(t, NULL) != 0)
		return REFUSED;
	return prctl(PR_SET_NAME, "confined") < 0 ? REFUSED : FINE;
}

static void threads_sockets_and_visits_to_namespaces_go_on(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip_because("needs root");
	assert_int_equal(in_child(daily_life), FINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_stranger_would_try_is_refused),
		cmocka_unit_test(threads_sockets_and_visits_to_namespaces_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
