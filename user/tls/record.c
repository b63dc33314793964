// SPDX-License-Identifier: Apache-2.0
/*
 * Keys of a record layer and its sending half: seal, KeyUpdate, alerts. The receiving half is
 * record_open.c. Used by the tunnel's link and by the take-over; owns two expanded AEAD keys.
 * One thread per object.
 */
#include "tls/record.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "base/bug.h"
#include "base/own.h"
#include "tls/aead.h"
#include "tls/record_dir.h"
#include "tls/schedule.h"

/* RFC 8446 5.5: 2^24.5 full-size records under one AES-GCM key. A new key is asked for early,
 * so that the stop is only ever met by a caller that ignores update_due. */
#define SEAL_SOFT (1ull << 24)
#define SEAL_HARD 23726566ull

#define MSG_KEY_UPDATE 24

const char *record_engine(void)
{
	return aead_engine_name();
}

const char *record_alert_text(uint8_t description)
{
	return SSL_alert_desc_string_long(description);
}

void dir_nonce(const struct record_dir *d, uint8_t *ret)
{
	memcpy(ret, d->iv, sizeof(d->iv));
	for (size_t i = 0; i < 8; i++)
		ret[sizeof(d->iv) - 1 - i] ^= (uint8_t)(d->seq >> (8 * i));
}

int dir_next(const struct record_dir *d, struct record_dir *ret, struct aead **ret_aead)
{
	struct record_dir next;
	int r;

	r = schedule_next(d, &next);
	if (r < 0)
		return r;
	r = aead_new(next.suite, next.key, ret_aead);
	if (r == 0)
		*ret = next;
	OPENSSL_cleanse(&next, sizeof(next));
	return r;
}

static bool dir_valid(const struct record_dir *d)
{
	return d->secret_len == schedule_secret_len(d->suite) && d->hs_len <= sizeof(d->hs_head) &&
	       d->hs_skip <= RECORD_TICKET_MAX;
}

int record_import(struct record *r, const struct record_dir *tx, const struct record_dir *rx)
{
	int err;

	memset(r, 0, sizeof(*r));
	if (aead_key_len(tx->suite) == 0 || aead_key_len(rx->suite) == 0)
		return -ENOTSUP;
	if (!dir_valid(tx) || !dir_valid(rx))
		return -EINVAL;
	err = aead_new(tx->suite, tx->key, &r->tx_aead);
	if (err == 0)
		err = aead_new(rx->suite, rx->key, &r->rx_aead);
	if (err < 0) {
		record_fini(r);
		return err;
	}
	r->tx = *tx;
	r->rx = *rx;
	return 0;
}

int record_init(struct record *r, uint16_t suite, const uint8_t *tx_secret,
		const uint8_t *rx_secret, size_t secret_len)
{
	struct record_dir tx, rx;
	int err;

	memset(r, 0, sizeof(*r));
	if (aead_key_len(suite) == 0)
		return -ENOTSUP;
	if (secret_len != schedule_secret_len(suite))
		return -EINVAL;
	err = schedule_dir(suite, tx_secret, &tx);
	if (err < 0)
		return err;
	err = schedule_dir(suite, rx_secret, &rx);
	if (err == 0) {
		err = record_import(r, &tx, &rx);
		OPENSSL_cleanse(&rx, sizeof(rx));
	}
	OPENSSL_cleanse(&tx, sizeof(tx));
	return err;
}

void record_fini(struct record *r)
{
	aead_free(&r->tx_aead);
	aead_free(&r->rx_aead);
	OPENSSL_cleanse(r, sizeof(*r));
}

static bool seal_limited(const struct record *r)
{
	return r->tx.suite != RECORD_CHACHA20_POLY1305_SHA256;
}

static int seal_check(const struct record *r, size_t n, enum record_type type)
{
	if (r->tx_closed)
		return -EPIPE;
	if (n > RECORD_PLAIN_MAX || (n == 0 && type != RECORD_DATA))
		return -EINVAL;
	/* The KeyUpdate that ends this state, and alerts, must still get out. */
	if (type == RECORD_DATA && seal_limited(r) && r->tx.sealed >= SEAL_HARD)
		return -EOVERFLOW;
	return 0;
}

ssize_t record_seal(struct record *r, uint8_t *rec, size_t n, enum record_type type)
{
	const size_t body = n + 1 + RECORD_TAG;
	const uint8_t head[RECORD_HEADER] = { RECORD_DATA, 3, 3, (uint8_t)(body >> 8),
					      (uint8_t)body };
	const struct aead_span span = {
		.aad = head, .aad_n = sizeof(head), .p = rec + RECORD_HEADER, .n = n + 1
	};
	uint8_t nonce[AEAD_NONCE];
	int err;

	BUG_ON(!r->tx_aead);
	err = seal_check(r, n, type);
	if (err < 0)
		return err;
	memcpy(rec, head, sizeof(head));
	rec[RECORD_HEADER + n] = (uint8_t)type;
	dir_nonce(&r->tx, nonce);
	err = aead_seal(r->tx_aead, nonce, &span, rec + RECORD_HEADER + n + 1);
	if (err < 0)
		return err;
	r->tx.seq++;
	r->tx.sealed++;
	if (seal_limited(r) && r->tx.sealed >= SEAL_SOFT)
		r->update_due = true;
	return (ssize_t)(n + RECORD_OVERHEAD);
}

ssize_t record_key_update(struct record *r, uint8_t *out, bool request_peer)
{
	const uint8_t msg[] = { MSG_KEY_UPDATE, 0, 0, 1, request_peer };
	struct record_dir next;
	struct aead *fresh;
	ssize_t n;
	int err;

	/* First the new key, so that a failure leaves the old state as it was. */
	err = dir_next(&r->tx, &next, &fresh);
	if (err < 0)
		return err;
	memcpy(out + RECORD_HEADER, msg, sizeof(msg));
	n = record_seal(r, out, sizeof(msg), RECORD_HANDSHAKE);
	if (n > 0) {
		r->tx = next;
		aead_free(&r->tx_aead);
		r->tx_aead = TAKE_PTR(fresh);
		r->update_due = false;
	}
	aead_free(&fresh);
	OPENSSL_cleanse(&next, sizeof(next));
	return n;
}

ssize_t record_alert(struct record *r, uint8_t *out, uint8_t description)
{
	const uint8_t msg[] = { description == 0 ? 1 : 2, description };
	ssize_t n;

	memcpy(out + RECORD_HEADER, msg, sizeof(msg));
	n = record_seal(r, out, sizeof(msg), RECORD_ALERT);
	if (n > 0)
		r->tx_closed = true;
	return n;
}
