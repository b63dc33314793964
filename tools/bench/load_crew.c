// SPDX-License-Identifier: Apache-2.0
/*
 * Threads that do the same work from a common start, through a warm-up and a measured window;
 * and the few socket calls that all commands share. The main thread owns the crew; a worker
 * writes only its own struct.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "load.h"

int sock_connect(const struct load_addr *to)
{
	int fd = socket(to->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&to->to, to->to_n) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int sock_send_all(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		at += w;
		n -= (size_t)w;
	}
	return 0;
}

int sock_recv_all(int fd, void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t r = recv(fd, at, n, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r == 0)
			errno = ECONNRESET;
		if (r <= 0)
			return -1;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

int sock_hello(int fd, enum load_op op, uint32_t size)
{
	struct load_hello h = { .op = op, .size = size };

	memcpy(h.magic, LOAD_MAGIC, sizeof(h.magic));
	return sock_send_all(fd, &h, sizeof(h));
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->crew->work(w);
	return NULL;
}

static int crew_connect(struct crew *c, const struct load_opts *o)
{
	for (unsigned int i = 0; c->connected && i < c->n; i++) {
		struct worker *w = &c->workers[i];

		w->fd = sock_connect(&o->target[0]);
		if (w->fd < 0 || (c->op != LOAD_BARE && sock_hello(w->fd, c->op, o->size) < 0)) {
			fprintf(stderr, "weft-bench-load: connect: %s\n", strerror(errno));
			return -1;
		}
	}
	return 0;
}

static int prime_talk(int fd, enum load_op op)
{
	_free_ char *buf = calloc(1, LOAD_BUF);

	if (fd < 0 || !buf)
		return -1;
	if (op == LOAD_BARE)
		return request_once(fd, buf);
	if (sock_hello(fd, LOAD_ECHO, 1) < 0 || sock_send_all(fd, buf, 1) < 0)
		return -1;
	return sock_recv_all(fd, buf, 1);
}

int crew_prime(const struct load_opts *o, enum load_op op)
{
	_close_ int fd = sock_connect(&o->target[0]);

	if (prime_talk(fd, op) == 0)
		return 0;
	fprintf(stderr, "weft-bench-load: first connection: %s\n", strerror(errno));
	return -1;
}

static void crew_sum(const struct crew *c, uint64_t *ret_done, uint64_t *ret_errors)
{
	*ret_done = *ret_errors = 0;
	for (unsigned int i = 0; i < c->n; i++) {
		*ret_done += atomic_load(&c->workers[i].done);
		*ret_errors += atomic_load(&c->workers[i].errors);
	}
}

static void crew_measure(struct crew *c, const struct load_opts *o)
{
	uint64_t done, errors;

	sleep_s(o->warmup);
	crew_sum(c, &done, &errors);
	c->begin = cpu_now(o);
	atomic_store(&c->phase, PHASE_MEASURE);
	sleep_s(o->seconds);
	crew_sum(c, &c->done, &c->errors);
	c->end = cpu_now(o);
	atomic_store(&c->phase, PHASE_END);
	c->done -= done;
	c->errors -= errors;
}

int crew_run(struct crew *c, const struct load_opts *o)
{
	unsigned int started = 0;
	int r;

	if (o->streams > LOAD_THREADS_MAX) {
		fprintf(stderr, "weft-bench-load: at most %d streams\n", LOAD_THREADS_MAX);
		return -1;
	}
	c->n = o->streams;
	c->workers = calloc(c->n, sizeof(*c->workers));
	if (!c->workers)
		return -1;
	for (unsigned int i = 0; i < c->n; i++) {
		struct worker *w = &c->workers[i];

		*w = (struct worker){ .crew = c, .o = o, .index = i, .fd = -1 };
	}
	r = crew_prime(o, c->op);
	if (r == 0)
		r = crew_connect(c, o);
	while (r == 0 && started < c->n) {
		struct worker *w = &c->workers[started];

		if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
			r = -1;
		else
			started++;
	}
	if (r == 0)
		crew_measure(c, o);
	atomic_store(&c->phase, PHASE_END);
	for (unsigned int i = 0; i < started; i++) {
		struct worker *w = &c->workers[i];

		/* Ends a send or recv that blocks. */
		if (w->fd >= 0)
			shutdown(w->fd, SHUT_RDWR);
		pthread_join(w->thread, NULL);
		hist_merge(&c->hist, &w->hist);
	}
	return r;
}

void crew_fini(struct crew *c)
{
	for (unsigned int i = 0; c->workers && i < c->n; i++)
		own_close(&c->workers[i].fd);
	own_free(&c->workers);
}
