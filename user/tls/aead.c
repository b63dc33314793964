// SPDX-License-Identifier: Apache-2.0
/*
 * Chooses the AEAD engine of the process and passes calls on to it. Used by tls/record; owns
 * the choice, made once by the first who asks, and nothing else.
 */
#include "tls/aead.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <openssl/crypto.h>

#include "base/own.h"
#include "tls/aead_engine.h"
#include "tls/record.h"

static const struct aead_ops *const engine_ops[] = {
	[AEAD_OPENSSL] = &aead_openssl_ops,
	[AEAD_IPSEC_MB] = &aead_ipsec_mb_ops,
};
_Static_assert(ARRAY_LEN(engine_ops) == AEAD_ENGINE_MAX, "give every engine its calls");

/* name is written once, before pthread_once() lets anybody read it; use once, by whoever asks
 * first, and read without order: it guards nothing. */
static struct {
	pthread_once_t once;
	_Atomic int use; /* enum aead_engine, AEAD_ENGINE_MAX until it is chosen */
	const char *name[AEAD_ENGINE_MAX]; /* NULL: not there */
} engine = { .once = PTHREAD_ONCE_INIT, .use = AEAD_ENGINE_MAX };

static void engine_probe(void)
{
	for (size_t i = 0; i < AEAD_ENGINE_MAX; i++)
		engine.name[i] = engine_ops[i]->probe();
}

static enum aead_engine engine_use(void)
{
	int use = AEAD_ENGINE_MAX;

	pthread_once(&engine.once, engine_probe);
	/* A failed exchange puts into use what another thread has chosen. */
	if (atomic_compare_exchange_strong(
		    &engine.use, &use, engine.name[AEAD_IPSEC_MB] ? AEAD_IPSEC_MB : AEAD_OPENSSL))
		use = atomic_load(&engine.use);
	return (enum aead_engine)use;
}

int aead_engine_force(enum aead_engine e)
{
	int use = AEAD_ENGINE_MAX;

	if (!aead_engine_present(e))
		return -ENOTSUP;
	return atomic_compare_exchange_strong(&engine.use, &use, e) || use == (int)e ? 0 : -EBUSY;
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
	pthread_once(&engine.once, engine_probe);
	return e < AEAD_ENGINE_MAX && engine.name[e];
}

const char *aead_engine_name(void)
{
	const char *name = engine.name[engine_use()];

	return name ? name : "none";
}

int aead_new_on(enum aead_engine e, uint16_t suite, const uint8_t *key, struct aead **ret)
{
	if (!aead_engine_present(e) || aead_key_len(suite) == 0)
		return -ENOTSUP;
	return engine_ops[e]->new(suite, key, ret);
}

int aead_new(uint16_t suite, const uint8_t *key, struct aead **ret)
{
	enum aead_engine e = engine_use();
	int r = aead_new_on(e, suite, key, ret);

	if (r == -ENOTSUP && e != AEAD_OPENSSL)
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
