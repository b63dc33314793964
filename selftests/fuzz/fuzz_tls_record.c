// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzzes record_open(). First byte: suite and mode. Mode 0 gives it raw bytes; mode 1 is a
 * malicious peer who has the keys: each step seals an inner plaintext of any type, so that the
 * parsers behind the authentication are reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tls/aead.h"
#include "tls/record.h"
#include "tls/record_dir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint16_t suites[] = { RECORD_AES_128_GCM_SHA256, RECORD_AES_256_GCM_SHA384,
				   RECORD_CHACHA20_POLY1305_SHA256 };

static void check(bool ok)
{
	if (!ok)
		abort();
}

static ssize_t open_one(struct record *r, uint8_t *p, size_t n)
{
	struct record_view v = { 0 };
	size_t need = 0;
	ssize_t k = record_open(r, p, n, &v, &need);

	if (k > 0) {
		check((size_t)k <= n && v.type == RECORD_DATA && v.n <= RECORD_PLAIN_MAX);
		check(v.p >= p && v.p + v.n <= p + n);
	}
	if (k == 0 && n > 0)
		check(need > n && need <= RECORD_WIRE_MAX);
	return k;
}

static void raw(struct record *r, const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);
	ssize_t k = 1;

	check(copy);
	memcpy(copy, data, size);
	for (size_t at = 0; at < size && k > 0; at += (size_t)k)
		k = open_one(r, copy + at, size - at);
	free(copy);
}

/* The sender follows a KeyUpdate that the receiver has taken. */
static void follow(struct record *a, const struct record *b)
{
	struct record_dir next;
	struct aead *aead;

	if (memcmp(a->tx.secret, b->rx.secret, sizeof(a->tx.secret)) == 0)
		return;
	check(dir_next(&a->tx, &next, &aead) == 0);
	aead_free(&a->tx_aead);
	a->tx = next;
	a->tx_aead = aead;
	check(memcmp(a->tx.secret, b->rx.secret, sizeof(a->tx.secret)) == 0);
}

/* data: length byte, then that many bytes of inner plaintext with its type at the end. */
static size_t step(struct record *a, struct record *b, const uint8_t *data, size_t size)
{
	const size_t n = data[0] + 1u < size ? data[0] + 1u : size - 1, body = n + AEAD_TAG;
	uint8_t rec[RECORD_HEADER + 256 + AEAD_TAG] = { RECORD_DATA, 3, 3, (uint8_t)(body >> 8),
							(uint8_t)body };
	struct aead_span s = { rec, RECORD_HEADER, rec + RECORD_HEADER, n };
	uint8_t nonce[AEAD_NONCE];
	ssize_t k;

	if (n == 0)
		return 0;
	memcpy(rec + RECORD_HEADER, data + 1, n);
	dir_nonce(&a->tx, nonce);
	check(aead_seal(a->tx_aead, nonce, &s, rec + RECORD_HEADER + n) == 0);
	a->tx.seq++;
	k = open_one(b, rec, RECORD_HEADER + body);
	/* Sealed by the right key: whatever is wrong with it, it is not the tag. */
	check(k != -EBADMSG);
	if (k <= 0)
		return 0;
	follow(a, b);
	return n + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t x[48] = { 1 }, y[48] = { 2 };
	struct record a, b;
	uint16_t suite;
	size_t n;

	if (size < 2)
		return 0;
	suite = suites[(data[0] >> 1) % 3];
	n = suite == RECORD_AES_256_GCM_SHA384 ? 48 : 32;
	check(record_init(&a, suite, x, y, n) == 0);
	check(record_init(&b, suite, y, x, n) == 0);
	if (data[0] & 1) {
		size_t k = 1;

		for (size_t at = 1; at < size && k > 0; at += k)
			k = step(&a, &b, data + at, size - at);
	} else {
		raw(&b, data + 1, size - 1);
	}
	record_fini(&a);
	record_fini(&b);
	return 0;
}
