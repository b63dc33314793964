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
	{ "bulk-1", "Throughput, 1 stream, writes of 64 KB" },
	{ "bulk-4", "Throughput, 4 streams, writes of 64 KB" },
	{ "bulk-16", "Throughput, 16 streams, writes of 64 KB" },
	{ "bulk-64", "Throughput, 64 streams, writes of 64 KB" },
	{ "bulk-1-down", "Throughput, 1 stream, writes of 64 KB, to the client" },
	{ "bulk-4-down", "Throughput, 4 streams, writes of 64 KB, to the client" },
	{ "bulk-16-down", "Throughput, 16 streams, writes of 64 KB, to the client" },
	{ "bulk-64-down", "Throughput, 64 streams, writes of 64 KB, to the client" },
	{ "bulk-1-1k", "Throughput, 1 stream, writes of 1 KB" },
	{ "bulk-4-1k", "Throughput, 4 streams, writes of 1 KB" },
	{ "bulk-16-1k", "Throughput, 16 streams, writes of 1 KB" },
	{ "bulk-64-1k", "Throughput, 64 streams, writes of 1 KB" },
	{ "bulk-1-1k-down", "Throughput, 1 stream, writes of 1 KB, to the client" },
	{ "bulk-4-1k-down", "Throughput, 4 streams, writes of 1 KB, to the client" },
	{ "bulk-16-1k-down", "Throughput, 16 streams, writes of 1 KB, to the client" },
	{ "bulk-64-1k-down", "Throughput, 64 streams, writes of 1 KB, to the client" },
	{ "rtt-1", "Round trip of 1 byte, one connection, otherwise idle" },
	{ "rtt-1k", "Round trip of 1 KB, one connection, otherwise idle" },
	{ "rtt-16k", "Round trip of 16 KB, one connection, otherwise idle" },
	{ "paced-1", "Round trip of 1 byte at 2,000 a second over 16 connections" },
	{ "paced-1k", "Round trip of 1 KB at 2,000 a second over 16 connections" },
	{ "paced-16k", "Round trip of 16 KB at 2,000 a second over 16 connections" },
	{ "conn-1", "New connections, one at a time" },
	{ "conn-16", "New connections, 16 at a time" },
	{ "ttfb", "Time to the first byte of a new connection, 200 a second" },
	{ "http1", "HTTP/1.1 requests of 1 KB (wrk, 64 connections, nginx)" },
	{ "http2", "HTTP/2 requests of 1 KB (h2load, 16 connections with 10 streams, nginx)" },
	{ "req-1000", "1,000 HTTP/1.1 requests of 1 KB a second (64 connections, nginx)" },
	{ "idle", "Fresh proxies: memory and the first connection" },
	{ "rest", "1,000 idle connections" },
	{ "pods", "Memory of the mesh per pod" },
	{ "crowd", "2 nodes, 20 pods, 1,000 connections" },
	{ "workloads", "100,000 workloads in the mesh" },
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
	{ "mesh_cpu_us_each", "CPU of the proxies, each", "us", BENCH_LOWER, true },
	{ "kb_each_1000", "per idle connection, 1,000 held", "KB", BENCH_LOWER, true },
	{ "kb_each_2000", "per idle connection, 2,000 held", "KB", BENCH_LOWER, true },
	{ "kb_each_4000", "per idle connection, 4,000 held", "KB", BENCH_LOWER, true },
	{ "kb_each_8000", "per idle connection, 8,000 held", "KB", BENCH_LOWER, true },
	{ "mb_base", "proxies with one connection", "MB", BENCH_LOWER, true },
	{ "rest_cpu_ms_s", "CPU of the proxies, ms per second", "ms/s", BENCH_LOWER, true },
	{ "first_us", "first connection and answer", "us", BENCH_LOWER, true },
	{ "kb_per_pod", "per pod", "KB", BENCH_LOWER, true },
	{ "mb_daemon", "daemon with one pod", "MB", BENCH_LOWER, true },
	{ "map_mb_daemon", "its BPF maps in the kernel", "MB", BENCH_LOWER, true },
	{ "mb_crowd", "all proxies", "MB", BENCH_LOWER, true },
	{ "map_mb_crowd", "BPF maps in the kernel", "MB", BENCH_LOWER, true },
	{ "mb_crowd_0", "all proxies, before the connections", "MB", BENCH_LOWER, true },
	{ "mb_100k", "growth of a daemon", "MB", BENCH_LOWER, true },
	{ "map_mb_100k", "growth of its BPF maps", "MB", BENCH_LOWER, true },
	{ "seal_gbit_s", "AEAD seal, 16 KB records", "Gbit/s", BENCH_HIGHER, true },
	{ "open_gbit_s", "AEAD open, 16 KB records", "Gbit/s", BENCH_HIGHER, true },
	{ "memcpy_gbit_s", "copying 64 KB", "Gbit/s", BENCH_HIGHER, true },
	{ "handshakes_s", "mutual TLS handshakes, both sides", "1/s", BENCH_HIGHER, true },
	{ "cpu_app_client_s_per_gb", "CPU of the client", "s/GB", BENCH_NEITHER, false },
	{ "cpu_proxy_client_s_per_gb", "CPU of the client's proxy", "s/GB", BENCH_LOWER, false },
	{ "cpu_proxy_server_s_per_gb", "CPU of the server's proxy", "s/GB", BENCH_LOWER, false },
	{ "cpu_app_server_s_per_gb", "CPU of the server", "s/GB", BENCH_NEITHER, false },
	{ "cpu_app_client_us_each", "CPU of the client, each", "us", BENCH_NEITHER, false },
	{ "cpu_proxy_client_us_each", "CPU of the client's proxy, each", "us", BENCH_LOWER, false },
	{ "cpu_proxy_server_us_each", "CPU of the server's proxy, each", "us", BENCH_LOWER, false },
	{ "cpu_app_server_us_each", "CPU of the server, each", "us", BENCH_NEITHER, false },
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

