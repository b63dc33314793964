// SPDX-License-Identifier: Apache-2.0
/* What spiffe_parse() accepts must be what spiffe_format() writes, byte by byte. */
#include "base/bug.h"
#include "base/own.h"
#include "codec/spiffe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct spiffe id;

	if (spiffe_parse(in, &id) < 0)
		return 0;
	_free_ char *again = spiffe_format(&id);

	BUG_ON(!again || !str_eq(str_of(again), in));
	return 0;
}
