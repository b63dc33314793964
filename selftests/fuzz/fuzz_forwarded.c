// SPDX-License-Identifier: Apache-2.0
/* Results point into the input and hold printable text; what is written is read as written. */
#include "base/bug.h"
#include "codec/hbone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_inside(struct str s, struct str in)
{
	if (!s.p)
		return;
	BUG_ON(s.n == 0 || s.p < in.p || s.p + s.n > in.p + in.n);
	for (size_t i = 0; i < s.n; i++)
		BUG_ON(s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct hbone_forwarded f, again;
	struct weft_ep client, same;
	char text[HBONE_TEXT_MAX];
	int len;

	hbone_forwarded_parse(in, &f);
	check_inside(f.for_, in);
	check_inside(f.host, in);
	if (!f.for_.p || ip_parse_ep(f.for_, &client) < 0)
		return 0;
	len = hbone_forwarded_format(text, sizeof(text), &client, f.host);
	BUG_ON(len < 0);
	hbone_forwarded_parse((struct str){ text, (size_t)len }, &again);
	BUG_ON(ip_parse_ep(again.for_, &same) < 0);
	BUG_ON(!ip_eq(&client.addr, &same.addr) || client.port != same.port);
	/* A host that is no name is left out. */
	BUG_ON(again.host.p && !str_eq(again.host, f.host));
	return 0;
}
