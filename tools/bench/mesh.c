// SPDX-License-Identifier: Apache-2.0
/*
 * weft-bench-mesh [WORKLOADS [SERVICES]]: what a mesh of istiod's costs in memory and time, without a
 * kernel and without a network, by default 100,000 workloads and 10,000 services. The workloads are
 * those of selftests/istiod.py: ten of a deployment, each in one service. One line of JSON for
 * each step: loading all of it, building and publishing the first snapshot, and a change of one
 * of a hundred workloads.
 */
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/own.h"
#include "feed/xds_store.h"

#define REPLICAS 10 /* workloads of one deployment */
#define PER_NODE 30

struct bench {
	size_t workloads, services;
	struct xds_decoder decoder;
	struct xds_store store;
	struct model *m;
};

static void put_printf(struct pb_writer *w, uint32_t field, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void put_printf(struct pb_writer *w, uint32_t field, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pb_put_text(w, field, text);
}

static void put_address(struct pb_writer *w, uint32_t field, uint32_t v4)
{
	const uint8_t b[] = { (uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4 };

	pb_put_bytes(w, field, (struct str){ (const char *)b, sizeof(b) });
}

static void put_port(struct pb_writer *w, uint32_t field)
{
	size_t port = pb_begin(w, field);

	pb_put_u64(w, 1, 80);
	pb_put_u64(w, 2, 8080);
	pb_end(w, port);
}

/* istio.workload.Workload, inside of an Address. move: the workload has another address. */
static void write_workload(const struct bench *b, struct pb_writer *w, size_t i, bool move)
{
	size_t app = i / REPLICAS, ns = app % 100, s = b->services ? app % b->services : 0;
	size_t at = pb_begin(w, 1);

	put_printf(w, 1, "app%zu-7d9c5b8f6d-%05zx", app, i);
	put_printf(w, 2, "ns%zu", ns);
	put_address(w, 3, (move ? 0x0c000000 : 0x0a800000) + (uint32_t)i);
	pb_put_u64(w, 5, 1);
	put_printf(w, 7, "app%zu", app);
	put_printf(w, 9, "worker-%zu", i / PER_NODE);
	put_printf(w, 10, "app%zu", app);
	pb_put_text(w, 11, "v1");
	pb_put_u64(w, 12, 2);
	put_printf(w, 13, "app%zu", app);
	pb_put_text(w, 18, "Kubernetes");
	put_printf(w, 20, "Kubernetes//Pod/ns%zu/app%zu-7d9c5b8f6d-%05zx", ns, app, i);
	if (b->services) {
		size_t entry = pb_begin(w, 22), ports;

		put_printf(w, 1, "ns%zu/s%zu.ns%zu.svc.cluster.local", s % 100, s, s % 100);
		ports = pb_begin(w, 2);
		put_port(w, 1);
		pb_end(w, ports);
		pb_end(w, entry);
	}
	pb_end(w, at);
}

static void write_service(struct pb_writer *w, size_t i)
{
	size_t at = pb_begin(w, 2), vip;

	put_printf(w, 1, "s%zu", i);
	put_printf(w, 2, "ns%zu", i % 100);
	put_printf(w, 3, "s%zu.ns%zu.svc.cluster.local", i, i % 100);
	vip = pb_begin(w, 4);
	put_address(w, 2, 0x0b000000 + (uint32_t)i);
	pb_end(w, vip);
	put_port(w, 5);
	pb_end(w, at);
}

/* As feed/xds_push.c does with a resource of a message. */
static struct xds_resource *resource_of(struct bench *b, struct pb_writer *w)
{
	struct xds_object obj = { 0 };
	struct errbuf err = { 0 };
	struct xds_resource *res;
	char version[17];
	struct str bytes;

	BUG_ON(pb_written(w, &bytes) < 0);
	snprintf(version, sizeof(version), "%016llx",
		 (unsigned long long)hash_bytes(bytes.p, bytes.n));
	if (xds_decode_address(&b->decoder, bytes, &err, &obj) < 0) {
		fprintf(stderr, "weft-bench-mesh: %s\n", err.text);
		exit(1);
	}
	res = xds_resource_new(&obj, str_of(version));
	BUG_ON(!res);
	return res;
}

/* One message with every step-th workload, and all services if step is 1. */
static void push(struct bench *b, size_t step)
{
	VEC(struct xds_resource *) list = { 0 };
	struct pb_writer w = { 0 };

	for (size_t i = 0; step == 1 && i < b->services; i++, w.n = 0) {
		write_service(&w, i);
		BUG_ON(vec_push(&list, resource_of(b, &w)) < 0);
	}
	for (size_t i = 0; i < b->workloads; i += step, w.n = 0) {
		write_workload(b, &w, i, step != 1);
		BUG_ON(vec_push(&list, resource_of(b, &w)) < 0);
	}
	vec_for_each(res, &list)
		BUG_ON(xds_store_put(&b->store, XDS_ADDRESS, *res) < 0);
	vec_fini(&list);
	pb_writer_fini(&w);
}

static void apply(struct bench *b)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	BUG_ON(xds_store_input(&b->store, "worker-0", &in) < 0);
	if (model_build(b->m, &in, &err, &s) < 0) {
		fprintf(stderr, "weft-bench-mesh: %s\n", err.text);
		exit(1);
	}
	model_publish(b->m, s);
}

/* In KB, of /proc/self/status. */
static long resident(const char *what)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = 0;

	BUG_ON(!f);
	while (kb == 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, what, strlen(what)) == 0)
			kb = strtol(line + strlen(what), NULL, 10);
	fclose(f);
	return kb;
}

