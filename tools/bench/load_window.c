// SPDX-License-Identifier: Apache-2.0
/* CPU times of the machine and of the mesh's processes, and their memory. Read only. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "load.h"

#define MAPS_MAX 256

/* Busy and stolen jiffies of the first line of /proc/stat. */
static void machine_read(double *ret_busy, double *ret_stolen)
{
	_fclose_ FILE *f = fopen("/proc/stat", "re");
	unsigned long long v[8] = { 0 };
	double hz = (double)sysconf(_SC_CLK_TCK);

	/* user nice system idle iowait irq softirq steal; guest time is part of user */
	if (!f || fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3,
			 v + 4, v + 5, v + 6, v + 7) != 8)
		return;
	*ret_busy = (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / hz;
	*ret_stolen = (double)v[7] / hz;
}

/* By the process's CPU clock: nanoseconds, where /proc/PID/stat has ticks. */
static double process_read(pid_t pid)
{
	struct timespec ts;
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &ts) < 0)
		return 0;
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

struct cpu_sample cpu_now(const struct load_opts *o)
{
	struct cpu_sample s = { .at = (double)clock_mono_ns() / 1e9 };

	machine_read(&s.machine, &s.stolen);
	for (size_t i = 0; i < o->n_pids; i++)
		s.mesh += process_read(o->pids[i]);
	for (size_t i = 0; i < o->n_roles; i++)
		s.roles[i] = process_read(o->roles[i].pid);
	s.self = process_read(getpid());
	return s;
}

static double pss_read(pid_t pid)
{
	_fclose_ FILE *f = NULL;
	char path[64], line[256];
	unsigned long kb;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %lu kB", &kb) == 1)
			return (double)kb * 1024;
	return -1;
}

double mesh_pss(const struct load_opts *o)
{
	double sum = 0;

	for (size_t i = 0; i < o->n_pids; i++) {
		double one = pss_read(o->pids[i]);

		if (one < 0)
			return -1;
		sum += one;
	}
	return sum;
}

/* "memlock" of one descriptor if it is a BPF map, else 0; *ret_id tells maps apart. */
static unsigned long map_read(const char *path, unsigned long *ret_id)
{
	_fclose_ FILE *f = fopen(path, "re");
	unsigned long bytes = 0, v;
	char line[256];

	*ret_id = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "memlock: %lu", &v) == 1)
			bytes = v;
		if (sscanf(line, "map_id: %lu", &v) == 1)
			*ret_id = v;
	}
	return *ret_id ? bytes : 0;
}

/* Each map once, whoever has it open how often. */
struct maps {
	unsigned long seen[MAPS_MAX];
	size_t n;
	double bytes;
};

static void maps_add(struct maps *m, unsigned long id, unsigned long bytes)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->seen[i] == id)
			return;
	if (m->n == MAPS_MAX)
		return;
	m->seen[m->n++] = id;
	m->bytes += (double)bytes;
}

double mesh_maps(const struct load_opts *o)
{
	struct maps m = { .n = 0 };

	for (size_t i = 0; i < o->n_pids; i++) {
		char path[320];
		struct dirent *e;
		DIR *d;

		snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)o->pids[i]);
		d = opendir(path);
		while (d && (e = readdir(d))) {
			unsigned long id, bytes;

			snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)o->pids[i],
				 e->d_name);
			bytes = map_read(path, &id);
			if (id)
				maps_add(&m, id, bytes);
		}
		if (d)
			closedir(d);
	}
	return m.bytes;
}

void sleep_s(double s)
{
	struct timespec ts = { .tv_sec = (time_t)s };

	ts.tv_nsec = (long)((s - (double)ts.tv_sec) * 1e9);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}
