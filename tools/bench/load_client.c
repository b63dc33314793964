// SPDX-License-Identifier: Apache-2.0
/*
 * What the client measures: bulk bytes, round trips, connections, and what idle connections
 * cost. Blocking sockets, a thread per stream: the load is the same for every mode, and
 * nothing in it competes with the proxies by spinning.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "load.h"

void value_set(json_t *values, const char *key, double v)
{
	json_object_set_new(values, key, json_real(v));
}

/* CPU per unit of what was done, whole machine and the mesh alone. */
static void cpu_values(const struct crew *c, double units, double scale, const char *suffix,
		       json_t *values)
{
	char key[64];
	double busy = c->end.machine - c->begin.machine;
	double mesh = c->end.mesh - c->begin.mesh;
	double elapsed = c->end.at - c->begin.at;

	value_set(values, "cpu_busy", busy / elapsed);
	value_set(values, "cpu_mesh", mesh / elapsed);
	value_set(values, "cpu_stolen", (c->end.stolen - c->begin.stolen) / elapsed);
	if (units <= 0)
		return;
	snprintf(key, sizeof(key), "cpu_%s", suffix);
	value_set(values, key, busy * scale / units);
	snprintf(key, sizeof(key), "mesh_cpu_%s", suffix);
	value_set(values, key, mesh * scale / units);
}

/* ---- bulk ---- */
static void bulk_work(struct worker *w)
{
	_free_ char *buf = calloc(1, w->o->size);

	while (buf && crew_phase(w) != PHASE_END) {
		ssize_t n = w->o->down ? recv(w->fd, buf, w->o->size, 0)
				       : send(w->fd, buf, w->o->size, MSG_NOSIGNAL);

		if (n <= 0) {
			if (crew_phase(w) != PHASE_END)
				atomic_fetch_add(&w->errors, 1);
			return;
		}
		atomic_fetch_add_explicit(&w->done, (uint64_t)n, memory_order_relaxed);
	}
}

int run_bulk(const struct load_opts *o, json_t *values)
{
	struct crew *c = calloc(1, sizeof(*c));
	double elapsed;
	int r = -1;

	if (!c)
		return -1;
	c->work = bulk_work;
	c->connected = true;
	c->op = o->down ? LOAD_SOURCE : LOAD_SINK;
	r = crew_run(c, o);
	elapsed = c->end.at - c->begin.at;
	if (r == 0) {
		value_set(values, "gbit_s", (double)c->done * 8 / elapsed / 1e9);
		cpu_values(c, (double)c->done, 1e9, "s_per_gb", values);
		value_set(values, "errors", (double)c->errors);
	}
	crew_fini(c);
	free(c);
	return r;
}

