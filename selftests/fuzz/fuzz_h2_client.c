// SPDX-License-Identifier: Apache-2.0
/* Bytes of a strange server into our HTTP/2 client. */
#include "fuzz_h2_mutate.h"
#include "fuzz_h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return fuzz_run(false, p, n);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	return mutate_frames(false, data, size, max, seed);
}
