// SPDX-License-Identifier: Apache-2.0
/*
 * Traffic secret -> key, iv and next secret. Used by tls/record; pure functions, any thread.
 * Everything asked for here fits into one hash, so HKDF-Expand is a single HMAC.
 */
#include "tls/schedule.h"

#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tls/aead.h"
#include "tls/record.h"

#define LABEL_MAX 12 /* without "tls13 " */

size_t schedule_secret_len(uint16_t suite)
{
	if (aead_key_len(suite) == 0)
		return 0;
	return suite == RECORD_AES_256_GCM_SHA384 ? 48 : 32;
}

int schedule_expand(uint16_t suite, const uint8_t *secret, const char *label, uint8_t *ret,
		    size_t n)
{
	static const char prefix[] = "tls13 ";
	const size_t np = sizeof(prefix) - 1, nl = strlen(label);
	const size_t hash = schedule_secret_len(suite);
	uint8_t info[2 + 1 + sizeof(prefix) - 1 + LABEL_MAX + 1 + 1];
	uint8_t out[EVP_MAX_MD_SIZE];
	size_t at = 0;
	int r = 0;

	if (hash == 0 || n > hash || nl > LABEL_MAX)
		return -EINVAL;
	info[at++] = (uint8_t)(n >> 8);
	info[at++] = (uint8_t)n;
	info[at++] = (uint8_t)(np + nl);
	memcpy(info + at, prefix, np);
	memcpy(info + at + np, label, nl);
	at += np + nl;
	info[at++] = 0; /* no context */
	info[at++] = 1; /* counter of HKDF-Expand */
	if (!HMAC(hash == 48 ? EVP_sha384() : EVP_sha256(), secret, (int)hash, info, at, out, NULL))
		r = -ENOMEM;
	else
		memcpy(ret, out, n);
	OPENSSL_cleanse(out, sizeof(out));
	return r;
}

int schedule_dir(uint16_t suite, const uint8_t *secret, struct record_dir *ret)
{
	struct record_dir d = { .suite = suite };
	int r;

	d.secret_len = (uint8_t)schedule_secret_len(suite);
	if (d.secret_len == 0)
		return -ENOTSUP;
	memcpy(d.secret, secret, d.secret_len);
	r = schedule_expand(suite, secret, "key", d.key, aead_key_len(suite));
	if (r == 0)
		r = schedule_expand(suite, secret, "iv", d.iv, sizeof(d.iv));
	if (r == 0)
		*ret = d;
	OPENSSL_cleanse(&d, sizeof(d));
	return r;
}

int schedule_next(const struct record_dir *d, struct record_dir *ret)
{
	uint8_t secret[sizeof(d->secret)];
	int r;

	r = schedule_expand(d->suite, d->secret, "traffic upd", secret, d->secret_len);
	if (r == 0)
		r = schedule_dir(d->suite, secret, ret);
	OPENSSL_cleanse(secret, sizeof(secret));
	return r;
}
