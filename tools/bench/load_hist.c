// SPDX-License-Identifier: Apache-2.0
/*
 * Histogram of times as HDR histograms are: buckets of equal relative width, 128 per power of
 * two, so that a quantile is exact to better than 1 % from nanoseconds to minutes.
 */
#include "load.h"

static size_t hist_index(uint64_t ns)
{
	unsigned int shift = 0;

	if (ns < HIST_SUB)
		return (size_t)ns;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - 7;
	return (size_t)(shift + 1) * HIST_SUB + (size_t)((ns >> shift) - HIST_SUB);
}

static uint64_t hist_value(size_t i)
{
	size_t shift = i / HIST_SUB;

	if (shift == 0)
		return i;
	return ((uint64_t)(i % HIST_SUB + HIST_SUB) << (shift - 1)) + ((1ull << (shift - 1)) / 2);
}

void hist_add(struct hist *h, uint64_t ns)
{
	size_t i = hist_index(ns);

	h->count[i < HIST_BUCKETS ? i : HIST_BUCKETS - 1]++;
	h->n++;
	h->sum += ns;
	if (ns > h->max)
		h->max = ns;
}

void hist_merge(struct hist *to, const struct hist *from)
{
	for (size_t i = 0; i < HIST_BUCKETS; i++)
		to->count[i] += from->count[i];
	to->n += from->n;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
}

uint64_t hist_at(const struct hist *h, double quantile)
{
	uint64_t want = (uint64_t)((double)h->n * quantile), seen = 0;

	for (size_t i = 0; i < HIST_BUCKETS; i++) {
		seen += h->count[i];
		if (seen > want)
			return hist_value(i);
	}
	return h->max;
}

void hist_values(const struct hist *h, json_t *values)
{
	if (h->n == 0)
		return;
	value_set(values, "p50_us", (double)hist_at(h, 0.5) / 1e3);
	value_set(values, "p99_us", (double)hist_at(h, 0.99) / 1e3);
	value_set(values, "p999_us", (double)hist_at(h, 0.999) / 1e3);
	value_set(values, "mean_us", (double)h->sum / (double)h->n / 1e3);
	value_set(values, "max_us", (double)h->max / 1e3);
}
