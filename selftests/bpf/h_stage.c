// SPDX-License-Identifier: Apache-2.0
/* See h_stage.h. */
#include "h_stage.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int stage_up(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	if (env_up(state) < 0)
		return -1;
	s->e = *state;
	snprintf(s->dir, sizeof(s->dir), "/sys/fs/bpf/weft-test-%d", getpid());
	s->k = (struct kern){ .skel = s->e->skel, .pin_dir = s->dir };
	*state = s;
	setns(s->e->host, CLONE_NEWNET);
	return mkdir(s->dir, 0700);
}

int stage_down(void **state)
{
	struct stage *s = *state;
	void *e = s->e;

	vec_for_each(l, &s->k.links) {
		bpf_link__destroy(l->link);
		free(l->path);
	}
	vec_fini(&s->k.links);
	kern_unpin_all(s->dir);
	setns(s->e->home, CLONE_NEWNET);
	free(s);
	return env_down(&e);
}
