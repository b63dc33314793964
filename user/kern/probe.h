/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the running kernel can do, found out by trying it, never by its version: distributions
 * build what they like and port back what they need. Used by load.c to choose between two ways
 * and by `weft check`. Control thread, or a process of its own; no state.
 */
#include <stdbool.h>

#include "base/errbuf.h"

/* Links on tcx (Linux 6.6), asked with a loaded program of type sched_cls. */
bool probe_tcx(int prog_fd);

enum probe_state {
	PROBE_OK,
	PROBE_FALLBACK, /* another way is taken, .text says which and what is lost */
	PROBE_OPTIONAL, /* not there, and nothing of today needs it */
	PROBE_MISSING,	/* weftd cannot work without */
	PROBE_STATE_MAX
};

struct probe_row {
	char name[24]; /* stable, for programs */
	char text[200]; /* one line for people */
	int state; /* enum probe_state */
};

/* Tries everything in a network namespace of a child process, so that nothing of the machine is
 * touched, and hands over one row each; attaches are undone. Needs root. 0 or -errno. */
int probe_all(void (*fn)(void *arg, const struct probe_row *row), void *arg);
