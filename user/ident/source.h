/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where certificates come from: the embedded CA, files somebody else keeps fresh, or istiod,
 * which takes its time. Used by ident/store on the control thread only.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "ident/store.h"

struct istio_ca;
struct loop;
struct source;
struct tls_identity;

struct source_cert {
	struct tls_identity *id;      /* reference for the caller */
	int64_t begin_ms, end_ms;     /* the life renewal is planned on, wall time */
	uint64_t digest;       /* equal: the very same certificate, key and roots */
	uint64_t roots;        /* digest of the roots */
	bool cut_short;        /* ends before its ttl, with the intermediate */
};

int source_new(struct loop *loop, const struct ident_opts *o, struct errbuf *err,
	       struct source **ret);
void source_free(struct source **s);
/* Not NULL: certificates are asked for there, and source_fetch() has none. */
struct istio_ca *source_istio(const struct source *s);
int source_fetch(struct source *s, const char *uri, struct errbuf *err, struct source_cert *ret);

/* Files only: inotify descriptor to wait for, -1 when there is none. */
int source_watch_fd(const struct source *s);
/* Drains the events; true if anything may have changed. */
bool source_watch_read(struct source *s);
/* Starts watching again if the folder was replaced; true if it was (then reread). */
bool source_watch_renew(struct source *s);
