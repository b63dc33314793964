// SPDX-License-Identifier: Apache-2.0
/* The HTTP pages over real sockets, driven by the loop in a second thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/pages.h"
#include "base/own.h"
#include "base/str.h"
#include "codec/promtext.h"
#include "io/loop.h"

struct fixture {
	struct loop *loop;
	struct pages *pages;
	struct pages_opts ports;
	struct errbuf err;
	pthread_t thread;
	_Atomic bool ready;
	size_t extra; /* bytes of label value in the metrics, for large pages */
	int fail;
	_Atomic unsigned open; /* long answers that have not ended */
};

static void on_metrics(void *arg, struct prom *w)
{
	struct fixture *f = arg;
	char *label = calloc(1, f->extra + 1);

	memset(label, 'x', f->extra);
	prom_family(w, "weft_test", PROM_COUNTER, "Of the test.");
	prom_begin(w, "weft_test", PROM_COUNTER);
	if (f->extra)
		prom_label(w, "pad", label);
	prom_u64(w, 7);
	free(label);
}

static bool on_ready(void *arg, char *buf, size_t cap)
{
	struct fixture *f = arg;

	snprintf(buf, cap, "mesh file, pods");
	return f->ready;
}

static char *on_get(void *arg, const char *path)
{
	(void)arg;
	return strcmp(path, "/connections") == 0 ? strdup("{\"a\": 1}\n") : NULL;
}

/* A long answer: "x" so many times. */
struct long_answer {
	struct fixture *f;
	size_t left;
	int fail; /* instead of the end */
};

static ssize_t on_read(void *arg, char *buf, size_t cap)
{
	struct long_answer *a = arg;
	size_t n = a->left < cap ? a->left : cap;

	if (n == 0)
		return a->fail;
	memset(buf, 'x', n);
	a->left -= n;
	return (ssize_t)n;
}

static void on_end(void *arg)
{
	struct long_answer *a = arg;

	a->f->open--;
	free(a);
}

static int on_stream(void *arg, const char *path, struct page_stream *ret)
{
	struct fixture *f = arg;
	struct long_answer *a = calloc(1, sizeof(*a));

	assert_string_equal(path, "/config_dump");
	assert_non_null(a);
	*a = (struct long_answer){ f, f->extra, f->fail };
	f->open++;
	*ret = (struct page_stream){ on_read, on_end, a };
	return 0;
}

static int on_post(void *arg, const char *path, const char *query, char **ret)
{
	bool good = strcmp(query, "level=debug") == 0;

	(void)arg;
	if (strcmp(path, "/logging") != 0)
		return -ENOENT;
	*ret = strdup(good ? "current log level is debug\n" : "there is no such level\n");
	return good ? 0 : -EINVAL;
}

static const struct pages_ops ops = {
	.metrics = on_metrics,
	.ready = on_ready,
	.admin_get = on_get,
	.admin_stream = on_stream,
	.admin_post = on_post,
};

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
	_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t n = sizeof(sa);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	return ntohs(sa.sin_port);
}

static void *run(void *arg)
{
	loop_run(arg);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ports = (struct pages_opts){ free_port(), free_port(), free_port() };
	assert_int_equal(loop_new(&f->loop, "control"), 0);
	assert_int_equal(pages_start(f->loop, &f->ports, &ops, f, &f->err, &f->pages), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run, f->loop), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	loop_stop_any(f->loop);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	pages_stop(&f->pages);
	loop_free(&f->loop);
	free(f);
	return 0;
}

