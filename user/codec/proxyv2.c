// SPDX-License-Identifier: Apache-2.0
/* PROXY protocol version 2 (proxyv2.h). */
#include "codec/proxyv2.h"

#include <errno.h>
#include <string.h>

#define HEADER 16

static uint8_t *put16(uint8_t *at, size_t n)
{
	*at++ = (uint8_t)(n >> 8);
	*at++ = (uint8_t)n;
	return at;
}

static uint8_t *put_addr(uint8_t *at, const struct weft_addr *a, bool v4)
{
	size_t skip = v4 ? 12 : 0;

	memcpy(at, a->b + skip, sizeof(a->b) - skip);
	return at + sizeof(a->b) - skip;
}

int proxyv2_format(uint8_t *buf, size_t cap, const struct weft_ep *src, const struct weft_ep *dst,
		   struct str identity)
{
	static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
	bool v4 = ip_is_v4(&src->addr) && ip_is_v4(&dst->addr);
	size_t n = (v4 ? 12 : 36) + (identity.n ? 3 + identity.n : 0);
	uint8_t *at = buf;

	if (n > UINT16_MAX || HEADER + n > cap)
		return -ENAMETOOLONG;
	memcpy(at, signature, sizeof(signature));
	at += sizeof(signature);
	*at++ = 0x21; /* version 2, PROXY */
	*at++ = v4 ? 0x11 : 0x21; /* family, STREAM */
	at = put16(at, n);
	at = put_addr(at, &src->addr, v4);
	at = put_addr(at, &dst->addr, v4);
	at = put16(at, src->port);
	at = put16(at, dst->port);
	if (identity.n) {
		*at++ = PROXYV2_TLV_IDENTITY;
		at = put16(at, identity.n);
		memcpy(at, identity.p, identity.n);
	}
	return (int)(HEADER + n);
}
