/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells ThreadSanitizer of an order between threads that it cannot see, because a library that was not
 * built with it keeps it: what comes before race_before(p) of one thread has happened when
 * race_after(p) of another one returns. p: any address that both know. Nothing in other builds.
 */
#include <stdint.h>

/* For grace periods of RCU, of <urcu/urcu-qsbr.h>: the function stands for them. */
#define RACE_GRACE ((void *)(uintptr_t)urcu_qsbr_synchronize_rcu)

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define RACE_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(RACE_TSAN)
void __tsan_acquire(void *p);
void __tsan_release(void *p);
#define race_before(p) __tsan_release(p)
#define race_after(p) __tsan_acquire(p)
#else
#define race_before(p) ((void)(p))
#define race_after(p) ((void)(p))
#endif