static int dial4(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int dial6(uint16_t port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = in6addr_loopback };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* All of the answer, malloc'ed. */
static char *talk(int fd_given, const char *request)
{
	_close_ int fd = fd_given;
	size_t cap = 4 << 20, n = 0;
	char *text = calloc(1, cap);
	ssize_t got;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	while (n + 1 < cap && (got = recv(fd, text + n, cap - 1 - n, 0)) > 0)
		n += (size_t)got;
	return text;
}

static char *ask(uint16_t port, const char *method, const char *path, const char *headers)
{
	_free_ char *request = str_printf("%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n",
					  method, path, headers);

	return talk(dial4(port), request);
}

static void expect(uint16_t port, const char *method, const char *path, const char *headers,
		   const char *want)
{
	_free_ char *text = ask(port, method, path, headers);

	if (!strstr(text, want))
		fail_msg("%s %s: \"%s\" is not in \"%.400s\"", method, path, want, text);
}

static void metrics_are_text_0_0_4_on_both_paths(void **state)
{
	struct fixture *f = *state;

	expect(f->ports.metrics_port, "GET", "/metrics", "",
	       "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	expect(f->ports.metrics_port, "GET", "/stats/prometheus", "", "weft_test_total 7\n");
}

static void openmetrics_is_given_to_those_who_accept_it(void **state)
{
	struct fixture *f = *state;
	static const char accept[] = "Accept: application/openmetrics-text;version=1.0.0;q=0.75,"
				     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n";

	expect(f->ports.metrics_port, "GET", "/metrics", accept,
	       "application/openmetrics-text; version=1.0.0; charset=utf-8\r\n");
	expect(f->ports.metrics_port, "GET", "/metrics", accept, "# EOF\n");
}

static void the_accept_header_is_weighed(void **state)
{
	(void)state;
	assert_false(pages_wants_openmetrics(NULL));
	assert_false(pages_wants_openmetrics(""));
	assert_false(pages_wants_openmetrics("*/*"));
	assert_true(pages_wants_openmetrics("application/openmetrics-text"));
	assert_true(pages_wants_openmetrics("Application/OpenMetrics-Text; version=1.0.0"));
	assert_false(pages_wants_openmetrics("application/openmetrics-text;q=0, text/plain"));
	assert_false(pages_wants_openmetrics("application/openmetrics-text;q=0.3,text/plain;q=0.4"));
	assert_true(pages_wants_openmetrics("text/plain;q=0.35, application/openmetrics-text;q=0.4"));
	assert_false(pages_wants_openmetrics(";;;,,,=q;q=,"));
}

static void readiness_names_what_is_pending(void **state)
{
	struct fixture *f = *state;

	expect(f->ports.ready_port, "GET", "/healthz/ready", "", "HTTP/1.1 500 ");
	expect(f->ports.ready_port, "GET", "/healthz/ready", "",
	       "\r\n\r\nnot ready, pending: mesh file, pods\n");
	f->ready = true;
	expect(f->ports.ready_port, "GET", "/healthz/ready", "", "HTTP/1.1 200 ");
	expect(f->ports.ready_port, "GET", "/healthz/ready", "", "\r\n\r\nready\n");
	expect(f->ports.ready_port, "HEAD", "/healthz/ready", "", "HTTP/1.1 200 ");
}

static void unknown_paths_are_404_and_wrong_methods_405(void **state)
{
	struct fixture *f = *state;

	expect(f->ports.metrics_port, "GET", "/", "", "HTTP/1.1 404 ");
	expect(f->ports.ready_port, "GET", "/metrics", "", "HTTP/1.1 404 ");
	expect(f->ports.admin_port, "GET", "/nothing", "", "HTTP/1.1 404 ");
	expect(f->ports.admin_port, "POST", "/nothing", "Content-Length: 0\r\n", "HTTP/1.1 404 ");
	expect(f->ports.metrics_port, "DELETE", "/metrics", "", "HTTP/1.1 405 ");
	expect(f->ports.ready_port, "POST", "/healthz/ready", "Content-Length: 0\r\n",
	       "HTTP/1.1 405 ");
	expect(f->ports.admin_port, "POST", "/config_dump", "Content-Length: 0\r\n", "HTTP/1.1 405 ");
	expect(f->ports.admin_port, "GET", "/quitquitquit", "", "Allow: POST\r\n");
	expect(f->ports.admin_port, "POST", "/connections", "Content-Length: 0\r\n", "HTTP/1.1 405 ");
}

static void the_admin_page_is_json_and_takes_a_log_level(void **state)
{
	struct fixture *f = *state;

	expect(f->ports.admin_port, "GET", "/connections", "", "Content-Type: application/json\r\n");
	expect(f->ports.admin_port, "GET", "/connections?x=1", "", "{\"a\": 1}\n");
	expect(f->ports.admin_port, "POST", "/logging?level=debug", "Content-Length: 0\r\n",
	       "current log level is debug\n");
	expect(f->ports.admin_port, "POST", "/logging?level=loud", "Content-Length: 0\r\n",
	       "HTTP/1.1 400 ");
	expect(f->ports.admin_port, "POST", "/logging?level=loud", "Content-Length: 0\r\n",
	       "there is no such level\n");
	expect(f->ports.admin_port, "POST", "/logging", "Content-Length: 0\r\n", "HTTP/1.1 400 ");
}

static const char ask_dump[] = "GET /config_dump HTTP/1.1\r\nHost: x\r\n\r\n";

/* Reads until the chunk that ends the answer, or the end; how many "x" there were. */
static size_t read_dump(int fd, bool *ret_whole)
{
	char buf[65536], last[5] = "";
	size_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			sum += buf[i] == 'x';
			memmove(last, last + 1, 4);
			last[4] = buf[i];
		}
		if (memcmp(last, "0\r\n\r\n", 5) == 0)
			break;
	}
	*ret_whole = n > 0;
	return sum;
}

static void a_dump_is_made_while_it_is_read_and_freed_after_it(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = -1;
	bool whole;

	f->extra = 3u << 20;
	fd = dial4(f->ports.admin_port);
	assert_int_equal(write(fd, ask_dump, sizeof(ask_dump) - 1), sizeof(ask_dump) - 1);
	assert_int_equal(read_dump(fd, &whole), f->extra);
	assert_true(whole);
	/* The next request on the connection is answered when the last one was put away. */
	expect(f->ports.admin_port, "GET", "/connections", "", "HTTP/1.1 200 ");
	assert_int_equal(f->open, 0);
}

