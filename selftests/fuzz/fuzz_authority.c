// SPDX-License-Identifier: Apache-2.0
/* An accepted authority is written and read again as the same thing. */
#include <stdio.h>

#include "base/bug.h"
#include "codec/hbone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct hbone_authority a = { 0 }, b = { 0 };
	char text[HBONE_TEXT_MAX];

	if (hbone_authority_parse(in, &a) < 0)
		return 0;
	BUG_ON(a.port == 0 || a.is_ip != (a.host.p == NULL));
	if (a.is_ip) {
		struct weft_ep e = { .addr = a.addr, .port = a.port };

		ip_format_ep(text, &e);
	} else {
		BUG_ON(a.host.p != in.p || a.host.n >= in.n);
		snprintf(text, sizeof(text), "%.*s:%u", STR_FMT(a.host), a.port);
		BUG_ON(!str_eq(str_of(text), in));
	}
	BUG_ON(hbone_authority_parse(str_of(text), &b) < 0);
	BUG_ON(a.is_ip != b.is_ip || a.port != b.port || !ip_eq(&a.addr, &b.addr));
	BUG_ON(!str_eq(a.host, b.host));
	return 0;
}
