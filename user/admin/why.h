/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A story (why/why.h) as JSON, as docs/control.md lists it: the reply of the daemon and what
 * `weft why --mesh` prints are the same. Any thread; nothing of the story is kept.
 */
#include <jansson.h>

#include "why/why.h"

/* New object; node is the daemon's, NULL offline. NULL when out of memory. */
json_t *view_why(const struct why_story *story, const char *node);