static void a_dump_that_breaks_off_looks_broken_off(void **state)
{
	struct fixture *f = *state;
	_close_ int fd = -1;
	bool whole;

	f->extra = 100000;
	f->fail = -ENOMEM;
	fd = dial4(f->ports.admin_port);
	assert_int_equal(write(fd, ask_dump, sizeof(ask_dump) - 1), sizeof(ask_dump) - 1);
	read_dump(fd, &whole);
	assert_false(whole);
}

static void dumps_that_nobody_reads_are_few(void **state)
{
	struct fixture *f = *state;
	int fd[PAGE_STREAMS_MAX];

	f->extra = 64u << 20;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		char c;

		fd[i] = dial4(f->ports.admin_port);
		assert_int_equal(write(fd[i], ask_dump, sizeof(ask_dump) - 1), sizeof(ask_dump) - 1);
		assert_int_equal(read(fd[i], &c, 1), 1);
	}
	expect(f->ports.admin_port, "GET", "/config_dump", "", "HTTP/1.1 503 ");
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	while (f->open)
		expect(f->ports.admin_port, "GET", "/connections", "", "HTTP/1.1 200 ");
	f->extra = 10;
	expect(f->ports.admin_port, "GET", "/config_dump", "", "xxxxxxxxxx");
}

static void a_large_body_is_refused(void **state)
{
	struct fixture *f = *state;

	expect(f->ports.admin_port, "POST", "/logging?level=debug", "Content-Length: 70000\r\n",
	       "HTTP/1.1 413 ");
	expect(f->ports.admin_port, "POST", "/logging?level=debug",
	       "Content-Length: 99999999999\r\n", "HTTP/1.1 413 ");
}

static void a_large_page_arrives_whole(void **state)
{
	struct fixture *f = *state;
	_free_ char *text = NULL;

	f->extra = 3 << 20;
	text = ask(f->ports.metrics_port, "GET", "/metrics", "");
	assert_true(strlen(text) > f->extra);
	assert_non_null(strstr(text, "\"} 7\n"));
}

static void both_families_are_served(void **state)
{
	struct fixture *f = *state;
	_close_ int probe = dial6(f->ports.metrics_port);
	_free_ char *text = NULL, *admin = NULL;

	if (probe < 0)
		skip();
	text = talk(dial6(f->ports.metrics_port),
		    "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(text, "weft_test_total 7"));
	admin = talk(dial6(f->ports.admin_port),
		     "GET /connections HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(admin, "{\"a\": 1}"));
}

static void the_admin_port_listens_on_localhost_only(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(f->ports.admin_port) };
	_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Another loopback address reaches a wildcard listener, but not one on 127.0.0.1. */
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void idle_connections_of_one_peer_do_not_take_readiness_away(void **state)
{
	struct fixture *f = *state;
	int fd[100];

	for (int i = 0; i < 100; i++)
		fd[i] = dial4(f->ports.metrics_port);
	f->ready = true;
	expect(f->ports.ready_port, "GET", "/healthz/ready", "", "HTTP/1.1 200 ");
	for (int i = 0; i < 100; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static void garbage_does_no_harm(void **state)
{
	struct fixture *f = *state;
	_free_ char *text = talk(dial4(f->ports.metrics_port), "\x16\x03\x01 garbage\r\n\r\n");

	(void)text;
	expect(f->ports.metrics_port, "GET", "/metrics", "", "HTTP/1.1 200 ");
}

static void a_port_in_use_is_named(void **state)
{
	struct fixture *f = *state;
	struct pages_opts again = { .ready_port = f->ports.ready_port };
	struct errbuf err = { 0 };
	struct pages *p = NULL;
	struct loop *loop = NULL;
	char want[96];

	assert_int_equal(loop_new(&loop, "other"), 0);
	assert_int_equal(pages_start(loop, &again, &ops, f, &err, &p), -EADDRINUSE);
	snprintf(want, sizeof(want), "cannot listen on readiness port %u: Address already in use",
		 f->ports.ready_port);
	assert_string_equal(err.text, want);
	assert_null(p);
	loop_free(&loop);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(metrics_are_text_0_0_4_on_both_paths),
		T(openmetrics_is_given_to_those_who_accept_it),
		cmocka_unit_test(the_accept_header_is_weighed),
		T(readiness_names_what_is_pending),
		T(unknown_paths_are_404_and_wrong_methods_405),
		T(the_admin_page_is_json_and_takes_a_log_level),
		T(a_dump_is_made_while_it_is_read_and_freed_after_it),
		T(a_dump_that_breaks_off_looks_broken_off),
		T(dumps_that_nobody_reads_are_few),
		T(a_large_body_is_refused),
		T(a_large_page_arrives_whole),
		T(both_families_are_served),
		T(the_admin_port_listens_on_localhost_only),
		T(idle_connections_of_one_peer_do_not_take_readiness_away),
		T(garbage_does_no_harm),
		T(a_port_in_use_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
