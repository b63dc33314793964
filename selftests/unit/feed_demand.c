// SPDX-License-Identifier: Apache-2.0
/* Names that are asked for, with a control plane that is this file. One loop is all threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "feed/demand.h"
#include "io/loop.h"

struct world {
	struct loop *loop;
	struct demand *d;
	char sent[512]; /* "+name -name " */
	bool held, connected;
	int results[8];
	size_t n_results;
	char outside[128];
	struct task stop;
};

static int on_send(void *arg, const char *const *name, size_t n, bool subscribe)
{
	struct world *w = arg;

	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(w->sent);

		snprintf(w->sent + at, sizeof(w->sent) - at, "%c%s ", subscribe ? '+' : '-', name[i]);
	}
	return 0;
}

static bool is_held(void *arg, struct str name)
{
	(void)name;
	return ((struct world *)arg)->held;
}

static bool is_connected(void *arg)
{
	return ((struct world *)arg)->connected;
}

static const struct demand_ops ops = { on_send, is_held, is_connected };

static void on_outside(void *arg, const struct weft_addr *a, bool on)
{
	struct world *w = arg;
	char ip[IP_TEXT_MAX];

	snprintf(w->outside, sizeof(w->outside), "%s%s", on ? "+" : "-", ip_format(ip, a));
}

static void no_name(void *arg, const char *name)
{
	struct world *w = arg;

	on_send(w, &name, 1, true);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_new(&w->loop, "test"), 0);
	assert_int_equal(demand_new(w->loop, &w->d), 0);
	demand_attach(w->d, &ops, w);
	demand_on_outside(w->d, on_outside, w);
	demand_stream_begin(w->d, no_name, w);
	w->connected = true;
	*state = w;
	return 0;
}

static void on_stop(void *arg)
{
	loop_stop_any(arg);
}

/* What was posted so far, and what that posts, runs. */
static void turn(struct world *w)
{
	for (int i = 0; i < 3; i++) {
		loop_post_any(w->loop, on_stop, w->loop);
		loop_run(w->loop);
	}
}

static int teardown(void **state)
{
	struct world *w = *state;

	w->n_results = 0;
	demand_detach(w->d);
	turn(w);
	demand_free(&w->d);
	loop_free(&w->loop);
	free(w);
	return 0;
}

static void on_answer(void *arg, int r)
{
	struct world *w = arg;

	assert_true(w->n_results < 8);
	w->results[w->n_results++] = r;
}

static struct demand_ask *ask(struct world *w, const char *name, bool hurry)
{
	struct weft_addr a;
	const char *ip = strchr(name, '/');
	struct demand_question q = { .name = name, .hurry = hurry };
	struct demand_ask *ret = NULL;

	if (ip && ip_parse(str_of(ip + 1), &a) == 0)
		q.addr = &a;
	assert_int_equal(demand_ask_any(w->d, w->loop, &q, on_answer, w, &ret), 0);
	turn(w);
	return ret;
}

static void heard(struct world *w, const char *name, int r)
{
	demand_heard(w->d, name, r);
	demand_settle(w->d, 0);
	turn(w);
}

static void several_who_wait_share_one_request_and_one_answer(void **state)
{
	struct world *w = *state;
	struct demand_stats s;

	ask(w, "n/10.0.0.1", false);
	ask(w, "n/10.0.0.1", false);
	assert_string_equal(w->sent, "+n/10.0.0.1 ");
	assert_true(demand_waits(w->d, STR("n/10.0.0.1")));
	demand_heard(w->d, "n/10.0.0.1", 0);
	turn(w);
	assert_int_equal(w->n_results, 0); /* told, but not yet in force */
	demand_settle(w->d, 0);
	turn(w);
	assert_int_equal(w->n_results, 2);
	assert_int_equal(w->results[0] | w->results[1], 0);
	demand_stats(w->d, &s);
	assert_int_equal(s.asked, 1);
	assert_int_equal(s.found, 2);
	assert_int_equal(s.waiting, 0);
	assert_string_equal(w->outside, "");
}

static void what_is_nobodys_is_told_to_the_kernel_and_not_asked_for_again(void **state)
{
	struct world *w = *state;

	ask(w, "n/10.0.0.1", false);
	heard(w, "n/10.0.0.1", -ENOENT);
	assert_int_equal(w->results[0], -ENOENT);
	assert_string_equal(w->outside, "+10.0.0.1");
	ask(w, "n/10.0.0.1", false);
	assert_int_equal(w->n_results, 2);
	assert_int_equal(w->results[1], -ENOENT);
	assert_string_equal(w->sent, "+n/10.0.0.1 ");
	demand_detach(w->d);
	assert_string_equal(w->outside, "-10.0.0.1");
}

