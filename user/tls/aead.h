/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One AEAD key of TLS 1.3, expanded once and used for every record of a direction. Used by
 * tls/record; daemon/ may force the engine. Two engines stand behind it: libipsec-mb (x86-64 with AES instructions, the
 * GCM suites) and OpenSSL EVP (everything). The engine is chosen at the first call and kept
 * for the life of the process; that choice is the room's only global state and thread safe. A
 * suite that the chosen engine cannot do (ChaCha20-Poly1305) is done by OpenSSL.
 * A key belongs to one thread at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_NONCE 12
#define AEAD_TAG 16
#define AEAD_KEY_MAX 32

enum aead_engine { AEAD_OPENSSL, AEAD_IPSEC_MB, AEAD_ENGINE_MAX };

struct aead;

/* Length of the key of a suite (enum record_suite), 0 for a suite that is not known. */
size_t aead_key_len(uint16_t suite);
bool aead_engine_present(enum aead_engine e);
/* Makes e the engine of the process, whatever this machine would choose. Before the first call
 * of any other function here but aead_engine_present(): 0, -ENOTSUP: this machine has no such
 * engine, -EBUSY: another one is in use already. */
int aead_engine_force(enum aead_engine e);
/* "openssl", "ipsec-mb avx512": what aead_new() takes. */
const char *aead_engine_name(void);

/* key has aead_key_len(suite) bytes. 0, -ENOTSUP unknown suite, -ENOMEM. */
int aead_new(uint16_t suite, const uint8_t *key, struct aead **ret);
/* The same with a named engine; -ENOTSUP also if that one cannot do the suite. */
int aead_new_on(enum aead_engine e, uint16_t suite, const uint8_t *key, struct aead **ret);
void aead_free(struct aead **a); /* wipes the key */

/* What an AEAD call works on: p[n] is replaced in place. */
struct aead_span {
	const uint8_t *aad;
	size_t aad_n;
	uint8_t *p;
	size_t n;
};

/* 0 or -EIO; ret_tag[AEAD_TAG] may lie right behind p[n]. */
int aead_seal(struct aead *a, const uint8_t *nonce, const struct aead_span *s, uint8_t *ret_tag);
/* 0, or -EBADMSG with p[n] wiped: nothing unauthenticated leaves this function. */
int aead_open(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
	      const uint8_t *tag);
