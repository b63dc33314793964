/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The last step of every feed, mesh file or control plane: all of the mesh is built with its
 * indexes and checked (which can fail and then changes nothing), then published (which cannot).
 * Control thread.
 */
#include "base/errbuf.h"
#include "io/loop.h"
#include "model/snap.h"

struct applier {
	struct loop *loop;
	struct model *model;
	void (*on_apply)(void *arg, const struct snap *s); /* may be NULL */
	void *arg;
	struct task applied;
};

/* Takes one that was built, publishes it; on_apply runs later on the loop. */
void apply_snap(struct applier *a, struct snap *s);
/* Both steps. Takes the objects in *in, also on failure. */
int apply_input(struct applier *a, struct model_input *in, struct errbuf *err);
/* The same for some policies; takes them, see model_build_policies(). */
int apply_policies(struct applier *a, struct policy_change *change, size_t n, struct errbuf *err);
void applier_fini(struct applier *a);
