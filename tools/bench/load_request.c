// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP/1.1 requests at a fixed rate whether answered or not, which neither wrk nor h2load does:
 * what a mesh costs under a load that it does not choose itself. Speaks just enough HTTP for
 * the benchmark's own nginx.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "load.h"

#define HEAD_MAX 4096

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/* Bytes of a whole answer whose head is complete; 0: it is not, -1: it makes no sense. */
static ssize_t answer_length(char *buf, size_t n)
{
	const char *end, *length;
	unsigned long body;

	buf[n] = '\0';
	end = strstr(buf, "\r\n\r\n");
	if (!end)
		return n < HEAD_MAX ? 0 : -1;
	length = strcasestr(buf, "\r\nContent-Length:");
	if (strncmp(buf, "HTTP/1.1 200", 12) != 0 || !length || length > end ||
	    sscanf(length + 17, "%lu", &body) != 1 || body > LOAD_BUF - HEAD_MAX - 8)
		return -1;
	return end + 4 - buf + (ssize_t)body;
}

int request_once(int fd, char *buf)
{
	size_t n = 0;
	ssize_t want = 0, got;

	if (sock_send_all(fd, request, sizeof(request) - 1) < 0)
		return -1;
	while (want == 0 || n < (size_t)want) {
		got = recv(fd, buf + n, LOAD_BUF - 1 - n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = ECONNRESET;
		if (got <= 0)
			return -1;
		n += (size_t)got;
		if (want == 0)
			want = answer_length(buf, n);
		if (want < 0 || (want > 0 && n > (size_t)want)) {
			errno = EPROTO;
			return -1;
		}
	}
	return 0;
}

static void request_work(struct worker *w)
{
	_free_ char *buf = malloc(LOAD_BUF);
	uint64_t gap = (uint64_t)(1e9 * w->o->streams / w->o->rate);
	uint64_t at = clock_mono_ns() + gap * w->index / w->o->streams;

	while (buf && crew_phase(w) != PHASE_END) {
		sleep_until(at);
		if (request_once(w->fd, buf) < 0) {
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

int run_request(const struct load_opts *o, json_t *values)
{
	struct crew *c = o->rate > 0 ? calloc(1, sizeof(*c)) : NULL;
	int r = -1;

	if (!c) {
		fprintf(stderr, "weft-bench-load: request wants --rate\n");
		return -1;
	}
	c->work = request_work;
	c->connected = true;
	c->op = LOAD_BARE;
	r = run_messages(o, c, values);
	free(c);
	return r;
}
