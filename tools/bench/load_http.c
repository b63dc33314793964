// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP by other people's load generators: runs wrk or h2load, reads its report, and puts CPU
 * times of the same window next to it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "load.h"

static pid_t http_start(const struct load_opts *o, int to)
{
	char streams[16], seconds[24], inner[16], warm[24];
	const char *wrk[] = { "wrk", "-t2", "-c", streams, "-d", seconds, "--latency", o->url, NULL };
	const char *h2load[] = { "h2load", "-t", "2",     "-c",   streams, "-m",
				 inner,    "-D", seconds, o->url, NULL };
	pid_t pid;

	snprintf(streams, sizeof(streams), "%u", o->streams);
	snprintf(inner, sizeof(inner), "%u", o->inner);
	snprintf(seconds, sizeof(seconds), "%.0fs", o->seconds < 1 ? 1 : o->seconds);
	snprintf(warm, sizeof(warm), "%.0f", o->warmup);
	pid = fork();
	if (pid == 0) {
		bool h2 = strcmp(o->tool, "h2load") == 0;

		dup2(to, STDOUT_FILENO);
		dup2(to, STDERR_FILENO);
		execvp(h2 ? "h2load" : "wrk", (char *const *)(h2 ? h2load : wrk));
		_exit(127);
	}
	return pid;
}

/* "412.30us", "1.20ms", "2.00s" in microseconds; -1 if it is none of them. */
static double time_us(const char *p)
{
	char *end;
	double v = strtod(p, &end);

	if (strncmp(end, "us", 2) == 0)
		return v;
	if (strncmp(end, "ms", 2) == 0)
		return v * 1e3;
	return *end == 's' ? v * 1e6 : -1;
}

/* wrk: "Requests/sec:  52000.12", "     50%  300.00us"; h2load: "finished in 1.0s, 52000.12
 * req/s, ...", "requests: 52000 total, ... 0 failed, 0 errored, ..." */
static void http_line(const char *line, json_t *values, double *ret_failed)
{
	const char *p = strstr(line, "finished in ");
	double v;

	if (p && (p = strchr(p, ',')) && sscanf(p, ", %lf req/s", &v) == 1)
		value_set(values, "per_s", v);
	if (sscanf(line, "Requests/sec: %lf", &v) == 1)
		value_set(values, "per_s", v);
	if (sscanf(line, " Non-2xx or 3xx responses: %lf", &v) == 1)
		*ret_failed += v;
	if (strncmp(line, "requests:", 9) == 0 && (p = strstr(line, " done, ")) &&
	    (p = strstr(p, " succeeded, ")) && sscanf(p, " succeeded, %lf failed", &v) == 1)
		*ret_failed += v;
	p = line + strspn(line, " ");
	if (strncmp(p, "50%", 3) == 0)
		value_set(values, "p50_us", time_us(p + 3));
	if (strncmp(p, "99%", 3) == 0)
		value_set(values, "p99_us", time_us(p + 3));
}

static int http_read(int from, json_t *values)
{
	_fclose_ FILE *f = fdopen(from, "r");
	double failed = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		http_line(line, values, &failed);
	value_set(values, "errors", failed);
	return 0;
}

/* As crew_prime(). A server of HTTP/2 has some answer to HTTP/1.1, and any will do. */
static int http_prime(const struct load_opts *o)
{
	_close_ int fd = -1;
	char buf[256];

	if (strcmp(o->tool, "wrk") == 0)
		return crew_prime(o, LOAD_BARE);
	fd = sock_connect(&o->target[0]);
	if (fd < 0 || sock_send_all(fd, "GET / HTTP/1.1\r\n\r\n", 18) < 0 ||
	    recv(fd, buf, sizeof(buf), 0) < 0) {
		fprintf(stderr, "weft-bench-load: first connection: %s\n", strerror(errno));
		return -1;
	}
	return 0;
}

int run_http(const struct load_opts *o, json_t *values)
{
	struct cpu_sample begin, end;
	double done;
	int fds[2], status = 0;
	pid_t pid;

	if (!o->url || !o->tool)
		return -1;
	if (http_prime(o) < 0)
		return -1;
	if (pipe(fds) < 0)
		return -1;
	begin = cpu_now(o);
	pid = http_start(o, fds[1]);
	close(fds[1]);
	if (pid < 0)
		return -1;
	http_read(fds[0], values);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end = cpu_now(o);
	done = json_real_value(json_object_get(values, "per_s")) * (end.at - begin.at);
	if (status != 0 || done <= 0) {
		fprintf(stderr, "weft-bench-load: %s %s: no result\n", o->tool, o->url);
		return -1;
	}
	value_set(values, "cpu_us_each", (end.machine - begin.machine) * 1e6 / done);
	value_set(values, "mesh_cpu_us_each", (end.mesh - begin.mesh) * 1e6 / done);
	return 0;
}