/* ---- round trips ---- */
static void sleep_until(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void pingpong_work(struct worker *w)
{
	_free_ char *buf = calloc(1, w->o->size);
	uint64_t gap = w->o->rate > 0 ? (uint64_t)(1e9 * w->o->streams / w->o->rate) : 0;
	uint64_t at = clock_mono_ns() + gap * w->index / w->o->streams;

	while (buf && crew_phase(w) != PHASE_END) {
		/* Open loop: the time counts from when the message was due, so that a stall is
		 * seen by all the messages that it delays. */
		if (gap)
			sleep_until(at);
		else
			at = clock_mono_ns();
		if (sock_send_all(w->fd, buf, w->o->size) < 0 ||
		    sock_recv_all(w->fd, buf, w->o->size) < 0) {
			if (crew_phase(w) != PHASE_END)
				atomic_fetch_add(&w->errors, 1);
			return;
		}
		if (crew_phase(w) == PHASE_MEASURE)
			hist_add(&w->hist, clock_mono_ns() - at);
		atomic_fetch_add_explicit(&w->done, 1, memory_order_relaxed);
		at += gap;
	}
}

static int run_messages(const struct load_opts *o, struct crew *c, json_t *values)
{
	double elapsed;
	int r = crew_run(c, o);

	elapsed = c->end.at - c->begin.at;
	if (r == 0) {
		value_set(values, "per_s", (double)c->done / elapsed);
		hist_values(&c->hist, values);
		cpu_values(c, (double)c->done, 1e6, "us_each", values);
		value_set(values, "errors", (double)c->errors);
	}
	crew_fini(c);
	return r;
}

int run_pingpong(const struct load_opts *o, json_t *values)
{
	struct crew *c = calloc(1, sizeof(*c));
	int r = -1;

	if (!c)
		return -1;
	c->work = pingpong_work;
	c->connected = true;
	c->op = LOAD_ECHO;
	r = run_messages(o, c, values);
	free(c);
	return r;
}

/* ---- connections ---- */
static int connect_once(const struct load_opts *o, char *buf)
{
	struct load_hello h = { .op = LOAD_ECHO, .size = o->size };
	_close_ int fd = sock_connect(o);

	if (fd < 0)
		return -1;
	memcpy(h.magic, LOAD_MAGIC, sizeof(h.magic));
	memcpy(buf, &h, sizeof(h));
	if (sock_send_all(fd, buf, sizeof(h) + o->size) < 0)
		return -1;
	return sock_recv_all(fd, buf, o->size);
}

static void connect_work(struct worker *w)
{
	_free_ char *buf = calloc(1, sizeof(struct load_hello) + w->o->size);

	while (buf && crew_phase(w) != PHASE_END) {
		uint64_t at = clock_mono_ns();

		if (connect_once(w->o, buf) < 0) {
			if (atomic_fetch_add(&w->errors, 1) == 0)
				fprintf(stderr, "weft-bench-load: connection: %s\n", strerror(errno));
			sleep_s(0.001);
			continue;
		}
		if (crew_phase(w) == PHASE_MEASURE)
			hist_add(&w->hist, clock_mono_ns() - at);
		atomic_fetch_add_explicit(&w->done, 1, memory_order_relaxed);
	}
}

int run_connect(const struct load_opts *o, json_t *values)
{
	struct crew *c = calloc(1, sizeof(*c));
	int r = -1;

	if (!c)
		return -1;
	c->work = connect_work;
	r = run_messages(o, c, values);
	free(c);
	return r;
}

/* ---- idle connections ---- */
static int hold_open(const struct load_opts *o, int *fds, unsigned int from, unsigned int to)
{
	char byte = 0;

	for (unsigned int i = from; i < to; i++) {
		fds[i] = sock_connect(o);
		if (fds[i] < 0 || sock_hello(fds[i], LOAD_ECHO, 1) < 0 ||
		    sock_send_all(fds[i], &byte, 1) < 0 || sock_recv_all(fds[i], &byte, 1) < 0) {
			fprintf(stderr, "weft-bench-load: connection %u: %s\n", i, strerror(errno));
			return -1;
		}
	}
	return 0;
}

int run_hold(const struct load_opts *o, json_t *values)
{
	unsigned int last = o->n_steps ? o->steps[o->n_steps - 1] : 0, held = 0;
	_free_ int *fds = calloc(last ? last : 1, sizeof(*fds));
	uint64_t began;
	double base;
	int r = 0;

	if (!fds || last == 0)
		return -1;
	memset(fds, 0xff, last * sizeof(*fds));
	/* The first connection pays for tunnels and pools, which do not grow with each. */
	began = clock_mono_ns();
	r = hold_open(o, fds, 0, 1);
	value_set(values, "first_us", (double)(clock_mono_ns() - began) / 1e3);
	base = mesh_pss(o);
	value_set(values, "kb_base", base / 1024);
	for (size_t i = 0; r == 0 && i < o->n_steps; i++) {
		char key[32];

		r = hold_open(o, fds, held ? held : 1, o->steps[i]);
		held = o->steps[i];
		snprintf(key, sizeof(key), "kb_each_%u", held);
		if (r == 0)
			value_set(values, key, (mesh_pss(o) - base) / 1024 / (held - 1));
	}
	for (unsigned int i = 0; i < last; i++)
		own_close(&fds[i]);
	return r;
}

int run_value(const struct load_opts *o, json_t *values)
{
	if (!o->key)
		return -1;
	value_set(values, o->key, o->value);
	return 0;
}

int run_pss(const struct load_opts *o, json_t *values)
{
	value_set(values, "kb", mesh_pss(o) / 1024);
	return 0;
}
