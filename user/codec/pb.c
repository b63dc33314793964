// SPDX-License-Identifier: Apache-2.0
/*
 * Reading Protocol Buffers; see pb.h. Lengths are checked against what is there before
 * anything is done with them. The writer is in pb_write.c, the splitter in pb_split.c.
 */
#include "codec/pb.h"

#include <errno.h>

#define FIELD_MAX ((1u << 29) - 1)

/* Base-128: 10 bytes at most, and no bits beyond the 64th. */
static int take_varint(struct str *rest, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < rest->n && i < 10; i++) {
		uint8_t b = (uint8_t)rest->p[i];

		if (i == 9 && b > 1)
			return -EBADMSG;
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b & 0x80)
			continue;
		rest->p += i + 1;
		rest->n -= i + 1;
		*ret = v;
		return 0;
	}
	return -EBADMSG;
}

static int take_fixed(struct str *rest, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (rest->n < n)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(uint8_t)rest->p[i] << (8 * i);
	rest->p += n;
	rest->n -= n;
	*ret = v;
	return 0;
}

int pb_next(struct str *rest, struct pb_value *ret)
{
	struct pb_value v = { 0 };
	uint64_t tag, n;
	int r;

	if (rest->n == 0)
		return 0;
	r = take_varint(rest, &tag);
	if (r < 0 || tag >> 3 == 0 || tag >> 3 > FIELD_MAX)
		return -EBADMSG;
	v.field = (uint32_t)(tag >> 3);
	v.wire = (enum pb_wire)(tag & 7);
	switch (v.wire) {
	case PB_VARINT:
		r = take_varint(rest, &v.u);
		break;
	case PB_I64:
		r = take_fixed(rest, 8, &v.u);
		break;
	case PB_I32:
		r = take_fixed(rest, 4, &v.u);
		break;
	case PB_LEN:
		r = take_varint(rest, &n);
		if (r < 0 || n > rest->n)
			return -EBADMSG;
		v.bytes = (struct str){ rest->p, (size_t)n };
		rest->p += n;
		rest->n -= (size_t)n;
		break;
	default:
		return -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret = v;
	return 1;
}

static int check_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return -EBADMSG;
	return 0;
}

static int field_error(struct pb_decode *d, const char *name, const char *what)
{
	return errbuf_set(d->err, -EBADMSG, "field %s %s", name ? name : "?", what);
}

int pb_get(struct pb_decode *d, const struct pb_value *v, enum pb_kind kind, const char *name,
	   void *ret)
{
	enum pb_wire want = kind == PB_TEXT || kind == PB_BYTES ? PB_LEN : PB_VARINT;

	if (v->wire != want)
		return field_error(d, name, "has another type");
	switch (kind) {
	case PB_BOOL:
		*(bool *)ret = v->u != 0;
		return 0;
	case PB_U32:
		if (v->u > UINT32_MAX)
			return field_error(d, name, "is out of range");
		*(uint32_t *)ret = (uint32_t)v->u;
		return 0;
	case PB_ENUM:
		/* Negative ones come as ten bytes; readers of enums cut to 32 bits. */
		*(int *)ret = (int)(int32_t)(uint32_t)v->u;
		return 0;
	case PB_TEXT:
		if (check_text(v->bytes) < 0)
			return field_error(d, name, "has a control character");
		*(struct str *)ret = v->bytes;
		return 0;
	default:
		*(struct str *)ret = v->bytes;
		return 0;
	}
}

static int decode_field(struct pb_decode *d, const struct pb_field *f, const struct pb_value *v,
			void *obj)
{
	void *at = (char *)obj + f->at;

	switch (f->kind) {
	case PB_SKIP:
		return 0;
	case PB_EACH:
		return f->each(d, at, v);
	case PB_SUB:
		if (v->wire != PB_LEN)
			return field_error(d, f->name, "has another type");
		return pb_decode(d, v->bytes, f->sub, at);
	default:
		return pb_get(d, v, f->kind, f->name, at);
	}
}

int pb_decode(struct pb_decode *d, struct str msg, const struct pb_field *table, void *obj)
{
	struct pb_value v;
	int r;

	while ((r = pb_next(&msg, &v)) > 0) {
		const struct pb_field *f = table;

		while (f->field && f->field != v.field)
			f++;
		if (f->field)
			r = decode_field(d, f, &v, obj);
		else if (d->strict)
			r = errbuf_set(d->err, -EBADMSG, "field %u is not known to this version",
				       v.field);
		if (r < 0)
			return r;
	}
	return r < 0 ? errbuf_set(d->err, r, "the encoding is broken") : 0;
}

int pb_each_u32(struct pb_decode *d, const struct pb_value *v, const char *name,
		int (*fn)(struct pb_decode *d, void *obj, uint32_t u), void *obj)
{
	struct str rest = v->bytes;
	uint32_t u;
	int r = 0;

	if (v->wire != PB_LEN) {
		r = pb_get(d, v, PB_U32, name, &u);
		return r < 0 ? r : fn(d, obj, u);
	}
	while (r == 0 && rest.n) {
		struct pb_value one = { .wire = PB_VARINT };

		r = take_varint(&rest, &one.u);
		if (r < 0)
			return field_error(d, name, "is broken");
		r = pb_get(d, &one, PB_U32, name, &u);
		if (r == 0)
			r = fn(d, obj, u);
	}
	return r;
}
