// SPDX-License-Identifier: Apache-2.0
/* Unit tests of io/wheel with a clock of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rand.h"
#include "io/wheel.h"

#define START_NS 5000000123ull

static int wheel_setup(void **state)
{
	struct wheel *w = malloc(sizeof(*w));

	if (!w)
		return -1;
	wheel_init(w, START_NS);
	*state = w;
	return 0;
}

static int wheel_teardown(void **state)
{
	free(*state);
	return 0;
}

static void add_at(struct wheel *w, struct timer *t, uint64_t at_ns)
{
	*t = (struct timer){ .at_ns = at_ns };
	wheel_add(w, t);
}

/* Sleeps as the loop does, from one wheel_next_ns() to the next, until t expires. */
static uint64_t run_until(struct wheel *w, const struct timer *t)
{
	struct list due;

	list_init(&due);
	for (int i = 0; i < 1000; i++) {
		uint64_t now = wheel_next_ns(w);

		assert_true(now != UINT64_MAX);
		wheel_expire(w, now, &due);
		while (!list_empty(&due)) {
			struct list *node = due.next;

			list_del(node);
			if (node == &t->node)
				return now;
		}
	}
	fail_msg("the timer never expired");
	return 0;
}

static void a_timer_expires_within_one_tick_and_never_early(void **state)
{
	static const uint64_t delay_ns[] = {
		0,
		1,
		WHEEL_TICK_NS - 1,
		WHEEL_TICK_NS,
		255 * WHEEL_TICK_NS,
		256 * WHEEL_TICK_NS,
		257 * WHEEL_TICK_NS,
		65535 * WHEEL_TICK_NS,
		65536 * WHEEL_TICK_NS,
		65537 * WHEEL_TICK_NS,
		3600 * NS_PER_S,
		46 * 3600 * NS_PER_S,
		200 * 3600 * NS_PER_S,
		24 * 365 * 3600 * NS_PER_S,
	};
	struct wheel *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(delay_ns); i++) {
		uint64_t at_ns = START_NS + delay_ns[i], now;
		struct timer t;

		wheel_init(w, START_NS);
		add_at(w, &t, at_ns);
		now = run_until(w, &t);
		assert_true(now >= at_ns);
		assert_true(now < at_ns + WHEEL_TICK_NS);
	}
}

static void timers_of_all_distances_expire_in_order_of_their_ticks(void **state)
{
	enum { N = 20000 };
	struct wheel *w = *state;
	struct timer *t = calloc(N, sizeof(*t));
	uint64_t now = START_NS, last_tick = 0;
	struct list due;
	size_t n = 0;

	list_init(&due);
	for (size_t i = 0; i < N; i++)
		add_at(w, &t[i], START_NS + (rand_fast() >> (16 + rand_fast() % 24)));
	while (wheel_next_ns(w) != UINT64_MAX) {
		/* Sometimes late, as after a long turn. */
		now = wheel_next_ns(w) + (rand_fast() % 4 ? 0 : rand_fast() % NS_PER_S);
		wheel_expire(w, now, &due);
		while (!list_empty(&due)) {
			struct timer *x = list_first(&due, struct timer, node);
			uint64_t tick = (x->at_ns - START_NS + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS;

			list_del(&x->node);
			assert_true(tick >= last_tick);
			assert_true(now >= x->at_ns);
			last_tick = tick;
			n++;
		}
	}
	assert_int_equal(n, N);
	free(t);
}

static void timers_added_while_time_goes_on_are_neither_early_nor_late(void **state)
{
	enum { N = 256, ROUNDS = 20000 };
	struct wheel *w = *state;
	struct timer t[N];
	uint64_t now = START_NS;
	struct list due;

	list_init(&due);
	for (size_t i = 0; i < N; i++)
		add_at(w, &t[i], now + rand_fast() % (100 * NS_PER_S));
	for (size_t round = 0; round < ROUNDS; round++) {
		now += rand_fast() % (30 * WHEEL_TICK_NS);
		wheel_expire(w, now, &due);
		while (!list_empty(&due)) {
			struct timer *x = list_first(&due, struct timer, node);

			list_del(&x->node);
			assert_true(x->at_ns <= now);
			add_at(w, x, now + (rand_fast() >> (20 + rand_fast() % 24)));
		}
		for (size_t i = 0; i < N; i++)
			assert_true(t[i].at_ns + WHEEL_TICK_NS > now);
	}
}

static void a_cancelled_timer_does_not_expire_and_leaves_nothing_to_wait_for(void **state)
{
	struct wheel *w = *state;
	struct timer near, far;

	add_at(w, &near, START_NS + 3 * WHEEL_TICK_NS);
	add_at(w, &far, START_NS + 3000 * WHEEL_TICK_NS);
	list_del(&near.node);
	list_del(&far.node);
	assert_true(wheel_next_ns(w) == UINT64_MAX);
}

static void a_timer_in_the_past_expires_with_the_next_tick(void **state)
{
	struct wheel *w = *state;
	struct timer t;
	struct list due;

	list_init(&due);
	wheel_expire(w, START_NS + 1000 * WHEEL_TICK_NS, &due);
	add_at(w, &t, START_NS);
	assert_int_equal(wheel_next_ns(w), START_NS + 1001 * WHEEL_TICK_NS);
	wheel_expire(w, START_NS + 1001 * WHEEL_TICK_NS, &due);
	assert_ptr_equal(due.next, &t.node);
}

static void popping_empties_all_levels(void **state)
{
	struct wheel *w = *state;
	struct timer t[3];

	add_at(w, &t[0], START_NS);
	add_at(w, &t[1], START_NS + 10 * NS_PER_S);
	add_at(w, &t[2], UINT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		assert_ptr_equal(wheel_pop(w), &t[i]);
	assert_null(wheel_pop(w));
}

#define WHEEL_TEST(fn) cmocka_unit_test_setup_teardown(fn, wheel_setup, wheel_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WHEEL_TEST(a_timer_expires_within_one_tick_and_never_early),
		WHEEL_TEST(timers_of_all_distances_expire_in_order_of_their_ticks),
		WHEEL_TEST(timers_added_while_time_goes_on_are_neither_early_nor_late),
		WHEEL_TEST(a_cancelled_timer_does_not_expire_and_leaves_nothing_to_wait_for),
		WHEEL_TEST(a_timer_in_the_past_expires_with_the_next_tick),
		WHEEL_TEST(popping_empties_all_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
