// SPDX-License-Identifier: Apache-2.0
/* ZDS on the wire, see zds.h. Used by pod/zds_link.c. */
#include "codec/zds.h"

#include <errno.h>

#include "codec/pb.h"

#define ZDS_VERSION 1 /* ZdsHello.version V1 */

struct payload {
	struct zds_request rq;
	unsigned times;
};

static const struct pb_field info_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct zds_request, name), "workload_info.name") },
	{ PB(2, PB_TEXT, offsetof(struct zds_request, ns), "workload_info.namespace") },
	{ PB(3, PB_TEXT, offsetof(struct zds_request, service_account),
	     "workload_info.service_account") },
	{ 0 },
};

static int on_info(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	struct zds_request *rq = obj;

	if (v->wire != PB_LEN)
		return errbuf_set(d->err, -EBADMSG, "field workload_info has another type");
	rq->has_info = true;
	return pb_decode(d, v->bytes, info_fields, rq);
}

static const struct pb_field add_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct zds_request, uid), "add.uid") },
	{ PB(2, PB_EACH, 0, "add.workload_info"), .each = on_info },
	{ 0 },
};

static const struct pb_field keep_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct zds_request, uid), "keep.uid") },
	{ 0 },
};

static const struct pb_field del_fields[] = {
	{ PB(2, PB_TEXT, offsetof(struct zds_request, uid), "del.uid") },
	{ 0 },
};

static const struct pb_field snapshot_fields[] = { { 0 } };

static int payload_read(struct pb_decode *d, void *obj, const struct pb_value *v, enum zds_kind kind)
{
	static const struct pb_field *const fields[] = {
		[ZDS_ADD] = add_fields,
		[ZDS_DEL] = del_fields,
		[ZDS_SNAPSHOT_SENT] = snapshot_fields,
		[ZDS_KEEP] = keep_fields,
	};
	struct payload *p = obj;

	_Static_assert(sizeof(fields) / sizeof(fields[0]) == ZDS_KIND_MAX, "a table for each kind");
	if (v->wire != PB_LEN)
		return errbuf_set(d->err, -EBADMSG, "field %s has another type", zds_kind_text(kind));
	p->times++;
	p->rq.kind = kind;
	return pb_decode(d, v->bytes, fields[kind], &p->rq);
}

static int on_add(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	return payload_read(d, obj, v, ZDS_ADD);
}

static int on_del(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	return payload_read(d, obj, v, ZDS_DEL);
}

static int on_snapshot_sent(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	return payload_read(d, obj, v, ZDS_SNAPSHOT_SENT);
}

static int on_keep(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	return payload_read(d, obj, v, ZDS_KEEP);
}

static const struct pb_field request_fields[] = {
	{ PB(1, PB_EACH, 0, "add"), .each = on_add },
	{ PB(2, PB_EACH, 0, "del"), .each = on_del },
	{ PB(3, PB_EACH, 0, "snapshot_sent"), .each = on_snapshot_sent },
	{ PB(5, PB_EACH, 0, "keep"), .each = on_keep },
	{ 0 },
};

int zds_request_parse(struct str msg, struct errbuf *err, struct zds_request *ret)
{
	struct payload p = { 0 };
	struct pb_decode d = { .err = err };
	int r;

	if (msg.n > ZDS_MSG_MAX)
		return errbuf_set(err, -EBADMSG, "%zu bytes are more than the %u of a message",
				  msg.n, ZDS_MSG_MAX);
	r = pb_decode(&d, msg, request_fields, &p);
	if (r < 0)
		return errbuf_set(err, -EBADMSG, "unreadable");
	if (p.times != 1)
		return errbuf_set(err, -EBADMSG,
				  p.times ? "more than one payload"
					  : "no payload that this version knows");
	if (!p.rq.uid.n && p.rq.kind != ZDS_SNAPSHOT_SENT)
		return errbuf_set(err, -EBADMSG, "%s without a uid", zds_kind_text(p.rq.kind));
	*ret = p.rq;
	return 0;
}

const char *zds_kind_text(enum zds_kind kind)
{
	static const char *const text[] = {
		[ZDS_ADD] = "add", [ZDS_DEL] = "del", [ZDS_SNAPSHOT_SENT] = "snapshot_sent", [ZDS_KEEP] = "keep"
	};

	_Static_assert(sizeof(text) / sizeof(text[0]) == ZDS_KIND_MAX, "name every kind");
	return text[kind];
}

size_t zds_hello_format(char *buf)
{
	static const char hello[] = { 1 << 3 | PB_VARINT, ZDS_VERSION };

	memcpy(buf, hello, sizeof(hello));
	return sizeof(hello);
}

static size_t put_head(char *buf, size_t n, uint32_t field, size_t body)
{
	buf[n++] = (char)(field << 3 | PB_LEN);
	if (body >= 0x80)
		buf[n++] = (char)((body & 0x7f) | 0x80);
	buf[n++] = (char)(body >= 0x80 ? body >> 7 : body);
	return n;
}

/* A string of proto3 is UTF-8, and a sentence that was cut somewhere may not be: plain ASCII is. */
static void put_ascii(char *to, const char *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] <= '~' ? from[i] : '?';
}

size_t zds_ack_format(char *buf, const char *error)
{
	size_t text = error ? strnlen(error, ZDS_ERROR_MAX) : 0, ack = 0, n;

	_Static_assert(ZDS_ERROR_MAX + 6 <= ZDS_MSG_MAX && ZDS_ERROR_MAX + 3 < 1u << 14,
		       "lengths take two bytes at most");
	if (text)
		ack = 1 + (text >= 0x80 ? 2 : 1) + text;
	n = put_head(buf, 0, 1, ack);
	if (!text)
		return n;
	n = put_head(buf, n, 1, text);
	put_ascii(buf + n, error, text);
	return n + text;
}
