/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Typed growable array: VEC(struct foo) v = {0}; vec_push(&v, foo) gives 0 or -ENOMEM;
 * v.p[i], v.n; vec_fini(&v) frees the array, not what its elements own.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VEC(type)          \
	struct {           \
		type *p;   \
		size_t n, cap; \
	}

int vec_grow(void **p, size_t *cap, size_t need, size_t elem);

#define vec_reserve(v, need) vec_grow((void **)&(v)->p, &(v)->cap, (need), sizeof(*(v)->p))

#define vec_push(v, ...)                                        \
	({                                                      \
		int _vr = vec_reserve((v), (v)->n + 1);         \
		if (_vr == 0)                                   \
			(v)->p[(v)->n++] = (__VA_ARGS__);       \
		_vr;                                            \
	})

#define vec_fini(v)               \
	do {                      \
		free((v)->p);     \
		(v)->p = NULL;    \
		(v)->n = (v)->cap = 0; \
	} while (0)

#define vec_for_each(pos, v) \
	for (__typeof__(&(v)->p[0]) pos = (v)->p; pos && pos < (v)->p + (v)->n; pos++)
