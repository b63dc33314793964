// SPDX-License-Identifier: Apache-2.0
/*
 * What the client measures: bulk bytes, round trips and connections. Blocking sockets, a thread per stream: the load is the same for every mode, and
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

static void cpu_value(json_t *values, const char *who, const char *suffix, double v)
{
	char key[80];

	snprintf(key, sizeof(key), "%s_%s", who, suffix);
	value_set(values, key, v);
}

/* CPU per unit of what was done: whole machine, the mesh alone, and each process. */
static void cpu_values(const struct load_opts *o, const struct crew *c, double units, double scale,
		       const char *suffix, json_t *values)
{
	double busy = c->end.machine - c->begin.machine;
	double mesh = c->end.mesh - c->begin.mesh;
	double elapsed = c->end.at - c->begin.at;

	value_set(values, "cpu_busy", busy / elapsed);
	value_set(values, "cpu_mesh", mesh / elapsed);
	value_set(values, "cpu_stolen", (c->end.stolen - c->begin.stolen) / elapsed);
	if (units <= 0)
		return;
	scale /= units;
	cpu_value(values, "cpu", suffix, busy * scale);
	cpu_value(values, "mesh_cpu", suffix, mesh * scale);
	cpu_value(values, "cpu_app_client", suffix, (c->end.self - c->begin.self) * scale);
	for (size_t i = 0; i < o->n_roles; i++) {
		char who[48];

		snprintf(who, sizeof(who), "cpu_%s", o->roles[i].name);
		cpu_value(values, who, suffix, (c->end.roles[i] - c->begin.roles[i]) * scale);
	}
}

/* ---- bulk ---- */
static void bulk_work(struct worker *w)
{
	_free_ char *buf = calloc(1, LOAD_BUF);

	while (buf && crew_phase(w) != PHASE_END) {
		ssize_t n = w->o->down ? recv(w->fd, buf, 64 * 1024, 0)
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
		cpu_values(o, c, (double)c->done, 1e9, "s_per_gb", values);
		value_set(values, "errors", (double)c->errors);
	}
	crew_fini(c);
	free(c);
	return r;
}

/* ---- round trips ---- */
void sleep_until(uint64_t ns)
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

int run_messages(const struct load_opts *o, struct crew *c, json_t *values)
{
	double elapsed;
	int r = crew_run(c, o);

	elapsed = c->end.at - c->begin.at;
	if (r == 0) {
		value_set(values, "per_s", (double)c->done / elapsed);
		hist_values(&c->hist, values);
		cpu_values(o, c, (double)c->done, 1e6, "us_each", values);
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
	_close_ int fd = sock_connect(&o->target[0]);

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
	uint64_t gap = w->o->rate > 0 ? (uint64_t)(1e9 * w->o->streams / w->o->rate) : 0;
	uint64_t at = clock_mono_ns() + gap * w->index / w->o->streams;

	while (buf && crew_phase(w) != PHASE_END) {
		if (gap)
			sleep_until(at); /* open loop, as for round trips */
		else
			at = clock_mono_ns();
		if (connect_once(w->o, buf) < 0) {
			if (atomic_fetch_add(&w->errors, 1) == 0)
				fprintf(stderr, "weft-bench-load: connection: %s\n", strerror(errno));
			sleep_s(0.001);
			continue;
		}
		if (crew_phase(w) == PHASE_MEASURE)
			hist_add(&w->hist, clock_mono_ns() - at);
		atomic_fetch_add_explicit(&w->done, 1, memory_order_relaxed);
		at += gap;
	}
}

int run_connect(const struct load_opts *o, json_t *values)
{
	struct crew *c = calloc(1, sizeof(*c));
	int r = -1;

	if (!c)
		return -1;
	c->work = connect_work;
	c->op = LOAD_ECHO;
	r = run_messages(o, c, values);
	free(c);
	return r;
}
