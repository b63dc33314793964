// SPDX-License-Identifier: Apache-2.0
/* Bytes of a strange server into our HTTP/2 client. */
#include "fuzz_h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return fuzz_run(false, p, n);
}
