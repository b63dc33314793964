// SPDX-License-Identifier: Apache-2.0
/* The relay engine for two plain sockets, on two socket pairs. */
#include "relay_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "io/tcp.h"
#include "relay/splice.h"

static void splice_of(size_t a_bytes, size_t b_bytes)
{
	_Atomic uint64_t ab = 0, ba = 0;
	int a[2], b[2];
	struct end e = { .left = 1 };
	struct splice_relay s = { 0 };
	struct app left = { .send = a_bytes, .want = b_bytes, .seed = 1, .other = 2 };
	struct app right = { .send = b_bytes, .want = a_bytes, .seed = 2, .other = 1 };
	const struct splice_opts o = {
		.count_a_to_b = &ab, .count_b_to_a = &ba, .on_done = on_done, .arg = &e
	};

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
	const struct splice_opts o = {
		.count_a_to_b = &l->ab, .count_b_to_a = &l->ba, .on_done = on_done, .arg = &l->e
	};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(splice_carries_every_byte_both_ways_and_counts_them),
		cmocka_unit_test(splice_carries_nothing_but_the_end_when_nobody_sends),
		cmocka_unit_test(splice_counts_while_it_runs_and_copies_small_amounts),
		cmocka_unit_test(splice_reads_no_more_than_a_pipe_for_who_does_not_read),
		cmocka_unit_test(splice_tells_a_reset_from_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
