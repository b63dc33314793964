/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A file as a whole, and whether it is still the same one. Any thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"

#define FILE_BYTES_MAX (64u << 20)

struct file_identity {
	int r; /* 0, or why there is no file */
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
};

struct file_identity file_identify(const char *path);
bool file_identity_eq(const struct file_identity *a, const struct file_identity *b);
/* *ret_id is set in any case, to what was true before the first byte was read: a file that
 * changes meanwhile is not the same afterwards. *ret is malloc'ed. */
int file_read(const char *path, struct errbuf *err, struct file_identity *ret_id, char **ret,
	      size_t *ret_n);
/* Text of at most max bytes, such as a key or a token: *ret is malloc'ed and NUL-terminated. A
 * file that gets shorter meanwhile is what it has become. What was read is wiped on failure. */
int file_read_text(const char *path, size_t max, struct errbuf *err, char **ret);
