// SPDX-License-Identifier: Apache-2.0
/* The relay engine between a socket and a chan: a socket pair, and a chan made of memory. */
#include "relay_pair.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/own.h"
#include "io/tcp.h"
#include "relay/pump.h"

#define MEM_ROOM 40000

/* What is committed on one side appears as data on the other, a turn later and in pieces. */
struct mem_chan {
	struct chan chan;
	struct mem_chan *peer;
	struct loop *loop;
	struct task deliver;
	uint8_t buf[MEM_ROOM];
	size_t n, unconsumed;
	bool shut, told, blocked, gone, reset;
};

static struct mem_chan *mem_of(struct chan *c)
{
	return container_of(c, struct mem_chan, chan);
}

static void mem_deliver(void *arg)
{
	struct mem_chan *m = arg, *to = m->peer;

	if (to->gone)
		return;
	if (m->n) {
		size_t half = m->n / 2;
		struct iovec iov[2] = { { m->buf, half }, { m->buf + half, m->n - half } };
		size_t n = m->n;

		m->n = 0;
		to->unconsumed += n;
		to->chan.events->on_data(to->chan.arg, iov, 2);
	}
	/* Behind the bytes, as in a tunnel. */
	if (m->reset && !to->gone) {
		to->gone = true;
		to->chan.events->on_reset(to->chan.arg, WEFT_REASON_RESET);
		return;
	}
	if (m->shut && !m->told) {
		m->told = true;
		to->chan.events->on_eof(to->chan.arg);
	}
}

static int mem_reserve(struct chan *c, struct iovec *iov, int max)
{
	struct mem_chan *m = mem_of(c);

	(void)max;
	/* The window: what the other side has not passed on yet. */
	if (m->n == sizeof(m->buf) || m->peer->unconsumed > 200000) {
		m->blocked = true;
		return 0;
	}
	iov[0] = (struct iovec){ m->buf + m->n, sizeof(m->buf) - m->n };
	return 1;
}

static void mem_commit(struct chan *c, size_t n)
{
	struct mem_chan *m = mem_of(c);

	m->n += n;
	if (n)
		task_defer(m->loop, &m->deliver, mem_deliver, m);
}

static void mem_shut(struct chan *c)
{
	struct mem_chan *m = mem_of(c);

	m->shut = true;
	task_defer(m->loop, &m->deliver, mem_deliver, m);
}

static void mem_consumed(struct chan *c, size_t n)
{
	struct mem_chan *m = mem_of(c), *from = m->peer;

	assert_true(m->unconsumed >= n);
	m->unconsumed -= n;
	if (from->blocked && !from->gone) {
		from->blocked = false;
		from->chan.events->on_writable(from->chan.arg);
	}
}

static void mem_reset(struct chan *c)
{
	struct mem_chan *m = mem_of(c);

	m->gone = m->reset = true;
	task_defer(m->loop, &m->deliver, mem_deliver, m);
}

static void mem_close(struct chan *c)
{
	mem_of(c)->gone = true;
}

static const struct chan_ops mem_ops = { mem_reserve, mem_commit, mem_shut,
					 mem_consumed, mem_reset, mem_close };

struct two_pumps {
	struct end e;
	struct mem_chan *m[2];
	struct pump p[2];
	int a[2], b[2];
	_Atomic uint64_t from[2], to[2];
};

static void pumps_make(struct two_pumps *t)
{
	tcp_pair(t->a);
	tcp_pair(t->b);
	t->e.left = 2;
	assert_int_equal(loop_new(&t->e.loop, "test"), 0);
	for (int i = 0; i < 2; i++) {
		t->m[i] = calloc(1, sizeof(*t->m[i]));
		t->m[i]->chan.ops = &mem_ops;
		t->m[i]->loop = t->e.loop;
	}
	t->m[0]->peer = t->m[1];
	t->m[1]->peer = t->m[0];
	for (int i = 0; i < 2; i++) {
		const struct pump_opts o = { .count_from_fd = &t->from[i], .count_to_fd = &t->to[i],
					     .on_done = on_done, .arg = &t->e };

		pump_init(&t->p[i], t->e.loop, &t->m[i]->chan, &o);
	}
}

