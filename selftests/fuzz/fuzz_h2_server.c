// SPDX-License-Identifier: Apache-2.0
/* Bytes of a strange client into our HTTP/2 server. */
#include "fuzz_h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return fuzz_run(true, p, n);
}
