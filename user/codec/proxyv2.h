/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * PROXY protocol version 2, the writing side (haproxy's doc/proxy-protocol.txt, section 2.2). Pure.
 */
#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"

#define PROXYV2_TLV_IDENTITY 0xd0 /* Istio: SPIFFE id of the source */
#define PROXYV2_MAX 1024

/* PROXY command, STREAM, from src to dst (host order); IPv6 if either is. identity: n 0: none.
 * Length, or -ENAMETOOLONG. */
int proxyv2_format(uint8_t *buf, size_t cap, const struct weft_ep *src, const struct weft_ep *dst,
		   struct str identity);
