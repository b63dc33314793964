// SPDX-License-Identifier: Apache-2.0
/*
 * codec/spiffe: SPIFFE ids of workloads. Used by tls/ (names in peer certificates), ident/ and
 * feed/. Pure functions; the text comes from certificates of strangers.
 */
#include "codec/spiffe.h"

#include <errno.h>

#include "base/own.h"

#define URI_MAX 2048
#define TRUST_DOMAIN_MAX 255

static bool is_lower_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool trust_domain_ok(struct str s)
{
	if (!s.n || s.n > TRUST_DOMAIN_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower_digit(s.p[i]) && !memchr(".-_", s.p[i], 3))
			return false;
	return true;
}

static bool segment_ok(struct str s)
{
	if (!s.n || str_eq(s, STR(".")) || str_eq(s, STR("..")))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!is_lower_digit(c) && !(c >= 'A' && c <= 'Z') && !memchr(".-_", c, 3))
			return false;
	}
	return true;
}

int spiffe_parse(struct str uri, struct spiffe *ret)
{
	const struct str scheme = STR("spiffe://");
	struct spiffe id;
	struct str rest;

	if (uri.n > URI_MAX || !str_has_prefix(uri, scheme))
		return -EINVAL;
	rest = (struct str){ uri.p + scheme.n, uri.n - scheme.n };
	id.trust_domain = str_cut(&rest, '/');
	if (!rest.p || !str_eq(str_cut(&rest, '/'), STR("ns")) || !rest.p)
		return -EINVAL;
	id.ns = str_cut(&rest, '/');
	if (!rest.p || !str_eq(str_cut(&rest, '/'), STR("sa")) || !rest.p)
		return -EINVAL;
	/* Whatever is left, further slashes included, must be the last part. */
	id.sa = rest;
	if (!trust_domain_ok(id.trust_domain) || !segment_ok(id.ns) || !segment_ok(id.sa))
		return -EINVAL;
	*ret = id;
	return 0;
}

char *spiffe_format(const struct spiffe *id)
{
	return str_printf("spiffe://%.*s/ns/%.*s/sa/%.*s", STR_FMT(id->trust_domain),
			  STR_FMT(id->ns), STR_FMT(id->sa));
}
