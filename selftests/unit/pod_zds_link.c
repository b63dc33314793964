// SPDX-License-Identifier: Apache-2.0
/* The socket of ZDS, against an agent that is a thread of the test: what is sent, when, and how a
 * connection ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/own.h"
#include "io/loop.h"
#include "pod/zds_link.h"

/* WorkloadRequest: keep "k", snapshot_sent, del "d", and add "a" of n/p. */
#define KEEP "\x2a\x03\x0a\x01k"
#define SNAPSHOT "\x1a\x00"
#define DEL \
	"\x12\x03\x12\x01" \
	"d"
#define ADD \
	"\x0a\x0b\x0a\x01" \
	"a" \
	"\x12\x06\x0a\x01p\x12\x01n"
#define ACK_YES "\x0a\x00"

struct world {
	struct loop *loop;
	struct zds_link *zl;
	char dir[64], path[96];
	int listener, start_result;
	size_t fds, started, stopped, settled;
	void (*agent)(struct world *w);
};

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int on_start(void *arg, const struct zds_pod_info *info, int fd, struct errbuf *err)
{
	struct world *w = arg;

	assert_string_equal(info->name, "p");
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	w->started++;
	return w->start_result < 0 ? errbuf_set(err, w->start_result, "the port is taken") : 0;
}

static void on_stop(void *arg, const char *uid)
{
	(void)uid;
	((struct world *)arg)->stopped++;
}

static void on_settled(void *arg, const struct zds_state *st)
{
	(void)st;
	((struct world *)arg)->settled++;
}

static void listen_here(struct world *w)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", w->path);
	w->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(w->listener, 4), 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	snprintf(w->dir, sizeof(w->dir), "/tmp/weft-zds-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/ztunnel.sock", w->dir);
	w->fds = count_fds();
	w->listener = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void *agent_thread(void *arg)
{
	struct world *w = arg;

	w->agent(w);
	loop_stop_any(w->loop);
	return NULL;
}

/* Runs the agent against the link; afterwards nothing is open that was not before. */
static struct zds_status meet(struct world *w, void (*agent)(struct world *w))
{
	const struct zds_ops ops = { on_start, on_stop, on_settled, w };
	static char path[128], last[512];
	struct zds_status s;
	pthread_t t;

	w->agent = agent;
	assert_int_equal(loop_new(&w->loop, "zds"), 0);
	assert_int_equal(zds_link_new(w->loop, w->path, &ops, &w->zl), 0);
	assert_int_equal(pthread_create(&t, NULL, agent_thread, w), 0);
	loop_run(w->loop);
	pthread_join(t, NULL);
	zds_link_status(w->zl, &s);
	snprintf(path, sizeof(path), "%s", s.path);
	snprintf(last, sizeof(last), "%s", s.last_error);
	s.path = path;
	s.last_error = last;
	zds_link_free(&w->zl);
	loop_free(&w->loop);
	own_close(&w->listener);
	assert_int_equal(count_fds(), w->fds);
	return s;
}

/* A connection whose hello is right. */
static int met(struct world *w)
{
	const struct timeval limit = { .tv_sec = 10 };
	int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
	char buf[64];

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 2);
	assert_memory_equal(buf, "\x08\x01", 2);
	return fd;
}

static void tell_fds(int fd, const void *p, size_t n, size_t n_fds)
{
	union {
		char buf[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	_close_ int ns = memfd_create("netns", MFD_CLOEXEC);
	struct iovec iov = { (void *)p, n };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		struct cmsghdr *c;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &ns, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &mh, MSG_NOSIGNAL), (ssize_t)n);
}

#define TELL(fd, msg, n_fds) tell_fds(fd, msg, sizeof(msg) - 1, n_fds)

static void expect_yes(int fd)
{
	char buf[ZDS_MSG_MAX];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 2);
	assert_memory_equal(buf, ACK_YES, 2);
}

static void expect_no(int fd, const char *word)
{
	char buf[ZDS_MSG_MAX + 1];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	assert_true(n > 4 && n <= (ssize_t)ZDS_MSG_MAX);
	assert_non_null(memmem(buf, (size_t)n, word, strlen(word)));
}

static void expect_end(int fd)
{
	char buf[8];

	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 0);
}

static void agent_well_behaved(struct world *w)
{
	_close_ int fd = met(w);

	TELL(fd, ADD, 1);
	expect_yes(fd);
	TELL(fd, KEEP, 0);
	expect_yes(fd);
	TELL(fd, SNAPSHOT, 0);
	expect_yes(fd);
	TELL(fd, ADD, 1); /* another namespace */
	expect_yes(fd);
	TELL(fd, DEL, 0);
	expect_yes(fd);
}

