/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For the tests of the relay engines: connected TCP sockets, and applications at them, which are
 * threads with blocking sockets, so that every interleaving of short reads and full buffers happens
 * by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/loop.h"
#include "weft/reason.h"

/* A connected pair of TCP sockets on loopback: [0] for the application, [1] for the relay. */
static inline void tcp_pair(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(l, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd[0], (struct sockaddr *)&a, sizeof(a)), 0);
	fd[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd[1] >= 0);
	close(l);
}

static inline uint8_t byte_at(size_t i, unsigned seed)
{
	return (uint8_t)((i * 2654435761u + seed) >> 13);
}

/* An application: sends n bytes of its pattern, shuts down, reads the other's to the end. */
struct app {
	int fd;
	size_t send, want;
	unsigned seed, other;
	bool ok;
	pthread_t writer, reader;
};

static inline void *app_write(void *arg)
{
	struct app *a = arg;
	uint8_t buf[50000];

	for (size_t at = 0; at < a->send;) {
		size_t n = a->send - at < sizeof(buf) ? a->send - at : sizeof(buf);

		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(at + i, a->seed);
		if (send(a->fd, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
			return NULL;
		at += n;
	}
	shutdown(a->fd, SHUT_WR);
	return NULL;
}

static inline void *app_read(void *arg)
{
	struct app *a = arg;
	uint8_t buf[70000];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(a->fd, buf, sizeof(buf), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] != byte_at(at + (size_t)i, a->other))
				return NULL;
		at += (size_t)n;
	}
	a->ok = n == 0 && at == a->want;
	return NULL;
}

static inline void app_start(struct app *a)
{
	assert_int_equal(pthread_create(&a->writer, NULL, app_write, a), 0);
	assert_int_equal(pthread_create(&a->reader, NULL, app_read, a), 0);
}

static inline void app_join(struct app *a)
{
	pthread_join(a->writer, NULL);
	pthread_join(a->reader, NULL);
}

struct end {
	struct loop *loop;
	int left;
	enum weft_reason why[2];
	int n;
};

static inline void on_done(void *arg, enum weft_reason why)
{
	struct end *e = arg;

	e->why[e->n++] = why;
	if (--e->left == 0)
		loop_stop_any(e->loop);
}
