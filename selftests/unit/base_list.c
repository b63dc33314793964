// SPDX-License-Identifier: Apache-2.0
/* base/list.h and base/vec.h: the order of elements, and what growth must not overflow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/vec.h"

struct item {
	int n;
	struct list link;
};

static int sum_in_order(const struct list *head)
{
	int sum = 0;

	list_for_each(pos, head)
		sum = sum * 10 + list_entry(pos, struct item, link)->n;
	return sum;
}

static void added_nodes_keep_their_order(void **state)
{
	struct item a = { .n = 1 }, b = { .n = 2 }, c = { .n = 3 };
	struct list head;

	(void)state;
	list_init(&head);
	list_add_tail(&head, &b.link);
	list_add_tail(&head, &c.link);
	list_add(&head, &a.link);
	assert_int_equal(sum_in_order(&head), 123);
	assert_ptr_equal(list_first(&head, struct item, link), &a);
}

static void an_empty_list_has_no_first_node(void **state)
{
	struct list head;

	(void)state;
	list_init(&head);
	assert_true(list_empty(&head));
	assert_null(list_first(&head, struct item, link));
}

static void deleting_twice_is_harmless(void **state)
{
	struct item a = { .n = 1 }, b = { .n = 2 };
	struct list head;

	(void)state;
	list_init(&head);
	list_add_tail(&head, &a.link);
	list_add_tail(&head, &b.link);
	list_del(&a.link);
	list_del(&a.link);
	assert_int_equal(sum_in_order(&head), 2);
	assert_true(list_empty(&a.link));
}

static void the_current_node_may_go_in_a_safe_walk(void **state)
{
	struct item items[4];
	struct list head;
	int seen = 0;

	(void)state;
	list_init(&head);
	for (int i = 0; i < 4; i++) {
		items[i].n = i;
		list_add_tail(&head, &items[i].link);
	}
	list_for_each_safe(pos, &head) {
		list_del(pos);
		seen++;
	}
	assert_int_equal(seen, 4);
	assert_true(list_empty(&head));
}

static void a_vector_keeps_what_was_pushed_while_it_grows(void **state)
{
	VEC(int) v = { 0 };
	int want = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vec_push(&v, i), 0);
	assert_int_equal(v.n, 1000);
	vec_for_each(pos, &v)
		assert_int_equal(*pos, want++);
	assert_int_equal(want, 1000);
	vec_fini(&v);
	assert_null(v.p);
	assert_int_equal(v.n, 0);
}

static void an_empty_vector_can_be_walked(void **state)
{
	VEC(int) v = { 0 };

	(void)state;
	vec_for_each(pos, &v)
		fail_msg("element %d of nothing", *pos);
	vec_fini(&v);
}

static void a_structure_is_pushed_as_a_value(void **state)
{
	VEC(struct item) v = { 0 };

	(void)state;
	assert_int_equal(vec_push(&v, (struct item){ .n = 7 }), 0);
	assert_int_equal(v.p[0].n, 7);
	vec_fini(&v);
}

static void a_size_that_overflows_is_out_of_memory(void **state)
{
	VEC(uint64_t) v = { 0 };

	(void)state;
	assert_int_equal(vec_push(&v, 1), 0);
	assert_int_equal(vec_reserve(&v, SIZE_MAX / 8 - 7), -ENOMEM);
	assert_int_equal(v.n, 1);
	assert_int_equal(v.p[0], 1);
	vec_fini(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(added_nodes_keep_their_order),
		cmocka_unit_test(an_empty_list_has_no_first_node),
		cmocka_unit_test(deleting_twice_is_harmless),
		cmocka_unit_test(the_current_node_may_go_in_a_safe_walk),
		cmocka_unit_test(a_vector_keeps_what_was_pushed_while_it_grows),
		cmocka_unit_test(an_empty_vector_can_be_walked),
		cmocka_unit_test(a_structure_is_pushed_as_a_value),
		cmocka_unit_test(a_size_that_overflows_is_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
