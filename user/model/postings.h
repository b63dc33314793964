/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which rules of which policies may hold, by hash of what they ask
 * for. A table of immutable parts that versions share: a change copies the few parts that it
 * touches, so that one policy of many thousands is replaced in microseconds while readers go
 * on with the version they have. Built and changed by one thread; versions may be dropped on
 * any.
 *
 *   postings -> 256 shelves -> 64 boxes each -> postings, sorted by hash, key of policy, rule
 */
#include "model/types.h"

#define SHELVES 256
#define BOXES 64

struct posting {
	uint64_t hash;
	struct policy *p;
	uint32_t rule; /* index; in a directory that of p->filed */
	bool owner; /* the one posting of a policy that holds the reference */
};

struct shelf;

struct postings {
	struct shelf *shelf[SHELVES]; /* NULL: nothing there */
};

/* All of them at once; list is sorted in place. References of owners are taken, not consumed.
 * -ENOMEM; what was made is in t and dropped with it. */
int postings_build(struct postings *t, struct posting *list, size_t n);
/* t becomes another version of from, with all of its parts. */
void postings_share(struct postings *t, const struct postings *from);
/* Takes out those in gone, all of which are there, puts in those in add. t must be a version of
 * its own (postings_share). -ENOMEM: drop it. Both lists are sorted in place. */
int postings_change(struct postings *t, struct posting *gone, size_t n_gone, struct posting *add,
		    size_t n_add);
/* Their number; *ret is the first, sorted by key of the policy, then rule. */
size_t postings_find(const struct postings *t, uint64_t hash, const struct posting **ret);
void postings_drop(struct postings *t);
/* What t takes, without the policies; parts that it shares with other versions count. */
size_t postings_bytes(const struct postings *t);
