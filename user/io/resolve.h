/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/resolve: addresses of a host name without blocking the loop. getaddrinfo(3) has no
 * non-blocking form and may take half a minute; it runs on a thread of its own, which shares
 * nothing with the caller but one end of a socket pair, so that an answer nobody waits for any
 * more goes nowhere. Numeric addresses need no thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "weft/addr.h"

#define RESOLVE_MAX 16 /* addresses of one answer; further ones are not looked at */

struct loop;
struct resolve;

/* n addresses with the port that was given, in the order of RFC 6724, or r below 0: -ENOENT
 * there is no such name, -EAGAIN try again later, -EIO the lookup failed. */
typedef void (*resolve_fn)(void *arg, int r, const struct weft_ep *ep, size_t n);

/* fn is called once, on the loop, never from inside of this call. */
int resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn fn, void *arg,
		  struct resolve **ret);
/* Also after fn was called, to free it; fn is not called any more. NULL is fine. */
void resolve_free(struct resolve **r);