/* It was found, and is asked for nevertheless: it has gone, and somebody else may have the address. */
static void an_address_that_was_found_is_asked_for_anew(void **state)
{
	struct world *w = *state;

	ask(w, "n/10.0.0.1", false);
	heard(w, "n/10.0.0.1", 0);
	ask(w, "n/10.0.0.1", false);
	assert_int_equal(w->n_results, 1);
	assert_string_equal(w->sent, "+n/10.0.0.1 -n/10.0.0.1 +n/10.0.0.1 ");
	heard(w, "n/10.0.0.1", -ENOENT);
	assert_int_equal(w->results[1], -ENOENT);
}

static void what_is_held_is_given_back_before_it_is_asked_for_again(void **state)
{
	struct world *w = *state;

	w->held = true;
	ask(w, "shop/web", false);
	assert_string_equal(w->sent, "-shop/web +shop/web ");
	heard(w, "shop/web", 0);
	assert_int_equal(w->results[0], 0);
	ask(w, "shop/web", false);
	assert_string_equal(w->sent, "-shop/web +shop/web ");
	assert_int_equal(w->results[1], 0);
}

static void of_several_answers_the_gravest_counts(void **state)
{
	struct world *w = *state;

	ask(w, "n/10.0.0.1", false);
	ask(w, "n/10.0.0.2", false);
	demand_heard(w->d, "n/10.0.0.1", 0);
	demand_heard(w->d, "n/10.0.0.1", -EBADMSG);
	demand_heard(w->d, "n/10.0.0.1", -ENOENT);
	demand_heard(w->d, "n/10.0.0.2", -ENOENT);
	heard(w, "n/10.0.0.2", 0);
	assert_int_equal(w->results[0], -EBADMSG);
	assert_int_equal(w->results[1], 0);
}

static void what_cannot_be_applied_is_no_answer_to_go_by(void **state)
{
	struct world *w = *state;

	ask(w, "n/10.0.0.1", false);
	demand_heard(w->d, "n/10.0.0.1", -ENOENT);
	demand_settle(w->d, -EIO);
	turn(w);
	assert_int_equal(w->results[0], -EIO);
	assert_string_equal(w->outside, "");
}

static void who_is_in_a_hurry_does_not_wait_for_a_stream_others_do(void **state)
{
	struct world *w = *state;

	ask(w, "n/10.0.0.1", true);
	ask(w, "n/10.0.0.1", false);
	w->connected = false;
	demand_stream_end(w->d);
	turn(w);
	assert_int_equal(w->n_results, 1);
	assert_int_equal(w->results[0], -ENOTCONN);
	ask(w, "n/10.0.0.2", true);
	assert_int_equal(w->results[1], -ENOTCONN);
	/* The next stream begins with what is waited for. */
	w->sent[0] = '\0';
	demand_stream_begin(w->d, no_name, w);
	turn(w);
	assert_string_equal(w->sent, "+n/10.0.0.1 ");
	heard(w, "n/10.0.0.1", 0);
	assert_int_equal(w->results[2], 0);
}

static void who_has_cancelled_is_not_called(void **state)
{
	struct world *w = *state;
	struct demand_ask *a = ask(w, "n/10.0.0.1", false);

	demand_cancel(&a);
	assert_null(a);
	heard(w, "n/10.0.0.1", 0);
	assert_int_equal(w->n_results, 0);
}

static void the_end_of_the_client_ends_all_waiting(void **state)
{
	struct world *w = *state;

	ask(w, "n/10.0.0.1", false);
	demand_detach(w->d);
	turn(w);
	assert_int_equal(w->results[0], -ECANCELED);
	ask(w, "n/10.0.0.1", false);
	assert_int_equal(w->results[1], -ECANCELED);
	demand_attach(w->d, &ops, w);
}

static void a_table_that_is_full_says_so(void **state)
{
	struct world *w = *state;
	char name[32];

	for (int i = 0; i < DEMAND_NAMES_MAX; i++) {
		struct demand_question q = { .name = name };
		struct demand_ask *a;

		snprintf(name, sizeof(name), "ns/%d", i);
		assert_int_equal(demand_ask_any(w->d, w->loop, &q, on_answer, w, &a), 0);
		demand_cancel(&a);
	}
	ask(w, "ns/more", false);
	assert_int_equal(w->n_results, 1);
	assert_int_equal(w->results[0], -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(several_who_wait_share_one_request_and_one_answer),
		T(what_is_nobodys_is_told_to_the_kernel_and_not_asked_for_again),
		T(an_address_that_was_found_is_asked_for_anew),
		T(what_is_held_is_given_back_before_it_is_asked_for_again),
		T(of_several_answers_the_gravest_counts),
		T(what_cannot_be_applied_is_no_answer_to_go_by),
		T(who_is_in_a_hurry_does_not_wait_for_a_stream_others_do),
		T(who_has_cancelled_is_not_called),
		T(the_end_of_the_client_ends_all_waiting),
		T(a_table_that_is_full_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
