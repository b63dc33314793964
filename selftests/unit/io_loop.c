// SPDX-License-Identifier: Apache-2.0
/* Unit tests of io/loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/own.h"
#include "io/loop.h"

/* What a test writes down while its callbacks run. */
struct world {
	struct loop *loop;
	char log[4096];
	size_t n;
	struct watch watch[300];
	int fd[300];
	struct timer timer[4];
	struct task task[4];
	int count, senders;
	bool bad;
};

static int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	return w ? loop_new(&w->loop, "test-loop") : -1;
}

static int world_teardown(void **state)
{
	struct world *w = *state;

	loop_free(&w->loop);
	free(w);
	return 0;
}

static void note(struct world *w, char c)
{
	assert_true(w->n + 1 < sizeof(w->log));
	w->log[w->n++] = c;
}

static void note_a(void *arg)
{
	note(arg, 'a');
}

static void note_b(void *arg)
{
	note(arg, 'b');
}

static void note_c(void *arg)
{
	note(arg, 'c');
}

static void note_and_stop(void *arg)
{
	struct world *w = arg;

	note(w, '.');
	loop_stop_any(w->loop);
}

static int event_ready(void)
{
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

/* ---- timers ---- */

static void timers_fire_in_the_order_of_their_times(void **state)
{
	struct world *w = *state;

	timer_set(w->loop, &w->timer[2], 60 * NS_PER_MS, note_and_stop, w);
	timer_set(w->loop, &w->timer[1], 40 * NS_PER_MS, note_b, w);
	timer_set(w->loop, &w->timer[0], 20 * NS_PER_MS, note_a, w);
	loop_run(w->loop);
	assert_string_equal(w->log, "ab.");
	assert_false(timer_armed(&w->timer[0]));
}

static void cancel_other_timer(void *arg)
{
	struct world *w = arg;

	note(w, 'x');
	timer_cancel(&w->timer[1]);
}

static void a_cancelled_timer_does_not_fire_even_if_it_is_due(void **state)
{
	struct world *w = *state;

	timer_set(w->loop, &w->timer[0], 10 * NS_PER_MS, cancel_other_timer, w);
	timer_set(w->loop, &w->timer[1], 10 * NS_PER_MS, note_b, w);
	timer_set(w->loop, &w->timer[2], 30 * NS_PER_MS, note_and_stop, w);
	loop_run(w->loop);
	assert_string_equal(w->log, "x.");
}

static void setting_an_armed_timer_moves_it(void **state)
{
	struct world *w = *state;

	timer_set(w->loop, &w->timer[0], 10 * NS_PER_MS, note_a, w);
	timer_set(w->loop, &w->timer[1], 20 * NS_PER_MS, note_b, w);
	timer_set(w->loop, &w->timer[0], 40 * NS_PER_MS, note_and_stop, w);
	loop_run(w->loop);
	assert_string_equal(w->log, "b.");
}

static void rearm(void *arg)
{
	struct world *w = arg;

	if (++w->count == 3)
		loop_stop_any(w->loop);
	else
		timer_set(w->loop, &w->timer[0], 0, rearm, w);
}

static void a_timer_that_arms_itself_again_fires_once_a_turn(void **state)
{
	struct world *w = *state;
	struct loop_stats s;

	timer_set(w->loop, &w->timer[0], 0, rearm, w);
	loop_run(w->loop);
	loop_stats_any(w->loop, &s);
	assert_int_equal(w->count, 3);
	assert_int_equal(s.timers, 3);
	assert_true(s.turns >= 3);
}

static void zeroed_timers_tasks_and_watches_may_be_cancelled(void **state)
{
	struct timer t = { 0 };
	struct task k = { 0 };
	struct watch x = { 0 };

	(void)state;
	timer_cancel(&t);
	task_cancel(&k);
	watch_del(&x);
	assert_false(timer_armed(&t));
}

static void freeing_the_loop_cancels_timers_and_tasks(void **state)
{
	struct world *w = *state;

	timer_set(w->loop, &w->timer[0], NS_PER_S, note_a, w);
	timer_set(w->loop, &w->timer[1], UINT64_MAX, note_a, w);
	task_defer(w->loop, &w->task[0], note_a, w);
	assert_int_equal(loop_post_any(w->loop, note_a, w), 0);
	loop_free(&w->loop);
	assert_false(timer_armed(&w->timer[0]));
	assert_false(timer_armed(&w->timer[1]));
	timer_cancel(&w->timer[0]);
	task_cancel(&w->task[0]);
	assert_int_equal(w->n, 0);
}

/* ---- watches ---- */

/* The first callback deletes and closes all others, whose events are in the same batch. */
static void delete_all(void *arg, uint32_t events)
{
	struct world *w = arg;

	assert_int_equal(events, EPOLLIN);
	note(w, 'd');
	for (size_t i = 0; i < ARRAY_LEN(w->fd); i++) {
		watch_del(&w->watch[i]);
		own_close(&w->fd[i]);
		/* As if the owner's memory had been given to something else. */
		memset(&w->watch[i], 0xee, sizeof(w->watch[i]));
	}
	loop_stop_any(w->loop);
}

static void a_watch_deleted_after_its_event_was_fetched_is_silent(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(w->fd); i++) {
		w->fd[i] = event_ready();
		assert_int_equal(watch_add(w->loop, &w->watch[i], w->fd[i], EPOLLIN, delete_all, w),
				 0);
	}
	loop_run(w->loop);
	assert_string_equal(w->log, "d");
}

