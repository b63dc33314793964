// SPDX-License-Identifier: Apache-2.0
/*
 * DNS over TCP (RFC 7766): messages with their length in front. What is ours is answered in between;
 * all else goes over one connection to the nameserver that the pod had dialled, made with the first
 * message that needs it, and its messages come back as they are, however many there are for one
 * query (a zone transfer). Buffers have limits: who does not read is not read from.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "dns/priv.h"
#include "io/tcp.h"

#define FRAME_MAX (2u + DNS_MSG_MAX)
#define OUT_ENOUGH (64u * 1024) /* more is not added to what waits to be written */
#define PENDING_MAX 32 /* queries of one connection whose time is taken */

struct buf {
	uint8_t *p;
	size_t n, cap;
};

struct pending {
	uint16_t id;
	uint64_t begin_ns;
	struct dns_series *series; /* NULL: free */
};

struct stream {
	struct list node;
	struct dns_pod *p;
	int fd, up; /* to the client; to the nameserver, -1 none */
	struct watch watch, up_watch;
	struct timer idle;
	struct task again;
	struct weft_ep server;
	bool has_server, up_connected, up_sent, up_shut, client_ended, closing;
	/* in, up_in: up to one message that is not complete; out, up_out: not written yet */
	struct buf in, out, up_in, up_out;
	struct pending pending[PENDING_MAX];
};

static void stream_run(struct stream *s);

