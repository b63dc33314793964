// SPDX-License-Identifier: Apache-2.0
/* Unit tests of io/netns; those that need a namespace are skipped without root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/own.h"
#include "io/netns.h"

static void *unshare_thread(void *arg)
{
	int *ret_fd = arg;

	*ret_fd = unshare(CLONE_NEWNET) < 0 ? -errno : netns_open("/proc/thread-self/ns/net");
	return NULL;
}

/* A namespace of its own, kept alive by the descriptor; skips the test if not allowed. */
static int netns_new(void)
{
	pthread_t thread;
	int fd = -1;

	assert_int_equal(pthread_create(&thread, NULL, unshare_thread, &fd), 0);
	pthread_join(thread, NULL);
	if (fd == -EPERM)
		skip();
	assert_true(fd >= 0);
	return fd;
}

static uint64_t cookie_here(void)
{
	_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(uint64_t);
	uint64_t cookie = 0;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, 71, &cookie, &n), 0);
	return cookie;
}

static void only_network_namespaces_can_be_opened(void **state)
{
	char fifo[] = "/tmp/io_netns.XXXXXX";
	_close_ int fd = netns_open("/proc/self/ns/net");

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(netns_open("/proc/self/ns/mnt"), -EINVAL);
	assert_int_equal(netns_open("/dev/null"), -EINVAL);
	assert_int_equal(netns_open("/nonexistent"), -ENOENT);
	own_close(&fd);
	fd = mkstemp(fifo);
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(netns_open(fifo), -EINVAL);
	unlink(fifo);
}

static void the_cookie_names_the_namespace(void **state)
{
	_close_ int fd = netns_new();
	uint64_t cookie = 0, again = 0;

	(void)state;
	assert_int_equal(netns_cookie(fd, &cookie), 0);
	assert_int_equal(netns_cookie(fd, &again), 0);
	assert_true(cookie != 0);
	assert_true(cookie == again);
	assert_true(cookie != cookie_here());
}

static void a_socket_belongs_to_the_namespace_and_the_thread_comes_back(void **state)
{
	_close_ int ns = netns_new();
	uint64_t here = cookie_here(), there = 0, cookie = 0;
	socklen_t n = sizeof(cookie);
	_close_ int fd = netns_socket(ns, AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(netns_cookie(ns, &there), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, 71, &cookie, &n), 0);
	assert_true(cookie == there);
	assert_true(cookie_here() == here);
}

static int fail_with_enodev(void *arg)
{
	*(uint64_t *)arg = cookie_here();
	return -ENODEV;
}

static void the_result_of_the_visit_is_given_back(void **state)
{
	_close_ int ns = netns_new();
	uint64_t here = cookie_here(), there = 0, seen = 0;

	(void)state;
	assert_int_equal(netns_run(ns, fail_with_enodev, &seen), -ENODEV);
	assert_int_equal(netns_cookie(ns, &there), 0);
	assert_true(seen == there);
	assert_true(cookie_here() == here);
}

static void something_that_is_no_namespace_is_not_entered(void **state)
{
	_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t seen = 7, cookie = 7;

	(void)state;
	assert_true(netns_run(fd, fail_with_enodev, &seen) < 0);
	assert_true(netns_run(-1, fail_with_enodev, &seen) < 0);
	assert_true(netns_cookie(fd, &cookie) < 0);
	assert_true(netns_socket(fd, AF_INET, SOCK_STREAM, 0) < 0);
	assert_int_equal(seen, 7);
	assert_int_equal(cookie, 7);
}

static void the_home_can_be_closed_and_opened_again(void **state)
{
	(void)state;
	netns_home_close();
	assert_int_equal(netns_home_open(), 0);
	assert_int_equal(netns_home_open(), 0);
	netns_home_close();
	netns_home_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_network_namespaces_can_be_opened),
		cmocka_unit_test(the_cookie_names_the_namespace),
		cmocka_unit_test(a_socket_belongs_to_the_namespace_and_the_thread_comes_back),
		cmocka_unit_test(the_result_of_the_visit_is_given_back),
		cmocka_unit_test(something_that_is_no_namespace_is_not_entered),
		cmocka_unit_test(the_home_can_be_closed_and_opened_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
