// SPDX-License-Identifier: Apache-2.0
/* HPACK on nghttp2_hd_*; owned by one connection, one thread. */
#include "h2/hpack.h"

#include <errno.h>
#include <stdlib.h>

#include <nghttp2/nghttp2.h>

#include "base/own.h"

#define FIELDS_MAX 16

struct h2_hpack {
	nghttp2_hd_deflater *enc;
	nghttp2_hd_inflater *dec;
	char text[H2_HPACK_TEXT];
};

int h2_hpack_new(struct h2_hpack **ret)
{
	/* Not calloc: text is big and most of its pages are never touched. */
	struct h2_hpack *h = malloc(sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->enc = NULL;
	h->dec = NULL;
	*ret = h;
	return 0;
}

void h2_hpack_free(struct h2_hpack **h)
{
	if (!*h)
		return;
	if ((*h)->enc)
		nghttp2_hd_deflate_del((*h)->enc);
	if ((*h)->dec)
		nghttp2_hd_inflate_del((*h)->dec);
	free(*h);
	*h = NULL;
}

char *h2_hpack_text(struct h2_hpack *h)
{
	return h->text;
}

enum h2_table h2_hpack_shrink(struct h2_hpack *h)
{
	bool was_zero;

	if (!h->dec)
		return H2_TABLE_SHRINK;
	was_zero = nghttp2_hd_inflate_get_max_dynamic_table_size(h->dec) == 0;
	nghttp2_hd_inflate_change_table_size(h->dec, 0);
	return was_zero ? H2_TABLE_ZERO : H2_TABLE_SHRINK;
}

void h2_hpack_peer_limit(struct h2_hpack *h, uint32_t size)
{
	/* A fresh encoder begins with the update anyway. */
	if (h->enc)
		nghttp2_hd_deflate_change_table_size(h->enc, size);
}

static int decoder_make(struct h2_hpack *h, enum h2_table table)
{
	static const uint8_t size_zero[] = { 0x20 };
	nghttp2_nv nv;
	int flags = 0;

	if (nghttp2_hd_inflate_new(&h->dec))
		return -ENOMEM;
	if (table == H2_TABLE_DEFAULT)
		return 0;
	nghttp2_hd_inflate_change_table_size(h->dec, 0);
	if (table == H2_TABLE_SHRINK)
		return 0;
	/* The update was said to a predecessor of this decoder: say it again in its place. */
	if (nghttp2_hd_inflate_hd2(h->dec, &nv, &flags, size_zero, sizeof(size_zero), 1) < 0)
		return -ENOMEM;
	nghttp2_hd_inflate_end_headers(h->dec);
	return 0;
}

int h2_hpack_decode(struct h2_hpack *h, enum h2_table table, const uint8_t *p, size_t n,
		    void (*on_field)(void *arg, struct str name, struct str value), void *arg)
{
	int r = h->dec ? 0 : decoder_make(h, table);

	if (r < 0)
		return r;
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t k = nghttp2_hd_inflate_hd2(h->dec, &nv, &flags, p, n, 1);

		if (k < 0)
			return k == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EBADMSG;
		p += k;
		n -= (size_t)k;
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			on_field(arg, (struct str){ (const char *)nv.name, nv.namelen },
				 (struct str){ (const char *)nv.value, nv.valuelen });
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
		if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0)
			return -EBADMSG;
	}
	nghttp2_hd_inflate_end_headers(h->dec);
	return 0;
}

size_t h2_hpack_bound(const struct h2_field *f, size_t n)
{
	/* Two table size updates, then per field a type byte and two lengths of up to 6. */
	size_t sum = 16;

	for (size_t i = 0; i < n; i++)
		sum += 16 + f[i].name.n + f[i].value.n;
	return sum;
}

ssize_t h2_hpack_encode(struct h2_hpack *h, const struct h2_field *f, size_t n, uint8_t *buf,
			size_t cap)
{
	nghttp2_nv nv[FIELDS_MAX];
	ssize_t k;

	if (n > FIELDS_MAX)
		return -EINVAL;
	if (!h->enc && nghttp2_hd_deflate_new(&h->enc, 0))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		nv[i] = (nghttp2_nv){
			.name = (uint8_t *)(uintptr_t)f[i].name.p,
			.namelen = f[i].name.n,
			.value = (uint8_t *)(uintptr_t)f[i].value.p,
			.valuelen = f[i].value.n,
			/* Addresses and identities: not for anybody's compression table. */
			.flags = f[i].name.p[0] == ':' ? NGHTTP2_NV_FLAG_NONE :
							 NGHTTP2_NV_FLAG_NO_INDEX,
		};
	k = nghttp2_hd_deflate_hd(h->enc, buf, cap, nv, n);
	if (k < 0)
		return k == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EINVAL;
	return k;
}
