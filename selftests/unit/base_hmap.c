// SPDX-License-Identifier: Apache-2.0
/* base/hmap.h: nothing is lost while the map grows, and equal hashes live side by side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hmap.h"

#define N_ITEMS 1000

struct item {
	struct hnode node;
	uint32_t key;
	bool seen;
};

static struct item *item_find(const struct hmap *m, uint32_t key)
{
	struct hnode *node = hmap_first(m, hash_bytes(&key, sizeof(key)));

	for (; node; node = hmap_next_same(node)) {
		struct item *it = container_of(node, struct item, node);

		if (it->key == key)
			return it;
	}
	return NULL;
}

static struct item *items_filled(struct hmap *m)
{
	struct item *items = calloc(N_ITEMS, sizeof(*items));

	assert_non_null(items);
	for (uint32_t i = 0; i < N_ITEMS; i++) {
		items[i].key = i;
		assert_int_equal(hmap_insert(m, &items[i].node, hash_bytes(&i, sizeof(i))), 0);
	}
	return items;
}

static void every_inserted_node_is_found_after_growth(void **state)
{
	_free_ struct item *items = NULL;
	struct hmap m = { 0 };

	(void)state;
	items = items_filled(&m);
	assert_int_equal(m.n, N_ITEMS);
	for (uint32_t i = 0; i < N_ITEMS; i++)
		assert_ptr_equal(item_find(&m, i), &items[i]);
	assert_null(item_find(&m, N_ITEMS));
	hmap_fini(&m);
}

static void an_empty_map_answers_everything(void **state)
{
	struct item it = { .key = 1 };
	struct hmap m = { 0 };

	(void)state;
	assert_null(hmap_first(&m, 1));
	assert_null(hmap_walk(&m, NULL));
	hmap_remove(&m, &it.node);
	hmap_fini(&m);
}

static void a_walk_sees_each_node_once(void **state)
{
	_free_ struct item *items = NULL;
	struct hmap m = { 0 };
	size_t n = 0;

	(void)state;
	items = items_filled(&m);
	hmap_for_each(pos, &m) {
		struct item *it = container_of(pos, struct item, node);

		assert_false(it->seen);
		it->seen = true;
		n++;
	}
	assert_int_equal(n, N_ITEMS);
	hmap_fini(&m);
}

static void nodes_may_be_removed_in_a_safe_walk(void **state)
{
	_free_ struct item *items = NULL;
	struct hmap m = { 0 };

	(void)state;
	items = items_filled(&m);
	hmap_for_each_safe(pos, &m) {
		if (container_of(pos, struct item, node)->key % 2)
			hmap_remove(&m, pos);
	}
	assert_int_equal(m.n, N_ITEMS / 2);
	for (uint32_t i = 0; i < N_ITEMS; i++)
		assert_ptr_equal(item_find(&m, i), i % 2 ? NULL : &items[i]);
	hmap_fini(&m);
}

static void nodes_with_one_hash_are_told_apart(void **state)
{
	struct item it[3] = { { .key = 0 }, { .key = 1 }, { .key = 2 } };
	struct hmap m = { 0 };
	unsigned int seen = 0;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(hmap_insert(&m, &it[i].node, 42), 0);
	hmap_remove(&m, &it[1].node);
	for (struct hnode *p = hmap_first(&m, 42); p; p = hmap_next_same(p))
		seen |= 1u << container_of(p, struct item, node)->key;
	assert_int_equal(seen, 1u << 0 | 1u << 2);
	assert_null(hmap_first(&m, 43));
	hmap_fini(&m);
}

static void removing_a_foreign_node_changes_nothing(void **state)
{
	struct item in = { .key = 1 }, out = { .key = 2 };
	struct hmap m = { 0 };

	(void)state;
	assert_int_equal(hmap_insert(&m, &in.node, 7), 0);
	out.node.hash = 7;
	hmap_remove(&m, &out.node);
	assert_int_equal(m.n, 1);
	assert_ptr_equal(hmap_first(&m, 7), &in.node);
	hmap_fini(&m);
}

static void the_hash_depends_on_every_byte_and_the_length(void **state)
{
	char a[17] = "abcdefghijklmnop";
	uint64_t whole = hash_bytes(a, 16);

	(void)state;
	assert_true(whole == hash_str(STR("abcdefghijklmnop")));
	assert_true(whole != hash_bytes(a, 15));
	for (size_t i = 0; i < 16; i++) {
		a[i] ^= 1;
		assert_true(whole != hash_bytes(a, 16));
		a[i] ^= 1;
	}
	assert_true(hash_bytes("", 0) == hash_bytes("\0", 0));
	assert_true(hash_bytes("", 0) != hash_bytes("\0", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_inserted_node_is_found_after_growth),
		cmocka_unit_test(an_empty_map_answers_everything),
		cmocka_unit_test(a_walk_sees_each_node_once),
		cmocka_unit_test(nodes_may_be_removed_in_a_safe_walk),
		cmocka_unit_test(nodes_with_one_hash_are_told_apart),
		cmocka_unit_test(removing_a_foreign_node_changes_nothing),
		cmocka_unit_test(the_hash_depends_on_every_byte_and_the_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
