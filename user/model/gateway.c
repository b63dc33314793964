// SPDX-License-Identifier: Apache-2.0
/* Texts of waypoints (gateway.h). */
#include "model/gateway.h"

#include <errno.h>
#include <string.h>

#include "weft/abi.h"

/* "10.0.0.1", "10.0.0.1:15008", "fd00::1", "[fd00::1]" or "[fd00::1]:15008". */
static int addr_parse(struct str s, struct gateway_ref *ret)
{
	struct weft_ep ep;

	if (ip_parse(s, &ret->addr) == 0)
		return 0;
	if (ip_parse_ep(s, &ep) == 0) {
		ret->addr = ep.addr;
		ret->port = ep.port;
		return ep.port ? 0 : -ERANGE;
	}
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return ip_parse((struct str){ s.p + 1, s.n - 2 }, &ret->addr);
	return -EINVAL;
}

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || strchr("/:[]", s.p[i]))
			return false;
	return s.n > 0;
}

int gateway_parse(struct str text, struct gateway_ref *ret)
{
	struct gateway_ref ref = { .port = WEFT_PORT_HBONE };
	struct str rest = text, left = { 0 };
	const char *slash = text.n ? memchr(text.p, '/', text.n) : NULL;
	const char *colon;
	int r;

	if (slash) {
		left = (struct str){ text.p, (size_t)(slash - text.p) };
		rest = (struct str){ slash + 1, text.n - left.n - 1 };
	}
	r = addr_parse(rest, &ref);
	if (r == -ERANGE)
		return -EINVAL;
	if (r == 0) {
		ref.by_addr = true;
		ref.network = left;
		*ret = ref;
		return !left.n || is_name(left) ? 0 : -EINVAL;
	}
	colon = rest.n ? memchr(rest.p, ':', rest.n) : NULL;
	ref.ns = left;
	ref.hostname = colon ? (struct str){ rest.p, (size_t)(colon - rest.p) } : rest;
	if (colon &&
	    (str_to_u16((struct str){ colon + 1, rest.n - ref.hostname.n - 1 }, &ref.port) < 0 ||
	     ref.port == 0))
		return -EINVAL;
	if (!is_name(ref.ns) || !is_name(ref.hostname))
		return -EINVAL;
	ref.key = (struct str){ text.p, left.n + 1 + ref.hostname.n };
	*ret = ref;
	return 0;
}

char *gateway_format(const struct gateway_ref *ref)
{
	struct weft_ep ep = { .addr = ref->addr, .port = ref->port };
	char text[IP_TEXT_MAX];

	if (!ref->by_addr)
		return str_printf("%.*s/%.*s:%u", STR_FMT(ref->ns), STR_FMT(ref->hostname),
				  ref->port);
	ip_format_ep(text, &ep);
	return str_printf("%.*s%s%s", STR_FMT(ref->network), ref->network.n ? "/" : "", text);
}
