// SPDX-License-Identifier: Apache-2.0
/*
 * Chooses the AEAD engine of the process and passes calls on to it. Used by tls/record; owns
 * the choice, made once under pthread_once, and nothing else.
 */
#include "tls/aead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "base/own.h"
#include "base/str.h"
#include "tls/aead_engine.h"
#include "tls/record.h"

static const struct aead_ops *const engine_ops[] = {
	[AEAD_OPENSSL] = &aead_openssl_ops,
	[AEAD_IPSEC_MB] = &aead_ipsec_mb_ops,
};
_Static_assert(ARRAY_LEN(engine_ops) == AEAD_ENGINE_MAX, "give every engine its calls");

/* Written once, before pthread_once() lets anybody read it. */
static struct {
	pthread_once_t once;
	enum aead_engine use;
	const char *name[AEAD_ENGINE_MAX]; /* NULL: not there */
} engine = { .once = PTHREAD_ONCE_INIT };

static void engine_choose(void)
{
	const char *wish = getenv("WEFT_AEAD");

	for (size_t i = 0; i < AEAD_ENGINE_MAX; i++)
		engine.name[i] = engine_ops[i]->probe();
	engine.use = AEAD_OPENSSL;
	if (wish && str_eq(str_of(wish), STR("openssl")))
		return;
	if (engine.name[AEAD_IPSEC_MB])
		engine.use = AEAD_IPSEC_MB;
}

size_t aead_key_len(uint16_t suite)
{
	switch (suite) {
	case RECORD_AES_128_GCM_SHA256:
		return 16;
	case RECORD_AES_256_GCM_SHA384:
	case RECORD_CHACHA20_POLY1305_SHA256:
		return 32;
	default:
		return 0;
	}
}

bool aead_engine_present(enum aead_engine e)
{
	pthread_once(&engine.once, engine_choose);
	return e < AEAD_ENGINE_MAX && engine.name[e];
}

const char *aead_engine_name(void)
{
	pthread_once(&engine.once, engine_choose);
	return engine.name[engine.use] ? engine.name[engine.use] : "none";
}

int aead_new_on(enum aead_engine e, uint16_t suite, const uint8_t *key, struct aead **ret)
{
	if (!aead_engine_present(e) || aead_key_len(suite) == 0)
		return -ENOTSUP;
	return engine_ops[e]->new(suite, key, ret);
}

int aead_new(uint16_t suite, const uint8_t *key, struct aead **ret)
{
	int r;

	pthread_once(&engine.once, engine_choose);
	r = aead_new_on(engine.use, suite, key, ret);
	if (r == -ENOTSUP && engine.use != AEAD_OPENSSL)
		r = aead_new_on(AEAD_OPENSSL, suite, key, ret);
	return r;
}

void aead_free(struct aead **a)
{
	if (!*a)
		return;
	(*a)->ops->free(*a);
	*a = NULL;
}

int aead_seal(struct aead *a, const uint8_t *nonce, const struct aead_span *s, uint8_t *ret_tag)
{
	return a->ops->seal(a, nonce, s, ret_tag);
}

int aead_open(struct aead *a, const uint8_t *nonce, const struct aead_span *s, const uint8_t *tag)
{
	int r = a->ops->open(a, nonce, s, tag);

	if (r < 0)
		OPENSSL_cleanse(s->p, s->n);
	return r;
}
