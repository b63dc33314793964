// SPDX-License-Identifier: Apache-2.0
/* When certificates are renewed and when failures are tried again, at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ident/plan.h"

#define HOUR_MS (3600 * 1000ll)

static void renewal_is_between_half_life_and_six_tenths(void **state)
{
	(void)state;
	assert_int_equal(plan_renewal(0, 24 * HOUR_MS, 0, 0), 12 * HOUR_MS);
	for (uint64_t rnd = 0; rnd < 100; rnd++) {
		int64_t at = plan_renewal(0, 24 * HOUR_MS, 0, rnd * 0x9e3779b97f4a7c15ull);

		assert_in_range(at, 12 * HOUR_MS, 24 * HOUR_MS * 6 / 10);
	}
}

static void what_is_past_half_life_is_looked_at_after_half_the_rest(void **state)
{
	(void)state;
	assert_int_equal(plan_renewal(0, 24 * HOUR_MS, 20 * HOUR_MS, 0), 22 * HOUR_MS);
	assert_int_equal(plan_renewal(0, 10000, 9999, 0), 9999 + PLAN_RECHECK_MS);
	assert_int_equal(plan_renewal(0, 10000, 20000, 0), 20000 + PLAN_RECHECK_MS);
}

static void shorter_and_shorter_lives_never_spin(void **state)
{
	(void)state;
	assert_int_equal(plan_renewal(1000, 1010, 1000, 0), 1000 + PLAN_RENEW_MIN_MS);
	assert_int_equal(plan_renewal(1000, 900, 1000, 7), 1000 + PLAN_RECHECK_MS);
}

static void backoff_doubles_from_1_to_150_seconds(void **state)
{
	static const int64_t want[] = { 1, 2, 4, 8, 16, 32, 64, 128, 150, 150 };

	(void)state;
	for (unsigned n = 1; n <= 10; n++)
		for (uint64_t rnd = 0; rnd < 200; rnd++)
			assert_in_range(plan_backoff(n, 0, rnd * 0x9e3779b97f4a7c15ull),
					want[n - 1] * 800, want[n - 1] * 1200);
	assert_in_range(plan_backoff(4000000000u, 0, 1), 120000, 180000);
}

static void a_retry_does_not_wait_past_the_end_of_the_old_certificate(void **state)
{
	(void)state;
	assert_in_range(plan_backoff(9, 10000, UINT64_MAX), 8000, 12000);
	assert_in_range(plan_backoff(9, 1, UINT64_MAX), 800, 1200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renewal_is_between_half_life_and_six_tenths),
		cmocka_unit_test(what_is_past_half_life_is_looked_at_after_half_the_rest),
		cmocka_unit_test(shorter_and_shorter_lives_never_spin),
		cmocka_unit_test(backoff_doubles_from_1_to_150_seconds),
		cmocka_unit_test(a_retry_does_not_wait_past_the_end_of_the_old_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
