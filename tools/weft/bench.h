/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * weft bench: runs tools/bench/run.sh, and makes reports of what it measured. A run is a
 * folder with raw.jsonl (one line per measurement); a series is one value of one test in one
 * case ("hbone-cross") over all repetitions. One thread.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/errbuf.h"
#include "base/vec.h"

#define BENCH_CASE_MAX 48
#define BENCH_KEY_MAX 48
#define BENCH_REPS_MAX 64

enum bench_better { BENCH_NEITHER, BENCH_HIGHER, BENCH_LOWER };

/* What a value is, from the tables in bench_figures.c. */
struct bench_value {
	const char *key; /* "gbit_s" */
	const char *title;
	const char *unit;
	enum bench_better better;
	bool headline; /* on the terminal and as a plot */
};

struct bench_series {
	char test[BENCH_KEY_MAX], key[BENCH_KEY_MAX];
	char mode[BENCH_CASE_MAX], place[16];
	double v[BENCH_REPS_MAX];
	size_t n;
	double median, min, max, mad;
	/* Of the median to that of plain and of the sidecar in the same place; 0: unknown. */
	double to_plain, to_sidecar;
};

struct bench_run {
	json_t *about; /* the line that describes run and machine */
	VEC(struct bench_series) series;
	double errors; /* failed operations, all measurements */
};

#define bench_for_each(s, run) \
	for (const struct bench_series *s = (run)->series.p; \
	     s && s < (run)->series.p + (run)->series.n; s++)

/* From a folder, a raw.jsonl or a results.json. */
int bench_load(const char *path, struct errbuf *err, struct bench_run *ret);
void bench_fini(struct bench_run *run);
const struct bench_series *bench_find(const struct bench_run *run, const char *test,
				      const char *key, const char *mode, const char *place);
/* Text of the description; "" if it is not there. */
const char *bench_about(const struct bench_run *run, const char *key);

/* ---- bench_figures.c ---- */
const char *bench_test_title(const char *test);
size_t bench_test_order(const char *test);
/* A key that is not known gets its name as title. Valid until the next call. */
const struct bench_value *bench_value_of(const char *key);
size_t bench_value_order(const char *key);
/* Whether a value of a test is on the terminal and a plot: what is fixed by the load is not. */
bool bench_headline(const char *test, const char *key);
const char *bench_place_title(const char *place);
/* A number with three digits that matter; buf >= 32 bytes; returns buf. */
char *bench_number(char *buf, double v);

/* ---- what comes out ---- */
void bench_print(const struct bench_run *run, bool all, FILE *to);
int bench_write_json(const struct bench_run *run, const char *path);
int bench_write_csv(const struct bench_run *run, const char *path);
int bench_write_html(const struct bench_run *run, const char *path);
/* 0 nothing is worse, 1 something is */
int bench_compare(const struct bench_run *before, const struct bench_run *after, FILE *to);

int cmd_bench(int argc, char **argv);
