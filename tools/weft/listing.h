/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One listing command: a request, an array in the reply, a table. The columns start with NODE,
 * which is shown only when several nodes were asked. One thread.
 */
#include "client.h"
#include "out.h"

struct listing {
	const char *cmd; /* request, and name of the array in its reply unless key says other */
	const char *key;
	const struct column *columns;
	size_t n_columns;
	const char *empty; /* sentence on stderr when there is no row */
	void (*row)(struct table *t, const json_t *row);
};

int listing_run(const struct cli *c, const struct listing *l);
/* Adds the rows of replies that were asked for already, and prints the table. */
void listing_print(struct targets *t, const struct listing *l);
/* Cell of a JSON array of texts, comma separated, at most max of them. */
void cell_texts(struct table *t, const json_t *list, size_t max);
/* Cell of a number: "-" when it is missing. */
void cell_count(struct table *t, const json_t *row, const char *key);
