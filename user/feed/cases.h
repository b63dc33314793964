/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tables of expected verdicts, docs/policies.md: a YAML (or JSON) list of connections that a
 * mesh must allow or deny. Read by `weft policy test`; only the form is checked here, the names
 * in it belong to a mesh.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"

#define FEED_CASES_MAX 65536

struct feed_case {
	int line;	  /* of the file, from 1 */
	char *from, *to;  /* as for why_ask() */
	uint16_t port;	  /* 0: not given, to may have it */
	bool allow;
	char *policy; /* "namespace/name" that must have decided, "" that none has; NULL: any */
	char *name;   /* for people; NULL none */
};

struct feed_cases {
	struct feed_case *v;
	size_t n;
};

/* -EINVAL with "path:line: where: what" in err. *ret owns its cases. */
int feed_cases_decode(struct str text, const char *path, struct errbuf *err,
		      struct feed_cases *ret);
/* Of a file: -errno of open(2) or read(2) too. */
int feed_cases_load(const char *path, struct errbuf *err, struct feed_cases *ret);
void feed_cases_fini(struct feed_cases *c);
