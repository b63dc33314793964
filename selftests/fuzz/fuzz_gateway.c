// SPDX-License-Identifier: Apache-2.0
/* A waypoint's text that is understood points into itself, and is the same when written and read. */
#include <stdlib.h>

#include "base/bug.h"
#include "model/gateway.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_inside(struct str s, struct str in)
{
	BUG_ON(s.n && (s.p < in.p || s.p + s.n > in.p + in.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct gateway_ref ref, again;
	char *text;

	if (gateway_parse(in, &ref) < 0)
		return 0;
	BUG_ON(ref.port == 0);
	check_inside(ref.ns, in);
	check_inside(ref.hostname, in);
	check_inside(ref.network, in);
	check_inside(ref.key, in);
	text = gateway_format(&ref);
	BUG_ON(!text || gateway_parse(str_of(text), &again) < 0);
	BUG_ON(again.by_addr != ref.by_addr || again.port != ref.port);
	BUG_ON(ref.by_addr ? !ip_eq(&again.addr, &ref.addr) || !str_eq(again.network, ref.network)
			   : !str_eq(again.key, ref.key));
	free(text);
	return 0;
}
