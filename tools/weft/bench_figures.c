// SPDX-License-Identifier: Apache-2.0
/*
 * The figures of the benchmark in words: what a test is, what a value of it means, and which
 * way is better. Order here is order in every report. Read only, but for one fallback record.
 */
#include <math.h>
#include <string.h>

#include "base/own.h"
#include "bench.h"

static const struct {
	const char *test, *title;
} tests[] = {
	{ "bulk-1", "Throughput, one stream" },
	{ "bulk-16", "Throughput, 16 streams" },
	{ "bulk-1-down", "Throughput towards the client, one stream" },
	{ "rtt-1", "Round trip of 1 byte" },
	{ "rtt-1k", "Round trip of 1 KB" },
	{ "rtt-16k", "Round trip of 16 KB" },
	{ "paced", "Round trip of 1 KB at 2,000 a second over 16 connections" },
	{ "conn-1", "Connections, one at a time" },
	{ "conn-16", "Connections, 16 at a time" },
	{ "http1", "HTTP/1.1 requests of 1 KB (wrk, 64 connections, nginx)" },
	{ "http2", "HTTP/2 requests of 1 KB (h2load, 16 connections with 10 streams, nginx)" },
	{ "idle", "Fresh proxies: memory and the first connection" },
	{ "pods", "Memory of the mesh per pod" },
	{ "limits", "Limits of this CPU, one core" },
};

static const struct bench_value values[] = {
	{ "gbit_s", "throughput", "Gbit/s", BENCH_HIGHER, true },
	{ "per_s", "rate", "1/s", BENCH_HIGHER, true },
	{ "p50_us", "median time", "us", BENCH_LOWER, true },
	{ "p99_us", "99 % within", "us", BENCH_LOWER, true },
	{ "p999_us", "99.9 % within", "us", BENCH_LOWER, false },
	{ "mean_us", "mean time", "us", BENCH_LOWER, false },
	{ "max_us", "longest time", "us", BENCH_LOWER, false },
	{ "cpu_s_per_gb", "CPU of the machine", "s/GB", BENCH_LOWER, true },
	{ "mesh_cpu_s_per_gb", "CPU of the proxies", "s/GB", BENCH_LOWER, true },
	{ "cpu_us_each", "CPU of the machine, each", "us", BENCH_LOWER, true },
	{ "mesh_cpu_us_each", "CPU of the proxies, each", "us", BENCH_LOWER, false },
	{ "kb_each_1000", "per idle connection (1,000)", "KB", BENCH_LOWER, true },
	{ "kb_each_5000", "per idle connection (5,000)", "KB", BENCH_LOWER, true },
	{ "kb_base", "proxies with one connection", "KB", BENCH_LOWER, true },
	{ "first_us", "first connection and answer", "us", BENCH_LOWER, true },
	{ "kb_per_pod", "per pod", "KB", BENCH_LOWER, true },
	{ "seal_gbit_s", "AEAD seal, 16 KB records", "Gbit/s", BENCH_HIGHER, true },
	{ "open_gbit_s", "AEAD open, 16 KB records", "Gbit/s", BENCH_HIGHER, true },
	{ "memcpy_gbit_s", "copying 64 KB", "Gbit/s", BENCH_HIGHER, true },
	{ "handshakes_s", "mutual TLS handshakes, both sides", "1/s", BENCH_HIGHER, true },
	{ "cpu_busy", "busy CPUs", "", BENCH_NEITHER, false },
	{ "cpu_mesh", "busy CPUs by the proxies", "", BENCH_NEITHER, false },
	{ "cpu_stolen", "CPUs taken by the hypervisor", "", BENCH_NEITHER, false },
	{ "errors", "errors", "", BENCH_NEITHER, false },
};

const char *bench_test_title(const char *test)
{
	size_t i = bench_test_order(test);

	return i < ARRAY_LEN(tests) ? tests[i].title : test;
}

size_t bench_test_order(const char *test)
{
	size_t i = 0;

	while (i < ARRAY_LEN(tests) && strcmp(tests[i].test, test) != 0)
		i++;
	return i;
}

size_t bench_value_order(const char *key)
{
	size_t i = 0;

	while (i < ARRAY_LEN(values) && strcmp(values[i].key, key) != 0)
		i++;
	return i;
}

const struct bench_value *bench_value_of(const char *key)
{
	static struct bench_value other;
	size_t i = bench_value_order(key);

	if (i < ARRAY_LEN(values))
		return &values[i];
	other = (struct bench_value){ .key = key, .title = key, .unit = "" };
	return &other;
}

bool bench_headline(const char *test, const char *key)
{
	/* At a fixed rate the rate says nothing, and CPUs are mostly idle. */
	if (strcmp(test, "paced") == 0 && key[0] != 'p')
		return false;
	if (strcmp(test, "paced") == 0 && strcmp(key, "per_s") == 0)
		return false;
	if (strcmp(key, "p999_us") == 0)
		return strncmp(test, "rtt", 3) == 0 || strcmp(test, "paced") == 0;
	return bench_value_of(key)->headline;
}

const char *bench_place_title(const char *place)
{
	if (strcmp(place, "same") == 0)
		return "same node";
	return strcmp(place, "cross") == 0 ? "between nodes" : place;
}

char *bench_number(char *buf, double v)
{
	double size = fabs(v);
	int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.095 ? 2 : 3;

	snprintf(buf, 32, "%.*f", size < 0.0005 ? 0 : digits, v);
	return buf;
}
