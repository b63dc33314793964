/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whom `weft why` and `weft policy test` ask: a mesh file, or the daemon that knows best. The
 * answer is the same JSON. One thread.
 */
#include <jansson.h>

#include "client.h"
#include "model/snap.h"

struct ask {
	struct targets targets;
	struct model *model; /* with --mesh */
	struct snap *snap;
};

/* EXIT_DONE, or complains on stderr: EXIT_USAGE also for a mesh file that cannot be read. */
int ask_open(const struct cli *c, struct ask *ret);
void ask_fini(struct ask *a);
/* port 0: to has it. EXIT_DONE; EXIT_USAGE (a name that the mesh does not have) and
 * EXIT_UNREACHABLE with the sentence in err. *ret is a new reference. */
int ask_why(struct ask *a, const char *from, const char *to, int port, struct errbuf *err,
	    json_t **ret);
/* The story as text on stdout; indent 0 is for one that stands alone. */
void why_print(const json_t *story, int indent);
