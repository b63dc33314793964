/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the feed room: from a YAML tree into structs, driven by tables of fields. A table
 * says for each key how its value is read and where it goes; what is in no table is an error.
 * Every error names file, line and the way to the key. Readers leave what they have made in
 * the object also when they fail: the object's destructor frees it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/ip.h"
#include "codec/yaml.h"

/* The way from the root to a value, as links on the stack; text is made of it for errors only. */
struct at {
	const struct at *up;
	struct str key; /* p NULL: an item of a list */
	size_t index;
};

struct feed_defaults;

struct decode {
	const char *path; /* of the file */
	struct errbuf *err;
	const struct feed_defaults *defaults; /* never NULL */
};


struct word {
	const char *text;
	int value;
};

struct field;
typedef int (*read_fn)(struct decode *d, const struct at *at, const struct yaml *y,
		       const struct field *f, void *obj);

enum field_flag {
	FIELD_REQUIRED = 1u << 0,
	FIELD_NOT_NULL = 1u << 1, /* a key without a value is an error, not the same as no key */
	FIELD_MAP = 1u << 2,	  /* read_list: items are the entries of a map */
};

struct field {
	const char *key; /* NULL ends a table, and is what the elements of lists have */
	read_fn read;
	size_t off, off_n;	   /* of the value and, for lists, of its number */
	bool n32; /* which is a uint32_t, not a size_t */
	unsigned int flags;	   /* enum field_flag */
	const struct word *words;  /* read_word */
	const struct field *sub;   /* read_map: table; read_list: how an element is read */
	size_t size;		   /* read_list: of an element */
	size_t max;		   /* read_list: elements */
	uint32_t min_value;	   /* numbers */
};

/* Reads y into obj by the table. */
int decode_map(struct decode *d, const struct at *at, const struct yaml *y,
	       const struct field *table, void *obj);
__attribute__((format(printf, 4, 5))) int decode_error(struct decode *d, const struct at *at,
							const struct yaml *y, const char *fmt, ...);
int decode_oom(struct decode *d);
/* The scalar's text; an error for lists, maps and null. */
int decode_scalar(struct decode *d, const struct at *at, const struct yaml *y, struct str *ret);

int read_text(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj); /* char *, without control characters */
int read_name(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj); /* char *, not empty, without '/' and blanks */
int read_pair(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj); /* char *, "a/b" */
int read_bool(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj);
int read_u32(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	     void *obj);
int read_port(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj); /* uint16_t, not 0 */
int read_word(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj); /* an enum, upper or lower case */
int read_word_bool(struct decode *d, const struct at *at, const struct yaml *y,
		   const struct field *f, void *obj); /* one of two words into a bool */
int read_addr(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj);
int read_prefix(struct decode *d, const struct at *at, const struct yaml *y,
		const struct field *f, void *obj);
int read_list(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj);
/* A map whose values go into the same object. */
int read_nested(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
		void *obj);
/* Accepted silently, because it says nothing that matters here. */
int read_nothing(struct decode *d, const struct at *at, const struct yaml *y,
		 const struct field *f, void *obj);
/* Key and value of a {"80": 8080} entry; the value may be 0. */
int decode_port_entry(struct decode *d, const struct at *at, const struct yaml *y,
		      uint16_t *ret_port, uint16_t *ret_target);
int decode_addr(struct decode *d, const struct at *at, const struct yaml *y, struct str s,
		struct weft_addr *ret);
/* As decode_check_pair(), cut in two; a part may be set when the other was out of memory. */
int decode_pair(struct decode *d, const struct at *at, const struct yaml *y, struct str s,
		char **ret_head, char **ret_rest);
/* "a/b" with both parts there and no second '/'. */
int decode_check_pair(struct decode *d, const struct at *at, const struct yaml *y, struct str s);
