// SPDX-License-Identifier: Apache-2.0
/*
 * AES-GCM keys on libipsec-mb, about three times the speed of OpenSSL 3.0 on 16 KB records. Only
 * the direct calls of the manager are used: they keep their state on the caller's stack and in
 * the expanded key, so that one manager serves every thread. Without the library (or on another
 * CPU) only an engine that is not there is left of this file.
 */
#if __has_include("config.h")
#include "config.h"
#endif
#ifndef HAVE_IPSEC_MB
#define HAVE_IPSEC_MB 0
#endif

#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "base/own.h"
#include "tls/aead_engine.h"
#include "tls/record.h"

#if HAVE_IPSEC_MB && defined(__x86_64__)

#include <intel-ipsec-mb.h>

struct key_mb {
	struct aead aead;
	aes_gcm_enc_dec_t enc, dec;
	/* Round keys and powers of the hash key; the AVX-512 code wants the alignment. */
	struct gcm_key_data expanded __attribute__((aligned(64)));
};

/* Written by probe() under the caller's pthread_once, only read after that. */
static IMB_MGR *mgr;

static const char *mb_probe(void)
{
	const uint64_t need = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	IMB_ARCH arch = IMB_ARCH_NONE;

	mgr = alloc_mb_mgr(0);
	if (!mgr)
		return NULL;
	init_mb_mgr_auto(mgr, &arch);
	/* Without AES instructions the library emulates them: slower than OpenSSL. */
	if (imb_get_errno(mgr) != 0 || (mgr->features & need) != need ||
	    ((mgr->features & IMB_FEATURE_SELF_TEST) &&
	     !(mgr->features & IMB_FEATURE_SELF_TEST_PASS))) {
		free_mb_mgr(mgr);
		mgr = NULL;
		return NULL;
	}
	switch (arch) {
	case IMB_ARCH_SSE:
		return "ipsec-mb sse";
	case IMB_ARCH_AVX2:
		return "ipsec-mb avx2";
	case IMB_ARCH_AVX512:
		return "ipsec-mb avx512";
	default: /* names that come and go with the library's version */
		return "ipsec-mb";
	}
}

static int mb_new(uint16_t suite, const uint8_t *key, struct aead **ret)
{
	struct key_mb *k;

	if (suite != RECORD_AES_128_GCM_SHA256 && suite != RECORD_AES_256_GCM_SHA384)
		return -ENOTSUP;
	k = aligned_alloc(_Alignof(struct key_mb), sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->aead.ops = &aead_ipsec_mb_ops;
	if (suite == RECORD_AES_128_GCM_SHA256) {
		IMB_AES128_GCM_PRE(mgr, key, &k->expanded);
		k->enc = mgr->gcm128_enc;
		k->dec = mgr->gcm128_dec;
	} else {
		IMB_AES256_GCM_PRE(mgr, key, &k->expanded);
		k->enc = mgr->gcm256_enc;
		k->dec = mgr->gcm256_dec;
	}
	*ret = &k->aead;
	return 0;
}

static void mb_free(struct aead *a)
{
	struct key_mb *k = container_of(a, struct key_mb, aead);

	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

static int mb_seal(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
		   uint8_t *ret_tag)
{
	struct key_mb *k = container_of(a, struct key_mb, aead);
	struct gcm_context_data ctx;

	k->enc(&k->expanded, &ctx, s->p, s->p, s->n, nonce, s->aad, s->aad_n, ret_tag, AEAD_TAG);
	return 0;
}

static int mb_open(struct aead *a, const uint8_t *nonce, const struct aead_span *s,
		   const uint8_t *tag)
{
	struct key_mb *k = container_of(a, struct key_mb, aead);
	struct gcm_context_data ctx;
	uint8_t is[AEAD_TAG];
	int r;

	k->dec(&k->expanded, &ctx, s->p, s->p, s->n, nonce, s->aad, s->aad_n, is, AEAD_TAG);
	r = CRYPTO_memcmp(is, tag, AEAD_TAG) == 0 ? 0 : -EBADMSG;
	/* The right tag of a forged record must not stay on the stack. */
	OPENSSL_cleanse(is, sizeof(is));
	return r;
}

const struct aead_ops aead_ipsec_mb_ops = {
	.probe = mb_probe,
	.new = mb_new,
	.free = mb_free,
	.seal = mb_seal,
	.open = mb_open,
};

#else

static const char *mb_probe(void)
{
	return NULL;
}

const struct aead_ops aead_ipsec_mb_ops = { .probe = mb_probe };

#endif
