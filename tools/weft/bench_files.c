// SPDX-License-Identifier: Apache-2.0
/* The results for programs: JSON with the raw measurements in it, and CSV. */
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "bench.h"

static json_t *raw_of(const struct bench_run *run)
{
	json_t *all = json_array();

	json_array_append(all, run->about);
	bench_for_each(s, run)
	{
		for (size_t i = 0; i < s->n; i++)
			json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:i, s:{s:f}}",
							     "test", s->test, "mode", s->mode,
							     "place", s->place, "rep", (int)i + 1,
							     "values", s->key, s->v[i]));
	}
	return all;
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

	if (s->to_plain > 0)
		json_object_set_new(o, "to_plain", json_real(s->to_plain));
	if (s->to_sidecar > 0)
		json_object_set_new(o, "to_sidecar", json_real(s->to_sidecar));
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
	json_object_set_new(all, "raw", raw_of(run));
	r = json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(all);
	return r < 0 ? -EIO : 0;
}

int bench_write_csv(const struct bench_run *run, const char *path)
{
	_fclose_ FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	fprintf(f, "test,value,unit,place,mode,n,median,min,max,mad,to_plain,to_sidecar\n");
	bench_for_each(s, run)
	{
		fprintf(f, "%s,%s,%s,%s,%s,%zu,%.9g,%.9g,%.9g,%.9g,", s->test, s->key,
			bench_value_of(s->key)->unit, s->place, s->mode, s->n, s->median, s->min,
			s->max, s->mad);
		if (s->to_plain > 0)
			fprintf(f, "%.4f", s->to_plain);
		fputc(',', f);
		if (s->to_sidecar > 0)
			fprintf(f, "%.4f", s->to_sidecar);
		fputc('\n', f);
	}
	return fflush(f) == 0 ? 0 : -errno;
}
