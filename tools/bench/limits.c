// SPDX-License-Identifier: Apache-2.0
/*
 * weft-bench-limits [--rep N | --engine]: what one core of this machine can do at most of what the tunnel
 * is made of, by the code that weftd runs: sealing and opening TLS records, copying, and whole
 * mutual handshakes (client and server in this one thread). One line of JSON.
 */
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "ident/ca.h"
#include "tls/handshake.h"
#include "tls/record.h"

#define WINDOW_NS (400 * NS_PER_MS)
#define BATCH 32 /* records; half a megabyte, as much as waits in a busy tunnel */

static int fail(const char *what, int r)
{
	fprintf(stderr, "weft-bench-limits: %s: %s\n", what, strerror(-r));
	return r;
}

/* CPU time of this thread: what others do on the machine does not count. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- records ---- */
static int batch_seal(struct record *r, uint8_t wire[][RECORD_WIRE_MAX])
{
	for (size_t i = 0; i < BATCH; i++)
		if (record_seal(r, wire[i], RECORD_PLAIN_MAX, RECORD_DATA) < 0)
			return -EIO;
	return 0;
}

static int batch_open(struct record *r, uint8_t wire[][RECORD_WIRE_MAX])
{
	struct record_view view;
	size_t need;

	for (size_t i = 0; i < BATCH; i++)
		if (record_open(r, wire[i], RECORD_WIRE_MAX, &view, &need) <= 0)
			return -EBADMSG;
	return 0;
}

static int records_measure(json_t *values)
{
	static const uint8_t secret[32] = { 1 };
	static uint8_t wire[BATCH][RECORD_WIRE_MAX];
	uint64_t seal = 0, open = 0, bytes = 0;
	struct record r = { 0 };
	int e = record_init(&r, RECORD_AES_128_GCM_SHA256, secret, secret, sizeof(secret));

	while (e == 0 && seal + open < 2 * WINDOW_NS) {
		uint64_t t0 = cpu_ns(), t1;

		e = batch_seal(&r, wire);
		t1 = cpu_ns();
		if (e == 0)
			e = batch_open(&r, wire);
		seal += t1 - t0;
		open += cpu_ns() - t1;
		bytes += (uint64_t)BATCH * RECORD_PLAIN_MAX;
	}
	record_fini(&r);
	if (e < 0)
		return fail("record", e);
	json_object_set_new(values, "seal_gbit_s", json_real((double)bytes * 8 / (double)seal));
	json_object_set_new(values, "open_gbit_s", json_real((double)bytes * 8 / (double)open));
	return 0;
}

/* ---- copies: through a buffer larger than the caches, as bytes of a relay are ---- */
static int copy_measure(json_t *values)
{
	const size_t all = 64 << 20, part = 64 << 10;
	_free_ char *from = malloc(all), *to = malloc(all);
	uint64_t begin, bytes = 0;

	if (!from || !to)
		return fail("copy", -ENOMEM);
	memset(from, 1, all);
	memset(to, 2, all);
	begin = cpu_ns();
	while (cpu_ns() - begin < WINDOW_NS) {
		size_t at = (size_t)(bytes % all);

		memcpy(to + at, from + at, part);
		__asm__ volatile("" : : "r"(to + at) : "memory");
		bytes += part;
	}
	json_object_set_new(values, "memcpy_gbit_s",
			    json_real((double)bytes * 8 / (double)(cpu_ns() - begin)));
	return 0;
}

/* ---- handshakes ---- */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int identity_make(const char *dir, struct tls_identity **ret)
{
	_free_ char *chain = NULL, *key = NULL;
	struct errbuf err = { 0 };
	struct ca *ca = NULL;
	int r = ca_init_root(dir, "cluster.local", 86400, true, &err);

	if (r == 0)
		r = ca_init_node(dir, "node", 86400, &err);
	if (r == 0)
		r = ca_open(dir, "node", &err, &ca);
	if (r == 0)
		r = ca_issue(ca, "spiffe://cluster.local/ns/a/sa/b", 3600, &err, &chain, &key);
	if (r == 0)
		r = tls_identity_new(str_of(chain), str_of(key), str_of(ca_root_pem(ca)), &err, ret);
	ca_free(&ca);
	return r < 0 ? fail(err.text, r) : 0;
}

/* Moves what one side has to say to the other one. */
static int hs_move(struct tls_hs *from, struct tls_hs *to)
{
	uint8_t buf[16384];
	size_t n = tls_hs_output(from, buf, sizeof(buf));

	return n > 0 ? tls_hs_step(to, buf, n) : 0;
}

static int handshake_once(struct tls_identity *id)
{
	struct tls_hs *c = NULL, *s = NULL;
	struct record rc = { 0 }, rs = { 0 };
	int r = tls_hs_new(id, TLS_CLIENT, &c);

	if (r == 0)
		r = tls_hs_new(id, TLS_SERVER, &s);
	if (r == 0)
		r = tls_hs_step(c, NULL, 0);
	if (r == 0)
		r = hs_move(c, s); /* ClientHello */
	if (r == 0)
		r = hs_move(s, c); /* ServerHello ... Finished */
	if (r == 1)
		r = hs_move(c, s); /* Certificate, CertificateVerify, Finished */
	if (r == 1)
		r = tls_hs_record(c, &rc);
	if (r == 0)
		r = tls_hs_record(s, &rs);
	record_fini(&rc);
	record_fini(&rs);
	tls_hs_free(&c);
	tls_hs_free(&s);
	return r;
}

static int handshakes_measure(json_t *values)
{
	char dir[] = "/tmp/weft-bench-XXXXXX";
	struct tls_identity *id = NULL;
	uint64_t begin, n = 0;
	int r;

	if (!mkdtemp(dir))
		return fail(dir, -errno);
	r = identity_make(dir, &id);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	begin = cpu_ns();
	while (r == 0 && cpu_ns() - begin < WINDOW_NS) {
		r = handshake_once(id);
		n++;
	}
	if (r == 0)
		json_object_set_new(values, "handshakes_s",
				    json_real((double)n * 1e9 / (double)(cpu_ns() - begin)));
	else
		fail("handshake", r < 0 ? r : -EPROTO);
	if (id)
		tls_identity_put(&id);
	return r;
}

int main(int argc, char **argv)
{
	uint32_t rep = 1;
	json_t *record, *values = json_object();
	int r = 0;

	if (argc == 2 && strcmp(argv[1], "--engine") == 0)
		return puts(record_engine()) < 0;
	if (argc == 3 && strcmp(argv[1], "--rep") == 0)
		r = str_to_u32(str_of(argv[2]), &rep);
	if (r < 0 || (argc != 1 && argc != 3)) {
		fprintf(stderr, "usage: weft-bench-limits [--rep N | --engine]\n");
		return 2;
	}
	r = records_measure(values);
	if (r == 0)
		r = copy_measure(values);
	if (r == 0)
		r = handshakes_measure(values);
	record = json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "test", "limits", "mode", "core",
			   "place", "", "rep", (int)rep, "engine", record_engine(), "values", values);
	if (r == 0)
		r = json_dumpf(record, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	if (r == 0 && putchar('\n') < 0)
		r = -EIO;
	json_decref(record);
	return r == 0 ? 0 : 1;
}
