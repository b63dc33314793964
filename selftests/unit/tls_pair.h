/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Two ends of a connection for the tests of tls/record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/own.h"
#include "base/rand.h"
#include "tls/aead.h"
#include "tls/record.h"
#include "tls/record_dir.h"

#define PAIR_FN __attribute__((unused)) static

PAIR_FN const uint16_t suites[] = { RECORD_AES_128_GCM_SHA256, RECORD_AES_256_GCM_SHA384,
				    RECORD_CHACHA20_POLY1305_SHA256 };

/* Two ends of one connection and room for a few records. */
struct pair {
	struct record a, b;
	uint8_t buf[4 * RECORD_WIRE_MAX];
};

PAIR_FN struct pair *pair_new(uint16_t suite)
{
	struct pair *p = calloc(1, sizeof(*p));
	size_t n = suite == RECORD_AES_256_GCM_SHA384 ? 48 : 32;
	uint8_t x[48], y[48];

	assert_non_null(p);
	rand_secure(x, sizeof(x));
	rand_secure(y, sizeof(y));
	assert_int_equal(record_init(&p->a, suite, x, y, n), 0);
	assert_int_equal(record_init(&p->b, suite, y, x, n), 0);
	return p;
}

PAIR_FN void pair_free(struct pair *p)
{
	record_fini(&p->a);
	record_fini(&p->b);
	free(p);
}

PAIR_FN int pair_setup(void **state)
{
	*state = pair_new(RECORD_AES_128_GCM_SHA256);
	return 0;
}

PAIR_FN int pair_teardown(void **state)
{
	pair_free(*state);
	return 0;
}

PAIR_FN size_t seal_text(struct record *r, uint8_t *rec, const char *text)
{
	size_t n = strlen(text);
	ssize_t len;

	memcpy(rec + RECORD_HEADER, text, n);
	len = record_seal(r, rec, n, RECORD_DATA);
	assert_int_equal(len, n + RECORD_OVERHEAD);
	return (size_t)len;
}

PAIR_FN void open_text(struct record *r, uint8_t *rec, size_t len, const char *text)
{
	struct record_view v;
	size_t need;

	assert_int_equal(record_open(r, rec, len, &v, &need), len);
	assert_int_equal(v.type, RECORD_DATA);
	assert_int_equal(v.n, strlen(text));
	assert_memory_equal(v.p, text, v.n);
}

/* Says one sentence over a fresh record of from. */
PAIR_FN void talk(struct record *from, struct record *to, const char *text)
{
	uint8_t rec[256];

	open_text(to, rec, seal_text(from, rec, text), text);
}

/* A record of r with any inner plaintext whatever, as only a malicious peer makes it. */
PAIR_FN size_t forge(struct record *r, uint8_t *rec, const uint8_t *inner, size_t n)
{
	const size_t body = n + RECORD_TAG;
	struct aead_span s = { rec, RECORD_HEADER, rec + RECORD_HEADER, n };
	uint8_t nonce[AEAD_NONCE];

	rec[0] = RECORD_DATA;
	rec[1] = rec[2] = 3;
	rec[3] = (uint8_t)(body >> 8);
	rec[4] = (uint8_t)body;
	memmove(rec + RECORD_HEADER, inner, n);
	dir_nonce(&r->tx, nonce);
	assert_int_equal(aead_seal(r->tx_aead, nonce, &s, rec + RECORD_HEADER + n), 0);
	r->tx.seq++;
	return RECORD_HEADER + body;
}

PAIR_FN ssize_t open_forged(struct pair *p, const void *inner, size_t n, struct record_view *ret)
{
	size_t need, len = forge(&p->a, p->buf, inner, n);

	return record_open(&p->b, p->buf, len, ret, &need);
}

#define OPEN_FORGED(p, ...) \
	({ \
		const uint8_t _inner[] = { __VA_ARGS__ }; \
		struct record_view _v; \
		open_forged((p), _inner, sizeof(_inner), &_v); \
	})

/* A test that gets a fresh AES-128 pair as its state. */
#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, pair_setup, pair_teardown)
