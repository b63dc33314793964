// SPDX-License-Identifier: Apache-2.0
/* The table of postings: what is found is in the order that was promised, whatever the order in
 * which it came and went; versions that share parts do not see each other's changes. */
#include "model/postings.h"
#include "unit/model_make.h"

#define RULES 40
#define HASH 0x1234567890abcdefull
#define NEXT (HASH + 1) /* the same box */

/* 0 to n - 1, each once, in an order that depends on step. */
static size_t shuffled(size_t i, size_t step, size_t n)
{
	return (i * step + step / 2) % n;
}

static struct policy *named(const char *name)
{
	struct policy *p = make_policy("keys", name, SCOPE_GLOBAL);

	free(p->key);
	p->key = str_dup(str_of(name));
	return p;
}

static void assert_rules(const struct postings *t, uint64_t hash, struct policy *const *p,
			 size_t n_p, uint32_t first, uint32_t n)
{
	const struct posting *at;

	assert_int_equal(postings_find(t, hash, &at), n_p * n);
	for (size_t i = 0; i < n_p; i++)
		for (uint32_t k = 0; k < n; k++) {
			assert_ptr_equal(at[i * n + k].p, p[i]);
			assert_int_equal(at[i * n + k].rule, first + k);
			assert_int_equal(at[i * n + k].hash, hash);
		}
}

static void rules_are_in_order_however_they_come_and_go(void **state)
{
	struct policy *p[2] = { named("a"), named("b") };
	struct posting list[2 * RULES], gone[RULES];
	struct postings t = { 0 }, old;
	size_t bytes;

	(void)state;
	for (size_t step = 3; step < RULES; step += 4) {
		if (step % 5 == 0)
			continue; /* not prime to the number of rules */
		for (size_t i = 0; i < 2 * RULES; i++) {
			size_t k = shuffled(i, step, 2 * RULES);

			list[i] = (struct posting){ HASH, p[k / RULES], (uint32_t)(k % RULES), false };
		}
		assert_int_equal(postings_build(&t, list, 2 * RULES), 0);
		assert_rules(&t, HASH, p, 2, 0, RULES);
		bytes = postings_bytes(&t);

		/* The lower half of each goes, in another order. */
		for (size_t i = 0; i < RULES; i++) {
			size_t k = shuffled(i, step + 4, RULES);

			gone[i] = (struct posting){ HASH, p[k / (RULES / 2)],
						    (uint32_t)(k % (RULES / 2)), false };
		}
		if ((step + 4) % 5 == 0)
			for (size_t i = 0; i < RULES; i++)
				gone[i].p = p[i / (RULES / 2)],
				gone[i].rule = (uint32_t)(i % (RULES / 2));
		postings_share(&old, &t);
		assert_int_equal(postings_change(&t, gone, RULES, NULL, 0), 0);
		assert_rules(&t, HASH, p, 2, RULES / 2, RULES / 2);
		assert_rules(&old, HASH, p, 2, 0, RULES);
		assert_int_equal(bytes - postings_bytes(&t), RULES * sizeof(struct posting));
		postings_drop(&t);
		postings_drop(&old);
	}
	policy_put(&p[0]);
	policy_put(&p[1]);
}

/* In one box, so that one change of it does both. */
static void neighbours_by_hash_stay_apart(void **state)
{
	struct policy *p[1] = { named("a") };
	struct posting list[] = { { NEXT, p[0], 1, false }, { HASH, p[0], 0, false } };
	struct posting gone[] = { { HASH, p[0], 0, false } }, add[] = { { NEXT, p[0], 0, false } };
	const struct posting *at;
	struct postings t = { 0 };
	size_t empty = postings_bytes(&t);

	(void)state;
	assert_int_equal(postings_build(&t, list, 2), 0);
	assert_rules(&t, HASH, p, 1, 0, 1);
	assert_rules(&t, NEXT, p, 1, 1, 1);
	assert_int_equal(postings_change(&t, gone, 1, add, 1), 0);
	assert_int_equal(postings_find(&t, HASH, &at), 0);
	assert_rules(&t, NEXT, p, 1, 0, 2);
	assert_true(postings_bytes(&t) >= empty + 2 * sizeof(struct posting));
	postings_drop(&t);
	assert_int_equal(postings_bytes(&t), empty);
	policy_put(&p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_in_order_however_they_come_and_go),
		cmocka_unit_test(neighbours_by_hash_stay_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
