// SPDX-License-Identifier: Apache-2.0
/* The results for programs: JSON with the raw measurements in it, and CSV. */
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "bench.h"

static json_t *ratio_json(const struct bench_ratio *r)
{
	return json_pack("{s:f, s:f, s:f, s:i}", "median", r->median, "low", r->low, "high",
			 r->high, "n", (int)r->n);
}

static json_t *aims_json(const struct bench_run *run)
{
	struct bench_result all[BENCH_AIMS_MAX];
	size_t n = bench_aims(run, all);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:s, s:o}", "group",
						      all[i].aim->group, "title", all[i].aim->title,
						      "rule",
						      all[i].aim->at_most ? "at most" : "at least",
						      "aim", all[i].aim->aim, "verdict",
						      bench_verdict_text(all[i].verdict), "ratio",
						      ratio_json(&all[i].ratio)));
	return list;
}

static json_t *lost_json(const struct bench_run *run)
{
	json_t *list = json_array();

	bench_for_each_lost(l, run)
	{
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:i}", "test", l->test,
						      "mode", l->mode, "place", l->place, "why",
						      l->why, "measurements", (int)l->n));
	}
	return list;
}

static json_t *series_json(const struct bench_series *s)
{
	const struct bench_value *v = bench_value_of(s->key);
	json_t *o = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "test", s->test, "value",
		s->key, "mode", s->mode, "place", s->place, "unit", v->unit, "better",
		v->better == BENCH_HIGHER  ? "higher"
		: v->better == BENCH_LOWER ? "lower"
					   : "",
		"n", (int)s->n, "median", s->median, "min", s->min, "max", s->max, "mad", s->mad);

	if (s->to_plain.n)
		json_object_set_new(o, "to_plain", ratio_json(&s->to_plain));
	if (s->to_sidecar.n)
		json_object_set_new(o, "to_sidecar", ratio_json(&s->to_sidecar));
	return o;
}

int bench_write_json(const struct bench_run *run, const char *path)
{
	json_t *all = json_object(), *series = json_array();
	int r;

	json_object_set(all, "about", run->about);
	bench_for_each(s, run)
	{
		json_array_append_new(series, series_json(s));
	}
	json_object_set_new(all, "series", series);
	json_object_set_new(all, "aims", aims_json(run));
	json_object_set_new(all, "missing", lost_json(run));
	json_object_set(all, "raw", run->raw);
	r = json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(all);
	return r < 0 ? -EIO : 0;
}

static void csv_ratio(FILE *f, const struct bench_ratio *r)
{
	if (r->n)
		fprintf(f, ",%.4f,%.4f,%.4f", r->median, r->low, r->high);
	else
		fprintf(f, ",,,");
}

int bench_write_csv(const struct bench_run *run, const char *path)
{
	_fclose_ FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fprintf(f, "test,value,unit,place,mode,n,median,min,max,mad,to_plain,to_plain_low,"
		   "to_plain_high,to_sidecar,to_sidecar_low,to_sidecar_high\n");
	bench_for_each(s, run)
	{
		fprintf(f, "%s,%s,%s,%s,%s,%zu,%.9g,%.9g,%.9g,%.9g", s->test, s->key,
			bench_value_of(s->key)->unit, s->place, s->mode, s->n, s->median, s->min,
			s->max, s->mad);
		csv_ratio(f, &s->to_plain);
		csv_ratio(f, &s->to_sidecar);
		fputc('\n', f);
	}
	return fflush(f) == 0 ? 0 : -errno;
}
