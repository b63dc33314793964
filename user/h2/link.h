/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the h2 room: a byte stream to a named server. Resolves the name, tries its
 * addresses one after the other (5 s each), shakes hands (TLS, unless the server is one
 * without), and then reads and writes. One loop. Owns the socket.
 */
#include <sys/types.h>

#include "h2/sess.h"

struct h2_link;

struct h2_link_ops {
	void (*on_up)(void *arg);
	/* Before on_up: nothing can be reached; why is valid during the call. */
	void (*on_failed)(void *arg, const char *why);
	void (*on_ready)(void *arg); /* after on_up: there may be something to read or room */
};

/* o: strings are copied where they are needed longer. Callbacks never come from inside of a
 * call, and not after link_free(). */
int link_open(struct loop *loop, const struct sess_opts *o, const struct h2_link_ops *ops,
	      void *arg, struct h2_link **ret);
void link_free(struct h2_link **l);

/* Bytes; 0: the server has ended; -EAGAIN; -EPROTO and link_error(). */
ssize_t link_read(struct h2_link *l, void *buf, size_t cap);
ssize_t link_write(struct h2_link *l, const void *p, size_t n);
/* on_ready also when there is room to write. */
int link_want_write(struct h2_link *l, bool want);
const char *link_error(const struct h2_link *l);
/* Where it is connected to, as text; "" before. */
const char *link_peer(const struct h2_link *l);
