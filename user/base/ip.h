/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* struct weft_addr and prefixes: text, comparison, sockaddr. IPv4 is v4-mapped throughout. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "weft/addr.h"
#include "base/str.h"

#define IP_TEXT_MAX 64 /* "[v6]:port" and "v6/len" fit */

struct ip_prefix {
	struct weft_addr addr;
	uint8_t len; /* in bits of the 16-byte form: a v4 /24 is 120 */
};

bool ip_is_v4(const struct weft_addr *a);
bool ip_is_any(const struct weft_addr *a);
bool ip_is_loopback(const struct weft_addr *a);
bool ip_eq(const struct weft_addr *a, const struct weft_addr *b);
bool ip_in_prefix(const struct weft_addr *a, const struct ip_prefix *p);

int ip_parse(struct str s, struct weft_addr *ret);	/* "10.0.0.1" or "fd00::1" */
int ip_parse_prefix(struct str s, struct ip_prefix *ret); /* "/len" optional; host bits cleared */
int ip_parse_ep(struct str s, struct weft_ep *ret);	/* "1.2.3.4:80" or "[fd00::1]:80" */
int ip_from_bytes(const void *b, size_t n, struct weft_addr *ret); /* n is 4 or 16 */
/* Into buf[IP_TEXT_MAX]; return buf. */
const char *ip_format(char *buf, const struct weft_addr *a);
const char *ip_format_prefix(char *buf, const struct ip_prefix *p);
const char *ip_format_ep(char *buf, const struct weft_ep *e);

/* Address and port of a sockaddr (AF_INET, AF_INET6); -EAFNOSUPPORT for others. */
int ip_from_sockaddr(const struct sockaddr *sa, struct weft_ep *ret);
/* Fills *ret as AF_INET for v4, AF_INET6 otherwise; returns its length. */
socklen_t ip_to_sockaddr(const struct weft_ep *e, struct sockaddr_storage *ret);
