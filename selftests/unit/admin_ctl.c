// SPDX-License-Identifier: Apache-2.0
/* The control socket, from outside: what is answered, what is refused, what is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "admin/ctl.h"
#include "base/own.h"
#include "io/loop.h"

struct fixture {
	char base[64], path[96];
	struct errbuf err;
	struct loop *loop;
	struct ctl *ctl;
	pthread_t thread;
};

static json_t *do_echo(void *arg, const json_t *request, struct errbuf *err)
{
	(void)arg, (void)err;
	return json_pack("{s:O}", "got", json_object_get(request, "say"));
}

static json_t *do_fail(void *arg, const json_t *request, struct errbuf *err)
{
	(void)arg;
	errbuf_set(err, -EINVAL, "pod %s is not here",
		   json_string_value(json_object_get(request, "pod")));
	return NULL;
}

static json_t *do_silent(void *arg, const json_t *request, struct errbuf *err)
{
	(void)arg, (void)request, (void)err;
	return NULL;
}

/* {"size": n}: an answer of about n bytes. */
static json_t *do_big(void *arg, const json_t *request, struct errbuf *err)
{
	size_t n = (size_t)json_integer_value(json_object_get(request, "size"));
	_free_ char *text = malloc(n + 1);

	(void)arg, (void)err;
	memset(text, 'x', n);
	return json_pack("{s:s#}", "text", text, (int)n);
}

static void *run(void *arg)
{
	loop_run(arg);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->base, sizeof(f->base), "%s", "/tmp/weft-ct-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	assert_int_equal(chmod(f->base, 0755), 0);
	snprintf(f->path, sizeof(f->path), "%s/weftd.sock", f->base);
	assert_int_equal(loop_new(&f->loop, "control"), 0);
	assert_int_equal(ctl_start(f->loop, f->path, &f->err, &f->ctl), 0);
	assert_int_equal(ctl_register(f->ctl, "echo", do_echo, NULL), 0);
	assert_int_equal(ctl_register(f->ctl, "fail", do_fail, NULL), 0);
	assert_int_equal(ctl_register(f->ctl, "silent", do_silent, NULL), 0);
	assert_int_equal(ctl_register(f->ctl, "big", do_big, NULL), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run, f->loop), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	loop_stop_any(f->loop);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	ctl_stop(&f->ctl);
	loop_free(&f->loop);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->base);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static int dial(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static void say(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

		if (put < 0)
			return; /* the server has refused already; hear() shows what it said */
		p += put;
		n -= (size_t)put;
	}
}

/* One line without its newline, malloc'ed; NULL at the end. */
static char *hear(int fd)
{
	char *line = calloc(1, 4096);
	size_t n = 0;

	while (n < 4095) {
		ssize_t got = recv(fd, line + n, 1, 0);

		if (got <= 0 && n == 0) {
			free(line);
			return NULL;
		}
		if (got <= 0 || line[n] == '\n') {
			line[n] = '\0';
			break;
		}
		n++;
	}
	return line;
}

static void expect(struct fixture *f, const char *request, size_t n, const char *reply)
{
	_close_ int fd = dial(f->path);
	_free_ char *line = NULL;

	assert_true(fd >= 0);
	say(fd, request, n);
	shutdown(fd, SHUT_WR);
	line = hear(fd);
	assert_non_null(line);
	if (!strstr(line, reply))
		fail_msg("\"%s\" is not in \"%s\"", reply, line);
}

static void expect_text(struct fixture *f, const char *request, const char *reply)
{
	expect(f, request, strlen(request), reply);
}

static void a_request_is_answered_with_ok_in_front(void **state)
{
	expect_text(*state, "{\"cmd\":\"echo\",\"say\":5}\n", "{\"ok\":true,\"got\":5}");
}

