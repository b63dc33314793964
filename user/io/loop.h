/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/loop: the epoll loop of one thread, its timers, deferred calls and mailbox. Everything
 * here is for the loop's own thread, except functions that end in _any.
 *
 * Guarantees: a callback is never called from inside the call that armed it; after
 * watch_del(), timer_cancel() or task_cancel() the callback does not fire any more, even if
 * its event was already fetched. Each turn is a quiescent point for RCU readers (urcu-qsbr):
 * pointers got by rcu_dereference() must not be kept over a return to the loop.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"

struct loop;

typedef void (*watch_fn)(void *arg, uint32_t epoll_events);
typedef void (*call_fn)(void *arg);

/* Embedded in its owner; zero-initialised means "not watching" and is safe for watch_del(). */
struct watch {
	struct loop *loop;
	int fd; /* not owned */
	uint32_t events;
	watch_fn fn;
	void *arg;
};

struct timer {
	struct list node;
	struct loop *loop;
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	call_fn fn;
	void *arg;
};

/* Runs once, later in the same turn (after all fetched events); in the next one if a task
 * deferred it. */
struct task {
	struct list node;
	struct loop *loop;
	call_fn fn;
	void *arg;
};

/* name: shown as thread name and in metrics, at most 15 characters. */
int loop_new(struct loop **ret, const char *name);
/* Watches must have been deleted; timers and tasks are cancelled. */
void loop_free(struct loop **loop);
/* Registers the thread for RCU and runs until loop_stop_any(), which may also come first;
 * messages posted before the stop are still run. */
void loop_run(struct loop *loop);
void loop_stop_any(struct loop *loop);
/* Time of this turn, CLOCK_MONOTONIC; cheap. */
uint64_t loop_now(const struct loop *loop);

/* events: EPOLLIN, EPOLLOUT, EPOLLEXCLUSIVE, EPOLLET ...; 0 or -errno (-ENOSPC, -ENOMEM). */
int watch_add(struct loop *loop, struct watch *w, int fd, uint32_t events, watch_fn fn, void *arg);
/* No system call if nothing changes. With EPOLLEXCLUSIVE before or after, a failure leaves
 * the watch deleted. */
int watch_set(struct watch *w, uint32_t events);
/* Another callback for the same registration; an event that was fetched goes to the new one. */
void watch_retarget(struct watch *w, watch_fn fn, void *arg);
void watch_del(struct watch *w);

/* (Re)arms; resolution 10 ms; fires once. A zeroed timer may be cancelled. */
void timer_set(struct loop *loop, struct timer *t, uint64_t delay_ns, call_fn fn, void *arg);
void timer_cancel(struct timer *t);
bool timer_armed(const struct timer *t);

/* Idempotent: a deferred task keeps its place and takes the newest fn and arg. */
void task_defer(struct loop *loop, struct task *t, call_fn fn, void *arg);
void task_cancel(struct task *t);

/* Runs fn(arg) on the loop's thread; 0 or -ENOMEM (also when a million messages wait, as at a
 * loop that is stuck). In order per sender. Messages posted before loop_run() wait for it;
 * those left at loop_free() are dropped. */
int loop_post_any(struct loop *loop, call_fn fn, void *arg);

struct loop_stats {
	uint64_t turns, events, timers, posts;
	uint64_t busy_ns;    /* time spent in callbacks */
	uint64_t max_lag_ns; /* longest turn since the last read */
};
/* Snapshot; resets max_lag_ns. */
void loop_stats_any(struct loop *loop, struct loop_stats *ret);
const char *loop_name(const struct loop *loop);
