// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool ip_is_v4(const struct weft_addr *a)
{
	return memcmp(a->b, v4_prefix, 12) == 0;
}

bool ip_is_any(const struct weft_addr *a)
{
	static const uint8_t zero[16];

	return memcmp(a->b, zero, 16) == 0 ||
	       (ip_is_v4(a) && memcmp(a->b + 12, zero, 4) == 0);
}

bool ip_is_loopback(const struct weft_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return ip_is_v4(a) ? a->b[12] == 127 : memcmp(a->b, one, 16) == 0;
}

bool ip_eq(const struct weft_addr *a, const struct weft_addr *b)
{
	return memcmp(a->b, b->b, 16) == 0;
}

bool ip_in_prefix(const struct weft_addr *a, const struct ip_prefix *p)
{
	size_t whole = p->len / 8, bits = p->len % 8;

	if (memcmp(a->b, p->addr.b, whole) != 0)
		return false;
	if (!bits)
		return true;
	uint8_t mask = (uint8_t)(0xff << (8 - bits));

	return (a->b[whole] & mask) == (p->addr.b[whole] & mask);
}

int ip_from_bytes(const void *b, size_t n, struct weft_addr *ret)
{
	if (n == 16) {
		memcpy(ret->b, b, 16);
		return 0;
	}
	if (n != 4)
		return -EINVAL;
	memcpy(ret->b, v4_prefix, 12);
	memcpy(ret->b + 12, b, 4);
	return 0;
}

int ip_parse(struct str s, struct weft_addr *ret)
{
	char z[INET6_ADDRSTRLEN];
	uint8_t raw[16];

	if (str_copy(z, sizeof(z), s) < 0 || memchr(s.p ? s.p : "", '\0', s.n))
		return -EINVAL;
	if (inet_pton(AF_INET, z, raw) == 1)
		return ip_from_bytes(raw, 4, ret);
	if (inet_pton(AF_INET6, z, raw) == 1)
		return ip_from_bytes(raw, 16, ret);
	return -EINVAL;
}

int ip_parse_prefix(struct str s, struct ip_prefix *ret)
{
	struct str rest = s, head = str_cut(&rest, '/');
	struct ip_prefix p = { .len = 128 };
	int r = ip_parse(head, &p.addr);

	if (r < 0)
		return r;
	if (rest.p) {
		bool v4 = ip_is_v4(&p.addr) && !memchr(head.p, ':', head.n);
		uint16_t len;

		r = str_to_u16(rest, &len);
		if (r < 0 || len > (v4 ? 32 : 128))
			return -EINVAL;
		p.len = (uint8_t)(v4 ? len + 96 : len);
	}
	for (size_t i = 0; i < 16; i++) {
		size_t bit = i * 8;

		if (bit >= p.len)
			p.addr.b[i] = 0;
		else if (p.len - bit < 8)
			p.addr.b[i] &= (uint8_t)(0xff << (8 - (p.len - bit)));
	}
	*ret = p;
	return 0;
}

int ip_parse_ep(struct str s, struct weft_ep *ret)
{
	struct weft_ep e = { 0 };
	struct str host, port;
	int r;

	if (s.n && s.p[0] == '[') {
		const char *end = memchr(s.p, ']', s.n);

		if (!end || end + 1 >= s.p + s.n || end[1] != ':')
			return -EINVAL;
		host = (struct str){ s.p + 1, (size_t)(end - s.p - 1) };
		port = (struct str){ end + 2, (size_t)(s.p + s.n - end - 2) };
		if (!memchr(host.p, ':', host.n))
			return -EINVAL;
	} else {
		port = s;
		host = str_cut(&port, ':');
		if (!port.p || memchr(port.p, ':', port.n))
			return -EINVAL;
	}
	r = ip_parse(host, &e.addr);
	if (r < 0)
		return r;
	r = str_to_u16(port, &e.port);
	if (r < 0 || e.port == 0)
		return -EINVAL;
	*ret = e;
	return 0;
}

static char *put_decimal(char *at, unsigned v)
{
	char digits[10];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n)
		*at++ = digits[--n];
	return at;
}

/* Addresses stand in every log line, so IPv4 does not go through printf. Gives the end. */
static char *put_addr(char *at, const struct weft_addr *a)
{
	if (!ip_is_v4(a)) {
		inet_ntop(AF_INET6, a->b, at, INET6_ADDRSTRLEN);
		return at + strlen(at);
	}
	for (int i = 12; i < 16; i++) {
		at = put_decimal(at, a->b[i]);
		*at++ = '.';
	}
	*--at = '\0';
	return at;
}

const char *ip_format(char *buf, const struct weft_addr *a)
{
	put_addr(buf, a);
	return buf;
}

const char *ip_format_prefix(char *buf, const struct ip_prefix *p)
{
	bool v4 = ip_is_v4(&p->addr) && p->len >= 96;
	size_t n;

	if (v4)
		inet_ntop(AF_INET, p->addr.b + 12, buf, IP_TEXT_MAX);
	else
		inet_ntop(AF_INET6, p->addr.b, buf, IP_TEXT_MAX);
	n = strlen(buf);
	snprintf(buf + n, IP_TEXT_MAX - n, "/%u", v4 ? p->len - 96u : p->len);
	return buf;
}

const char *ip_format_ep(char *buf, const struct weft_ep *e)
{
	char *at = buf;
	bool v6 = !ip_is_v4(&e->addr);

	if (v6)
		*at++ = '[';
	at = put_addr(at, &e->addr);
	if (v6)
		*at++ = ']';
	*at++ = ':';
	*put_decimal(at, e->port) = '\0';
	return buf;
}

int ip_from_sockaddr(const struct sockaddr *sa, struct weft_ep *ret)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		ip_from_bytes(&in->sin_addr, 4, &ret->addr);
		ret->port = ntohs(in->sin_port);
		ret->pad = 0;
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		ip_from_bytes(&in6->sin6_addr, 16, &ret->addr);
		ret->port = ntohs(in6->sin6_port);
		ret->pad = 0;
		return 0;
	}
	return -EAFNOSUPPORT;
}

socklen_t ip_to_sockaddr(const struct weft_ep *e, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip_is_v4(&e->addr)) {
		struct sockaddr_in *in = (void *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(e->port);
		memcpy(&in->sin_addr, e->addr.b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (void *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(e->port);
	memcpy(&in6->sin6_addr, e->addr.b, 16);
	return sizeof(*in6);
}
