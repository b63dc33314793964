// SPDX-License-Identifier: Apache-2.0
/* CPU times of the machine and of the mesh's processes, and their memory. Read only. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "load.h"

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

void sleep_s(double s)
{
	struct timespec ts = { .tv_sec = (time_t)s };

	ts.tv_nsec = (long)((s - (double)ts.tv_sec) * 1e9);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}
