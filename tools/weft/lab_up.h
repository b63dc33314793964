/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Making a lab and taking it down. The caller holds env_lock for all but lab_running. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/errbuf.h"

struct lab_env;
struct lab_spec;

struct lab_opts {
	const char *file;  /* NULL: the default lab; "-": stdin */
	const char *weftd; /* NULL: next to this program */
	bool no_weftd;	   /* pods without a mesh */
	FILE *progress;
};

/* Reads the file (or the default lab) and gives addresses. */
int lab_load(const char *file, const json_t *vips, struct errbuf *err, struct lab_spec *ret);
/* Everything or nothing: what was made is removed on failure (-EINTR: a signal came). */
int lab_up(struct lab_env *e, const struct lab_opts *o, const struct lab_spec *s,
	   struct errbuf *err);
/* Finds and removes everything with the lab's name, state file or not. */
int lab_down(struct lab_env *e, FILE *progress, struct errbuf *err);
/* Complete, with living processes. */
bool lab_running(const struct lab_env *e);

/* weftd of one node; path as in the state. */
int node_start(const struct lab_env *e, const char *node, const char *weftd, struct errbuf *err);
int node_wait_ready(struct lab_env *e, const char *node, int timeout_ms, struct errbuf *err);
/* Control request {cmd, ...}; takes the reference of request. */
json_t *node_call(const struct lab_env *e, const char *node, json_t *request, struct errbuf *err);
/* Last lines of a log. */
void log_tail(const char *path, unsigned int lines, FILE *out);
