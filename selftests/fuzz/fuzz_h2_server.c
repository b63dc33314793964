// SPDX-License-Identifier: Apache-2.0
/* Bytes of a strange client into our HTTP/2 server. */
#include "fuzz_h2_mutate.h"
#include "fuzz_h2_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	return fuzz_run(true, p, n);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	return mutate_frames(true, data, size, max, seed);
}
