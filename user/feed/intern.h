/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One copy of texts that many workloads share (namespaces, nodes, identities, ...). Counted;
 * any thread may let go of a text, because connections hold workloads on the workers. The
 * table lives as long as its owner or any text of it.
 */
#include "base/str.h"

struct intern;

int intern_new(struct intern **ret);
void intern_free(struct intern **t); /* the owner lets go */
/* NULL for an empty text and when out of memory; otherwise one count for the caller. */
char *intern_get(struct intern *t, struct str s);
/* Something that is made of a key of any bytes, of which the first is none that a text begins with: the first
 * time, make() fills n bytes of room, aligned for anything, beside the table's own copy of the
 * key; whoever comes with the same key later on gets the same room. Let go with
 * intern_put(that copy). NULL when out of memory. */
void *intern_get_with(struct intern *t, struct str key, size_t n,
		      void (*make)(void *room, char *key, void *arg), void *arg);
/* NULL and "" (of whomever) are fine. */
void intern_put(char *text);
size_t intern_count(struct intern *t);
