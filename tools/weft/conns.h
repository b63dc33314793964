/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Connections with their rates: two samples of the same connection, found by node and id, make
 * a rate. One thread.
 */
#include "client.h"
#include "out.h"

struct conn_row {
	const char *node;
	json_t *json; /* borrowed from the reply */
	uint64_t key;
	double bytes; /* both directions */
	double rate;  /* bytes per second; -1: not known yet */
};

struct conn_rows {
	VEC(struct conn_row) v;
};

struct conn_sample {
	uint64_t key;
	double bytes;
};

/* The sample before, sorted by key. */
struct conn_past {
	VEC(struct conn_sample) v;
	uint64_t at_ns; /* 0: there is none */
};

/* Takes the rows out of the replies, rates by past, which is replaced; sorted by rate, then by
 * bytes. 0 or -ENOMEM. */
int conns_collect(struct targets *ts, struct conn_past *past, struct conn_rows *ret);
void conns_print(struct targets *ts, struct conn_rows *rows, FILE *to, size_t max_rows, bool live);
/* Removes from the replies what is not of this pod. */
void conns_keep_pod(struct targets *ts, const char *pod);
/* weft connections -w */
int conns_watch(const struct cli *c, struct targets *ts);
