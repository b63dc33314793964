/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Protocol Buffers on the wire: a reader that hands out pieces of the message it reads, tables
 * that say where the fields of a message go, a splitter for a message that is too large to be
 * held, and a writer. No schema compiler and no allocation while reading; what is in no table
 * can be told from what is (decision 0015). Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"

enum pb_wire { PB_VARINT = 0, PB_I64 = 1, PB_LEN = 2, PB_I32 = 5 };

struct pb_value {
	uint32_t field; /* 1 .. 2^29 - 1 */
	enum pb_wire wire;
	uint64_t u;   /* of all but PB_LEN */
	struct str bytes; /* PB_LEN: points into the message */
};

/* Takes the next field off *rest. 1, 0 at the end, -EBADMSG (groups are refused as well). */
int pb_next(struct str *rest, struct pb_value *ret);

enum pb_kind {
	PB_BOOL, /* bool */
	PB_U32,  /* uint32_t; larger numbers are -EBADMSG */
	PB_ENUM, /* int */
	PB_TEXT, /* struct str without control characters */
	PB_BYTES, /* struct str */
	PB_SUB,   /* a message; its table works on the struct at the offset */
	PB_EACH,  /* handed to the function, once for each time that it is there */
	PB_SKIP,  /* known, and of no interest */
};

struct pb_decode; /* what goes down to the functions of PB_EACH */

struct pb_field {
	uint32_t field; /* 0 ends a table */
	enum pb_kind kind;
	size_t at;
	const char *name;
	const struct pb_field *sub;
	int (*each)(struct pb_decode *d, void *obj, const struct pb_value *v);
};

/* The part that all entries of tables have: PB(1, PB_TEXT, offsetof(struct x, name), "name") */
#define PB(number, its_kind, offset, its_name) \
	.field = (number), .kind = (its_kind), .at = (offset), .name = (its_name)

struct pb_decode {
	struct errbuf *err; /* says which field is wrong */
	bool strict;     /* a field that is in no table is an error */
	void *arg;
};

/* Reads msg into obj. As everywhere in Protocol Buffers the last one of several counts, and
 * nested messages are merged. -EBADMSG with the field's name in err, or what a function gave. */
int pb_decode(struct pb_decode *d, struct str msg, const struct pb_field *table, void *obj);
/* For PB_EACH: the value as one of the simple kinds into *ret, as pb_decode() would. */
int pb_get(struct pb_decode *d, const struct pb_value *v, enum pb_kind kind, const char *name,
	   void *ret);
/* A repeated uint32, packed or not: calls fn for each number. */
int pb_each_u32(struct pb_decode *d, const struct pb_value *v, const char *name,
		int (*fn)(struct pb_decode *d, void *obj, uint32_t u), void *obj);

/*
 * The splitter: fed with pieces of any size of one message, calls fn for each of its fields.
 * Only one field is held at a time, and only if it did not arrive in one piece.
 */
struct pb_split {
	uint8_t head[20]; /* tag and length, or tag and number */
	size_t n_head;
	char *body; /* of a PB_LEN field that came in pieces */
	size_t n_body, cap_body, want_body;
	struct pb_value v; /* whose body is awaited */
	bool in_body;
};

/* Larger fields are -EMSGSIZE; what fn gives below 0 ends the message. */
int pb_split_feed(struct pb_split *s, const void *p, size_t n, size_t field_max,
		  int (*fn)(void *arg, const struct pb_value *v), void *arg);
/* The message is complete: 0, or -EBADMSG if it ends in the middle of a field. */
int pb_split_end(const struct pb_split *s);
void pb_split_fini(struct pb_split *s); /* and ready for the next message */

/* The writer: one growing buffer; failures are remembered and told by pb_take(). */
struct pb_writer {
	char *p;
	size_t n, cap;
	bool failed;
};

void pb_put_u64(struct pb_writer *w, uint32_t field, uint64_t v);
void pb_put_bytes(struct pb_writer *w, uint32_t field, struct str v);
void pb_put_raw(struct pb_writer *w, struct str encoded);
void pb_put_text(struct pb_writer *w, uint32_t field, const char *v); /* nothing for "" and NULL */
/* Nested messages: what is written between the two is the body of field. */
size_t pb_begin(struct pb_writer *w, uint32_t field);
void pb_end(struct pb_writer *w, size_t mark);
/* 0 and the bytes, which stay the writer's, or -ENOMEM. */
int pb_written(const struct pb_writer *w, struct str *ret);
void pb_writer_fini(struct pb_writer *w);
