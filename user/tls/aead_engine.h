/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an engine gives to tls/aead.c; nobody else includes this. */
#include <stddef.h>
#include <stdint.h>

#include "tls/aead.h"

struct aead_ops {
	/* The text for aead_engine_name(); NULL: this machine cannot use the engine. */
	const char *(*probe)(void);
	int (*new)(uint16_t suite, const uint8_t *key, struct aead **ret);
	void (*free)(struct aead *a);
	int (*seal)(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
		    uint8_t *ret_tag);
	int (*open)(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
		    const uint8_t *tag);
};

/* First member of the key of every engine. */
struct aead {
	const struct aead_ops *ops;
};

extern const struct aead_ops aead_openssl_ops;
extern const struct aead_ops aead_ipsec_mb_ops; /* probe() is NULL where it is not built in */
