/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A byte stream that is not a plain socket: today an HBONE stream (tunnel/stream.c). The
 * sender asks the chan where to put bytes (reserve), reads from its socket right there, and
 * commits; so the chan can seal in place and nothing is copied on the way. Loop thread.
 *
 * Life: the relay owns the chan's use from chan_attach() until it calls ops->close() or
 * ops->reset(); afterwards no event comes any more and the chan may be gone.
 */
#include <stddef.h>
#include <sys/uio.h>

#include "weft/reason.h"

struct chan;

struct chan_ops {
	/* Up to max places to read into, in order; 0: no room now, on_writable follows. */
	int (*reserve)(struct chan *c, struct iovec *iov, int max);
	/* The first n bytes of what was reserved are filled; n may be 0. */
	void (*commit)(struct chan *c, size_t n);
	void (*shut)(struct chan *c);		   /* no more bytes from this side */
	void (*consumed)(struct chan *c, size_t n); /* n bytes of on_data were passed on */
	void (*reset)(struct chan *c);		   /* abort both ways */
	void (*close)(struct chan *c);		   /* both ways ended well */
};

struct chan_events {
	/* Bytes valid during the call; all are taken (and kept, if need be). */
	void (*on_data)(void *arg, const struct iovec *iov, int n_iov);
	void (*on_eof)(void *arg);
	void (*on_reset)(void *arg, enum weft_reason why); /* the chan is gone */
	void (*on_writable)(void *arg);
};

struct chan {
	const struct chan_ops *ops;
	const struct chan_events *events;
	void *arg;
};

static inline void chan_attach(struct chan *c, const struct chan_events *events, void *arg)
{
	c->events = events;
	c->arg = arg;
}
