// SPDX-License-Identifier: Apache-2.0
/*
 * The aims of the project as a table, and what a run says to each of them. A ratio counts with
 * its uncertainty: an aim is met when all of the interval is on its good side. Read only.
 */
#include <string.h>

#include "base/own.h"
#include "bench.h"
#include "out.h"

/* What is put on top of one side of the ratio. */
enum extra {
	NOTHING,
	AEAD, /* denominator, s/GB: sealing and opening each byte once, on one core */
	MAPS, /* numerator, MB: the kernel's memory for BPF maps */
	PLAIN, /* both: less what plain TCP takes */
};

struct aim {
	struct bench_aim a;
	const char *test, *key, *mode, *base, *place;
	bool inverse; /* of a time: how fast it is, the base's time by ours */
	enum extra extra;
};

#define DIRECT "Pods of one node, decided in the kernel, to plain TCP"
#define PASS "To a server outside of the mesh, to plain TCP"
#define SIDECAR "Between nodes, encrypted, to sidecars"
#define RELAY "Between nodes, encrypted, to two copying relays without encryption"
#define COST "What it costs, to sidecars"

static const char direct_g[] = DIRECT, pass_g[] = PASS, sidecar_g[] = SIDECAR, relay_g[] = RELAY,
		  cost_g[] = COST;

#define LIKE_PLAIN(g, m, where, tile) \
	{ { g, "throughput, 1 stream", NULL, 0.95, false }, \
	  "bulk-1", \
	  "gbit_s", \
	  m, \
	  "plain", \
	  where, \
	  false, \
	  NOTHING }, \
		{ { g, "throughput, 16 streams", tile, 0.95, false }, \
		  "bulk-16", \
		  "gbit_s", \
		  m, \
		  "plain", \
		  where, \
		  false, \
		  NOTHING }, \
		{ { g, "round trips, 1 byte", NULL, 0.95, false }, \
		  "rtt-1", \
		  "p50_us", \
		  m, \
		  "plain", \
		  where, \
		  true, \
		  NOTHING }, \
		{ { g, "HTTP requests/s, 64 connections", NULL, 0.95, false }, \
		  "http1", \
		  "per_s", \
		  m, \
		  "plain", \
		  where, \
		  false, \
		  NOTHING }, \
		{ { g, "new connections/s, one at a time", NULL, 0.95, false }, \
		  "conn-1", \
		  "per_s", \
		  m, \
		  "plain", \
		  where, \
		  false, \
		  NOTHING }, \
	{ \
		{ g, "new connections/s, 16 at a time", NULL, 0.95, false }, "conn-16", "per_s", \
			m, "plain", where, false, NOTHING \
	}

/* clang-format off */
static const struct aim aims[] = {
	{ { sidecar_g, "throughput, 1 stream", NULL, 2.0, false },
	  "bulk-1", "gbit_s", "hbone", "sidecar", "cross", false, NOTHING },
	{ { sidecar_g, "throughput, 16 streams", "the throughput of sidecars (16 streams)", 2.5, false },
	  "bulk-16", "gbit_s", "hbone", "sidecar", "cross", false, NOTHING },
	{ { sidecar_g, "HTTP requests/s, 64 connections", "the HTTP requests per second of sidecars", 2.5, false },
	  "http1", "per_s", "hbone", "sidecar", "cross", false, NOTHING },
	{ { sidecar_g, "99 % of round trips within, at a fixed rate", "lower p99 round trip than sidecars, at a fixed rate", 0.5, true },
	  "paced-1k", "p99_us", "hbone", "sidecar", "cross", false, NOTHING },
	{ { relay_g, "CPU per GB, 1 stream; AEAD added to the relay", NULL, 1.2, true },
	  "bulk-1", "cpu_s_per_gb", "hbone", "relay", "cross", false, AEAD },
	{ { relay_g, "CPU per GB, 16 streams; AEAD added to the relay", NULL, 1.2, true },
	  "bulk-16", "cpu_s_per_gb", "hbone", "relay", "cross", false, AEAD },
	{ { relay_g, "round trip, 1 byte, median", NULL, 1.1, true },
	  "rtt-1", "p50_us", "hbone", "relay", "cross", false, NOTHING },
	{ { relay_g, "new connections/s, pooled, one at a time", NULL, 0.9, false },
	  "conn-1", "per_s", "hbone", "relay", "cross", false, NOTHING },
	{ { relay_g, "new connections/s, pooled, 16 at a time", NULL, 0.9, false },
	  "conn-16", "per_s", "hbone", "relay", "cross", false, NOTHING },
	{ { cost_g, "CPU at 1,000 requests/s, between nodes", "less CPU than sidecars at 1,000 requests per second, between nodes", 0.5, true },
	  "req-1000", "mesh_cpu_us_each", "hbone", "sidecar", "cross", false, NOTHING },
	{ { cost_g, "CPU at 1,000 requests/s, one node", NULL, 0.1, true },
	  "req-1000", "mesh_cpu_us_each", "direct", "sidecar", "same", false, NOTHING },
	{ { cost_g, "the same, whole machine beyond plain TCP, between nodes", NULL, 0.5, true },
	  "req-1000", "cpu_us_each", "hbone", "sidecar", "cross", false, PLAIN },
	{ { cost_g, "the same, whole machine beyond plain TCP, one node", NULL, 0.1, true },
	  "req-1000", "cpu_us_each", "direct", "sidecar", "same", false, PLAIN },
	{ { cost_g, "memory: 2 nodes, 20 pods, 1,000 connections", "less memory than sidecars: 2 nodes, 20 pods, 1,000 connections", 0.05, true },
	  "crowd", "mb_crowd", "hbone", "sidecar", "cross", false, NOTHING },
	{ { cost_g, "the same, the kernel's BPF maps included", NULL, 0.05, true },
	  "crowd", "mb_crowd", "hbone", "sidecar", "cross", false, MAPS },
	LIKE_PLAIN(direct_g, "direct", "same", "the throughput of plain TCP on one node (16 streams)"),
	LIKE_PLAIN(pass_g, "passthrough", "cross", NULL),
};
/* clang-format on */
_Static_assert(ARRAY_LEN(aims) <= BENCH_AIMS_MAX, "room for every aim");

