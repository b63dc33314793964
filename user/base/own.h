/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ownership of locals: a variable that owns something says so with a cleanup attribute, and
 * gives it away only by a TAKE_ macro. A reader can then check one function at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup_with(fn) __attribute__((cleanup(fn)))

static inline void own_free(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}

static inline void own_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void own_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

#define _free_ cleanup_with(own_free)
#define _close_ cleanup_with(own_close)
#define _fclose_ cleanup_with(own_fclose)

#define TAKE_PTR(p)                      \
	({                               \
		__typeof__(p) _t = (p);  \
		(p) = NULL;              \
		_t;                      \
	})

#define TAKE_FD(fd)          \
	({                   \
		int _t = (fd); \
		(fd) = -1;   \
		_t;          \
	})

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - __builtin_offsetof(type, member)))
