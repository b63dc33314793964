/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gRPC's framing of messages in a stream of bytes: a flag, the length in four bytes, the
 * message. The reader passes messages on as they arrive and holds none of them. Pure functions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define GRPC_HEAD 5

struct grpc_in {
	uint8_t head[GRPC_HEAD];
	size_t n_head;
	uint32_t left; /* of the message */
	bool in_message;
};

struct grpc_in_ops { /* below 0 ends the reading with that result */
	int (*on_begin)(void *arg, uint32_t bytes);
	int (*on_bytes)(void *arg, const void *p, size_t n);
	int (*on_end)(void *arg);
};

/* -EBADMSG: a compressed message (we offered no compression); -EMSGSIZE: larger than max. */
int grpc_in_feed(struct grpc_in *g, const void *p, size_t n, uint32_t max,
		 const struct grpc_in_ops *ops, void *arg);
/* Nothing is half there. */
bool grpc_in_idle(const struct grpc_in *g);

void grpc_head(uint8_t ret[GRPC_HEAD], uint32_t bytes);

/* "grpc-message" is percent-encoded; bad escapes stay as they are, control characters become
 * '?'. Into buf, cut to fit, always terminated. */
void grpc_message_decode(char *buf, size_t cap, struct str s);