static void tell(const struct bench *b, const char *step, uint64_t since_ns)
{
	double ms = (double)(clock_mono_ns() - since_ns) / 1e6;
	size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd;

	malloc_trim(0);
	printf("{\"step\": \"%s\", \"workloads\": %zu, \"services\": %zu, \"ms\": %.1f, \"heap_mb\": %.1f, "
	       "\"heap_per_workload\": %.0f, \"resident_mb\": %.1f, \"peak_mb\": %.1f}\n",
	       step, b->workloads, b->services, ms, (double)heap / 1e6,
	       (double)heap / (double)b->workloads, (double)resident("VmRSS:") / 1e3,
	       (double)resident("VmHWM:") / 1e3);
	fflush(stdout);
}

static int number(const char *text, size_t *ret)
{
	uint32_t n = 0;

	if (str_to_u32(str_of(text), &n) < 0 || n < 1 || n > 2000000) {
		fprintf(stderr, "weft-bench-mesh: '%s' is not a number from 1 to 2000000\n", text);
		return -1;
	}
	*ret = n;
	return 0;
}

int main(int argc, char **argv)
{
	struct bench b = { .workloads = 100000, .services = 10000 };
	uint64_t at;

	if (argc > 3 || (argc > 1 && number(argv[1], &b.workloads) < 0) ||
	    (argc > 2 && number(argv[2], &b.services) < 0)) {
		fprintf(stderr, "usage: weft-bench-mesh [WORKLOADS [SERVICES]]\n");
		return 2;
	}
	urcu_qsbr_register_thread();
	BUG_ON(intern_new(&b.decoder.strings) < 0 || model_new(&b.m) < 0);
	b.decoder.network = "";
	model_limit(b.m, SIZE_MAX, SIZE_MAX);
	at = clock_mono_ns();
	tell(&b, "nothing", at);
	at = clock_mono_ns();
	push(&b, 1);
	tell(&b, "loaded", at);
	at = clock_mono_ns();
	apply(&b);
	tell(&b, "applied", at);
	at = clock_mono_ns();
	push(&b, 100);
	tell(&b, "1 % changed", at);
	at = clock_mono_ns();
	apply(&b);
	tell(&b, "1 % applied", at);
	xds_store_fini(&b.store);
	xds_decoder_fini(&b.decoder);
	intern_free(&b.decoder.strings);
	model_free(&b.m);
	urcu_qsbr_unregister_thread();
	return 0;
}