bool bench_test_is_memory(const char *test)
{
	return bench_test_order(test) >= bench_test_order("idle") && strcmp(test, "limits") != 0 &&
	       bench_test_order(test) < ARRAY_LEN(tests);
}

bool bench_headline(const char *test, const char *key)
{
	bool paced = strncmp(test, "paced", 5) == 0 || strcmp(test, "ttfb") == 0;

	/* At a fixed rate the rate says nothing. */
	if ((paced || strncmp(test, "req-", 4) == 0) && strcmp(key, "per_s") == 0)
		return false;
	if (strncmp(test, "rtt", 3) == 0 && strcmp(key, "per_s") == 0)
		return false; /* the same as the median time */
	if (paced && key[0] != 'p')
		return false;
	if (strcmp(key, "mesh_cpu_us_each") == 0)
		return strncmp(test, "req-", 4) == 0;
	if (strcmp(key, "p999_us") == 0)
		return paced || strncmp(test, "rtt", 3) == 0;
	return bench_value_of(key)->headline;
}

const char *bench_place_title(const char *place)
{
	if (strcmp(place, "same") == 0)
		return "same node";
	return strcmp(place, "cross") == 0 ? "between nodes" : place;
}

/* Commas between thousands. */
static void number_group(char *buf, long v)
{
	char digits[32];
	int n = snprintf(digits, sizeof(digits), "%ld", v), out = 0;

	for (int i = 0; i < n; i++) {
		if (i > 0 && digits[i - 1] != '-' && (n - i) % 3 == 0)
			buf[out++] = ',';
		buf[out++] = digits[i];
	}
	buf[out] = '\0';
}

char *bench_number(char *buf, double v)
{
	double size = fabs(v);
	int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.095 ? 2 : 3;

	if (size >= 999.5 && size < 1e15)
		number_group(buf, lround(v));
	else
		snprintf(buf, 32, "%.*f", size < 0.0005 ? 0 : digits, v);
	return buf;
}