static void the_socket_is_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void another_user_is_refused_even_if_the_file_lets_him_in(void **state)
{
	struct fixture *f = *state;
	int status = 0;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->path, 0666), 0);
	pid = fork();
	if (pid == 0) {
		char line[256] = "";
		int fd;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		fd = dial(f->path);
		_exit(fd >= 0 && recv(fd, line, sizeof(line) - 1, 0) > 0 &&
				      strstr(line, "only root may talk to weftd")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void garbage_and_broken_json_are_answered_with_a_sentence(void **state)
{
	struct fixture *f = *state;

	expect_text(f, "\x16\x03\x01\x02garbage\n", "the request is not JSON");
	expect_text(f, "{\"cmd\":\n", "the request is not JSON");
	expect_text(f, "{\"cmd\":\"echo\"} trailing\n", "the request is not JSON");
	expect_text(f, "{\"cmd\":\"a\",\"cmd\":\"b\"}\n", "the request is not JSON");
	expect(f, "{\"cmd\"\0:1}\n", 11, "the request is not JSON");
	expect_text(f, "\n", "the request is empty");
	expect_text(f, "[]\n", "has no \\\"cmd\\\"");
	expect_text(f, "7\n", "\"ok\":false");
	expect_text(f, "{\"cmd\":7}\n", "has no \\\"cmd\\\"");
	expect_text(f, "{\"cmd\":\"\"}\n", "has no \\\"cmd\\\"");
}

static void a_truncated_request_is_named_so(void **state)
{
	expect_text(*state, "{\"cmd\":\"echo\"", "the request ends before its newline");
}

static void an_unknown_command_is_named(void **state)
{
	expect_text(*state, "{\"cmd\":\"dance\"}\n", "there is no command \\\"dance\\\"");
	/* Cut inside a UTF-8 character, it is still an answer. */
	expect_text(*state,
		    "{\"cmd\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
		    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
		    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
		    "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4z\xc3\xa4\xc3\xa4\"}\n",
		    "there is no command");
}

static void a_command_that_fails_says_why(void **state)
{
	expect_text(*state, "{\"cmd\":\"fail\",\"pod\":\"x\"}\n",
		    "{\"ok\":false,\"error\":\"pod x is not here\"}");
	expect_text(*state, "{\"cmd\":\"silent\"}\n", "failed without a reason");
}

static void a_request_over_1_mib_is_refused_and_the_connection_closed(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f->path);
	size_t n = CTL_REQUEST_MAX + 100000;
	_free_ char *text = malloc(n), *line = NULL;

	memset(text, ' ', n);
	say(fd, text, n);
	line = hear(fd);
	assert_non_null(line);
	assert_non_null(strstr(line, "longer than 1048576 bytes"));
	assert_null(hear(fd));
}

static void a_request_in_single_bytes_is_put_together(void **state)
{
	static const char request[] = "{\"cmd\":\"echo\",\"say\":\"slow\"}\n";
	struct fixture *f = *state;
	_close_ int fd = dial(f->path);
	_free_ char *line = NULL;

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		say(fd, request + i, 1);
	line = hear(fd);
	assert_string_equal(line, "{\"ok\":true,\"got\":\"slow\"}");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = dial(f->path);
	char request[64];

	for (int i = 0; i < 500; i++) {
		int n = snprintf(request, sizeof(request), "{\"cmd\":\"echo\",\"say\":%d}\n", i);

		say(fd, request, (size_t)n);
	}
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 500; i++) {
		_free_ char *line = hear(fd);

		snprintf(request, sizeof(request), "{\"ok\":true,\"got\":%d}", i);
		assert_non_null(line);
		assert_string_equal(line, request);
	}
	assert_null(hear(fd));
}

static void a_slow_reader_gets_everything_and_holds_nobody_up(void **state)
{
	static const char big[] = "{\"cmd\":\"big\",\"size\":4000000}\n";
	struct fixture *f = *state;
	_close_ int fd = dial(f->path);
	_free_ char *buf = malloc(65536);
	size_t total = 0, lines = 0;
	ssize_t got;

	for (int i = 0; i < 5; i++)
		say(fd, big, sizeof(big) - 1);
	shutdown(fd, SHUT_WR);
	expect_text(f, "{\"cmd\":\"echo\",\"say\":1}\n", "\"got\":1");
	while ((got = recv(fd, buf, 65536, 0)) > 0) {
		total += (size_t)got;
		for (ssize_t i = 0; i < got; i++)
			lines += buf[i] == '\n';
	}
	assert_int_equal(lines, 5);
	assert_true(total > 5 * 4000000ul);
}

static void an_answer_over_16_mib_becomes_a_sentence(void **state)
{
	expect_text(*state, "{\"cmd\":\"big\",\"size\":17000000}\n",
		    "the answer to big has no room in 16777216 bytes");
}

static void the_65th_connection_is_told_so(void **state)
{
	struct fixture *f = *state;
	int fd[CTL_CONNS_MAX];
	_close_ int more = -1;
	_free_ char *line = NULL;

	for (unsigned i = 0; i < CTL_CONNS_MAX; i++) {
		_free_ char *reply = NULL;

		fd[i] = dial(f->path);
		assert_true(fd[i] >= 0);
		say(fd[i], "{\"cmd\":\"silent\"}\n", 17);
		reply = hear(fd[i]);
		assert_non_null(strstr(reply, "without a reason"));
	}
	more = dial(f->path);
	line = hear(more);
	assert_non_null(line);
	assert_non_null(strstr(line, "64 connections"));
	for (unsigned i = 0; i < CTL_CONNS_MAX; i++)
		close(fd[i]);
}

