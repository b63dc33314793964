/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The part of the TLS 1.3 key schedule behind a traffic secret (RFC 8446 7.1-7.3). */
#include <stddef.h>
#include <stdint.h>

struct record_dir;

/* Hash length of a suite, which is the length of its secrets; 0 unknown suite. */
size_t schedule_secret_len(uint16_t suite);
/* HKDF-Expand-Label(secret, label, "", n) with the hash of suite; n is at most one hash.
 * 0, -EINVAL, -ENOMEM. */
int schedule_expand(uint16_t suite, const uint8_t *secret, const char *label, uint8_t *ret,
		    size_t n);
/* A fresh direction from a traffic secret of schedule_secret_len() bytes, counters at 0. */
int schedule_dir(uint16_t suite, const uint8_t *secret, struct record_dir *ret);
/* The direction after a KeyUpdate. */
int schedule_next(const struct record_dir *d, struct record_dir *ret);
