// SPDX-License-Identifier: Apache-2.0
/* Unit tests of io/resolver: what needs no nameserver. Scenario 105 has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/clock.h"
#include "io/loop.h"
#include "io/resolver.h"

struct world {
	struct loop *loop;
	struct resolver *r;
	struct timer late;
	int answers, wanted, bad;
};

static void on_answer(void *arg, int r, const char *text, const struct weft_addr *addrs, size_t n)
{
	struct world *w = arg;

	(void)text;
	w->bad += r != 0 || n == 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		w->bad += !ip_is_loopback(&addrs[i]);
	if (++w->answers == w->wanted)
		loop_stop_any(w->loop);
}

static void on_late(void *arg)
{
	loop_stop_any(((struct world *)arg)->loop);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	return w && loop_new(&w->loop, "resolver") == 0 ? resolver_new(w->loop, &w->r) : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	resolver_free(&w->r);
	timer_cancel(&w->late);
	loop_free(&w->loop);
	free(w);
	return 0;
}

static void a_name_of_the_hosts_file_is_known(void **state)
{
	struct world *w = *state;
	struct resolver_query q[3] = { { .fn = on_answer, .arg = w },
				       { .fn = on_answer, .arg = w },
				       { .fn = on_answer, .arg = w } };

	w->wanted = 2;
	assert_int_equal(resolver_ask(w->r, "localhost", &q[0]), 0);
	assert_int_equal(resolver_ask(w->r, "localhost", &q[1]), 0);
	timer_set(w->loop, &w->late, 20 * NS_PER_S, on_late, w);
	if (w->answers < w->wanted)
		loop_run(w->loop);
	assert_int_equal(w->answers, 2);
	assert_int_equal(w->bad, 0);
	/* Fresh: the answer is there before the call returns. */
	w->wanted = 0;
	assert_int_equal(resolver_ask(w->r, "localhost", &q[2]), 0);
	assert_int_equal(w->answers, 3);
	assert_int_equal(w->bad, 0);
}

static void who_has_cancelled_hears_nothing(void **state)
{
	struct world *w = *state;
	struct resolver_query q = { .fn = on_answer, .arg = w }, open = q, none = { 0 };

	assert_int_equal(resolver_ask(w->r, "nobody.knows.invalid", &q), 0);
	assert_int_equal(resolver_ask(w->r, "another.invalid", &open), 0);
	resolver_cancel(&q);
	resolver_cancel(&q);
	resolver_cancel(&none);
	resolver_free(&w->r); /* with a question that is open */
	assert_int_equal(w->answers, 0);
	assert_null(open.node.next);
}

static void names_are_bounded(void **state)
{
	struct world *w = *state;
	struct resolver_query *q = calloc(RESOLVER_NAMES_MAX + 1, sizeof(*q));
	char name[32];
	int r = 0, n;

	assert_non_null(q);
	for (n = 0; n <= RESOLVER_NAMES_MAX && r == 0; n++) {
		snprintf(name, sizeof(name), "n%d.invalid", n);
		q[n] = (struct resolver_query){ .fn = on_answer, .arg = w };
		r = resolver_ask(w->r, name, &q[n]);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(n, RESOLVER_NAMES_MAX + 1);
	resolver_free(&w->r);
	free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_name_of_the_hosts_file_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_cancelled_hears_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(names_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests_name("io resolver", tests, NULL, NULL);
}
