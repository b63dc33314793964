// SPDX-License-Identifier: Apache-2.0
/*
 * Socket <-> chan. Both sides are edge-triggered: a side is worked until it would block, and
 * remembered as ready when the other side has no room.
 */
#include "relay/pump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/bug.h"

#define PUMP_IOV 32
/* Rounds of up to 256 KiB per event before other connections get their turn. */
#define PUMP_ROUNDS 4

/* Lets go of everything but the chan, which it gives to the caller. */
static struct chan *pump_halt(struct pump *p)
{
	struct chan *c = p->chan;

	p->stopped = true;
	watch_del(&p->watch);
	task_cancel(&p->again);
	timer_cancel(&p->last_words);
	free(p->pending);
	p->pending = NULL;
	p->chan = NULL;
	return c;
}

static void pump_finish(struct pump *p, enum weft_reason why, bool reset_chan)
{
	struct chan *c;

	if (p->stopped)
		return;
	c = pump_halt(p);
	if (c && reset_chan)
		c->ops->reset(c);
	else if (c)
		c->ops->close(c);
	p->o.on_done(p->o.arg, why);
}

/* Both directions have ended and everything was delivered. */
static bool pump_complete(const struct pump *p)
{
	return p->fd_eof && p->chan_eof && p->fd_shut;
}

