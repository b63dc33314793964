/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the demo knows of its lab at one moment, and how it shows it. One thread. */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lab_spec.h"

struct lab_env;

struct demo_node {
	const char *name;
	char address[64];
	json_t *status, *pods, *drops; /* last replies, NULL: no answer */
	json_t *connections; /* array; each row got "rate", bytes per second */
	json_t *seen;	     /* object id -> bytes at the last look */
	uint64_t peak_rss_kib;
};

struct demo {
	struct lab_env *env;
	const struct lab_spec *spec;
	struct demo_nodes {
		struct demo_node *p;
		size_t n, cap;
	} nodes;
	uint64_t start_ns, last_ns;
	bool screen;   /* stdout is a terminal */
};

int demo_init(struct demo *d, struct lab_env *e, const struct lab_spec *s);
void demo_fini(struct demo *d);
/* Asks every daemon. */
void demo_look(struct demo *d);
uint64_t demo_rss_kib(const struct demo_node *n);
/* Object path -> {connections, bytes, failed}: those that ended, from the access logs, and
 * those that are open. */
json_t *demo_sums(const struct demo *d);

/* One picture: replaces the screen, or is appended where stdout is no terminal. */
void demo_show(const struct demo *d);
void demo_summary(const struct demo *d, FILE *out);
void demo_screen_begin(const struct demo *d);
void demo_screen_end(const struct demo *d);
