/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HPACK (RFC 7541) for one connection, on nghttp2's deflater and inflater. The encoder never
 * makes dynamic entries, so its only state is whether a table size update is due; the decoder
 * has a table of 4096 until the peer acknowledged our SETTINGS and of 0 from then on. Both are
 * made on first use; the object may be freed between field blocks once the table is 0.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"

struct h2_hpack;

struct h2_field {
	struct str name, value;
};

/* What the peer may use for its next field block. */
enum h2_table {
	H2_TABLE_DEFAULT, /* 4096: it has not acknowledged our SETTINGS */
	H2_TABLE_SHRINK,  /* 0, and the next block must begin by saying so */
	H2_TABLE_ZERO,	  /* 0, and it has said so */
};

int h2_hpack_new(struct h2_hpack **ret);
void h2_hpack_free(struct h2_hpack **h);

/* The peer acknowledged: the decoder's table is 0 now. Returns what holds for its next block:
 * H2_TABLE_ZERO if it had chosen 0 by itself before. */
enum h2_table h2_hpack_shrink(struct h2_hpack *h);
/* Its SETTINGS_HEADER_TABLE_SIZE changed: the next block must begin with a size update. */
void h2_hpack_peer_limit(struct h2_hpack *h, uint32_t size);

/* Room that encoding these fields takes at most. */
size_t h2_hpack_bound(const struct h2_field *f, size_t n);
/* Length, -ENOMEM, or -EINVAL (more than 16 fields, cap too small). */
ssize_t h2_hpack_encode(struct h2_hpack *h, const struct h2_field *f, size_t n, uint8_t *buf,
			size_t cap);

/* Decodes a whole field block; on_field gets every field, its text lives during that call.
 * 0, -EBADMSG (COMPRESSION_ERROR) or -ENOMEM; the object is useless after an error. */
int h2_hpack_decode(struct h2_hpack *h, enum h2_table table, const uint8_t *p, size_t n,
		    void (*on_field)(void *arg, struct str name, struct str value), void *arg);

/* Scratch room for texts that must outlive decoding: H2_HPACK_TEXT bytes. */
#define H2_HPACK_TEXT 16384
char *h2_hpack_text(struct h2_hpack *h);
