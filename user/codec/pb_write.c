// SPDX-License-Identifier: Apache-2.0
/* Writing Protocol Buffers into one growing buffer; see pb.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "codec/pb.h"

/* Room that pb_begin() leaves for the length of a nested message: up to 2^28. */
#define LEN_ROOM 4

static bool reserve(struct pb_writer *w, size_t n)
{
	size_t need;

	if (!w->failed && (__builtin_add_overflow(w->n, n, &need) ||
			   vec_grow((void **)&w->p, &w->cap, need, 1) < 0))
		w->failed = true;
	return !w->failed;
}

static void put_varint(struct pb_writer *w, uint64_t v)
{
	if (!reserve(w, 10))
		return;
	while (v >= 0x80) {
		w->p[w->n++] = (char)(v | 0x80);
		v >>= 7;
	}
	w->p[w->n++] = (char)v;
}

void pb_put_u64(struct pb_writer *w, uint32_t field, uint64_t v)
{
	put_varint(w, (uint64_t)field << 3 | PB_VARINT);
	put_varint(w, v);
}

void pb_put_raw(struct pb_writer *w, struct str encoded)
{
	if (!encoded.n || !reserve(w, encoded.n))
		return;
	memcpy(w->p + w->n, encoded.p, encoded.n);
	w->n += encoded.n;
}

void pb_put_bytes(struct pb_writer *w, uint32_t field, struct str v)
{
	put_varint(w, (uint64_t)field << 3 | PB_LEN);
	put_varint(w, v.n);
	pb_put_raw(w, v);
}

void pb_put_text(struct pb_writer *w, uint32_t field, const char *v)
{
	if (v && *v)
		pb_put_bytes(w, field, str_of(v));
}

size_t pb_begin(struct pb_writer *w, uint32_t field)
{
	put_varint(w, (uint64_t)field << 3 | PB_LEN);
	if (reserve(w, LEN_ROOM))
		w->n += LEN_ROOM;
	return w->n;
}

/* A varint may be longer than it must be: all four bytes are used, so nothing moves. */
void pb_end(struct pb_writer *w, size_t mark)
{
	size_t n;

	if (w->failed)
		return;
	n = w->n - mark;
	if (n >> (7 * LEN_ROOM)) {
		w->failed = true;
		return;
	}
	for (int i = 0; i < LEN_ROOM; i++)
		w->p[mark - LEN_ROOM + (size_t)i] = (char)(((n >> (7 * i)) & 0x7f) |
							   (i < LEN_ROOM - 1 ? 0x80 : 0));
}

int pb_written(const struct pb_writer *w, struct str *ret)
{
	if (w->failed)
		return -ENOMEM;
	*ret = (struct str){ w->p, w->n };
	return 0;
}

void pb_writer_fini(struct pb_writer *w)
{
	free(w->p);
	*w = (struct pb_writer){ 0 };
}
