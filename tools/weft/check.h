/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of `weft check`: one line per thing that was looked at. One thread. */
#include <jansson.h>
#include <stdbool.h>

enum check_state {
	CHECK_OK,
	CHECK_FALLBACK, /* works, in another way; the text says what is lost */
	CHECK_OPTIONAL, /* not there and not needed */
	CHECK_WARN,	/* works; somebody should look */
	CHECK_FAIL,	/* does not work; the text says what to do */
	CHECK_STATE_MAX
};

struct check {
	json_t *list; /* of what was found */
	const char *group; /* "kernel", "machine", "others", "daemon" */
	bool failed;
};

__attribute__((format(printf, 4, 5))) void check_line(struct check *c, const char *name,
						       enum check_state state, const char *fmt, ...);

/* Mounts, rights, limits, clock, control group, configuration. */
void check_machine(struct check *c);
/* Programs and rules of others that decide about the same connections. */
void check_others(struct check *c);
