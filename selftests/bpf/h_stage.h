/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* For tests of what kern/ attaches: the namespaces of h_env.h, a struct kern with the loaded
 * programs, and a folder of pins of its own. Tests run in the namespace host. */
#include "h_env.h"
#include "kern/priv.h"

struct stage {
	struct env *e;
	struct kern k;
	char dir[64];
};

/* As env_up() and env_down(), but *state is a struct stage * in between. Links and pins that
 * a test left are removed. */
int stage_up(void **state);
int stage_down(void **state);
