/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Relay engine "splice": two plain TCP sockets. Small amounts are copied (cheaper than two
 * splice calls), then pages move through a pipe per direction, without touching user space.
 * Bytes are counted while they flow. Bounded by the pipe. Loop thread; embedded in its owner.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weft/reason.h"
#include "io/loop.h"

struct splice_opts {
	_Atomic uint64_t *count_a_to_b, *count_b_to_a; /* may be NULL */
	void (*on_done)(void *arg, enum weft_reason why);
	void *arg;
};

struct splice_way {
	int from, to;
	int pipe[2];
	uint32_t in_pipe;
	bool eof, shut, readable, writable, rdhup;
	uint64_t bytes;
	_Atomic uint64_t *count;
};

struct splice_relay {
	struct loop *loop;
	struct watch watch[2];
	struct task again;
	struct splice_way way[2]; /* a -> b, b -> a */
	struct splice_opts o;
	bool stopped;
};

/* fds stay the caller's until on_done. *s is zeroed, except that watch[1] may already watch
 * fd_b (edge-triggered, all of IN, OUT, RDHUP): then it is taken over. 0 or -errno. */
int splice_start(struct splice_relay *s, struct loop *loop, int fd_a, int fd_b,
		 const struct splice_opts *o);
void splice_stop(struct splice_relay *s);
