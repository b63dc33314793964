/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/wheel: the timer wheel under io/loop, three levels of 256 slots with ticks of 10 ms.
 * Arming and cancelling cost O(1) whatever the number of timers; a loop that slept for long
 * jumps over empty slots. It knows no clock: the caller says what time it is.
 */
#include <stdint.h>

#include "base/list.h"
#include "io/loop.h"

#define WHEEL_LEVELS 3
#define WHEEL_SLOTS 256
#define WHEEL_TICK_NS 10000000ull

struct wheel_level {
	struct list slot[WHEEL_SLOTS];
	/* Set when a timer goes in, cleared when the slot is found empty: cancelling a timer
	 * does not know its slot. */
	uint64_t maybe[WHEEL_SLOTS / 64];
};

struct wheel {
	uint64_t base_ns; /* time of tick 0 */
	uint64_t cur;   /* first tick that has not been done */
	struct wheel_level level[WHEEL_LEVELS];
};

void wheel_init(struct wheel *w, uint64_t now_ns);
/* Puts t into the slot of t->at_ns; t must be in no list. list_del(&t->node) takes it out. */
void wheel_add(struct wheel *w, struct timer *t);
/* Moves all timers with at_ns <= now_ns (give or take a tick, never early) to the end of due,
 * ordered by tick. */
void wheel_expire(struct wheel *w, uint64_t now_ns, struct list *due);
/* When wheel_expire() has something to do next; UINT64_MAX if never. May be earlier than the
 * first timer, not later. */
uint64_t wheel_next_ns(struct wheel *w);
/* Takes any timer out; NULL when there are none. */
struct timer *wheel_pop(struct wheel *w);
