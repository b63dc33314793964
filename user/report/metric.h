/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The istio_tcp_* families. A series is found once per connection (locked hash) and then
 * counted with relaxed atomics, so bytes are visible while a connection is open. Counts of
 * the kernel (direct, passthrough) are added at scrape time to the series with the same labels.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weft/flow.h"
#include "weft/reason.h"
#include "model/snap.h"

/* Which side of a connection says it: the label "reporter". */
enum reporter { REPORTER_SOURCE = 1, REPORTER_DESTINATION = 2 };

struct tcp_labels {
	enum reporter reporter;
	const struct workload *src, *dst; /* NULL: unknown */
	const struct service *service;   /* NULL: unknown */
	bool mutual_tls; /* connection_security_policy; principals are shown only then */
	const char *src_principal; /* peer's certificate where that is known better; may be NULL */
	enum weft_reason reason; /* response_flags */
};

struct tcp_series {
	_Atomic uint64_t opened, closed, failed;
	_Atomic uint64_t sent_bytes, received_bytes; /* server->client, client->server */
};

struct metrics; /* the registry */

int metrics_new(struct metrics **ret);
void metrics_free(struct metrics **m);
/* Any thread; the series lives as long as the registry. NULL when the limit on series is
 * reached (counted in weft_metric_series_dropped_total). */
struct tcp_series *metrics_tcp_any(struct metrics *m, const struct tcp_labels *l);

/* Kernel totals, control thread, during metrics_write(): call for each row. */
void metrics_kernel_row(struct metrics *m, const struct tcp_labels *l, const struct weft_total *t);

struct prom;
/* Writes all istio_tcp_* families. fill is called first and calls metrics_kernel_row(). */
void metrics_write(struct metrics *m, struct prom *w, void (*fill)(void *arg), void *arg);
