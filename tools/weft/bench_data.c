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
	json_decref(run->raw);
	run->about = run->raw = NULL;
	vec_fini(&run->lost);
	vec_fini(&run->series);
}

const char *bench_about(const struct bench_run *run, const char *key)
{
	const char *s = json_string_value(json_object_get(run->about, key));

	if (!s)
		s = json_string_value(json_object_get(json_object_get(run->about, "values"), key));
	return s ? s : "";
}

long bench_about_int(const struct bench_run *run, const char *key)
{
	json_t *v = json_object_get(run->about, key);

	if (!v)
		v = json_object_get(json_object_get(run->about, "values"), key);
	return (long)json_number_value(v);
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
	if (s->n < BENCH_REPS_MAX) {
		s->rep[s->n] = (int)json_integer_value(json_object_get(record, "rep"));
		s->v[s->n++] = v;
	}
	return 0;
}

static struct bench_lost *lost_find(struct bench_run *run, const char *test, const char *mode,
				    const char *place)
{
	vec_for_each(l, &run->lost) {
		if (strcmp(l->test, test) == 0 && strcmp(l->mode, mode) == 0 &&
		    strcmp(l->place, place) == 0)
			return l;
	}
	return NULL;
}

static int lost_add(struct bench_run *run, const char *test, const char *mode, const char *place,
		    const char *why, size_t n)
{
	struct bench_lost *l = lost_find(run, test, mode, place);

	if (!l) {
		struct bench_lost fresh = { .n = 0 };
		int r = vec_push(&run->lost, fresh);

		if (r < 0)
			return r;
		l = &run->lost.p[run->lost.n - 1];
		snprintf(l->test, sizeof(l->test), "%s", test);
		snprintf(l->mode, sizeof(l->mode), "%s", mode);
		snprintf(l->place, sizeof(l->place), "%s", place);
	}
	snprintf(l->why, sizeof(l->why), "%s", why);
	l->n += n;
	return 0;
}

/* The words of both, each once, of a key of two descriptions. */
static int words_merge(json_t *into, const char *key, const char *old)
{
	_free_ char *all = str_dup(str_of(text_of(into, key)));
	struct str rest = str_of(old);

	while (all && rest.n > 0) {
		struct str word = str_cut(&rest, ' ');
		_free_ char *padded = str_printf(" %s ", all), *want = NULL;
		char *more;

		want = str_printf(" %.*s ", STR_FMT(word));
		if (!padded || !want)
			return -ENOMEM;
		if (strstr(padded, want))
			continue;
		more = str_printf("%s%s%.*s", all, all[0] ? " " : "", STR_FMT(word));
		free(all);
		all = more;
	}
	return all && json_object_set_new(into, key, json_string(all)) == 0 ? 0 : -ENOMEM;
}

/* A run that was made in parts has a description for each: the last one counts, with the modes
 * and figures of all. */
static int about_add(struct bench_run *run, json_t *record)
{
	json_t *about = run->about ? json_deep_copy(run->about) : json_object();
	int r = -ENOMEM;

	if (about && json_object_update(about, record) == 0) {
		r = words_merge(about, "modes", bench_about(run, "modes"));
		if (r == 0)
			r = words_merge(about, "figures", bench_about(run, "figures"));
	}
	if (r < 0) {
		json_decref(about);
		return r;
	}
	json_decref(run->about);
	run->about = about;
	return 0;
}

static int record_add(struct bench_run *run, json_t *record)
{
	const char *key;
	json_t *v;
	int r = 0;

	if (json_array_append(run->raw, record) < 0)
		return -ENOMEM;
	if (strcmp(text_of(record, "kind"), "run") == 0) {
		return about_add(run, record);
	}
	if (strcmp(text_of(record, "kind"), "lost") == 0)
		return lost_add(run, text_of(record, "test"), text_of(record, "mode"),
				text_of(record, "place"), text_of(record, "why"), 1);
	json_object_foreach(json_object_get(record, "values"), key, v) {
		if (r == 0 && json_is_number(v))
			r = value_add(run, record, key, json_number_value(v));
	}
	return r;
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

static struct bench_ratio ratio_to(const struct bench_run *run, const struct bench_series *s,
				   const char *mode)
{
	const struct bench_series *base = bench_find(run, s->test, s->key, mode, s->place);

	return base ? bench_ratio_of(s, base) : (struct bench_ratio){ .n = 0 };
}

/* Fewer repetitions than were asked for, and nobody has said why: the run was stopped. */
static int lost_count(struct bench_run *run)
{
	int r = 0;

	vec_for_each(s, &run->series) {
		long want = bench_about_int(run, bench_test_is_memory(s->test) ? "mem_reps" : "reps");

		if (r == 0 && (long)s->n < want && !lost_find(run, s->test, s->mode, s->place))
			r = lost_add(run, s->test, s->mode, s->place,
				     "not measured as often as asked for", (size_t)want - s->n);
	}
	return r;
}

static int run_sum_up(struct bench_run *run)
{
	vec_for_each(s, &run->series) {
		bench_series_sum_up(s);
	}
	vec_for_each(s, &run->series) {
		s->to_plain = ratio_to(run, s, "plain");
		s->to_sidecar = ratio_to(run, s, "sidecar");
	}
	return lost_count(run);
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
	run.raw = json_array();
	r = !run.raw                                     ? -ENOMEM
	    : str_has_suffix(str_of(file), STR(".json")) ? results_load(f, file, err, &run)
							 : lines_load(f, file, err, &run);
	if (r == 0)
		r = run_sum_up(&run);
	if (r == 0 && run.series.n == 0)
		r = errbuf_set(err, -EINVAL, "%s: no measurements in it", file);
	if (r < 0) {
		bench_fini(&run);
		return r;
	}
	run_sort(&run);
	*ret = run;
	return 0;
}
