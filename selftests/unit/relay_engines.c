// SPDX-License-Identifier: Apache-2.0
/*
 * The relay engines between real sockets: splice on two socket pairs, the pump on a socket
 * pair and a chan made of memory. Applications are threads with blocking sockets, so every
 * interleaving of short reads and full buffers happens by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "io/tcp.h"
#include "relay/pump.h"
#include "relay/splice.h"

/* A connected pair of TCP sockets on loopback: [0] for the application, [1] for the relay. */
static void tcp_pair(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
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

static uint8_t byte_at(size_t i, unsigned seed)
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

static void *app_write(void *arg)
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

static void *app_read(void *arg)
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

static void app_start(struct app *a)
{
	assert_int_equal(pthread_create(&a->writer, NULL, app_write, a), 0);
	assert_int_equal(pthread_create(&a->reader, NULL, app_read, a), 0);
}

static void app_join(struct app *a)
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

static void on_done(void *arg, enum weft_reason why)
{
	struct end *e = arg;

	e->why[e->n++] = why;
	if (--e->left == 0)
		loop_stop_any(e->loop);
}

static void splice_of(size_t a_bytes, size_t b_bytes)
{
	_Atomic uint64_t ab = 0, ba = 0;
	int a[2], b[2];
	struct end e = { .left = 1 };
	struct splice_relay s = { 0 };
	struct app left = { .send = a_bytes, .want = b_bytes, .seed = 1, .other = 2 };
	struct app right = { .send = b_bytes, .want = a_bytes, .seed = 2, .other = 1 };
	const struct splice_opts o = { .count_a_to_b = &ab, .count_b_to_a = &ba,
				       .on_done = on_done, .arg = &e };

	tcp_pair(a);
	tcp_pair(b);
	assert_int_equal(loop_new(&e.loop, "test"), 0);
	assert_int_equal(splice_start(&s, e.loop, a[1], b[1], &o), 0);
	left.fd = a[0];
	right.fd = b[0];
	app_start(&left);
	app_start(&right);
	loop_run(e.loop);
	close(a[1]);
	close(b[1]);
	app_join(&left);
	app_join(&right);
	assert_true(left.ok && right.ok);
	assert_int_equal(e.why[0], WEFT_REASON_OK);
	assert_int_equal(ab, a_bytes);
	assert_int_equal(ba, b_bytes);
	close(a[0]);
	close(b[0]);
	loop_free(&e.loop);
}

static void splice_carries_every_byte_both_ways_and_counts_them(void **state)
{
	(void)state;
	splice_of(30000000, 20000000);
}

static void splice_carries_nothing_but_the_end_when_nobody_sends(void **state)
{
	(void)state;
	splice_of(0, 0);
	splice_of(1, 0);
	splice_of(0, 16384);
	splice_of(16385, 65537);
}

static void splice_tells_a_reset_from_an_end(void **state)
{
	int a[2], b[2];
	struct end e = { .left = 1 };
	struct splice_relay s = { 0 };
	const struct splice_opts o = { .on_done = on_done, .arg = &e };

	(void)state;
	tcp_pair(a);
	tcp_pair(b);
	assert_int_equal(loop_new(&e.loop, "test"), 0);
	assert_int_equal(splice_start(&s, e.loop, a[1], b[1], &o), 0);
	tcp_reset_on_close(a[0]);
	close(a[0]);
	loop_run(e.loop);
	assert_int_equal(e.why[0], WEFT_REASON_RESET);
	close(a[1]);
	close(b[0]);
	close(b[1]);
	loop_free(&e.loop);
}

/* A relay that stays open, looked at from its own loop until a condition holds. */
struct look {
	struct splice_relay s;
	struct end e;
	struct timer timer;
	_Atomic uint64_t ab, ba;
	int a[2], b[2];
	bool (*until)(struct look *l);
	size_t sent;
	unsigned still;
};

static void on_look(void *arg)
{
	struct look *l = arg;

	if (l->until(l))
		loop_stop_any(l->e.loop);
	else
		timer_set(l->e.loop, &l->timer, NS_PER_MS, on_look, l);
}

static void look_until(struct look *l, bool (*until)(struct look *l))
{
	l->until = until;
	timer_set(l->e.loop, &l->timer, NS_PER_MS, on_look, l);
	loop_run(l->e.loop);
}

static void look_begin(struct look *l)
{
	const struct splice_opts o = { .count_a_to_b = &l->ab, .count_b_to_a = &l->ba,
				       .on_done = on_done, .arg = &l->e };

	tcp_pair(l->a);
	tcp_pair(l->b);
	l->e.left = 1;
	assert_int_equal(loop_new(&l->e.loop, "test"), 0);
	assert_int_equal(splice_start(&l->s, l->e.loop, l->a[1], l->b[1], &o), 0);
}

static void look_end(struct look *l)
{
	close(l->a[0]);
	close(l->b[0]);
	loop_run(l->e.loop);
	assert_int_equal(l->e.n, 1);
	close(l->a[1]);
	close(l->b[1]);
	loop_free(&l->e.loop);
}

static bool small_was_counted(struct look *l)
{
	return l->ab == 1000 && l->ba == 16384;
}

static void splice_counts_while_it_runs_and_copies_small_amounts(void **state)
{
	static char bytes[16384];
	struct look l = { 0 };

	(void)state;
	look_begin(&l);
	assert_int_equal(send(l.a[0], bytes, 1000, 0), 1000);
	assert_int_equal(send(l.b[0], bytes, 16384, 0), 16384);
	look_until(&l, small_was_counted);
	/* No pipe was made for them. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(l.s.way[i].pipe[0], -1);
	assert_int_equal(recv(l.b[0], bytes, sizeof(bytes), 0), 1000);
	look_end(&l);
}

static bool nothing_moves(struct look *l)
{
	static const char junk[16384];
	size_t before = l->sent;
	ssize_t n;

	while ((n = send(l->a[0], junk, sizeof(junk), MSG_DONTWAIT)) > 0)
		l->sent += (size_t)n;
	l->still = l->sent == before ? l->still + 1 : 0;
	return l->still == 20;
}

static void splice_reads_no_more_than_a_pipe_for_who_does_not_read(void **state)
{
	struct look l = { 0 };

	(void)state;
	look_begin(&l);
	look_until(&l, nothing_moves);
	assert_in_range(l.s.way[0].in_pipe, 1, 1 << 18);
	assert_true(l.ab < l.sent);
	look_end(&l);
}

/* ---- pump: two of them, back to back over a pair of memory chans ---- */

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
	if (m->reset) {
		to->gone = true;
		to->chan.events->on_reset(to->chan.arg, WEFT_REASON_RESET);
		return;
	}
	if (m->n) {
		size_t half = m->n / 2;
		struct iovec iov[2] = { { m->buf, half }, { m->buf + half, m->n - half } };
		size_t n = m->n;

		m->n = 0;
		to->unconsumed += n;
		to->chan.events->on_data(to->chan.arg, iov, 2);
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
		cmocka_unit_test(splice_carries_every_byte_both_ways_and_counts_them),
		cmocka_unit_test(splice_carries_nothing_but_the_end_when_nobody_sends),
		cmocka_unit_test(splice_counts_while_it_runs_and_copies_small_amounts),
		cmocka_unit_test(splice_reads_no_more_than_a_pipe_for_who_does_not_read),
		cmocka_unit_test(splice_tells_a_reset_from_an_end),
		cmocka_unit_test(pump_carries_every_byte_both_ways_through_a_small_window),
		cmocka_unit_test(pump_takes_over_a_watch_whose_edges_were_seen_by_another),
		cmocka_unit_test(pump_resets_the_other_side_when_the_application_resets),
		cmocka_unit_test(pump_keeps_bytes_that_come_before_there_is_a_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
