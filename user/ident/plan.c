// SPDX-License-Identifier: Apache-2.0
/* The arithmetic of ident/store: renewal and backoff. No state, no clock. */
#include "ident/plan.h"

int64_t plan_renewal(int64_t begin_ms, int64_t end_ms, int64_t now_ms, uint64_t rnd)
{
	int64_t life = end_ms > begin_ms ? end_ms - begin_ms : 0;
	int64_t due = begin_ms + life / 2 + (int64_t)(rnd % (uint64_t)(life / 10 + 1));
	int64_t pause;

	if (due > now_ms)
		return due < now_ms + PLAN_RENEW_MIN_MS ? now_ms + PLAN_RENEW_MIN_MS : due;
	pause = (end_ms - now_ms) / 2;
	return now_ms + (pause > PLAN_RECHECK_MS ? pause : PLAN_RECHECK_MS);
}

int64_t plan_backoff(unsigned failures, int64_t left_ms, uint64_t rnd)
{
	int64_t pause = PLAN_BACKOFF_MIN_MS;

	for (unsigned i = 1; i < failures && pause < PLAN_BACKOFF_MAX_MS; i++)
		pause *= 2;
	if (pause > PLAN_BACKOFF_MAX_MS)
		pause = PLAN_BACKOFF_MAX_MS;
	if (left_ms > 0 && left_ms < pause)
		pause = left_ms;
	if (pause < PLAN_BACKOFF_MIN_MS)
		pause = PLAN_BACKOFF_MIN_MS;
	return pause * 4 / 5 + (int64_t)(rnd % (uint64_t)(pause * 2 / 5 + 1));
}
