/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP of weftd by libmicrohttpd, driven by the control loop (external epoll):
 * metrics 0.0.0.0/[::]:15020 /metrics and /stats/prometheus, readiness :15021
 * /healthz/ready (200 "ready\n" or 500 "not ready, pending: a, b\n"), admin localhost:15000.
 * Unknown path 404, wrong method 405.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/errbuf.h"

struct loop;
struct pages;
struct prom;

/* A long answer that is made while it is sent. At most 4 at once (503 for the next), and each
 * has two minutes: what it holds must not be held by a reader that does not read. */
struct page_stream {
	ssize_t (*read)(void *arg, char *buf, size_t cap); /* 0: the end; -errno: broken off */
	void (*end)(void *arg); /* frees arg; called once */
	void *arg;
};

#define PAGE_STREAMS_MAX 4
#define PAGE_STREAM_MAX_S 120

struct pages_ops {
	void (*metrics)(void *arg, struct prom *w);
	/* Fills buf with names of what is pending; true when ready. */
	bool (*ready)(void *arg, char *buf, size_t cap);
	/* GET <path> on the admin port: malloc'ed JSON text, or NULL for 404. */
	char *(*admin_get)(void *arg, const char *path);
	/* The same for long ones: 0 and *ret, -ENOENT for 404. NULL: there are none. */
	int (*admin_stream)(void *arg, const char *path, struct page_stream *ret);
	/* POST <path>: 0 and *ret, malloc'ed text, for 200; -EINVAL and a malloc'ed sentence in
	 * *ret for 400; -ENOENT for 404 or, if it can be read, 405. */
	int (*admin_post)(void *arg, const char *path, const char *query, char **ret);
};

struct pages_opts {
	uint16_t metrics_port, ready_port, admin_port; /* 0: off */
};

/* All ports are listening when it returns 0; -EADDRINUSE and the like name the port in err. */
int pages_start(struct loop *loop, const struct pages_opts *o, const struct pages_ops *ops,
		void *arg, struct errbuf *err, struct pages **ret);
void pages_stop(struct pages **p);

/* Whether an Accept header (NULL: none) prefers OpenMetrics to the text format. Pure. */
bool pages_wants_openmetrics(const char *accept);
