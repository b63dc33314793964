/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What record.c and record_open.c share; nobody else includes this. */
#include <stdint.h>

struct aead;
struct record_dir;

/* Largest NewSessionTicket there can be (RFC 8446 4.6.1), rounded up. */
#define RECORD_TICKET_MAX (2u * 65536 + 512)

/* Nonce of the next record, AEAD_NONCE bytes. */
void dir_nonce(const struct record_dir *d, uint8_t *ret);
/* The direction behind a KeyUpdate, and its key. */
int dir_next(const struct record_dir *d, struct record_dir *ret, struct aead **ret_aead);
