// SPDX-License-Identifier: Apache-2.0
/* Two plain sockets; see splice.h. Edge-triggered like the pump. */
#include "relay/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"

#define COPY_MAX 16384u	    /* first chunk of a burst: a copy is as fast as two splices */
#define SPLICE_MAX (1u << 18)
#define SPLICE_ROUNDS 8

static void splice_finish(struct splice_relay *s, enum weft_reason why)
{
	if (s->stopped)
		return;
	splice_stop(s);
	s->o.on_done(s->o.arg, why);
}

static void way_count(struct splice_way *w, size_t n)
{
	w->bytes += n;
	if (w->count)
		atomic_fetch_add_explicit(w->count, n, memory_order_relaxed);
}

static void pipe_drop(struct splice_way *w)
{
	own_close(&w->pipe[0]);
	own_close(&w->pipe[1]);
}

static int way_end(struct splice_way *w)
{
	w->eof = true;
	w->readable = false;
	return 0;
}

/* One read and write by copy; > 0 bytes, 0 nothing to do now, -errno. Only while the pipe is
 * empty. What the socket does not take goes into the pipe. */
static ssize_t way_copy(struct splice_way *w)
{
	char buf[COPY_MAX];
	ssize_t n = recv(w->from, buf, sizeof(buf), 0), m = 0;

	if (n == 0)
		return way_end(w);
	if (n < 0) {
		w->readable = errno != EAGAIN && errno != EINTR ? w->readable : errno == EINTR;
		w->rdhup = w->rdhup && errno != EAGAIN;
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	m = send(w->to, buf, (size_t)n, MSG_NOSIGNAL);
	if (m < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (m < 0)
		m = 0;
	way_count(w, (size_t)m);
	if (m == n) {
		if ((size_t)n < sizeof(buf) && !w->rdhup)
			w->readable = false;
		return n;
	}
	w->writable = false;
	if (w->pipe[0] < 0 && pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
		return -errno;
	if (write(w->pipe[1], buf + m, (size_t)(n - m)) != n - m)
		return -EIO; /* an empty pipe takes 64 KiB */
	w->in_pipe = (uint32_t)(n - m);
	return n;
}

static ssize_t way_fill(struct splice_way *w)
{
	ssize_t n;

	if (w->pipe[0] < 0) {
		if (pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
			return -errno;
		/* Best effort: unprivileged limits may keep it at 64 KiB. */
		fcntl(w->pipe[1], F_SETPIPE_SZ, (int)SPLICE_MAX);
	}
	n = splice(w->from, NULL, w->pipe[1], NULL, SPLICE_MAX, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n == 0)
		return way_end(w);
	if (n < 0) {
		if (errno == EAGAIN && w->in_pipe == 0)
			w->readable = false;
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	w->in_pipe += (uint32_t)n;
	return n;
}

static ssize_t way_drain(struct splice_way *w)
{
	ssize_t n = splice(w->pipe[0], NULL, w->to, NULL, w->in_pipe,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n < 0) {
		if (errno == EAGAIN)
			w->writable = false;
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	}
	w->in_pipe -= (uint32_t)n;
	way_count(w, (size_t)n);
	return n;
}

/* Moves one direction until it would block; 1: more to do but enough for now. */
static int way_run(struct splice_way *w)
{
	ssize_t n = 1;

	for (int i = 0; i < SPLICE_ROUNDS; i++) {
		if (w->in_pipe) {
			if (!w->writable)
				return 0;
			n = way_drain(w);
		} else if (w->eof) {
			if (!w->shut)
				shutdown(w->to, SHUT_WR);
			w->shut = true;
			pipe_drop(w);
			return 0;
		} else if (w->readable) {
			n = i == 0 && w->writable ? way_copy(w) : way_fill(w);
		} else {
			/* Idle: the pipe's pages go back. */
			pipe_drop(w);
			return 0;
		}
		if (n < 0)
			return (int)n;
	}
	return 1;
}

/* A side was reset: what came before is still delivered, as far as there is room. */
static void splice_broken(struct splice_relay *s)
{
	for (int i = 0; i < 2; i++) {
		struct splice_way *w = &s->way[i];

		w->readable = !w->eof;
		w->shut = true; /* a reset follows, not an end */
		way_run(w);
	}
	splice_finish(s, WEFT_REASON_RESET);
}

static void splice_turn(void *arg)
{
	struct splice_relay *s = arg;
	bool again = false;

	for (int i = 0; i < 2; i++) {
		int r = way_run(&s->way[i]);

		if (r < 0) {
			splice_broken(s);
			return;
		}
		again |= r == 1;
	}
	if (s->way[0].shut && s->way[1].shut)
		splice_finish(s, WEFT_REASON_OK);
	else if (again)
		task_defer(s->loop, &s->again, splice_turn, s);
}

/* The socket is the source of one way and the target of the other. */
static void on_side(struct splice_relay *s, struct splice_way *from, struct splice_way *to,
		    uint32_t events)
{
	if (events & EPOLLERR) {
		splice_broken(s);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
		from->readable = !from->eof;
	if (events & (EPOLLHUP | EPOLLRDHUP))
		from->rdhup = true;
	if (events & EPOLLOUT)
		to->writable = true;
	splice_turn(s);
}

static void on_a(void *arg, uint32_t events)
{
	struct splice_relay *s = arg;

	on_side(s, &s->way[0], &s->way[1], events);
}

static void on_b(void *arg, uint32_t events)
{
	struct splice_relay *s = arg;

	on_side(s, &s->way[1], &s->way[0], events);
}

static void way_init(struct splice_way *w, int from, int to, _Atomic uint64_t *count)
{
	*w = (struct splice_way){ .from = from, .to = to, .pipe = { -1, -1 }, .readable = true,
				  .writable = true, .count = count };
}

int splice_start(struct splice_relay *s, struct loop *loop, int fd_a, int fd_b,
		 const struct splice_opts *o)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	int r;

	s->loop = loop;
	s->o = *o;
	way_init(&s->way[0], fd_a, fd_b, o->count_a_to_b);
	way_init(&s->way[1], fd_b, fd_a, o->count_b_to_a);
	r = watch_add(loop, &s->watch[0], fd_a, events, on_a, s);
	if (r < 0)
		return r;
	/* Of a watch that was somebody else's, the edge of an end may be gone: a short read does
	 * not mean that the socket is empty, until it has said so. */
	s->way[1].rdhup = s->watch[1].loop != NULL;
	if (s->watch[1].loop)
		watch_retarget(&s->watch[1], on_b, s);
	else
		r = watch_add(loop, &s->watch[1], fd_b, events, on_b, s);
	if (r < 0) {
		watch_del(&s->watch[0]);
		return r;
	}
	task_defer(loop, &s->again, splice_turn, s);
	return 0;
}

void splice_stop(struct splice_relay *s)
{
	if (s->stopped || !s->loop)
		return;
	s->stopped = true;
	watch_del(&s->watch[0]);
	watch_del(&s->watch[1]);
	task_cancel(&s->again);
	pipe_drop(&s->way[0]);
	pipe_drop(&s->way[1]);
}
