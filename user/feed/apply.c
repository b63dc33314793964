// SPDX-License-Identifier: Apache-2.0
/* Two-phase apply; see apply.h. */
#include "feed/apply.h"

static void on_applied(void *arg)
{
	struct applier *a = arg;

	if (a->on_apply)
		a->on_apply(a->arg, model_snap(a->model));
}

void apply_snap(struct applier *a, struct snap *s)
{
	model_publish(a->model, s);
	task_defer(a->loop, &a->applied, on_applied, a);
}

int apply_input(struct applier *a, struct model_input *in, struct errbuf *err)
{
	struct snap *s = NULL;
	int r = model_build(a->model, in, err, &s);

	if (r == 0)
		apply_snap(a, s);
	return r;
}

int apply_policies(struct applier *a, struct policy_change *change, size_t n, struct errbuf *err)
{
	struct snap *s = NULL;
	int r = model_build_policies(a->model, change, n, err, &s);

	if (r == 0)
		apply_snap(a, s);
	return r;
}

void applier_fini(struct applier *a)
{
	task_cancel(&a->applied);
}
