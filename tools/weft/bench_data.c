// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the lines of a run and makes series with median and spread of them. Used by all
 * reports; owns the run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "bench.h"

void bench_fini(struct bench_run *run)
{
	json_decref(run->about);
	run->about = NULL;
	vec_fini(&run->series);
}

const char *bench_about(const struct bench_run *run, const char *key)
{
	const char *s = json_string_value(json_object_get(run->about, key));

	if (!s)
		s = json_string_value(json_object_get(json_object_get(run->about, "values"), key));
	return s ? s : "";
}

const struct bench_series *bench_find(const struct bench_run *run, const char *test,
				      const char *key, const char *mode, const char *place)
{
	bench_for_each(s, run)
	{
		if (strcmp(s->test, test) == 0 && strcmp(s->key, key) == 0 &&
		    strcmp(s->mode, mode) == 0 && strcmp(s->place, place) == 0)
			return s;
	}
	return NULL;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int value_add(struct bench_run *run, const json_t *record, const char *key, double v)
{
	struct bench_series *s = (struct bench_series *)bench_find(run, text_of(record, "test"),
								   key, text_of(record, "mode"),
								   text_of(record, "place"));

	if (strcmp(key, "errors") == 0)
		run->errors += v;
	if (!s) {
		struct bench_series fresh = { .n = 0 };
		int r = 0;

		if (str_copy(fresh.test, sizeof(fresh.test), str_of(text_of(record, "test"))) ||
		    str_copy(fresh.key, sizeof(fresh.key), str_of(key)) ||
		    str_copy(fresh.mode, sizeof(fresh.mode), str_of(text_of(record, "mode"))) ||
		    str_copy(fresh.place, sizeof(fresh.place), str_of(text_of(record, "place"))))
			return -EINVAL;
		r = vec_push(&run->series, fresh);
		if (r < 0)
			return r;
		s = &run->series.p[run->series.n - 1];
	}
	if (s->n < BENCH_REPS_MAX)
		s->v[s->n++] = v;
	return 0;
}

static int record_add(struct bench_run *run, json_t *record)
{
	const char *key;
	json_t *v;
	int r = 0;

	if (strcmp(text_of(record, "kind"), "run") == 0) {
		json_decref(run->about);
		run->about = json_incref(record);
		return 0;
	}
	json_object_foreach(json_object_get(record, "values"), key, v) {
		if (r == 0 && json_is_number(v))
			r = value_add(run, record, key, json_number_value(v));
	}
	return r;
}

static int double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(double *sorted, size_t n)
{
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void series_sum_up(struct bench_series *s)
{
	double sorted[BENCH_REPS_MAX];

	if (s->n == 0)
		return;
	memcpy(sorted, s->v, s->n * sizeof(*sorted));
	qsort(sorted, s->n, sizeof(*sorted), double_cmp);
	s->min = sorted[0];
	s->max = sorted[s->n - 1];
	s->median = median_of(sorted, s->n);
	for (size_t i = 0; i < s->n; i++)
		sorted[i] = fabs(s->v[i] - s->median);
	qsort(sorted, s->n, sizeof(*sorted), double_cmp);
	s->mad = median_of(sorted, s->n);
}

static double ratio_to(const struct bench_run *run, const struct bench_series *s, const char *mode)
{
	const struct bench_series *base = bench_find(run, s->test, s->key, mode, s->place);

	return base && base->median > 0 ? s->median / base->median : 0;
}

static int series_cmp(const void *pa, const void *pb)
{
	const struct bench_series *a = pa, *b = pb;
	size_t ta = bench_test_order(a->test), tb = bench_test_order(b->test);
	size_t ka = bench_value_order(a->key), kb = bench_value_order(b->key);

	if (ta != tb)
		return ta < tb ? -1 : 1;
	if (ka != kb)
		return ka < kb ? -1 : 1;
	return -strcmp(a->place, b->place); /* "same" before "cross" */
}

static void run_sum_up(struct bench_run *run)
{
	vec_for_each(s, &run->series) {
		series_sum_up(s);
	}
	vec_for_each(s, &run->series) {
		s->to_plain = ratio_to(run, s, "plain");
		s->to_sidecar = ratio_to(run, s, "sidecar");
	}
}

/* Stable: within a place the order of the run, which is that of the modes. */
static void run_sort(struct bench_run *run)
{
	for (size_t i = 1; i < run->series.n; i++) {
		struct bench_series one = run->series.p[i];
		size_t at = i;

		while (at > 0 && series_cmp(&run->series.p[at - 1], &one) > 0) {
			run->series.p[at] = run->series.p[at - 1];
			at--;
		}
		run->series.p[at] = one;
	}
}

static int lines_load(FILE *f, const char *path, struct errbuf *err, struct bench_run *run)
{
	_free_ char *line = NULL;
	size_t cap = 0, no = 0;
	int r = 0;

	while (r == 0 && getline(&line, &cap, f) > 0) {
		json_error_t e;
		json_t *record = json_loads(line, 0, &e);

		no++;
		if (!record)
			return errbuf_set(err, -EINVAL, "%s:%zu: %s", path, no, e.text);
		r = record_add(run, record);
		json_decref(record);
	}
	return r < 0 ? errbuf_set(err, r, "%s:%zu: %s", path, no, strerror(-r)) : 0;
}

/* results.json carries the lines as they were. */
static int results_load(FILE *f, const char *path, struct errbuf *err, struct bench_run *run)
{
	json_error_t e;
	json_t *all = json_loadf(f, 0, &e), *record;
	size_t i;
	int r = 0;

	if (!all)
		return errbuf_set(err, -EINVAL, "%s:%d: %s", path, e.line, e.text);
	json_array_foreach(json_object_get(all, "raw"), i, record) {
		if (r == 0)
			r = record_add(run, record);
	}
	json_decref(all);
	return r < 0 ? errbuf_set(err, r, "%s: %s", path, strerror(-r)) : 0;
}

int bench_load(const char *path, struct errbuf *err, struct bench_run *ret)
{
	struct bench_run run = { 0 };
	struct stat st;
	_free_ char *file = NULL;
	_fclose_ FILE *f = NULL;
	int r;

	if (stat(path, &st) < 0)
		return errbuf_set(err, -errno, "%s: %s", path, strerror(errno));
	file = S_ISDIR(st.st_mode) ? str_printf("%s/raw.jsonl", path) : str_dup(str_of(path));
	f = file ? fopen(file, "re") : NULL;
	if (!f)
		return errbuf_set(err, -errno, "%s: %s", path, strerror(errno));
	r = str_has_suffix(str_of(file), STR(".json")) ? results_load(f, file, err, &run)
						       : lines_load(f, file, err, &run);
	if (r == 0 && run.series.n == 0)
		r = errbuf_set(err, -EINVAL, "%s: no measurements in it", file);
	if (r < 0) {
		bench_fini(&run);
		return r;
	}
	run_sum_up(&run);
	run_sort(&run);
	*ret = run;
	return 0;
}
