// SPDX-License-Identifier: Apache-2.0
/*
 * A table whose versions share their parts (postings.h). A part with one reference belongs to
 * one version only and may be changed in place; any other is copied first.
 */
#include "model/postings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"

struct box {
	_Atomic uint32_t refs;
	uint32_t n;
	struct posting p[];
};

struct shelf {
	_Atomic uint32_t refs;
	struct box *box[BOXES]; /* NULL: nothing there */
};

static size_t shelf_of(uint64_t hash)
{
	return (size_t)(hash >> 56);
}

static size_t box_of(uint64_t hash)
{
	return (size_t)(hash >> 50) % BOXES;
}

static bool same_box(uint64_t a, uint64_t b)
{
	return a >> 50 == b >> 50;
}

static void box_put(struct box *b)
{
	if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < b->n; i++)
		if (b->p[i].owner)
			policy_put(&b->p[i].p);
	free(b);
}

static void shelf_put(struct shelf *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < BOXES; i++)
		box_put(s->box[i]);
	free(s);
}

void postings_drop(struct postings *t)
{
	for (size_t i = 0; i < SHELVES; i++)
		shelf_put(t->shelf[i]);
	*t = (struct postings){ 0 };
}

void postings_share(struct postings *t, const struct postings *from)
{
	*t = *from;
	for (size_t i = 0; i < SHELVES; i++)
		if (t->shelf[i])
			atomic_fetch_add_explicit(&t->shelf[i]->refs, 1, memory_order_relaxed);
}

static int posting_cmp(const void *va, const void *vb)
{
	const struct posting *a = va, *b = vb;
	int r;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	r = strcmp(a->p->key, b->p->key);
	return r ? r : (a->rule > b->rule) - (a->rule < b->rule);
}

/* A shelf that no other version has, at its place in t. */
static struct shelf *shelf_own(struct postings *t, uint64_t hash)
{
	struct shelf **at = &t->shelf[shelf_of(hash)], *s = *at, *copy;

	if (s && atomic_load_explicit(&s->refs, memory_order_acquire) == 1)
		return s;
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return NULL;
	atomic_init(&copy->refs, 1);
	for (size_t i = 0; s && i < BOXES; i++) {
		copy->box[i] = s->box[i];
		if (copy->box[i])
			atomic_fetch_add_explicit(&copy->box[i]->refs, 1, memory_order_relaxed);
	}
	shelf_put(s);
	*at = copy;
	return copy;
}

/* What goes into one box, and what out of it; both sorted. */
struct box_diff {
	const struct posting *gone, *add;
	size_t n_gone, n_add;
};

static bool is_same(const struct posting *a, const struct posting *b)
{
	return a->p == b->p && a->hash == b->hash && a->rule == b->rule && a->owner == b->owner;
}

/* from, changed, into box. */
static void box_merge(struct box *box, const struct box *from, const struct box_diff *d)
{
	size_t i = 0, g = 0, k = 0, n = from ? from->n : 0;

	while (i < n || k < d->n_add) {
		const struct posting *next;

		if (i < n && g < d->n_gone && is_same(&from->p[i], &d->gone[g])) {
			i++;
			g++;
			continue;
		}
		if (i < n && (k == d->n_add || posting_cmp(&from->p[i], &d->add[k]) <= 0))
			next = &from->p[i++];
		else
			next = &d->add[k++];
		box->p[box->n] = *next;
		if (next->owner)
			policy_get(next->p);
		box->n++;
	}
	BUG_ON(g != d->n_gone);
}

/* Replaces the one box where hash belongs. */
static int box_change(struct postings *t, uint64_t hash, const struct box_diff *d)
{
	struct shelf *s = shelf_own(t, hash);
	struct box *from, *box;

	if (!s)
		return -ENOMEM;
	from = s->box[box_of(hash)];
	box = malloc(sizeof(*box) + ((from ? from->n : 0) + d->n_add) * sizeof(box->p[0]));
	if (!box)
		return -ENOMEM;
	atomic_init(&box->refs, 1);
	box->n = 0;
	box_merge(box, from, d);
	s->box[box_of(hash)] = box->n ? box : NULL;
	if (!box->n)
		free(box);
	box_put(from);
	return 0;
}

/* How many of list, from at on, belong into the box of hash. */
static size_t run_of(const struct posting *list, size_t n, size_t at, uint64_t hash)
{
	size_t k = at;

	while (k < n && same_box(list[k].hash, hash))
		k++;
	return k - at;
}

int postings_change(struct postings *t, struct posting *gone, size_t n_gone, struct posting *add,
		    size_t n_add)
{
	size_t g = 0, a = 0;

	if (n_gone)
		qsort(gone, n_gone, sizeof(*gone), posting_cmp);
	if (n_add)
		qsort(add, n_add, sizeof(*add), posting_cmp);
	while (g < n_gone || a < n_add) {
		bool first_add = g == n_gone || (a < n_add && add[a].hash < gone[g].hash);
		uint64_t hash = first_add ? add[a].hash : gone[g].hash;
		const struct box_diff d = { .gone = gone ? gone + g : NULL, .add = add ? add + a : NULL,
					    .n_gone = run_of(gone, n_gone, g, hash),
					    .n_add = run_of(add, n_add, a, hash) };
		int r = box_change(t, hash, &d);

		if (r < 0)
			return r;
		g += d.n_gone;
		a += d.n_add;
	}
	return 0;
}

int postings_build(struct postings *t, struct posting *list, size_t n)
{
	return postings_change(t, NULL, 0, list, n);
}

/* The first place in b whose hash is not below hash. */
static size_t lower_bound(const struct box *b, size_t lo, uint64_t hash)
{
	size_t hi = b->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->p[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t postings_find(const struct postings *t, uint64_t hash, const struct posting **ret)
{
	const struct shelf *s = t->shelf[shelf_of(hash)];
	const struct box *b = s ? s->box[box_of(hash)] : NULL;
	size_t first = b ? lower_bound(b, 0, hash) : 0;

	if (!b || first == b->n || b->p[first].hash != hash)
		return 0;
	*ret = &b->p[first];
	return (hash == UINT64_MAX ? b->n : lower_bound(b, first, hash + 1)) - first;
}

size_t postings_bytes(const struct postings *t)
{
	size_t bytes = sizeof(*t);

	for (size_t i = 0; i < SHELVES; i++) {
		const struct shelf *s = t->shelf[i];

		bytes += s ? sizeof(*s) : 0;
		for (size_t k = 0; s && k < BOXES; k++)
			if (s->box[k])
				bytes += sizeof(struct box) + s->box[k]->n * sizeof(struct posting);
	}
	return bytes;
}
