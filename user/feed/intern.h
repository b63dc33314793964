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
/* NULL and "" (of whomever) are fine. */
void intern_put(char *text);
size_t intern_count(struct intern *t);
