/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The folder that holds the CA: 0700 and ours, its files 0600 and ours. Wider modes are
 * refused with a sentence rather than repaired, because somebody may have read the key already.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/errbuf.h"

/* Opens dir (made 0700 if create and absent) and locks it against other writers. Fd or -errno. */
int keydir_open(const char *dir, bool create, struct errbuf *err);
bool keydir_has(int dirfd, const char *name);
/* Whole file as malloc'ed text with a NUL behind it; the caller wipes keys. dir is for err. */
int keydir_read(int dirfd, const char *dir, const char *name, struct errbuf *err, char **ret,
		size_t *ret_n);
/* New file with mode 0600 in place of name, or nothing changed: temp, fsync, rename, fsync. */
int keydir_write(int dirfd, const char *dir, const char *name, const void *p, size_t n,
		 struct errbuf *err);
