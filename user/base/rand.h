/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Randomness: rand_secure for ids that must not be guessed, rand_fast for load balancing. */
#include <stddef.h>
#include <stdint.h>

void rand_secure(void *p, size_t n); /* getrandom(2); aborts if the kernel has none */
uint64_t rand_fast(void);	     /* per-thread xorshift, seeded by getrandom */
