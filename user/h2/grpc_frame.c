// SPDX-License-Identifier: Apache-2.0
/* Framing of gRPC; see grpc_frame.h. */
#include "h2/grpc_frame.h"

#include <errno.h>
#include <string.h>

static int begin(struct grpc_in *g, uint32_t max, const struct grpc_in_ops *ops, void *arg)
{
	uint32_t n = (uint32_t)g->head[1] << 24 | (uint32_t)g->head[2] << 16 |
		     (uint32_t)g->head[3] << 8 | g->head[4];

	if (g->head[0] != 0)
		return -EBADMSG;
	if (n > max)
		return -EMSGSIZE;
	g->n_head = 0;
	g->left = n;
	g->in_message = true;
	return ops->on_begin(arg, n);
}

int grpc_in_feed(struct grpc_in *g, const void *p, size_t n, uint32_t max,
		 const struct grpc_in_ops *ops, void *arg)
{
	const uint8_t *at = p;
	int r = 0;

	while (r >= 0 && n) {
		size_t take = 1;

		if (g->in_message) {
			take = n < g->left ? n : g->left;
			g->left -= (uint32_t)take;
			r = ops->on_bytes(arg, at, take);
		} else {
			g->head[g->n_head++] = *at;
			if (g->n_head == GRPC_HEAD)
				r = begin(g, max, ops, arg);
		}
		at += take;
		n -= take;
		if (r >= 0 && g->in_message && g->left == 0) {
			g->in_message = false;
			r = ops->on_end(arg);
		}
	}
	return r < 0 ? r : 0;
}

bool grpc_in_idle(const struct grpc_in *g)
{
	return !g->in_message && g->n_head == 0;
}

void grpc_head(uint8_t ret[GRPC_HEAD], uint32_t bytes)
{
	ret[0] = 0;
	for (int i = 0; i < 4; i++)
		ret[1 + i] = (uint8_t)(bytes >> (24 - 8 * i));
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void grpc_message_decode(char *buf, size_t cap, struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n + 1 < cap; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '%' && s.n - i > 2 && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
			c = (unsigned char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
			i += 2;
		}
		buf[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	if (cap)
		buf[n] = '\0';
}
