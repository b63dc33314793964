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

/* What one series is of another, found for each repetition of its own: both were measured one
 * after the other then, so that what the machine does in the long run is in neither. */
struct bench_ratio {
	double median, low, high; /* low and high: stat_interval() */
	size_t n; /* repetitions that have both; 0: unknown, and the others are 0 */
};

struct bench_series {
	char test[BENCH_KEY_MAX], key[BENCH_KEY_MAX];
	char mode[BENCH_CASE_MAX], place[16];
	double v[BENCH_REPS_MAX];
	int rep[BENCH_REPS_MAX]; /* number of the repetition, as measured */
	size_t n;
	double median, min, max, mad;
	struct bench_ratio to_plain, to_sidecar; /* in the same place */
};

/* What was asked for and is not there, or not as often. */
struct bench_lost {
	char test[BENCH_KEY_MAX], mode[BENCH_CASE_MAX], place[16];
	char why[200];
	size_t n; /* measurements */
};

struct bench_run {
	json_t *about; /* the line that describes run and machine */
	json_t *raw; /* all lines, as they were */
	VEC(struct bench_series) series;
	VEC(struct bench_lost) lost;
	double errors; /* failed operations, all measurements */
};

#define bench_for_each(s, run) \
	for (const struct bench_series *s = (run)->series.p; \
	     s && s < (run)->series.p + (run)->series.n; s++)

#define bench_for_each_lost(l, run) \
	for (const struct bench_lost *l = (run)->lost.p; l && l < (run)->lost.p + (run)->lost.n; l++)

/* From a folder, a raw.jsonl or a results.json. */
int bench_load(const char *path, struct errbuf *err, struct bench_run *ret);
void bench_fini(struct bench_run *run);
const struct bench_series *bench_find(const struct bench_run *run, const char *test,
				      const char *key, const char *mode, const char *place);
/* Text of the description; "" if it is not there. */
const char *bench_about(const struct bench_run *run, const char *key);

/* Number of the description; 0 if it is not there. */
long bench_about_int(const struct bench_run *run, const char *key);

/* ---- bench_stat.c: pure ---- */
/* Sorts v. n > 0. */
double stat_median(double *v, size_t n);
/* Between which values of the sorted v the true median is: the narrowest pair of order statistics
 * that covers it with 90 % (binomial, whatever the distribution), the extremes if none does. */
void stat_interval(const double *sorted, size_t n, double *ret_low, double *ret_high);
/* What stat_interval() covers for n values: 0.5 for two, 0.94 for five. */
double stat_coverage(size_t n);
/* a / b for the repetitions that both have; b of 0 is left out. */
struct bench_ratio bench_ratio_of(const struct bench_series *a, const struct bench_series *b);
/* Median, extremes and MAD of s->v. */
void bench_series_sum_up(struct bench_series *s);

/* ---- bench_aims.c: what the project has set itself, and what came out ---- */
enum bench_verdict { AIM_NOT_MEASURED, AIM_MISSED, AIM_MISSED_MAYBE, AIM_MET_MAYBE, AIM_MET };

struct bench_aim {
	const char *group; /* heading; the same pointer for neighbours */
	const char *title;
	const char *tile; /* a headline of the page: "the throughput of sidecars"; NULL: none */
	double aim;
	bool at_most; /* the ratio must not be above the aim; else not below it */
};

struct bench_result {
	const struct bench_aim *aim;
	struct bench_ratio ratio;
	enum bench_verdict verdict;
};

#define BENCH_AIMS_MAX 48
/* Number of results in ret, in the order of the report. */
size_t bench_aims(const struct bench_run *run, struct bench_result ret[BENCH_AIMS_MAX]);
enum bench_verdict bench_verdict_of(const struct bench_ratio *r, double aim, bool at_most);
const char *bench_verdict_text(enum bench_verdict v);
void bench_print_aims(const struct bench_run *run, FILE *to);

/* ---- bench_figures.c ---- */
const char *bench_test_title(const char *test);
size_t bench_test_order(const char *test);
/* Measured on fresh processes, and not as often. */
bool bench_test_is_memory(const char *test);
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
