// SPDX-License-Identifier: Apache-2.0
#include "base/vec.h"

int vec_grow(void **p, size_t *cap, size_t need, size_t elem)
{
	size_t want = *cap ? *cap : 8, bytes;
	void *q;

	if (need <= *cap)
		return 0;
	while (want < need)
		if (__builtin_mul_overflow(want, (size_t)2, &want))
			return -ENOMEM;
	if (__builtin_mul_overflow(want, elem, &bytes))
		return -ENOMEM;
	q = realloc(*p, bytes);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = want;
	return 0;
}
