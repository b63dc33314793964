// SPDX-License-Identifier: Apache-2.0
/* Shared texts: one copy while anybody has it, from any thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "feed/intern.h"

static void the_same_text_is_the_same_pointer_until_the_last_one_lets_go(void **state)
{
	struct intern *t = NULL;
	char *a, *b;

	(void)state;
	assert_int_equal(intern_new(&t), 0);
	a = intern_get(t, STR("shop"));
	b = intern_get(t, STR("shop"));
	assert_ptr_equal(a, b);
	assert_string_equal(a, "shop");
	intern_put(a);
	assert_int_equal(intern_count(t), 1);
	intern_put(b);
	assert_int_equal(intern_count(t), 0);
	assert_null(intern_get(t, STR("")));
	intern_put(NULL);
	intern_put((char *)"");
	intern_free(&t);
}

static void texts_outlive_the_owner_of_the_table(void **state)
{
	struct intern *t = NULL;
	char *a;

	(void)state;
	assert_int_equal(intern_new(&t), 0);
	a = intern_get(t, STR("shop"));
	intern_free(&t);
	assert_null(t);
	assert_string_equal(a, "shop");
	intern_put(a); /* and the table goes; the sanitizer would tell */
}

struct made {
	char *key;
	int times;
};

static void make_it(void *room, char *key, void *arg)
{
	struct made *m = room;

	m->key = key;
	m->times = ++*(int *)arg;
}

static void what_is_made_of_a_key_is_made_once_while_anybody_has_it(void **state)
{
	const struct str key = { "\1\0x", 3 }, longer = { "\1\0xy", 4 };
	struct intern *t = NULL;
	struct made *a, *b;
	int times = 0;

	(void)state;
	assert_int_equal(intern_new(&t), 0);
	a = intern_get_with(t, key, sizeof(*a), make_it, &times);
	assert_ptr_equal(intern_get_with(t, key, sizeof(*a), make_it, &times), a);
	assert_memory_equal(a->key, key.p, key.n);
	assert_int_equal((uintptr_t)a % _Alignof(max_align_t), 0);
	b = intern_get_with(t, longer, sizeof(*b), make_it, &times);
	assert_int_equal(a->times, 1);
	assert_int_equal(b->times, 2);
	intern_put(a->key);
	assert_int_equal(intern_count(t), 2);
	intern_put(a->key);
	intern_put(b->key);
	assert_int_equal(intern_count(t), 0);
	intern_free(&t);
}

static void *take_and_let_go(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		char *a = intern_get(arg, i & 1 ? STR("one") : STR("two"));

		intern_put(a);
	}
	return NULL;
}

static void threads_may_take_and_let_go_at_the_same_time(void **state)
{
	struct intern *t = NULL;
	pthread_t thread[4];

	(void)state;
	assert_int_equal(intern_new(&t), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_let_go, t), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(intern_count(t), 0);
	intern_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_text_is_the_same_pointer_until_the_last_one_lets_go),
		cmocka_unit_test(texts_outlive_the_owner_of_the_table),
		cmocka_unit_test(what_is_made_of_a_key_is_made_once_while_anybody_has_it),
		cmocka_unit_test(threads_may_take_and_let_go_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