static void pumps_start(struct two_pumps *t)
{
	pumps_make(t);
	assert_int_equal(pump_start(&t->p[0], t->a[1]), 0);
	assert_int_equal(pump_start(&t->p[1], t->b[1]), 0);
}

static void pumps_end(struct two_pumps *t)
{
	for (int i = 0; i < 2; i++) {
		own_close(&t->a[i]);
		own_close(&t->b[i]);
		task_cancel(&t->m[i]->deliver);
		free(t->m[i]);
	}
	loop_free(&t->e.loop);
}

static void pump_carries_every_byte_both_ways_through_a_small_window(void **state)
{
	const size_t there = 25000000, back = 15000000;
	struct app left = { .send = there, .want = back, .seed = 1, .other = 2 };
	struct app right = { .send = back, .want = there, .seed = 2, .other = 1 };
	struct two_pumps t = { 0 };

	(void)state;
	pumps_start(&t);
	left.fd = t.a[0];
	right.fd = t.b[0];
	app_start(&left);
	app_start(&right);
	loop_run(t.e.loop);
	own_close(&t.a[1]);
	own_close(&t.b[1]);
	app_join(&left);
	app_join(&right);
	assert_true(left.ok && right.ok);
	assert_int_equal(t.e.why[0], WEFT_REASON_OK);
	assert_int_equal(t.e.why[1], WEFT_REASON_OK);
	assert_int_equal(t.from[0], there);
	assert_int_equal(t.to[1], there);
	assert_int_equal(t.from[1], back);
	pumps_end(&t);
}

/* As conn/ watches a socket while it connects: it sees the edges first. */
static void on_swallow(void *arg, uint32_t events)
{
	struct two_pumps *t = arg;

	if (events & EPOLLRDHUP)
		assert_int_equal(pump_start(&t->p[0], t->a[1]), 0);
}

