// SPDX-License-Identifier: Apache-2.0
/*
 * weft-bench-relay LISTEN=TO...: the plainest TCP proxy there can be, to tell what two proxies
 * cost from what their features cost. A thread per CPU with its own listeners and epoll; each
 * direction has a buffer of 64 KB; no TLS, no policy, no statistics. Addresses are IPv4
 * ADDRESS:PORT. Runs until a signal.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

#define RELAY_BUF 65536
#define RELAY_MAX 16

struct route {
	struct sockaddr_in from, to;
};

struct relay {
	struct route routes[RELAY_MAX];
	size_t n;
};

struct session;

/* One socket; buf is what was read from it and waits for the other one. */
struct end {
	struct session *session;
	int fd;
	uint32_t watched;
	bool eof, shut;
	size_t at, n;
	char *buf;
};

struct session {
	struct end ends[2];
	bool connecting;
	bool dead; /* freed after the batch of events that may still name it */
	struct session *next_dead;
};

struct loop {
	const struct relay *relay;
	int ep;
	int listeners[RELAY_MAX];
	struct session *dead;
};

static struct end *end_other(struct end *e)
{
	return &e->session->ends[e == &e->session->ends[0]];
}

static void session_end(struct loop *l, struct session *s)
{
	if (s->dead)
		return;
	s->dead = true;
	for (int i = 0; i < 2; i++) {
		own_close(&s->ends[i].fd);
		own_free(&s->ends[i].buf);
	}
	s->next_dead = l->dead;
	l->dead = s;
}

static void end_watch(struct loop *l, struct end *e)
{
	struct end *o = end_other(e);
	uint32_t want = 0;
	struct epoll_event ev = { .data.ptr = e };

	if (e->session->connecting) {
		want = e == &e->session->ends[1] ? EPOLLOUT : 0;
	} else {
		if (!e->eof && e->n == 0)
			want |= EPOLLIN;
		if (o->n > 0)
			want |= EPOLLOUT;
	}
	if (want == e->watched)
		return;
	e->watched = want;
	ev.events = want;
	epoll_ctl(l->ep, EPOLL_CTL_MOD, e->fd, &ev);
}

/* Sends what waits from e to the other end; -1 when that one is broken. */
static int end_flush(struct end *e)
{
	struct end *o = end_other(e);

	while (e->n > 0) {
		ssize_t w = send(o->fd, e->buf + e->at, e->n, MSG_NOSIGNAL);

		if (w < 0)
			return errno == EAGAIN ? 0 : -1;
		e->at += (size_t)w;
		e->n -= (size_t)w;
	}
	e->at = 0;
	if (e->eof && !o->shut) {
		shutdown(o->fd, SHUT_WR);
		o->shut = true;
	}
	return 0;
}

static int end_read(struct end *e)
{
	ssize_t r = recv(e->fd, e->buf, RELAY_BUF, 0);

	if (r < 0)
		return errno == EAGAIN ? 0 : -1;
	if (r == 0)
		e->eof = true;
	e->at = 0;
	e->n = (size_t)r;
	return end_flush(e);
}

static int session_connected(struct session *s)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(s->ends[1].fd, SOL_SOCKET, SO_ERROR, &err, &n);
	s->connecting = false;
	return err ? -1 : 0;
}

static void end_event(struct loop *l, struct end *e, uint32_t events)
{
	struct session *s = e->session;
	int r = 0;

	if (s->dead)
		return;
	if (s->connecting && e == &s->ends[1])
		r = session_connected(s);
	if (r == 0 && (events & EPOLLOUT))
		r = end_flush(end_other(e));
	if (r == 0 && !s->connecting && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && e->n == 0 &&
	    !e->eof)
		r = end_read(e);
	else if (events & EPOLLERR)
		r = -1;
	if (r < 0 || (s->ends[0].eof && s->ends[1].eof && !s->ends[0].n && !s->ends[1].n)) {
		session_end(l, s);
		return;
	}
	end_watch(l, &s->ends[0]);
	end_watch(l, &s->ends[1]);
}

static int end_init(struct loop *l, struct session *s, int i, int fd, uint32_t events)
{
	struct end *e = &s->ends[i];
	struct epoll_event ev = { .events = events, .data.ptr = e };
	int on = 1;

	e->session = s;
	e->fd = fd;
	e->watched = events;
	e->buf = malloc(RELAY_BUF);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return e->buf && epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -1;
}

static void session_start(struct loop *l, size_t route)
{
	const struct sockaddr_in *to = &l->relay->routes[route].to;
	int from = accept4(l->listeners[route], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct session *s = from < 0 ? NULL : calloc(1, sizeof(*s));
	int fd;

	if (!s) {
		own_close(&from);
		return;
	}
	s->connecting = true;
	s->ends[0].fd = from;
	fd = s->ends[1].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (end_init(l, s, 0, from, 0) < 0 || fd < 0 || end_init(l, s, 1, fd, EPOLLOUT) < 0) {
		session_end(l, s);
		return;
	}
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS)
		session_end(l, s);
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;
	struct epoll_event ev[64];

	for (;;) {
		int n = epoll_wait(l->ep, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.u64 < RELAY_MAX)
				session_start(l, ev[i].data.u64);
			else
				end_event(l, ev[i].data.ptr, ev[i].events);
		}
		while (l->dead) {
			struct session *s = l->dead;

			l->dead = s->next_dead;
			free(s);
		}
	}
	return NULL;
}

static int loop_listen(struct loop *l, size_t i)
{
	const struct sockaddr_in *a = &l->relay->routes[i].from;
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = i };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (fd < 0 || bind(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ||
	    listen(fd, 4096) < 0 || epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) < 0) {
		perror("weft-bench-relay: listen");
		return -1;
	}
	l->listeners[i] = fd;
	return 0;
}

static int address_parse(struct str s, struct sockaddr_in *ret)
{
	char host[32];
	struct str rest = s, h = str_cut(&rest, ':');
	uint16_t port;

	*ret = (struct sockaddr_in){ .sin_family = AF_INET };
	if (str_copy(host, sizeof(host), h) < 0 || inet_pton(AF_INET, host, &ret->sin_addr) != 1 ||
	    str_to_u16(rest, &port) < 0) {
		fprintf(stderr, "weft-bench-relay: no ADDRESS:PORT: %.*s\n", STR_FMT(s));
		return -1;
	}
	ret->sin_port = htons(port);
	return 0;
}

static int relay_run(const struct relay *relay)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	struct loop *loops = calloc((size_t)n, sizeof(*loops));
	pthread_t thread;

	if (!loops)
		return 1;
	for (long i = 0; i < n; i++) {
		loops[i].relay = relay;
		loops[i].ep = epoll_create1(EPOLL_CLOEXEC);
		for (size_t k = 0; k < relay->n; k++)
			if (loop_listen(&loops[i], k) < 0)
				return 1;
	}
	for (long i = 1; i < n; i++)
		if (pthread_create(&thread, NULL, loop_main, &loops[i]) != 0)
			return 1;
	loop_main(&loops[0]);
	return 0;
}

int main(int argc, char **argv)
{
	struct relay relay = { .n = 0 };
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	for (int i = 1; i < argc && relay.n < RELAY_MAX; i++) {
		struct str rest = str_of(argv[i]), from = str_cut(&rest, '=');
		struct route *r = &relay.routes[relay.n++];

		if (address_parse(from, &r->from) < 0 || address_parse(rest, &r->to) < 0)
			return 2;
	}
	if (relay.n == 0) {
		fprintf(stderr, "usage: weft-bench-relay LISTEN=TO...\n");
		return 2;
	}
	return relay_run(&relay);
}
