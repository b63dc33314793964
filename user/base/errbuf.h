/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The sentence for the person behind an error code: which file, line, key or pod, and what to
 * do. Functions that read what people write take one; NULL is allowed.
 */
#include <stdarg.h>
#include <stdio.h>

struct errbuf {
	char text[512];
};

/* Writes the sentence (the first one stays if there is one already), returns r. */
__attribute__((format(printf, 3, 4))) static inline int errbuf_set(struct errbuf *e, int r,
								    const char *fmt, ...)
{
	va_list ap;

	if (!e || e->text[0])
		return r;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return r;
}
