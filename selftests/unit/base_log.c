// SPDX-License-Identifier: Apache-2.0
/* base/log.h: what becomes of lines that cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"

/* stderr is fd while fn runs; what is said then is not for whoever reads the test. */
static void with_stderr(int fd, void (*fn)(void))
{
	int saved = dup(STDERR_FILENO);

	dup2(fd, STDERR_FILENO);
	log_never_wait();
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	log_never_wait();
}

static void many_lines(void)
{
	for (int i = 0; i < 2000; i++)
		log_info("line %d of a log that nobody reads, %0100d", i, i);
}

static size_t drain(int fd, char *buf, size_t cap)
{
	size_t n = 0;
	ssize_t r;

	while (n < cap - 1 && (r = recv(fd, buf + n, cap - 1 - n, MSG_DONTWAIT)) > 0)
		n += (size_t)r;
	if (!n && fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
		while (n < cap - 1 && (r = read(fd, buf + n, cap - 1 - n)) > 0)
			n += (size_t)r;
	buf[n] = '\0';
	return n;
}

static void one_line(void)
{
	log_info("there is room again");
}

static void stuck_reader(int p[2], bool pipe_too)
{
	static char buf[1 << 20];
	unsigned long long before = log_lost(), lost;
	char want[64];

	with_stderr(p[1], many_lines); /* would never end */
	lost = log_lost() - before;
	assert_true(lost > 100 && lost < 2000);
	if (pipe_too)
		assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0); /* the others' as it was */
	drain(p[0], buf, sizeof(buf));
	assert_null(strstr(buf, "were lost"));
	with_stderr(p[1], one_line);
	drain(p[0], buf, sizeof(buf));
	snprintf(want, sizeof(want), "\t%llu lines of this log were lost: ", lost);
	assert_non_null(strstr(buf, want));
	assert_non_null(strstr(buf, "there is room again\n"));
	assert_int_equal(log_lost() - before, lost);
	close(p[0]);
	close(p[1]);
}

static void a_stuck_reader_of_a_pipe_costs_lines_that_are_said_later(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	stuck_reader(p, true);
}

static void a_stuck_reader_of_a_socket_costs_lines_that_are_said_later(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	stuck_reader(p, false);
}

/* A limit on the size of files acts as a disk that is full: short writes, then none. */
static void the_line_after_a_cut_one_begins_a_line(void **state)
{
	_close_ int fd = memfd_create("log", MFD_CLOEXEC);
	struct rlimit old, low;
	char buf[4096] = "";
	ssize_t n;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 100;
	setrlimit(RLIMIT_FSIZE, &low);
	with_stderr(fd, one_line);
	with_stderr(fd, one_line);
	with_stderr(fd, one_line);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(lseek(fd, 0, SEEK_END), 100);
	with_stderr(fd, one_line);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	assert_true(n > 100);
	assert_int_equal(buf[100], '\n');
	assert_int_equal(buf[101], '2');
	assert_non_null(strstr(buf + 100, "\t2 lines of this log were lost: "));
	assert_null(strstr(buf + 100, "\n\n"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stuck_reader_of_a_pipe_costs_lines_that_are_said_later),
		cmocka_unit_test(a_stuck_reader_of_a_socket_costs_lines_that_are_said_later),
		cmocka_unit_test(the_line_after_a_cut_one_begins_a_line),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
