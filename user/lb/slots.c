// SPDX-License-Identifier: Apache-2.0
/*
 * Weights to slots. As exact as LB_SLOTS_MAX allows: weights divided by their common divisor
 * if those fit; else rounded shares with at least one slot for everybody; else (more endpoints
 * than slots) a weighted sample that is stable in one process and differs between nodes, so
 * that together the nodes use all endpoints.
 */
#include "lb/slots.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/own.h"

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

static bool counts_exact(struct slot_source *src, size_t n, uint64_t total)
{
	uint32_t divisor = 0;

	for (size_t i = 0; i < n; i++)
		divisor = gcd(src[i].weight, divisor);
	if (total / divisor > LB_SLOTS_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		src[i].count = src[i].weight / divisor;
	return true;
}

/* How far the count is above its share, in units of 1 / total. */
static __int128 excess(const struct slot_source *s, uint64_t total)
{
	return (__int128)s->count * total - (__int128)s->weight * LB_SLOTS_MAX;
}

/* n <= LB_SLOTS_MAX, so the loops below end after a million steps in the worst case. */
static void counts_rounded(struct slot_source *src, size_t n, uint64_t total)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		src[i].count = (uint32_t)((unsigned __int128)src[i].weight * LB_SLOTS_MAX / total);
		if (src[i].count == 0)
			src[i].count = 1;
		sum += src[i].count;
	}
	for (; sum < LB_SLOTS_MAX; sum++) {
		size_t least = 0;

		for (size_t i = 1; i < n; i++)
			if (excess(&src[i], total) < excess(&src[least], total))
				least = i;
		src[least].count++;
	}
	/* Those raised to one took from others: from who has most above its share. */
	for (; sum > LB_SLOTS_MAX; sum--) {
		size_t most = n;

		for (size_t i = 0; i < n; i++)
			if (src[i].count > 1 &&
			    (most == n || excess(&src[i], total) > excess(&src[most], total)))
				most = i;
		src[most].count--;
	}
}

static int order_cmp(const void *va, const void *vb)
{
	const struct slot_source *a = va, *b = vb;

	return (a->order > b->order) - (a->order < b->order);
}

/* Systematic sampling: equal steps through the summed weights, in an order of its own. */
static void counts_sampled(struct slot_source *src, size_t n, uint64_t total)
{
	unsigned __int128 sum = 0;
	uint64_t taken = 0;

	qsort(src, n, sizeof(*src), order_cmp);
	for (size_t i = 0; i < n; i++) {
		uint64_t upto;

		sum += src[i].weight;
		upto = (uint64_t)(sum * LB_SLOTS_MAX / total);
		src[i].count = (uint32_t)(upto - taken);
		taken = upto;
	}
}

int slots_expand(struct slot_source *src, size_t n, struct lb_choice **ret)
{
	_free_ struct lb_choice *slots = NULL;
	uint64_t total = 0, n_slots = 0, at = 0;

	if (n == 0) {
		*ret = NULL;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		total += src[i].weight;
	if (n > LB_SLOTS_MAX)
		counts_sampled(src, n, total);
	else if (!counts_exact(src, n, total))
		counts_rounded(src, n, total);
	for (size_t i = 0; i < n; i++)
		n_slots += src[i].count;
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < src[i].count; k++)
			slots[at++] = src[i].choice;
	*ret = TAKE_PTR(slots);
	return (int)n_slots;
}
