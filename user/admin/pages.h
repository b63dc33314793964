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

#include "base/errbuf.h"

struct loop;
struct pages;
struct prom;

struct pages_ops {
	void (*metrics)(void *arg, struct prom *w);
	/* Fills buf with names of what is pending; true when ready. */
	bool (*ready)(void *arg, char *buf, size_t cap);
	/* GET <path> on the admin port: malloc'ed JSON text, or NULL for 404. */
	char *(*admin_get)(void *arg, const char *path);
	/* POST /logging?level=...: malloc'ed text answer, NULL for 400. */
	char *(*admin_post)(void *arg, const char *path, const char *query);
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
