/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Relay engine "aead": a TCP socket on one side, a chan on the other. Bounded: towards the
 * chan nothing is buffered here (what the chan has no room for is not read); towards the
 * socket at most what the chan's window lets the peer send. Half-close and RST are carried
 * both ways; what a socket had sent before it was reset is still delivered. Loop thread; embedded in its owner.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "io/loop.h"
#include "relay/chan.h"

struct pump_opts {
	/* Counters to add to while bytes flow; may be NULL. */
	_Atomic uint64_t *count_from_fd, *count_to_fd;
	/* Called once, from the loop; the pump is stopped, the socket still the owner's. */
	void (*on_done)(void *arg, enum weft_reason why);
	void *arg;
	/* How long the last words of a socket that was reset may wait for room in the chan;
	 * 0: PUMP_LAST_WORDS_NS. */
	uint64_t last_words_ns;
};

#define PUMP_LAST_WORDS_NS (10 * NS_PER_S)

struct pump {
	struct loop *loop;
	struct watch watch;
	struct task again;
	struct timer last_words;
	struct chan *chan;
	struct pump_opts o;
	uint8_t *pending; /* bytes for the socket that it did not take yet */
	uint32_t pend_at, pend_n, pend_cap;
	int fd;
	bool readable, rdhup, writable, fd_eof, chan_eof, fd_shut, broken, stopped;
	uint8_t failing; /* enum weft_reason: ends on the next turn */
	uint64_t from_fd, to_fd; /* bytes so far */
};

/* Before a socket exists, chan bytes may already arrive: they are kept. */
void pump_init(struct pump *p, struct loop *loop, struct chan *chan, const struct pump_opts *o);
/* fd stays the caller's; it must be non-blocking and stay open until on_done/pump_stop. If
 * p->watch already watches fd (edge-triggered, at least EPOLLIN | EPOLLRDHUP), it is taken
 * over: a socket that was just connected needs no second registration. */
int pump_start(struct pump *p, int fd);
/* Ends without on_done; reset: the chan is aborted (otherwise it must be gone already). */
void pump_stop(struct pump *p, bool reset);