static void pump_takes_over_a_watch_whose_edges_were_seen_by_another(void **state)
{
	const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	struct two_pumps t = { 0 };
	char got[16];

	(void)state;
	pumps_make(&t);
	assert_int_equal(pump_start(&t.p[1], t.b[1]), 0);
	assert_int_equal(send(t.a[0], "hello", 5, 0), 5);
	shutdown(t.a[0], SHUT_WR);
	shutdown(t.b[0], SHUT_WR);
	assert_int_equal(watch_add(t.e.loop, &t.p[0].watch, t.a[1], events, on_swallow, &t), 0);
	loop_run(t.e.loop);
	own_close(&t.b[1]);
	assert_int_equal(recv(t.b[0], got, sizeof(got), MSG_WAITALL), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(t.e.why[0], WEFT_REASON_OK);
	pumps_end(&t);
}

static void pump_resets_the_other_side_when_the_application_resets(void **state)
{
	struct two_pumps t = { 0 };

	(void)state;
	pumps_start(&t);
	tcp_reset_on_close(t.a[0]);
	own_close(&t.a[0]);
	loop_run(t.e.loop);
	assert_int_equal(t.e.why[0], WEFT_REASON_RESET);
	assert_int_equal(t.e.why[1], WEFT_REASON_RESET);
	pumps_end(&t);
}

#define LAST_WORDS 3000000

/* Sends all of it and is reset, before the relay has looked: it is in the relay's socket. */
static void say_last_words(int app, int relay)
{
	const int big = 2 * LAST_WORDS;
	static uint8_t bytes[LAST_WORDS];
	int there = 0;

	setsockopt(app, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	setsockopt(relay, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = byte_at(i, 7);
	for (size_t at = 0; at < sizeof(bytes);) {
		ssize_t n = send(app, bytes + at, sizeof(bytes) - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	for (int i = 0, before = -1; there != before || !there; i++) {
		before = there;
		poll(NULL, 0, 10);
		ioctl(relay, FIONREAD, &there);
	}
	tcp_reset_on_close(app);
	close(app);
}

struct listener {
	int fd;
	size_t got;
	bool same;
	pthread_t thread;
};

static void *listen_to_the_end(void *arg)
{
	struct listener *l = arg;
	uint8_t buf[70000];
	ssize_t n;

	l->same = true;
	while ((n = recv(l->fd, buf, sizeof(buf), 0)) > 0)
		for (ssize_t i = 0; i < n; i++)
			l->same &= buf[i] == byte_at(l->got++, 7);
	return NULL;
}

static void pump_delivers_what_was_said_before_a_reset_whatever_the_room(void **state)
{
	const int big = 2 * LAST_WORDS;
	struct two_pumps t = { 0 };
	struct listener l = { 0 };
	int there = 0;

	(void)state;
	pumps_make(&t);
	setsockopt(t.b[1], SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	say_last_words(t.a[0], t.a[1]);
	t.a[0] = -1;
	ioctl(t.a[1], FIONREAD, &there);
	assert_true(there > 4 * MEM_ROOM); /* more than there is room for at once */
	l.fd = t.b[0];
	assert_int_equal(pthread_create(&l.thread, NULL, listen_to_the_end, &l), 0);
	assert_int_equal(pump_start(&t.p[0], t.a[1]), 0);
	assert_int_equal(pump_start(&t.p[1], t.b[1]), 0);
	loop_run(t.e.loop);
	shutdown(t.b[1], SHUT_WR);
	pthread_join(l.thread, NULL);
	assert_true(l.same);
	assert_int_equal(l.got, there);
	assert_int_equal(t.from[0], there);
	assert_int_equal(t.e.why[0], WEFT_REASON_RESET);
	assert_int_equal(t.e.why[1], WEFT_REASON_RESET);
	pumps_end(&t);
}

static void pump_waits_for_room_for_last_words_but_not_for_ever(void **state)
{
	struct two_pumps t = { 0 };

	(void)state;
	pumps_make(&t);
	say_last_words(t.a[0], t.a[1]);
	t.a[0] = -1;
	/* The other side has no socket yet, and never will: the window stays closed. */
	t.p[0].o.last_words_ns = 50 * NS_PER_MS;
	assert_int_equal(pump_start(&t.p[0], t.a[1]), 0);
	loop_run(t.e.loop);
	assert_int_equal(t.e.why[0], WEFT_REASON_RESET);
	assert_true(t.from[0] > 0);
	pumps_end(&t);
}

static void pump_keeps_bytes_that_come_before_there_is_a_socket(void **state)
{
	uint8_t early[3000], got[3000];
	struct mem_chan *m = calloc(2, sizeof(*m));
	struct end e = { .left = 1 };
	const struct pump_opts o = { .on_done = on_done, .arg = &e };
	struct iovec iov = { early, sizeof(early) };
	struct pump p;
	int fd[2];

	(void)state;
	memset(early, 0x5a, sizeof(early));
	assert_int_equal(loop_new(&e.loop, "test"), 0);
	m[0] = (struct mem_chan){ .chan.ops = &mem_ops, .peer = &m[1], .loop = e.loop };
	m[1] = (struct mem_chan){ .chan.ops = &mem_ops, .peer = &m[0], .loop = e.loop, .gone = true };
	m[0].unconsumed = sizeof(early);
	pump_init(&p, e.loop, &m[0].chan, &o);
	p.chan->events->on_data(p.chan->arg, &iov, 1);
	p.chan->events->on_eof(p.chan->arg);
	tcp_pair(fd);
	assert_int_equal(pump_start(&p, fd[1]), 0);
	shutdown(fd[0], SHUT_WR);
	loop_run(e.loop);
	assert_int_equal(e.why[0], WEFT_REASON_OK);
	assert_int_equal(recv(fd[0], got, sizeof(got), MSG_WAITALL), sizeof(got));
	assert_memory_equal(got, early, sizeof(got));
	assert_int_equal(recv(fd[0], got, 1, 0), 0);
	close(fd[0]);
	close(fd[1]);
	task_cancel(&m[0].deliver);
	free(m);
	loop_free(&e.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pump_carries_every_byte_both_ways_through_a_small_window),
		cmocka_unit_test(pump_takes_over_a_watch_whose_edges_were_seen_by_another),
		cmocka_unit_test(pump_resets_the_other_side_when_the_application_resets),
		cmocka_unit_test(pump_delivers_what_was_said_before_a_reset_whatever_the_room),
		cmocka_unit_test(pump_waits_for_room_for_last_words_but_not_for_ever),
		cmocka_unit_test(pump_keeps_bytes_that_come_before_there_is_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