static void each_message_gets_one_answer(void **state)
{
	struct world *w = *state;
	struct zds_status s;

	listen_here(w);
	s = meet(w, agent_well_behaved);
	assert_int_equal(w->started, 2);
	assert_int_equal(w->stopped, 1);
	assert_int_equal(w->settled, 1);
	assert_int_equal(s.connections, 1);
	assert_int_equal(s.messages, 5);
	assert_int_equal(s.refused, 0);
	assert_int_equal(s.counts.served, 1);
	assert_int_equal(s.counts.pending, 1); /* the kept one */
	assert_string_equal(s.path, w->path);
}

static void agent_with_a_busy_port(struct world *w)
{
	_close_ int fd = met(w);

	TELL(fd, ADD, 1);
	expect_no(fd, "the port is taken");
	TELL(fd, SNAPSHOT, 0);
	expect_yes(fd);
	TELL(fd, DEL, 0);
	expect_yes(fd);
}

static void what_cannot_be_served_is_said_and_the_connection_goes_on(void **state)
{
	struct world *w = *state;
	struct zds_status s;

	listen_here(w);
	w->start_result = -EADDRINUSE;
	s = meet(w, agent_with_a_busy_port);
	assert_int_equal(s.connections, 1);
	assert_int_equal(s.refused, 1);
}

static const struct breach {
	const char *msg;
	size_t n, fds;
	const char *word;
} breaches[] = {
	{ ADD, sizeof(ADD) - 1, 0, "descriptor" },
	{ ADD, sizeof(ADD) - 1, 2, "more than one descriptor" },
	{ ADD, sizeof(ADD) - 1, 16, "more than one descriptor" },
	{ DEL, sizeof(DEL) - 1, 1, "descriptor" },
	{ "\xff\xff", 2, 0, "broken" },
	{ "\xff\xff", 2, 1, "broken" },
	{ "\x0a\x00", 2, 1, "uid" },
	{ NULL, ZDS_MSG_MAX + 1, 0, "more than 1024 bytes" },
	{ NULL, 65536, 1, "more than 1024 bytes" },
};

/* Each on a connection of its own, the last one is good. */
static void agent_that_breaks_the_rules(struct world *w)
{
	static char zeros[65536];

	for (size_t i = 0; i < ARRAY_LEN(breaches); i++) {
		const struct breach *b = &breaches[i];
		_close_ int fd = met(w);

		tell_fds(fd, b->msg ? b->msg : zeros, b->n, b->fds);
		expect_no(fd, b->word);
		expect_end(fd);
	}
	agent_well_behaved(w);
}

static void a_breach_is_answered_ends_the_connection_and_leaks_nothing(void **state)
{
	struct world *w = *state;
	struct zds_status s;

	listen_here(w);
	s = meet(w, agent_that_breaks_the_rules);
	assert_int_equal(s.connections, ARRAY_LEN(breaches) + 1);
	assert_int_equal(s.refused, ARRAY_LEN(breaches));
}

static void agent_that_leaves(struct world *w)
{
	for (int i = 0; i < 3; i++) {
		_close_ int fd = met(w);

		if (i == 1)
			tell_fds(fd, "", 0, 0); /* no bytes: like an end */
	}
	agent_well_behaved(w);
}

static void a_connection_that_ends_is_made_again(void **state)
{
	struct world *w = *state;
	struct zds_status s;

	listen_here(w);
	s = meet(w, agent_that_leaves);
	assert_int_equal(s.connections, 4);
	assert_int_equal(s.messages, 5);
}

static void agent_that_comes_late(struct world *w)
{
	listen_here(w);
	agent_well_behaved(w);
}

static void an_agent_may_come_later(void **state)
{
	struct world *w = *state;
	struct zds_status s = meet(w, agent_that_comes_late);

	assert_int_equal(s.connections, 1);
	assert_int_equal(s.messages, 5);
}

static void nobody(struct world *w)
{
	(void)w;
}

static void without_an_agent_it_says_so(void **state)
{
	struct world *w = *state;

	meet(w, nobody);
	assert_int_equal(w->started, 0);
	assert_string_equal(zds_link_state_text(ZDS_LINK_DOWN), "down");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_message_gets_one_answer),
		T(what_cannot_be_served_is_said_and_the_connection_goes_on),
		T(a_breach_is_answered_ends_the_connection_and_leaks_nothing),
		T(a_connection_that_ends_is_made_again),
		T(an_agent_may_come_later),
		T(without_an_agent_it_says_so),
	};

	return cmocka_run_group_tests_name("pod/zds_link", tests, NULL, NULL);
}
