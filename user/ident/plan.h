/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * When to renew and when to try again: pure arithmetic, so that it can be tested with any
 * clock. Times are milliseconds; rnd is a uniform 64-bit number.
 */
#include <stdint.h>

#define PLAN_BACKOFF_MIN_MS 1000
#define PLAN_BACKOFF_MAX_MS 150000
#define PLAN_RENEW_MIN_MS 500 /* certificates that end with their issuer get shorter and shorter */
#define PLAN_RECHECK_MS 5000 /* how long a jump of the wall clock may stay unnoticed */

/* Wall time of the renewal of a certificate whose life counts from begin to end: half of it
 * plus up to a tenth. What is due already although it was just read (files nobody replaced)
 * is looked at again after half the rest, but not within PLAN_RECHECK_MS. */
int64_t plan_renewal(int64_t begin_ms, int64_t end_ms, int64_t now_ms, uint64_t rnd);
/* Pause after the n-th failure in a row (n >= 1): 1 s doubling up to 150 s, +-20 %; at most
 * until the certificate in use ends (left_ms; <= 0: there is none), but never below 1 s. */
int64_t plan_backoff(unsigned failures, int64_t left_ms, uint64_t rnd);
