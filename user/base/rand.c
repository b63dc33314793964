// SPDX-License-Identifier: Apache-2.0
#include "base/rand.h"

#include <errno.h>
#include <sys/random.h>

#include "base/bug.h"

void rand_secure(void *p, size_t n)
{
	uint8_t *b = p;

	while (n) {
		ssize_t k = getrandom(b, n, 0);

		BUG_ON(k < 0 && errno != EINTR);
		if (k > 0) {
			b += k;
			n -= (size_t)k;
		}
	}
}

uint64_t rand_fast(void)
{
	static _Thread_local uint64_t s;

	while (s == 0)
		rand_secure(&s, sizeof(s));
	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return s;
}
