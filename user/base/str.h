/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Text as pointer and length. NUL-terminated only at libc's door. Numbers from text come only
 * from here, with ranges checked.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){ .p = (lit), .n = sizeof(lit) - 1 })
#define STR_FMT(s) (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_of(const char *z)
{
	return (struct str){ .p = z, .n = z ? strlen(z) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_nocase(struct str a, struct str b);
bool str_has_prefix(struct str s, struct str prefix);
bool str_has_suffix(struct str s, struct str suffix);
struct str str_trim(struct str s);
/* Cuts *s at the first sep: returns what is before it, leaves what is behind it. At the end
 * returns the rest and leaves p == NULL. */
struct str str_cut(struct str *s, char sep);
char *str_dup(struct str s); /* malloc'ed, NUL-terminated; NULL when out of memory */
/* printf into fresh memory; NULL when out of memory. */
__attribute__((format(printf, 1, 2))) char *str_printf(const char *fmt, ...);
/* Copies into buf[cap], always terminated; -ENAMETOOLONG (and nothing written) if it does
 * not fit. */
int str_copy(char *buf, size_t cap, struct str s);

/* Whole text must be the number. -EINVAL not a number, -ERANGE too large. */
int str_to_u64(struct str s, uint64_t *ret);
int str_to_u32(struct str s, uint32_t *ret);
int str_to_u16(struct str s, uint16_t *ret);
int str_to_bool(struct str s, bool *ret);	  /* true|false|yes|no|on|off|1|0 */
int str_to_duration_ns(struct str s, uint64_t *ret); /* 10ms 5s 3m 24h; a bare 0 */
int str_to_bytes(struct str s, uint64_t *ret);	  /* 4096 64K 1M 2G */
/* "1.2 MB" like text for people, decimal units; buf >= 16 bytes; returns buf. */
char *str_human_bytes(char *buf, size_t cap, double bytes);
