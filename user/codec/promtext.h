/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Writer of Prometheus text 0.0.4 and OpenMetrics 1.0 with escaping. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prom {
	char *p; /* malloc'ed, NUL-terminated */
	size_t n, cap;
	bool openmetrics;
	bool in_labels; /* a sample's "{" is open */
	int error; /* -ENOMEM once anything failed; then writing does nothing */
};

/* Of a histogram the caller writes the samples: <name>_bucket with label le, <name>_sum, <name>_count. */
enum prom_type { PROM_COUNTER, PROM_GAUGE, PROM_HISTOGRAM };

void prom_init(struct prom *w, bool openmetrics);
void prom_fini(struct prom *w);
/* name without "_total"; counters get it as the format wants. help may be NULL. */
void prom_family(struct prom *w, const char *name, enum prom_type type, const char *help);
/* A sample of the last family: prom_begin(name), prom_label(k, v)*, prom_u64/prom_f64. */
void prom_begin(struct prom *w, const char *name, enum prom_type type);
void prom_label(struct prom *w, const char *key, const char *value);
/* Labels that were rendered before (a="b",c="d"); NULL or "" for none. */
void prom_labels_raw(struct prom *w, const char *rendered);
void prom_u64(struct prom *w, uint64_t v);
void prom_f64(struct prom *w, double v);
void prom_end(struct prom *w); /* "# EOF" for OpenMetrics */
/* Label value escaped into buf; length or -ENAMETOOLONG. */
int prom_escape(char *buf, size_t cap, const char *value);
