// SPDX-License-Identifier: Apache-2.0
/*
 * The server: a thread per CPU with an epoll each. The first bytes of a connection say what it
 * is for: bytes to swallow, bytes to send, or messages to give back. It runs until a signal.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/own.h"
#include "load.h"

#define SOURCE_TURN (64 * 1024) /* bytes */

struct server;

struct conn {
	int fd;
	struct load_hello hello;
	bool started; /* hello is complete */
	size_t got;   /* of hello, then of the message */
	uint32_t owed; /* LOAD_ECHO: bytes of the message still to send back */
	struct loop *loop;
};

struct loop {
	struct server *server;
	int ep;
	_Atomic unsigned int conns;
	char *buf; /* LOAD_BUF */
	pthread_t thread;
};

struct server {
	int listener;
	struct loop *loops;
	unsigned int n_loops;
};

static void conn_end(struct conn *c)
{
	atomic_fetch_sub(&c->loop->conns, 1);
	close(c->fd);
	free(c);
}

/* 1: done for now, 0: more to do, -1: over */
static int read_hello(struct conn *c)
{
	ssize_t n = recv(c->fd, (char *)&c->hello + c->got, sizeof(c->hello) - c->got, 0);

	if (n < 0)
		return errno == EAGAIN ? 1 : -1;
	if (n == 0)
		return -1;
	c->got += (size_t)n;
	if (c->got < sizeof(c->hello))
		return 1;
	if (memcmp(c->hello.magic, LOAD_MAGIC, sizeof(c->hello.magic)) != 0)
		return -1;
	if (c->hello.op != LOAD_SINK && (c->hello.size == 0 || c->hello.size > LOAD_BUF))
		return -1;
	return 0;
}

static int do_sink(struct conn *c)
{
	ssize_t n = recv(c->fd, c->loop->buf, LOAD_BUF, 0);

	if (n < 0)
		return errno == EAGAIN ? 1 : -1;
	return n == 0 ? -1 : 1;
}

static int do_source(struct conn *c)
{
	/* Writes of the size that was asked for; after some of them others get a turn. */
	for (size_t sent = 0; sent < SOURCE_TURN; sent += c->hello.size)
		if (send(c->fd, c->loop->buf, c->hello.size, MSG_NOSIGNAL) < 0)
			return errno == EAGAIN ? 1 : -1;
	return 1;
}

/* A message is given back when it is complete; the client never sends two at once. */
static int do_echo(struct conn *c)
{
	if (c->owed == 0) {
		ssize_t n = recv(c->fd, c->loop->buf, c->hello.size - c->got, 0);

		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		if (n == 0)
			return -1;
		c->got += (size_t)n;
		if (c->got < c->hello.size)
			return 0;
		c->got = 0;
		c->owed = c->hello.size;
	}
	while (c->owed > 0) {
		ssize_t n = send(c->fd, c->loop->buf, c->owed, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		c->owed -= (uint32_t)n;
	}
	return 1;
}

static void conn_watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	epoll_ctl(c->loop->ep, op, c->fd, &ev);
}

static int conn_start(struct conn *c)
{
	int r = read_hello(c);

	if (r != 0)
		return r;
	c->started = true;
	c->got = 0;
	if (c->hello.op == LOAD_SOURCE)
		conn_watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	return 0;
}

static void conn_work(struct conn *c)
{
	int r = c->started ? 0 : conn_start(c);

	while (r == 0) {
		if (c->hello.op == LOAD_SINK)
			r = do_sink(c);
		else if (c->hello.op == LOAD_SOURCE)
			r = do_source(c);
		else
			r = do_echo(c);
	}
	if (r < 0)
		conn_end(c);
}

static struct loop *loop_pick(struct server *s, struct loop *self)
{
	struct loop *best = self;

	for (unsigned int i = 0; i < s->n_loops; i++)
		if (atomic_load(&s->loops[i].conns) < atomic_load(&best->conns))
			best = &s->loops[i];
	return best;
}

static void conn_accept(struct loop *self)
{
	int on = 1, fd = accept4(self->server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->fd = fd;
	c->loop = loop_pick(self->server, self);
	atomic_fetch_add(&c->loop->conns, 1);
	conn_watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;
	struct epoll_event ev[64];

	for (;;) {
		int n = epoll_wait(l->ep, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				conn_work(ev[i].data.ptr);
			else
				conn_accept(l);
		}
	}
	return NULL;
}

static int server_listen(uint16_t port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0) {
		fprintf(stderr, "weft-bench-load: port %u: %s\n", port, strerror(errno));
		return -1;
	}
	return fd;
}

int run_server(const struct load_opts *o)
{
	struct server s = { .n_loops = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN) };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	s.listener = server_listen(o->port);
	s.loops = calloc(s.n_loops, sizeof(*s.loops));
	if (s.listener < 0 || !s.loops)
		return -1;
	for (unsigned int i = 0; i < s.n_loops; i++) {
		struct loop *l = &s.loops[i];

		l->server = &s;
		l->ep = epoll_create1(EPOLL_CLOEXEC);
		l->buf = calloc(1, LOAD_BUF);
		if (l->ep < 0 || !l->buf || epoll_ctl(l->ep, EPOLL_CTL_ADD, s.listener, &ev) < 0 ||
		    pthread_create(&l->thread, NULL, loop_main, l) != 0)
			return -1;
	}
	for (unsigned int i = 0; i < s.n_loops; i++)
		pthread_join(s.loops[i].thread, NULL);
	return 0;
}
