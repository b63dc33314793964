/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Label text of one istio_tcp_* series: names, order and the word "unknown" as ztunnel writes
 * them, because graphs group by these labels and drop samples where one is missing. Pure.
 */
#include <stddef.h>

#include "report/metric.h"

#define LABELS_TEXT_MAX 8192

/* a="b",c="d" without braces; length, or -ENAMETOOLONG. */
int labels_format(char *buf, size_t cap, const struct tcp_labels *l);
/* Those of a workload whose connection needs a hostname resolved, and the hostname: eight source_*,
 * hostname. As labels_format(). */
int labels_resolved(char *buf, size_t cap, const struct workload *src, const char *hostname);
/* response_flags of a reason; static text. */
const char *labels_flag(enum weft_reason reason);
