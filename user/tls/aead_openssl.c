// SPDX-License-Identifier: Apache-2.0
/*
 * AEAD keys on OpenSSL EVP, every suite. A key owns one EVP_CIPHER_CTX; OpenSSL wants to know
 * whether it seals or opens, so the context is set up at the first call. The fetched ciphers
 * live as long as the process.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/own.h"
#include "tls/aead_engine.h"
#include "tls/record.h"

struct key_openssl {
	struct aead aead;
	EVP_CIPHER_CTX *ctx;
	int enc; /* what ctx is set up for: 1 seal, 0 open, -1 nothing yet */
	uint16_t suite;
	uint8_t key[AEAD_KEY_MAX];
};

/* Fetching walks the providers under a lock, which is too dear for every key. Written by
 * probe() under the caller's pthread_once, only read after that. */
static const EVP_CIPHER *fetched[3];

static const char *const cipher_name[] = { "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305" };
_Static_assert(ARRAY_LEN(cipher_name) == ARRAY_LEN(fetched), "name every cipher");

static const EVP_CIPHER *cipher_of(uint16_t suite)
{
	return fetched[suite - RECORD_AES_128_GCM_SHA256];
}

static const char *openssl_probe(void)
{
	for (size_t i = 0; i < ARRAY_LEN(fetched); i++)
		fetched[i] = EVP_CIPHER_fetch(NULL, cipher_name[i], NULL);
	ERR_clear_error();
	return "openssl";
}

static void openssl_free(struct aead *a)
{
	struct key_openssl *k = container_of(a, struct key_openssl, aead);

	EVP_CIPHER_CTX_free(k->ctx);
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

static int openssl_new(uint16_t suite, const uint8_t *key, struct aead **ret)
{
	struct key_openssl *k;

	if (!cipher_of(suite))
		return -ENOTSUP;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->aead.ops = &aead_openssl_ops;
	k->enc = -1;
	k->suite = suite;
	memcpy(k->key, key, aead_key_len(suite));
	k->ctx = EVP_CIPHER_CTX_new();
	if (!k->ctx) {
		openssl_free(&k->aead);
		return -ENOMEM;
	}
	*ret = &k->aead;
	return 0;
}

static int key_begin(struct key_openssl *k, int enc, const uint8_t *nonce)
{
	if (k->enc == enc)
		return EVP_CipherInit_ex(k->ctx, NULL, NULL, NULL, nonce, -1) == 1 ? 0 : -EIO;
	if (EVP_CipherInit_ex(k->ctx, cipher_of(k->suite), NULL, k->key, nonce, enc) != 1)
		return -EIO;
	k->enc = enc;
	return 0;
}

static int key_run(struct key_openssl *k, const struct aead_span *s)
{
	int n;

	if (s->n > INT_MAX || s->aad_n > INT_MAX)
		return -EIO;
	if (EVP_CipherUpdate(k->ctx, NULL, &n, s->aad, (int)s->aad_n) != 1 ||
	    EVP_CipherUpdate(k->ctx, s->p, &n, s->p, (int)s->n) != 1 || (size_t)n != s->n)
		return -EIO;
	return 0;
}

static int openssl_seal(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
			uint8_t *ret_tag)
{
	struct key_openssl *k = container_of(a, struct key_openssl, aead);
	uint8_t none[16];
	int n, r;

	r = key_begin(k, 1, nonce);
	if (r == 0)
		r = key_run(k, s);
	if (r < 0)
		return r;
	if (EVP_CipherFinal_ex(k->ctx, none, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, ret_tag) != 1)
		return -EIO;
	return 0;
}

static int openssl_open(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
			const uint8_t *tag)
{
	struct key_openssl *k = container_of(a, struct key_openssl, aead);
	uint8_t none[16], want[AEAD_TAG];
	int n, r;

	r = key_begin(k, 0, nonce);
	if (r < 0)
		return r;
	/* Not const, though EVP only copies it. */
	memcpy(want, tag, sizeof(want));
	if (EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, want) != 1)
		return -EIO;
	r = key_run(k, s);
	if (r < 0)
		return r;
	return EVP_CipherFinal_ex(k->ctx, none, &n) == 1 ? 0 : -EBADMSG;
}

const struct aead_ops aead_openssl_ops = {
	.probe = openssl_probe,
	.new = openssl_new,
	.free = openssl_free,
	.seal = openssl_seal,
	.open = openssl_open,
};