static int buf_reserve(struct buf *b, size_t more)
{
	size_t need = b->n + more, cap = b->cap ? b->cap : 2048;
	uint8_t *p;

	if (need <= b->cap)
		return 0;
	while (cap < need)
		cap *= 2;
	p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

static void buf_take(struct buf *b, size_t n)
{
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

static int buf_frame(struct buf *b, const void *msg, size_t n)
{
	if (buf_reserve(b, 2 + n) < 0)
		return -ENOMEM;
	b->p[b->n] = (uint8_t)(n >> 8);
	b->p[b->n + 1] = (uint8_t)n;
	memcpy(b->p + b->n + 2, msg, n);
	b->n += 2 + n;
	return 0;
}

/* The first message of b, if it is complete; with its length in front it is n + 2 bytes. */
static bool buf_message(const struct buf *b, struct str *ret)
{
	size_t n;

	if (b->n < 2)
		return false;
	n = (size_t)(b->p[0] << 8 | b->p[1]);
	*ret = (struct str){ (const char *)b->p + 2, n };
	return b->n >= 2 + n;
}

/* Bytes read, 0 at the end, or -errno. */
static ssize_t buf_read(struct buf *b, int fd)
{
	ssize_t n;

	if (buf_reserve(b, b->n < 2 ? 2048 : FRAME_MAX - b->n) < 0)
		return -ENOMEM;
	n = recv(fd, b->p + b->n, b->cap - b->n, 0);
	if (n < 0)
		return -errno;
	b->n += (size_t)n;
	return n;
}

static int buf_write(struct buf *b, int fd)
{
	ssize_t n;

	if (!b->n)
		return 0;
	n = send(fd, b->p, b->n, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	buf_take(b, (size_t)n);
	return 0;
}

static void pending_add(struct stream *s, struct str msg, struct dns_series *series)
{
	atomic_fetch_add_explicit(&series->upstream, 1, memory_order_relaxed);
	for (int i = 0; i < PENDING_MAX; i++) {
		struct pending *p = &s->pending[i];

		if (p->series)
			continue;
		memcpy(&p->id, msg.p, sizeof(p->id));
		p->begin_ns = clock_mono_ns();
		p->series = series;
		return;
	}
}

static void pending_done(struct stream *s, struct str msg)
{
	for (int i = 0; msg.n >= DNS_HEADER && i < PENDING_MAX; i++) {
		struct pending *p = &s->pending[i];

		if (!p->series || memcmp(&p->id, msg.p, sizeof(p->id)) != 0)
			continue;
		dnscount_time_any(p->series, clock_mono_ns() - p->begin_ns);
		p->series = NULL;
		return;
	}
}

static bool pending_fail(struct stream *s)
{
	bool any = false;

	for (int i = 0; i < PENDING_MAX; i++) {
		if (!s->pending[i].series)
			continue;
		atomic_fetch_add_explicit(&s->pending[i].series->failures, 1, memory_order_relaxed);
		s->pending[i].series = NULL;
		any = true;
	}
	return any;
}

static void stream_free(struct stream *s)
{
	struct buf *bufs[] = { &s->in, &s->out, &s->up_in, &s->up_out };

	pending_fail(s);
	watch_del(&s->watch);
	watch_del(&s->up_watch);
	timer_cancel(&s->idle);
	task_cancel(&s->again);
	own_close(&s->fd);
	own_close(&s->up);
	list_del(&s->node);
	s->p->n_streams--;
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		free(bufs[i]->p);
	free(s);
}

/* The nameserver's connection ended or never was. Nothing is asked a second time: what it had not
 * been sent yet is refused, and if something it had been sent is without an answer, the client is told
 * by the end of its own connection. */
static void up_end(struct stream *s)
{
	struct str msg;

	watch_del(&s->up_watch);
	own_close(&s->up);
	while (!s->up_sent && buf_message(&s->up_out, &msg)) {
		uint8_t refusal[DNS_UDP_MIN];
		size_t n = dnsmsg_refuse(refusal, sizeof(refusal), msg, DNS_SERVFAIL);

		if (n && buf_frame(&s->out, refusal, n) < 0)
			s->closing = true;
		buf_take(&s->up_out, 2 + msg.n);
	}
	s->closing |= pending_fail(s) && s->up_sent;
	s->up_out.n = s->up_in.n = 0;
	s->up_connected = s->up_sent = s->up_shut = false;
}

static void on_client(void *arg, uint32_t events)
{
	/* It was reset: nobody reads what is still to come. */
	if (events & (EPOLLERR | EPOLLHUP))
		stream_free(arg);
	else
		stream_run(arg);
}

static void on_up(void *arg, uint32_t events)
{
	struct stream *s = arg;

	if (!s->up_connected && events & (EPOLLERR | EPOLLHUP))
		up_end(s);
	else
		s->up_connected = true;
	stream_run(s);
}

static int mark(int fd, void *arg)
{
	const struct dns_pod *p = ((struct stream *)arg)->p;

	return p->w->sh->mark(p->w->sh->arg, fd, true, p->o.rules);
}

static void up_open(struct stream *s)
{
	const struct tcp_connect_opts o = {
		.netns_fd = s->p->o.netns_fd, .to = s->server, .prepare = mark, .prepare_arg = s
	};

	s->up = tcp_connect(&o);
	if (s->up < 0 || watch_add(s->p->w->loop, &s->up_watch, s->up, EPOLLOUT, on_up, s) < 0)
		up_end(s);
}

/* A message of the client. -errno: the connection cannot go on. */
static int on_message(struct stream *s, struct str msg)
{
	struct dns_worker *w = s->p->w;
	struct dns_series *series;
	size_t n = dns_serve(s->p, msg, true, w->out, sizeof(w->out), &series);
	int r;

	if (n)
		return buf_frame(&s->out, w->out, n);
	if (msg.n < DNS_HEADER)
		return -EBADMSG;
	if (!s->has_server)
		return -ENOENT;
	r = buf_frame(&s->up_out, msg.p, msg.n);
	if (r < 0)
		return r;
	pending_add(s, msg, series);
	if (s->up < 0)
		up_open(s);
	return 0;
}

static bool wants_client(const struct stream *s)
{
	return !s->client_ended && !s->closing && s->out.n < OUT_ENOUGH && s->up_out.n < OUT_ENOUGH;
}

static int read_client(struct stream *s)
{
	struct str msg;
	ssize_t n;
	int r = 0;

	while (r == 0 && wants_client(s) && buf_message(&s->in, &msg)) {
		r = on_message(s, msg);
		buf_take(&s->in, 2 + msg.n);
	}
	if (r < 0 || !wants_client(s))
		return r;
	n = buf_read(&s->in, s->fd);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n == 0)
		s->client_ended = true;
	return n < 0 ? (int)n : n > 0;
}

static int read_up(struct stream *s)
{
	struct str msg;
	ssize_t n;

	if (s->up < 0 || !s->up_connected)
		return 0;
	while (s->out.n < OUT_ENOUGH && buf_message(&s->up_in, &msg)) {
		if (buf_frame(&s->out, msg.p, msg.n) < 0)
			return -ENOMEM;
		pending_done(s, msg);
		buf_take(&s->up_in, 2 + msg.n);
	}
	if (s->out.n >= OUT_ENOUGH)
		return 0;
	n = buf_read(&s->up_in, s->up);
	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n > 0)
		return 1;
	up_end(s);
	return n == -ENOMEM ? -ENOMEM : 0;
}

static void write_up(struct stream *s)
{
	size_t before = s->up_out.n;

	if (s->up < 0 || !s->up_connected)
		return;
	if (buf_write(&s->up_out, s->up) < 0) {
		s->up_sent = true;
		up_end(s);
		return;
	}
	s->up_sent |= s->up_out.n < before;
	if (s->client_ended && !s->up_out.n && !s->up_shut) {
		shutdown(s->up, SHUT_WR);
		s->up_shut = true;
	}
}

/* One round over both sides. > 0: again; -errno: it is over. */
static int stream_turn(struct stream *s)
{
	struct str msg;
	int c = read_client(s), u;

	if (c < 0)
		return c;
	write_up(s);
	u = read_up(s);
	if (u < 0)
		return u;
	if (buf_write(&s->out, s->fd) < 0)
		return -EPIPE;
	if (!s->out.n && (s->closing || (s->client_ended && s->up < 0)))
		return -EPIPE;
	/* What waited for room may have it now. */
	return c > 0 || u > 0 || (wants_client(s) && buf_message(&s->in, &msg)) ||
	       (s->out.n < OUT_ENOUGH && buf_message(&s->up_in, &msg));
}

static void on_idle(void *arg)
{
	stream_free(arg);
}

static void on_again(void *arg)
{
	stream_run(arg);
}

/* Not watched when nothing is wanted: its end would be told again and again. */
static int watch_want(struct stream *s, struct watch *w, int fd, uint32_t events, watch_fn fn)
{
	if (fd < 0 || !events) {
		watch_del(w);
		return 0;
	}
	return w->loop ? watch_set(w, events) : watch_add(s->p->w->loop, w, fd, events, fn, s);
}

static int watch_both(struct stream *s)
{
	uint32_t client = (wants_client(s) ? EPOLLIN : 0u) | (s->out.n ? EPOLLOUT : 0u), up;
	int r;

	if (!s->up_connected)
		up = EPOLLOUT;
	else
		up = (s->out.n < OUT_ENOUGH ? EPOLLIN : 0u) | (s->up_out.n ? EPOLLOUT : 0u);
	r = watch_set(&s->watch, client);
	return r < 0 ? r : watch_want(s, &s->up_watch, s->up, up, on_up);
}

static void stream_run(struct stream *s)
{
	struct loop *loop = s->p->w->loop;
	int r = 1;

	for (int i = 0; i < 16 && r > 0; i++)
		r = stream_turn(s);
	/* Others have their turn; what was read already wakes nobody. */
	if (r > 0)
		task_defer(loop, &s->again, on_again, s);
	if (r >= 0)
		r = watch_both(s);
	if (r < 0) {
		stream_free(s);
		return;
	}
	list_del(&s->node);
	list_add_tail(&s->p->streams, &s->node);
	timer_set(loop, &s->idle, DNS_STREAM_IDLE_S * NS_PER_S, on_idle, s);
}

void dns_stream_new(struct dns_pod *p, int fd)
{
	_close_ int own = fd;
	struct weft_ep local;
	struct stream *s;

	/* As with datagrams: only what is dialled inside of the pod. */
	if (tcp_local(fd, &local) < 0 || !dns_pod_is_asked(p, &local.addr))
		return;
	if (p->n_streams >= DNS_STREAMS_MAX)
		stream_free(list_first(&p->streams, struct stream, node));
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	s->p = p;
	s->fd = s->up = -1;
	s->has_server = dns_pod_stream_server(p, &local.addr, fd, &s->server) == 0;
	list_add_tail(&p->streams, &s->node);
	p->n_streams++;
	if (watch_add(p->w->loop, &s->watch, fd, EPOLLIN, on_client, s) < 0) {
		stream_free(s);
		return;
	}
	s->fd = TAKE_FD(own);
	timer_set(p->w->loop, &s->idle, DNS_STREAM_IDLE_S * NS_PER_S, on_idle, s);
}

void dns_streams_drop(struct dns_pod *p)
{
	while (!list_empty(&p->streams))
		stream_free(list_first(&p->streams, struct stream, node));
}