static void mute_others(void *arg, uint32_t events)
{
	struct world *w = arg;

	(void)events;
	w->count++;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(watch_set(&w->watch[i], 0), 0);
	loop_stop_any(w->loop);
}

static void a_watch_gets_no_event_that_it_no_longer_wants(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 8; i++) {
		w->fd[i] = event_ready();
		assert_int_equal(watch_add(w->loop, &w->watch[i], w->fd[i], EPOLLIN, mute_others, w),
				 0);
	}
	loop_run(w->loop);
	assert_int_equal(w->count, 1);
	for (size_t i = 0; i < 8; i++) {
		watch_del(&w->watch[i]);
		own_close(&w->fd[i]);
	}
}

static void count_and_stop(void *arg, uint32_t events)
{
	struct world *w = arg;

	(void)events;
	w->count++;
	loop_stop_any(w->loop);
}

static void an_exclusive_watch_can_be_paused_and_resumed(void **state)
{
	struct world *w = *state;
	_close_ int fd = event_ready();

	assert_int_equal(
		watch_add(w->loop, &w->watch[0], fd, EPOLLIN | EPOLLEXCLUSIVE, count_and_stop, w), 0);
	loop_run(w->loop);
	assert_int_equal(w->count, 1);

	assert_int_equal(watch_set(&w->watch[0], EPOLLEXCLUSIVE), 0);
	timer_set(w->loop, &w->timer[0], 0, note_and_stop, w);
	loop_run(w->loop);
	assert_int_equal(w->count, 1);

	assert_int_equal(watch_set(&w->watch[0], EPOLLIN | EPOLLEXCLUSIVE), 0);
	loop_run(w->loop);
	assert_int_equal(w->count, 2);

	assert_int_equal(watch_set(&w->watch[0], EPOLLIN), 0);
	loop_run(w->loop);
	assert_int_equal(w->count, 3);
	watch_del(&w->watch[0]);
}

static void a_one_shot_watch_is_armed_again_by_the_same_events(void **state)
{
	struct world *w = *state;
	_close_ int fd = event_ready();

	assert_int_equal(
		watch_add(w->loop, &w->watch[0], fd, EPOLLIN | EPOLLONESHOT, count_and_stop, w), 0);
	loop_run(w->loop);
	assert_int_equal(watch_set(&w->watch[0], EPOLLIN | EPOLLONESHOT), 0);
	loop_run(w->loop);
	assert_int_equal(w->count, 2);
	watch_del(&w->watch[0]);
}

static void a_hangup_is_reported_whatever_was_asked_for(void **state)
{
	struct world *w = *state;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(watch_add(w->loop, &w->watch[0], pair[0], 0, count_and_stop, w), 0);
	close(pair[1]);
	loop_run(w->loop);
	assert_int_equal(w->count, 1);
	watch_del(&w->watch[0]);
	close(pair[0]);
}

static void watching_a_file_that_cannot_be_polled_fails(void **state)
{
	struct world *w = *state;
	_fclose_ FILE *f = tmpfile();

	assert_int_equal(watch_add(w->loop, &w->watch[0], fileno(f), EPOLLIN, count_and_stop, w),
			 -EPERM);
	assert_int_equal(watch_add(w->loop, &w->watch[0], -1, EPOLLIN, count_and_stop, w), -EBADF);
	watch_del(&w->watch[0]);
}

/* ---- tasks ---- */

static void defer_three(void *arg, uint32_t events)
{
	struct world *w = arg;

	(void)events;
	note(w, 'e');
	task_defer(w->loop, &w->task[0], note_a, w);
	task_defer(w->loop, &w->task[1], note_b, w);
	task_defer(w->loop, &w->task[0], note_a, w);
	task_defer(w->loop, &w->task[2], note_c, w);
	task_cancel(&w->task[2]);
	loop_stop_any(w->loop);
}

static void tasks_run_once_after_all_events_of_the_turn(void **state)
{
	struct world *w = *state;
	_close_ int a = event_ready(), b = event_ready();

	assert_int_equal(watch_add(w->loop, &w->watch[0], a, EPOLLIN, defer_three, w), 0);
	assert_int_equal(watch_add(w->loop, &w->watch[1], b, EPOLLIN, defer_three, w), 0);
	loop_run(w->loop);
	assert_string_equal(w->log, "eeab");
	watch_del(&w->watch[0]);
	watch_del(&w->watch[1]);
}

static void defer_again(void *arg)
{
	struct world *w = arg;

	w->count++;
	task_defer(w->loop, &w->task[0], defer_again, w);
}

