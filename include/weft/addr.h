/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * Addresses as the kernel maps and the daemon share them: always 16 bytes, network byte
 * order, IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). One form means one map, one comparison.
 */
#ifdef __bpf__
#include <linux/types.h>
#define weft_static_assert _Static_assert
#else
#include <assert.h>
#include <linux/types.h>
#define weft_static_assert _Static_assert
#endif

struct weft_addr {
	__u8 b[16];
};
weft_static_assert(sizeof(struct weft_addr) == 16, "contract");

/* An address with its TCP port; port in host byte order everywhere in this project, except
 * where a name ends in _be. */
struct weft_ep {
	struct weft_addr addr;
	__u16 port;
	__u16 pad;
};
weft_static_assert(sizeof(struct weft_ep) == 20, "contract");
