/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/resolver: many names -> addresses, with a memory (io/resolve.h is for one at the start), as the
 * host itself resolves them (/etc/hosts, the nameservers of
 * /etc/resolv.conf, no search domains), by c-ares on a loop. Answers are kept as long as they
 * say, but RESOLVER_TTL_MIN_S at least and RESOLVER_TTL_MAX_S at most; one that cannot be
 * renewed is used for RESOLVER_STALE_S longer. One loop's thread.
 */
#include <stdbool.h>

#include "base/errbuf.h"
#include "base/ip.h"
#include "base/list.h"

struct loop;
struct resolver;

#define RESOLVER_TTL_MIN_S 5
#define RESOLVER_TTL_MAX_S 300
#define RESOLVER_STALE_S 3600
#define RESOLVER_NAMES_MAX 4096 /* that are kept or asked for at the same time */

/* Embedded in its owner; zero-initialised means "not asking". */
struct resolver_query {
	struct list node;
	/* r: 0, and addrs[0..n) are valid until the call returns, n > 0; -ENOENT: there is no such name, or it has
	 * no address; another -errno: nobody could be asked. text: for people, in both cases of
	 * failure. */
	void (*fn)(void *arg, int r, const char *text, const struct weft_addr *addrs, size_t n);
	void *arg;
};

int resolver_new(struct loop *loop, struct resolver **ret);
/* Questions that are open are not answered any more. */
void resolver_free(struct resolver **r);
/* fn follows, sometimes before this returns (what is known already). -ENOMEM, -ENOSPC (too many
 * names); fn is not called then. q->fn and q->arg are set by the caller. */
int resolver_ask(struct resolver *r, const char *name, struct resolver_query *q);
/* fn is not called any more. Idempotent. */
void resolver_cancel(struct resolver_query *q);
