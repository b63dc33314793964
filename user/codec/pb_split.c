// SPDX-License-Identifier: Apache-2.0
/*
 * Splits one large message into its fields while it arrives; see pb.h. A field that lies
 * completely in the piece at hand is passed on without being copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/pb.h"

#define KEEP_MAX (64u << 10) /* a larger buffer is given back after its field */

/* Whether head[] is a whole tag with its number or length: 1, 0 not yet, -EBADMSG. */
static int head_complete(struct pb_split *s)
{
	size_t tag = 0, need;

	while (tag < s->n_head && (s->head[tag] & 0x80))
		tag++;
	if (tag == s->n_head)
		return s->n_head >= 10 ? -EBADMSG : 0;
	tag++;
	switch (s->head[0] & 7) {
	case PB_I64:
		return s->n_head == tag + 8;
	case PB_I32:
		return s->n_head == tag + 4;
	case PB_VARINT:
	case PB_LEN:
		for (need = tag; need < s->n_head && (s->head[need] & 0x80);)
			need++;
		if (need < s->n_head)
			return 1;
		return s->n_head - tag >= 10 ? -EBADMSG : 0;
	default:
		return -EBADMSG;
	}
}

/* The value of a complete head; of a PB_LEN field only the length, in v.u. */
static int head_value(struct pb_split *s, size_t field_max)
{
	struct str head = { (const char *)s->head, s->n_head };
	int r;

	s->n_head = 0;
	if ((s->head[0] & 7) != PB_LEN) {
		r = pb_next(&head, &s->v);
		return r < 0 ? r : 0;
	}
	/* Read as a number: the same bytes, only the body is missing. */
	s->head[0] = (uint8_t)(s->head[0] & ~7u);
	r = pb_next(&head, &s->v);
	if (r < 0)
		return r;
	if (s->v.u > field_max)
		return -EMSGSIZE;
	s->want_body = (size_t)s->v.u;
	s->v.wire = PB_LEN;
	s->v.u = 0;
	s->n_body = 0;
	s->in_body = true;
	return 0;
}

static int body_keep(struct pb_split *s, const char *p, size_t n)
{
	if (s->cap_body < s->want_body) {
		char *q = realloc(s->body, s->want_body);

		if (!q)
			return -ENOMEM;
		s->body = q;
		s->cap_body = s->want_body;
	}
	memcpy(s->body + s->n_body, p, n);
	s->n_body += n;
	return 0;
}

static int body_done(struct pb_split *s, const char *p,
		     int (*fn)(void *arg, const struct pb_value *v), void *arg)
{
	int r;

	s->v.bytes = (struct str){ p, s->want_body };
	s->in_body = false;
	r = fn(arg, &s->v);
	s->n_body = 0;
	if (s->cap_body > KEEP_MAX) {
		free(s->body);
		s->body = NULL;
		s->cap_body = 0;
	}
	return r < 0 ? r : 0;
}

/* Takes what it can of p; how much is in *ret_took. */
static int feed_body(struct pb_split *s, const char *p, size_t n, size_t *ret_took,
		     int (*fn)(void *arg, const struct pb_value *v), void *arg)
{
	size_t left = s->want_body - s->n_body, take = n < left ? n : left;
	int r;

	*ret_took = take;
	if (s->n_body == 0 && take == left)
		return body_done(s, p, fn, arg);
	r = body_keep(s, p, take);
	if (r < 0 || s->n_body < s->want_body)
		return r;
	return body_done(s, s->body, fn, arg);
}

int pb_split_feed(struct pb_split *s, const void *p, size_t n, size_t field_max,
		  int (*fn)(void *arg, const struct pb_value *v), void *arg)
{
	const char *at = p;
	int r = 0;

	while (n || (s->in_body && s->want_body == 0)) {
		size_t took = 1;

		if (s->in_body) {
			r = feed_body(s, at, n, &took, fn, arg);
		} else {
			s->head[s->n_head++] = (uint8_t)*at;
			r = head_complete(s);
			if (r > 0) {
				r = head_value(s, field_max);
				if (r == 0 && !s->in_body)
					r = fn(arg, &s->v);
			}
		}
		if (r < 0)
			return r;
		at += took;
		n -= took;
	}
	return 0;
}

int pb_split_end(const struct pb_split *s)
{
	return s->n_head || s->in_body ? -EBADMSG : 0;
}

void pb_split_fini(struct pb_split *s)
{
	free(s->body);
	*s = (struct pb_split){ 0 };
}