static void count(_Atomic uint64_t *c, uint64_t n)
{
	if (c)
		atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* ---- socket -> chan ---- */

static ssize_t read_once(struct pump *p, bool *ret_full)
{
	struct iovec iov[PUMP_IOV];
	int n_iov = p->chan->ops->reserve(p->chan, iov, PUMP_IOV);
	size_t room = 0;
	ssize_t n;

	*ret_full = n_iov == 0;
	if (n_iov == 0)
		return 0;
	for (int i = 0; i < n_iov; i++)
		room += iov[i].iov_len;
	do {
		n = readv(p->fd, iov, n_iov);
	} while (n < 0 && errno == EINTR);
	p->chan->ops->commit(p->chan, n > 0 ? (size_t)n : 0);
	if (n > 0) {
		p->from_fd += (uint64_t)n;
		count(p->o.count_from_fd, (uint64_t)n);
		/* A short read means that the socket is empty, unless an end waits behind. */
		if ((size_t)n < room && !p->rdhup)
			p->readable = false;
		return n;
	}
	if (n == 0 && p->broken)
		return -ECONNRESET; /* a write had the error already */
	if (n == 0) {
		p->fd_eof = true;
		p->readable = false;
		p->chan->ops->shut(p->chan);
		return 0;
	}
	if (errno == EAGAIN) {
		p->readable = p->rdhup = false;
		return 0;
	}
	return -errno;
}

static void pump_turn(void *arg);

static void pump_read(struct pump *p)
{
	for (int i = 0; p->readable && !p->fd_eof && !p->stopped; i++) {
		bool full;
		ssize_t n;

		if (i == PUMP_ROUNDS) {
			task_defer(p->loop, &p->again, pump_turn, p);
			return;
		}
		n = read_once(p, &full);
		if (n < 0) {
			pump_finish(p, WEFT_REASON_RESET, true);
			return;
		}
		if (full)
			return; /* on_writable goes on */
	}
}

static void on_last_words(void *arg)
{
	pump_finish(arg, WEFT_REASON_RESET, true);
}

static bool has_last_words(const struct pump *p)
{
	char byte;

	return !p->fd_eof && recv(p->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/*
 * The socket was reset, or takes no more. What it had sent before is still there, acknowledged, and
 * nobody sends it again: it waits for room, but not for ever, for the other side may be one that
 * does not read, and a socket that is gone costs whoever sent it nothing.
 */
static void pump_broken(struct pump *p)
{
	uint64_t wait_ns = p->o.last_words_ns ? p->o.last_words_ns : PUMP_LAST_WORDS_NS;

	if (!p->broken)
		timer_set(p->loop, &p->last_words, wait_ns, on_last_words, p);
	p->broken = true;
	p->readable = true;
	pump_read(p);
	if (!p->stopped && !has_last_words(p))
		pump_finish(p, WEFT_REASON_RESET, true);
}

/* ---- chan -> socket ---- */

static int pend_keep(struct pump *p, const struct iovec *iov, int n_iov, size_t skip)
{
	size_t need = p->pend_n;

	for (int i = 0; i < n_iov; i++)
		need += iov[i].iov_len;
	need -= skip;
	if (p->pend_at) {
		memmove(p->pending, p->pending + p->pend_at, p->pend_n);
		p->pend_at = 0;
	}
	if (need > p->pend_cap) {
		uint8_t *q = realloc(p->pending, need);

		if (!q)
			return -ENOMEM;
		p->pending = q;
		p->pend_cap = (uint32_t)need;
	}
	for (int i = 0; i < n_iov; i++) {
		const uint8_t *b = iov[i].iov_base;
		size_t n = iov[i].iov_len, cut = skip < n ? skip : n;

		skip -= cut;
		memcpy(p->pending + p->pend_n, b + cut, n - cut);
		p->pend_n += (uint32_t)(n - cut);
	}
	return 0;
}

static void wrote(struct pump *p, size_t n)
{
	p->to_fd += n;
	count(p->o.count_to_fd, n);
	if (n && p->chan)
		p->chan->ops->consumed(p->chan, n);
}

static void shut_fd_if_done(struct pump *p)
{
	if (!p->chan_eof || p->pend_n || p->fd_shut || p->fd < 0)
		return;
	/* If the application has ended, too, closing the socket comes next and says the same. */
	if (!p->fd_eof)
		shutdown(p->fd, SHUT_WR);
	p->fd_shut = true;
}

/* The socket took less than it was given. EPOLLOUT is asked for from the first time on: most
 * connections never need it, and it would wake us once for nothing. */
static void want_write(struct pump *p)
{
	p->writable = false;
	if (!(p->watch.events & EPOLLOUT))
		watch_set(&p->watch, p->watch.events | EPOLLOUT);
}

static int pump_write_pending(struct pump *p)
{
	while (p->pend_n && p->writable) {
		ssize_t n = send(p->fd, p->pending + p->pend_at, p->pend_n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			want_write(p);
			break;
		}
		if (n < 0)
			return -errno;
		p->pend_at += (uint32_t)n;
		p->pend_n -= (uint32_t)n;
		wrote(p, (size_t)n);
	}
	if (!p->pend_n && p->pending) {
		/* An idle connection holds no buffer. */
		free(p->pending);
		p->pending = NULL;
		p->pend_at = p->pend_cap = 0;
	}
	shut_fd_if_done(p);
	return 0;
}

/* Ends the pump on the next turn: not from inside the chan's own callback, which still holds
 * the chan and may be in the middle of its input. */
static void fail_later(struct pump *p, enum weft_reason why)
{
	if (!p->failing)
		p->failing = (uint8_t)why;
	task_defer(p->loop, &p->again, pump_turn, p);
}

static void on_chan_data(void *arg, const struct iovec *iov, int n_iov)
{
	struct pump *p = arg;
	ssize_t n = 0;
	size_t all = 0;

	for (int i = 0; i < n_iov; i++)
		all += iov[i].iov_len;
	if (p->failing || p->broken) {
		/* Nobody is left to take them; other streams may be waiting for their window. */
		p->chan->ops->consumed(p->chan, all);
		return;
	}
	if (p->fd >= 0 && p->writable && !p->pend_n) {
		struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n_iov };

		do {
			n = sendmsg(p->fd, &m, MSG_NOSIGNAL);
		} while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN) {
			fail_later(p, WEFT_REASON_RESET);
			return;
		}
		if (n < 0)
			n = 0;
		if ((size_t)n < all)
			want_write(p);
		wrote(p, (size_t)n);
	}
	if ((size_t)n < all && pend_keep(p, iov, n_iov, (size_t)n) < 0)
		fail_later(p, WEFT_REASON_LIMIT);
}

static void on_chan_eof(void *arg)
{
	struct pump *p = arg;

	p->chan_eof = true;
	shut_fd_if_done(p);
	/* Not from inside the chan's own callback: it may be freed by our end. */
	if (pump_complete(p))
		task_defer(p->loop, &p->again, pump_turn, p);
}

static void on_chan_reset(void *arg, enum weft_reason why)
{
	struct pump *p = arg;

	p->chan = NULL; /* gone already */
	pump_finish(p, why, false);
}

static void on_chan_writable(void *arg)
{
	struct pump *p = arg;

	task_defer(p->loop, &p->again, pump_turn, p);
}

static const struct chan_events pump_chan_events = {
	.on_data = on_chan_data,
	.on_eof = on_chan_eof,
	.on_reset = on_chan_reset,
	.on_writable = on_chan_writable,
};

/* ---- turns ---- */

static void pump_turn(void *arg)
{
	struct pump *p = arg;

	if (p->failing == WEFT_REASON_LIMIT) {
		pump_finish(p, WEFT_REASON_LIMIT, true);
		return;
	}
	if (p->failing || p->broken || pump_write_pending(p) < 0) {
		pump_broken(p);
		return;
	}
	pump_read(p);
	if (!p->stopped && pump_complete(p))
		pump_finish(p, WEFT_REASON_OK, false);
}

static void on_fd(void *arg, uint32_t events)
{
	struct pump *p = arg;

	if (events & EPOLLERR) {
		pump_broken(p);
		return;
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
		p->readable = true;
	if (events & (EPOLLHUP | EPOLLRDHUP))
		p->rdhup = true;
	if (events & EPOLLOUT)
		p->writable = true;
	pump_turn(p);
}

void pump_init(struct pump *p, struct loop *loop, struct chan *chan, const struct pump_opts *o)
{
	*p = (struct pump){ .loop = loop, .chan = chan, .o = *o, .fd = -1 };
	chan_attach(chan, &pump_chan_events, p);
}

int pump_start(struct pump *p, int fd)
{
	int r = 0;

	p->fd = fd;
	/* Of a watch that was somebody else's, the edge of an end may be gone: a short read does
	 * not mean that the socket is empty, until it has said so. */
	p->rdhup = p->watch.loop != NULL;
	if (p->watch.loop)
		watch_retarget(&p->watch, on_fd, p);
	else
		r = watch_add(p->loop, &p->watch, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_fd, p);
	if (r < 0)
		return r;
	p->writable = true;
	p->readable = true;
	/* What is there already goes now. */
	task_defer(p->loop, &p->again, pump_turn, p);
	return 0;
}

void pump_stop(struct pump *p, bool reset)
{
	struct chan *c;

	if (p->stopped)
		return;
	c = pump_halt(p);
	if (c && reset)
		c->ops->reset(c);
}
