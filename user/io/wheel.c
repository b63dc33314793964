// SPDX-License-Identifier: Apache-2.0
/*
 * io/wheel: hierarchical timer wheel. Level 0 has one slot per tick, a slot of level 1 holds
 * 256 ticks, one of level 2 holds 65536 (11 minutes; the whole level 46 hours). When time
 * reaches the first tick of a higher slot, its timers move one or two levels down. Timers
 * beyond the last level wait in its farthest slot and are placed anew from there.
 * Used by io/loop only, on the loop's thread; owns nothing.
 */
#include "io/wheel.h"

#include <stdbool.h>

#define SLOT_BITS 8
#define SLOT_MASK (WHEEL_SLOTS - 1u)
#define REACH (1ull << (SLOT_BITS * WHEEL_LEVELS)) /* ticks */

void wheel_init(struct wheel *w, uint64_t now_ns)
{
	*w = (struct wheel){ .base_ns = now_ns };
	for (size_t l = 0; l < WHEEL_LEVELS; l++)
		for (size_t i = 0; i < WHEEL_SLOTS; i++)
			list_init(&w->level[l].slot[i]);
}

/* Rounded up, so that no timer fires early. */
static uint64_t tick_of(const struct wheel *w, uint64_t at_ns)
{
	uint64_t ns = at_ns > w->base_ns ? at_ns - w->base_ns : 0;

	return ns / WHEEL_TICK_NS + (ns % WHEEL_TICK_NS != 0);
}

void wheel_add(struct wheel *w, struct timer *t)
{
	uint64_t tick = tick_of(w, t->at_ns);
	unsigned int l = 0, i;

	if (tick < w->cur)
		tick = w->cur;
	if (tick - w->cur >= REACH)
		tick = w->cur + REACH - 1;
	while ((tick - w->cur) >> (SLOT_BITS * (l + 1)))
		l++;
	i = (unsigned int)(tick >> (SLOT_BITS * l)) & SLOT_MASK;
	list_add_tail(&w->level[l].slot[i], &t->node);
	w->level[l].maybe[i / 64] |= 1ull << (i % 64);
}

/* Distance from slot `start`, going round, to the first slot with a timer. */
static bool level_next(struct wheel_level *l, unsigned int start, unsigned int *ret_dist)
{
	unsigned int dist = 0;

	while (dist < WHEEL_SLOTS) {
		unsigned int i = (start + dist) & SLOT_MASK;
		uint64_t bits = l->maybe[i / 64] >> (i % 64);

		if (!bits) {
			dist += 64 - i % 64;
			continue;
		}
		dist += (unsigned int)__builtin_ctzll(bits);
		if (dist >= WHEEL_SLOTS)
			break;
		i = (start + dist) & SLOT_MASK;
		if (!list_empty(&l->slot[i])) {
			*ret_dist = dist;
			return true;
		}
		l->maybe[i / 64] &= ~(1ull << (i % 64));
	}
	return false;
}

/* First tick at or after cur at which a slot of any level must be emptied. */
static uint64_t next_tick(struct wheel *w)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int l = 0; l < WHEEL_LEVELS; l++) {
		unsigned int shift = SLOT_BITS * l, dist;
		uint64_t below = (1ull << shift) - 1;
		/* The slot cur is in was emptied when cur entered it; if it holds timers, they
		 * are for the next round. */
		uint64_t first = (w->cur >> shift) + ((w->cur & below) != 0);

		if (!level_next(&w->level[l], (unsigned int)first & SLOT_MASK, &dist))
			continue;
		uint64_t tick = (first + dist) << shift;

		if (tick < best)
			best = tick;
	}
	return best;
}

/* Timers of the slot of level l that begins at cur go to lower levels. */
static void cascade(struct wheel *w, unsigned int l)
{
	struct list *slot = &w->level[l].slot[(w->cur >> (SLOT_BITS * l)) & SLOT_MASK];

	while (!list_empty(slot)) {
		struct timer *t = list_first(slot, struct timer, node);

		list_del(&t->node);
		wheel_add(w, t);
	}
}

void wheel_expire(struct wheel *w, uint64_t now_ns, struct list *due)
{
	uint64_t now = now_ns > w->base_ns ? (now_ns - w->base_ns) / WHEEL_TICK_NS : 0;

	for (uint64_t tick = next_tick(w); tick <= now; tick = next_tick(w)) {
		struct list *slot = &w->level[0].slot[tick & SLOT_MASK];

		w->cur = tick;
		for (unsigned int l = WHEEL_LEVELS - 1; l > 0; l--)
			if ((tick & ((1ull << (SLOT_BITS * l)) - 1)) == 0)
				cascade(w, l);
		while (!list_empty(slot)) {
			struct list *node = slot->next;

			list_del(node);
			list_add_tail(due, node);
		}
		w->cur = tick + 1;
	}
	if (w->cur <= now)
		w->cur = now + 1;
}

uint64_t wheel_next_ns(struct wheel *w)
{
	uint64_t tick = next_tick(w);

	return tick == UINT64_MAX ? UINT64_MAX : w->base_ns + tick * WHEEL_TICK_NS;
}

struct timer *wheel_pop(struct wheel *w)
{
	for (unsigned int l = 0; l < WHEEL_LEVELS; l++) {
		unsigned int i;

		if (!level_next(&w->level[l], 0, &i))
			continue;
		struct timer *t = list_first(&w->level[l].slot[i], struct timer, node);

		list_del(&t->node);
		return t;
	}
	return NULL;
}
