// SPDX-License-Identifier: Apache-2.0
/*
 * codec/promtext: writes what Prometheus scrapes. Used by report/ and admin/. The writer owns
 * its buffer; one thread at a time. Label values may come from strangers: they are escaped,
 * and bytes that are not UTF-8 become '?', because one of them would spoil the whole scrape.
 */
#include "codec/promtext.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"

void prom_init(struct prom *w, bool openmetrics)
{
	*w = (struct prom){ .openmetrics = openmetrics };
}

void prom_fini(struct prom *w)
{
	free(w->p);
	*w = (struct prom){ 0 };
}

static bool prom_reserve(struct prom *w, size_t more)
{
	size_t need;

	if (w->error)
		return false;
	if (__builtin_add_overflow(w->n + 1, more, &need) ||
	    vec_grow((void **)&w->p, &w->cap, need, 1) < 0)
		w->error = -ENOMEM;
	return !w->error;
}

static void put_n(struct prom *w, const char *p, size_t n)
{
	if (!prom_reserve(w, n))
		return;
	memcpy(w->p + w->n, p, n);
	w->n += n;
	w->p[w->n] = '\0';
}

static void put(struct prom *w, const char *z)
{
	put_n(w, z, strlen(z));
}

/* Length of the UTF-8 sequence at s (NUL-terminated), 0 if it is none. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

/* One character of *z as it is written; moves *z on. At most 4 bytes into out. */
static size_t escape_char(char *out, const char **z, bool escape_quote)
{
	const char *s = *z;
	size_t n = utf8_len((const unsigned char *)s);

	*z += n ? n : 1;
	if (!n) {
		out[0] = '?';
		return 1;
	}
	if (*s == '\\' || *s == '\n' || (*s == '"' && escape_quote)) {
		out[0] = '\\';
		out[1] = *s == '\n' ? 'n' : *s;
		return 2;
	}
	memcpy(out, s, n);
	return n;
}

static void put_escaped(struct prom *w, const char *z, bool escape_quote)
{
	while (*z) {
		char c[4];
		size_t n = escape_char(c, &z, escape_quote);

		put_n(w, c, n);
	}
}

int prom_escape(char *buf, size_t cap, const char *value)
{
	size_t n = 0;

	while (*value) {
		char c[4];
		size_t k = escape_char(c, &value, true);

		if (n + k >= cap)
			return -ENAMETOOLONG;
		memcpy(buf + n, c, k);
		n += k;
	}
	if (!cap)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	return (int)n;
}

static void put_name(struct prom *w, const char *name, bool total)
{
	put(w, name);
	if (total)
		put(w, "_total");
}

void prom_family(struct prom *w, const char *name, enum prom_type type, const char *help)
{
	/* OpenMetrics names the family, 0.0.4 names the samples. */
	bool total = type == PROM_COUNTER && !w->openmetrics;

	if (help) {
		put(w, "# HELP ");
		put_name(w, name, total);
		put(w, " ");
		/* 0.0.4 has no \" in help text, OpenMetrics wants it. */
		put_escaped(w, help, w->openmetrics);
		put(w, "\n");
	}
	put(w, "# TYPE ");
	put_name(w, name, total);
	put(w, type == PROM_COUNTER ? " counter\n"
	       : type == PROM_GAUGE ? " gauge\n"
				    : " histogram\n");
}

void prom_begin(struct prom *w, const char *name, enum prom_type type)
{
	w->in_labels = false;
	put_name(w, name, type == PROM_COUNTER);
}

static void label_sep(struct prom *w)
{
	put(w, w->in_labels ? "," : "{");
	w->in_labels = true;
}

void prom_label(struct prom *w, const char *key, const char *value)
{
	label_sep(w);
	put(w, key);
	put(w, "=\"");
	put_escaped(w, value ? value : "", true);
	put(w, "\"");
}

void prom_labels_raw(struct prom *w, const char *rendered)
{
	if (!rendered || !*rendered)
		return;
	label_sep(w);
	put(w, rendered);
}

static void put_value(struct prom *w, const char *text)
{
	put(w, w->in_labels ? "} " : " ");
	put(w, text);
	put(w, "\n");
	w->in_labels = false;
}

void prom_u64(struct prom *w, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	put_value(w, text);
}

void prom_f64(struct prom *w, double v)
{
	char text[32];

	if (isnan(v)) {
		put_value(w, "NaN");
		return;
	}
	if (isinf(v)) {
		put_value(w, v > 0 ? "+Inf" : "-Inf");
		return;
	}
	/* The shortest text that reads back as the same number. */
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	put_value(w, text);
}

void prom_end(struct prom *w)
{
	/* Even when empty, p is text afterwards. */
	put(w, w->openmetrics ? "# EOF\n" : "");
}
