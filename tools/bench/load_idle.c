// SPDX-License-Identifier: Apache-2.0
/*
 * What connections cost that do nothing: memory and CPU of the mesh's processes. And the two
 * commands that only write a line of values.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "load.h"

int hold_open(const struct load_opts *o, int *fds, unsigned int from, unsigned int to)
{
	char byte = 0;

	for (unsigned int i = from; i < to; i++) {
		fds[i] = sock_connect(&o->target[0]);
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
	value_set(values, "mb_base", base / 1024 / 1024);
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

/* Deltas of a window in milliseconds of CPU per second: of the mesh, and of each process. */
static void rest_measure(const struct load_opts *o, json_t *values)
{
	struct cpu_sample begin, end;
	double elapsed;

	sleep_s(o->warmup);
	begin = cpu_now(o);
	sleep_s(o->seconds);
	end = cpu_now(o);
	elapsed = end.at - begin.at;
	value_set(values, "rest_cpu_ms_s", (end.mesh - begin.mesh) * 1e3 / elapsed);
	value_set(values, "cpu_busy", (end.machine - begin.machine) / elapsed);
}

int run_rest(const struct load_opts *o, json_t *values)
{
	unsigned int n = o->streams;
	_free_ int *fds = calloc(n, sizeof(*fds));
	int r;

	if (!fds)
		return -1;
	memset(fds, 0xff, n * sizeof(*fds));
	r = hold_open(o, fds, 0, n);
	if (r == 0)
		rest_measure(o, values);
	for (unsigned int i = 0; i < n; i++)
		own_close(&fds[i]);
	return r;
}

/* Ends with stdin, so whoever started it decides how long the connections stand. */
int run_keep(const struct load_opts *o, json_t *values)
{
	struct load_opts one = *o;
	unsigned int n = o->streams;
	_free_ int *fds = calloc(n * o->n_targets, sizeof(*fds));
	char byte;

	(void)values;
	if (!fds)
		return -1;
	for (size_t t = 0; t < o->n_targets; t++) {
		one.target[0] = o->target[t];
		if (hold_open(&one, fds + t * n, 0, n) < 0)
			return -1; /* the process ends, and with it its connections */
	}
	printf("%zu connections\n", n * o->n_targets);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

int run_value(const struct load_opts *o, json_t *values)
{
	if (!o->key)
		return -1;
	value_set(values, o->key, o->value);
	return 0;
}

int run_note(const struct load_opts *o, json_t *values)
{
	(void)o;
	(void)values;
	return 0;
}

int run_pss(const struct load_opts *o, json_t *values)
{
	value_set(values, "kb", mesh_pss(o) / 1024);
	value_set(values, "map_kb", mesh_maps(o) / 1024);
	return 0;
}