static void a_task_that_defers_itself_does_not_starve_timers(void **state)
{
	struct world *w = *state;

	task_defer(w->loop, &w->task[0], defer_again, w);
	timer_set(w->loop, &w->timer[0], 10 * NS_PER_MS, note_and_stop, w);
	loop_run(w->loop);
	assert_true(w->count >= 1);
	assert_string_equal(w->log, ".");
	task_cancel(&w->task[0]);
}

/* ---- mailbox ---- */

struct letter {
	struct world *w;
	int number;
};

static void on_letter(void *arg)
{
	struct letter *l = arg;

	l->w->bad |= l->number != l->w->count++;
}

enum { LETTERS = 20000 };

static void *send_letters(void *arg)
{
	struct letter *l = arg;

	for (int i = 0; i < LETTERS; i++)
		if (loop_post_any(l->w->loop, on_letter, &l[i]) != 0)
			break;
	loop_stop_any(l->w->loop);
	return NULL;
}

static void posts_of_another_thread_arrive_in_order_and_before_its_stop(void **state)
{
	struct world *w = *state;
	_free_ struct letter *l = calloc(LETTERS, sizeof(*l));
	struct loop_stats s;
	pthread_t thread;

	for (int i = 0; i < LETTERS; i++)
		l[i] = (struct letter){ w, i };
	assert_int_equal(pthread_create(&thread, NULL, send_letters, l), 0);
	loop_run(w->loop);
	pthread_join(thread, NULL);
	assert_int_equal(w->count, LETTERS);
	assert_false(w->bad);
	loop_stats_any(w->loop, &s);
	assert_int_equal(s.posts, LETTERS);
}

static void messages_posted_before_the_loop_runs_wait_for_it(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_post_any(w->loop, note_a, w), 0);
	assert_int_equal(loop_post_any(w->loop, note_b, w), 0);
	assert_int_equal(w->n, 0);
	assert_int_equal(loop_post_any(w->loop, note_and_stop, w), 0);
	loop_run(w->loop);
	assert_string_equal(w->log, "ab.");
}

static void post_again(void *arg)
{
	struct world *w = arg;

	note(w, 'p');
	assert_int_equal(loop_post_any(w->loop, note_and_stop, w), 0);
}

static void a_message_posted_by_a_message_is_a_message_of_its_own(void **state)
{
	struct world *w = *state;

	assert_int_equal(loop_post_any(w->loop, post_again, w), 0);
	loop_run(w->loop);
	assert_string_equal(w->log, "p.");
}

static void a_stop_before_the_run_ends_one_run(void **state)
{
	struct world *w = *state;

	loop_stop_any(w->loop);
	loop_run(w->loop);
	timer_set(w->loop, &w->timer[0], 0, note_and_stop, w);
	loop_run(w->loop);
	assert_string_equal(w->log, ".");
}

static void a_name_of_more_than_fifteen_characters_is_refused(void **state)
{
	struct loop *loop = NULL;
	struct world *w = *state;

	assert_int_equal(loop_new(&loop, "sixteen-letters!"), -ENAMETOOLONG);
	assert_null(loop);
	assert_string_equal(loop_name(w->loop), "test-loop");
}

static void reading_the_stats_starts_the_lag_anew(void **state)
{
	struct world *w = *state;
	struct loop_stats s;

	timer_set(w->loop, &w->timer[0], 0, note_and_stop, w);
	loop_run(w->loop);
	loop_stats_any(w->loop, &s);
	assert_true(s.max_lag_ns > 0);
	assert_true(s.busy_ns >= s.max_lag_ns);
	loop_stats_any(w->loop, &s);
	assert_int_equal(s.max_lag_ns, 0);
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(timers_fire_in_the_order_of_their_times),
		LOOP_TEST(a_cancelled_timer_does_not_fire_even_if_it_is_due),
		LOOP_TEST(setting_an_armed_timer_moves_it),
		LOOP_TEST(a_timer_that_arms_itself_again_fires_once_a_turn),
		LOOP_TEST(zeroed_timers_tasks_and_watches_may_be_cancelled),
		LOOP_TEST(freeing_the_loop_cancels_timers_and_tasks),
		LOOP_TEST(a_watch_deleted_after_its_event_was_fetched_is_silent),
		LOOP_TEST(a_watch_gets_no_event_that_it_no_longer_wants),
		LOOP_TEST(an_exclusive_watch_can_be_paused_and_resumed),
		LOOP_TEST(a_one_shot_watch_is_armed_again_by_the_same_events),
		LOOP_TEST(a_hangup_is_reported_whatever_was_asked_for),
		LOOP_TEST(watching_a_file_that_cannot_be_polled_fails),
		LOOP_TEST(tasks_run_once_after_all_events_of_the_turn),
		LOOP_TEST(a_task_that_defers_itself_does_not_starve_timers),
		LOOP_TEST(posts_of_another_thread_arrive_in_order_and_before_its_stop),
		LOOP_TEST(messages_posted_before_the_loop_runs_wait_for_it),
		LOOP_TEST(a_message_posted_by_a_message_is_a_message_of_its_own),
		LOOP_TEST(a_stop_before_the_run_ends_one_run),
		LOOP_TEST(a_name_of_more_than_fifteen_characters_is_refused),
		LOOP_TEST(reading_the_stats_starts_the_lag_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