static double at_rep(const struct bench_series *s, int rep, double none)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (s->rep[i] == rep)
			return s->v[i];
	return none;
}

/* GB are 1e9 bytes, rates are Gbit/s of one core, once for each side. */
static double aead_s_per_gb(const struct bench_run *run, int rep)
{
	double seal = at_rep(bench_find(run, "limits", "seal_gbit_s", "core", ""), rep, 0);
	double open = at_rep(bench_find(run, "limits", "open_gbit_s", "core", ""), rep, 0);

	return seal > 0 && open > 0 ? 8 / seal + 8 / open : -1;
}

/* What comes on top of s in one repetition; false if it was not measured. */
static bool extra_at(const struct bench_run *run, const struct bench_series *s, enum extra extra,
		     int rep, double *ret)
{
	const struct bench_series *maps, *plain;
	double v;

	switch (extra) {
	case AEAD:
		v = aead_s_per_gb(run, rep);
		break;
	case MAPS:
		maps = bench_find(run, "crowd", "map_mb_crowd", s->mode, s->place);
		v = at_rep(maps, rep, -1);
		break;
	default:
		plain = bench_find(run, s->test, s->key, "plain", s->place);
		v = at_rep(plain, rep, -1);
		break;
	}
	if (v < 0)
		return false;
	*ret = extra == PLAIN ? -v : v;
	return true;
}

/* Repetitions without the extra are left out. */
static struct bench_series add_extra(const struct bench_run *run, const struct bench_series *s,
				     enum extra extra)
{
	struct bench_series sum = *s;

	sum.n = 0;
	for (size_t i = 0; i < s->n; i++) {
		double more;

		if (!extra_at(run, s, extra, s->rep[i], &more))
			continue;
		sum.rep[sum.n] = s->rep[i];
		sum.v[sum.n++] = s->v[i] + more;
	}
	return sum;
}

static struct bench_ratio aim_ratio(const struct bench_run *run, const struct aim *aim)
{
	const struct bench_series *of = bench_find(run, aim->test, aim->key, aim->mode, aim->place);
	const struct bench_series *to = bench_find(run, aim->test, aim->key, aim->base, aim->place);
	struct bench_series above, below;

	if (!of || !to)
		return (struct bench_ratio){ .n = 0 };
	if (aim->extra == MAPS || aim->extra == PLAIN) {
		above = add_extra(run, of, aim->extra);
		of = &above;
	}
	if (aim->extra == AEAD || aim->extra == PLAIN) {
		below = add_extra(run, to, aim->extra);
		to = &below;
	}
	return aim->inverse ? bench_ratio_of(to, of) : bench_ratio_of(of, to);
}

