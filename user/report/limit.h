/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Refused connections of one source to one destination and port come in floods: their log lines
 * are limited, and what is left out is counted and said later. Nothing but lines: counters of
 * connections do not pass here. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

#define LIMIT_LINES 10		     /* of a pair go out as they come ... */
#define LIMIT_WINDOW_NS 5000000000ull /* ... within this time */
#define LIMIT_PAIRS 4096

struct limit;

struct limit_pair {
	struct weft_addr src, dst;
	uint16_t port; /* of dst */
	bool inbound;
};

/* WRITE: the line goes out. KEEP: it is the first one too many, limit_keep_any() takes it. DROP: it
 * is counted with that one. */
enum limit_what { LIMIT_WRITE, LIMIT_KEEP, LIMIT_DROP };

int limit_new(struct limit **ret);
void limit_free(struct limit **l);
enum limit_what limit_ask_any(struct limit *l, const struct limit_pair *pair, uint64_t now_ns);
/* line is malloc'ed and taken. */
void limit_keep_any(struct limit *l, const struct limit_pair *pair, char *line, size_t n);
/* Gives out the kept lines of windows that are over by now_ns (UINT64_MAX: all), each with the
 * number of further ones that it stands for; fn takes the line. */
void limit_expire_any(struct limit *l, uint64_t now_ns,
		      void (*fn)(void *arg, char *line, size_t n, uint64_t more), void *arg);
uint64_t limit_dropped_any(struct limit *l); /* lines left out, ever */
