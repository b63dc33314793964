/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checks that stay on in production. BUG_ON ends the process: the pinned BPF programs keep
 * enrolled pods fail-closed, and the supervisor starts a new daemon.
 */
#include <stdbool.h>
#include <stdint.h>

__attribute__((noreturn, cold)) void bug_fail(const char *file, int line, const char *what);

#define BUG_ON(cond)                                            \
	do {                                                    \
		if (__builtin_expect(!!(cond), 0))              \
			bug_fail(__FILE__, __LINE__, #cond);    \
	} while (0)

/* Objects that travel through callbacks carry a magic; OBJ_CHECK catches stale pointers. */
#define OBJ_CHECK(p, want) BUG_ON(!(p) || (p)->magic != (want))