static void a_client_that_leaves_at_once_does_no_harm(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 200; i++) {
		_close_ int fd = dial(f->path);

		if (fd >= 0)
			say(fd, "{\"cmd\":\"big\",\"size\":400000}\n", 28);
	}
	for (;;) { /* until the server has worked off those that left */
		_close_ int fd = dial(f->path);
		_free_ char *line = NULL;

		say(fd, "{\"cmd\":\"echo\",\"say\":1}\n", 23);
		line = hear(fd);
		if (line && strstr(line, "\"got\":1"))
			break;
	}
}

static void a_live_daemons_socket_is_not_taken(void **state)
{
	struct fixture *f = *state;
	struct errbuf err = { 0 };
	struct ctl *other = NULL;
	struct loop *loop = NULL;

	assert_int_equal(loop_new(&loop, "other"), 0);
	assert_int_equal(ctl_start(loop, f->path, &err, &other), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another weftd answers at"));
	assert_null(other);
	loop_free(&loop);
	expect_text(f, "{\"cmd\":\"echo\",\"say\":1}\n", "\"got\":1");
}

static void a_dead_daemons_socket_is_replaced_and_other_files_are_not(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct errbuf err = { 0 };
	struct ctl *c = NULL;
	struct loop *loop = NULL;
	char path[96];
	FILE *plain;
	int fd;

	snprintf(path, sizeof(path), "%s/dead.sock", f->base);
	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	assert_int_equal(loop_new(&loop, "other"), 0);
	assert_int_equal(ctl_start(loop, path, &err, &c), 0);
	ctl_stop(&c);
	assert_int_equal(access(path, F_OK), -1);
	plain = fopen(path, "we");
	assert_int_equal(fclose(plain), 0);
	assert_int_equal(ctl_start(loop, path, &err, &c), -EEXIST);
	assert_non_null(strstr(err.text, "is not a socket"));
	assert_int_equal(access(path, F_OK), 0);
	loop_free(&loop);
}

static void a_command_can_be_registered_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ctl_register(f->ctl, "echo", do_echo, NULL), -EEXIST);
}

static void a_call_gives_the_reply(void **state)
{
	struct fixture *f = *state;
	json_t *request = json_pack("{s:s, s:s}", "cmd", "echo", "say", "hello");
	json_t *reply = ctl_call(f->path, request, &f->err);

	assert_non_null(reply);
	assert_string_equal(json_string_value(json_object_get(reply, "got")), "hello");
	json_decref(reply);
	json_decref(request);
	request = json_pack("{s:s, s:i}", "cmd", "big", "size", 9000000);
	reply = ctl_call(f->path, request, &f->err);
	assert_non_null(reply);
	assert_int_equal(json_string_length(json_object_get(reply, "text")), 9000000);
	json_decref(reply);
	json_decref(request);
}

static void a_call_that_is_refused_gives_the_daemons_sentence(void **state)
{
	struct fixture *f = *state;
	json_t *request = json_pack("{s:s, s:s}", "cmd", "fail", "pod", "x");

	assert_null(ctl_call(f->path, request, &f->err));
	assert_string_equal(f->err.text, "pod x is not here");
	json_decref(request);
}

static void a_call_without_a_daemon_says_so(void **state)
{
	struct fixture *f = *state;
	json_t *request = json_pack("{s:s}", "cmd", "status");
	char want[256];

	assert_null(ctl_call("/nonexistent/weftd.sock", request, &f->err));
	snprintf(want, sizeof(want),
		 "weftd does not answer at /nonexistent/weftd.sock: "
		 "No such file or directory; is it running?");
	assert_string_equal(f->err.text, want);
	json_decref(request);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_is_answered_with_ok_in_front),
		T(the_socket_is_for_its_owner_only),
		T(another_user_is_refused_even_if_the_file_lets_him_in),
		T(garbage_and_broken_json_are_answered_with_a_sentence),
		T(a_truncated_request_is_named_so),
		T(an_unknown_command_is_named),
		T(a_command_that_fails_says_why),
		T(a_request_over_1_mib_is_refused_and_the_connection_closed),
		T(a_request_in_single_bytes_is_put_together),
		T(pipelined_requests_are_answered_in_order),
		T(a_slow_reader_gets_everything_and_holds_nobody_up),
		T(an_answer_over_16_mib_becomes_a_sentence),
		T(the_65th_connection_is_told_so),
		T(a_client_that_leaves_at_once_does_no_harm),
		T(a_live_daemons_socket_is_not_taken),
		T(a_dead_daemons_socket_is_replaced_and_other_files_are_not),
		T(a_command_can_be_registered_once),
		T(a_call_gives_the_reply),
		T(a_call_that_is_refused_gives_the_daemons_sentence),
		T(a_call_without_a_daemon_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