enum bench_verdict bench_verdict_of(const struct bench_ratio *r, double aim, bool at_most)
{
	double worst = at_most ? r->high : r->low, best = at_most ? r->low : r->high;
	bool met = at_most ? r->median <= aim : r->median >= aim;

	if (r->n == 0)
		return AIM_NOT_MEASURED;
	/* One repetition has no interval, and nothing is certain. */
	if (r->n > 1 && (at_most ? worst <= aim : worst >= aim))
		return AIM_MET;
	if (r->n > 1 && (at_most ? best > aim : best < aim))
		return AIM_MISSED;
	return met ? AIM_MET_MAYBE : AIM_MISSED_MAYBE;
}

const char *bench_verdict_text(enum bench_verdict v)
{
	static const char *const text[] = {
		[AIM_NOT_MEASURED] = "not measured",
		[AIM_MISSED] = "missed",
		[AIM_MISSED_MAYBE] = "missed, not certain",
		[AIM_MET_MAYBE] = "met, not certain",
		[AIM_MET] = "met",
	};

	return text[v];
}

size_t bench_aims(const struct bench_run *run, struct bench_result ret[BENCH_AIMS_MAX])
{
	for (size_t i = 0; i < ARRAY_LEN(aims); i++) {
		struct bench_ratio r = aim_ratio(run, &aims[i]);

		ret[i] = (struct bench_result){
			&aims[i].a, r, bench_verdict_of(&r, aims[i].a.aim, aims[i].a.at_most)
		};
	}
	return ARRAY_LEN(aims);
}

/* ---- on the terminal ---- */
static const struct column columns[] = {
	{ "FIGURE", 0, 0, 0 },      { "RATIO", COL_RIGHT, 0, 0 }, { "INTERVAL", COL_RIGHT, 0, 0 },
	{ "AIM", COL_RIGHT, 0, 0 }, { "VERDICT", 0, 0, 0 },
};

static enum colour verdict_colour(enum bench_verdict v)
{
	if (v == AIM_NOT_MEASURED)
		return COLOUR_DIM;
	if (v == AIM_MISSED)
		return COLOUR_RED;
	return v == AIM_MET ? COLOUR_GREEN : COLOUR_YELLOW;
}

static void result_row(struct table *t, const struct bench_result *res)
{
	const struct bench_ratio *r = &res->ratio;

	table_cell(t, COLOUR_NONE, "%s", res->aim->title);
	if (r->n)
		table_cell(t, COLOUR_BOLD, "%.*f", r->median < 0.2 ? 3 : 2, r->median);
	else
		table_cell(t, COLOUR_DIM, "%s", "");
	if (r->n > 1)
		table_cell(t, COLOUR_DIM, "%.*f to %.*f", r->low < 0.2 ? 3 : 2, r->low,
			   r->high < 0.2 ? 3 : 2, r->high);
	else
		table_cell(t, COLOUR_DIM, "%s", "");
	table_cell(t, COLOUR_NONE, "%s %g", res->aim->at_most ? "<=" : ">=", res->aim->aim);
	table_cell(t, verdict_colour(res->verdict), "%s", bench_verdict_text(res->verdict));
}

/* The results of one group from at on; gives where the next one starts. */
static size_t group_print(const struct bench_result *all, size_t n, size_t at, FILE *to)
{
	const char *group = all[at].aim->group;
	bool colours = to == stdout && out_has_colours();
	struct table t;

	table_init(&t, columns, ARRAY_LEN(columns), to);
	for (; at < n && all[at].aim->group == group; at++)
		result_row(&t, &all[at]);
	fprintf(to, "\n%s%s%s\n", out_colour(colours, COLOUR_BOLD), group,
		out_colour(colours, COLOUR_NONE));
	table_print(&t, to, 0);
	table_fini(&t);
	return at;
}

void bench_print_aims(const struct bench_run *run, FILE *to)
{
	struct bench_result all[BENCH_AIMS_MAX];
	size_t n = bench_aims(run, all), measured = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		measured += all[i].verdict != AIM_NOT_MEASURED;
	if (!measured)
		return;
	fprintf(to, "\nAgainst the aims");
	if (bench_about_int(run, "reps") > 1)
		fprintf(to,
			": ratios within each repetition, median and interval of the median (%.0f %%)",
			stat_coverage((size_t)bench_about_int(run, "reps")) * 100);
	else
		fprintf(to, ", by one repetition");
	fputc('\n', to);
	while (at < n)
		at = group_print(all, n, at, to);
}
