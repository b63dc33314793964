// SPDX-License-Identifier: Apache-2.0
/*
 * Receiving half of the record layer: opens a record in place and handles whatever is not data
 * (alerts, KeyUpdate, tickets to skip). Everything before aead_open() reads hostile bytes;
 * everything behind it reads those of an authenticated peer, which may still be malicious.
 * Works on the caller's struct record, owns nothing.
 */
#include "tls/record.h"

#include <openssl/crypto.h>

#include "base/bug.h"
#include "tls/aead.h"
#include "tls/record_dir.h"

/* A peer that sends nothing but empty records, tickets and KeyUpdates makes work without
 * moving data; these many in a row are nobody's honest use. */
#define QUIET_RUN_MAX 1000
#define UPDATE_RUN_MAX 32

#define MSG_NEW_SESSION_TICKET 4
#define MSG_KEY_UPDATE 24
#define ALERT_CLOSE_NOTIFY 0
#define ALERT_USER_CANCELED 90

static size_t body_len(const uint8_t *head)
{
	return (size_t)head[3] << 8 | head[4];
}

static int head_check(const uint8_t *head)
{
	size_t n = body_len(head);

	/* ChangeCipherSpec, plaintext alerts and handshake records have no place any more. */
	if (head[0] != RECORD_DATA)
		return head[0] >= 20 && head[0] <= 22 ? -EPROTO : -EBADMSG;
	if (head[1] != 3 || n > RECORD_WIRE_MAX - RECORD_HEADER || n < 1 + RECORD_TAG)
		return -EBADMSG;
	return 0;
}

static int on_alert(struct record *r, const uint8_t *p, size_t n)
{
	if (n != 2 || r->rx.hs_len || r->rx.hs_skip)
		return -EPROTO;
	if (p[1] == ALERT_CLOSE_NOTIFY) {
		r->rx_closed = true;
		return 0;
	}
	/* Java sends it before every close_notify. */
	if (p[1] == ALERT_USER_CANCELED)
		return 0;
	r->alert = p[1];
	return -ECONNRESET;
}

/* The head of a message is complete: decides what becomes of its body. */
static int on_message(struct record *r)
{
	struct record_dir *d = &r->rx;
	uint32_t n = (uint32_t)d->hs_head[1] << 16 | (uint32_t)d->hs_head[2] << 8 | d->hs_head[3];

	if (d->hs_head[0] == MSG_KEY_UPDATE)
		return n == 1 ? 0 : -EPROTO;
	if (d->hs_head[0] != MSG_NEW_SESSION_TICKET || n > RECORD_TICKET_MAX)
		return -EPROTO;
	d->hs_skip = n;
	d->hs_len = 0;
	return 0;
}

static int on_key_update(struct record *r, uint8_t request)
{
	struct record_dir next;
	struct aead *fresh;
	int err;

	if (request > 1 || ++r->update_run > UPDATE_RUN_MAX)
		return -EPROTO;
	err = dir_next(&r->rx, &next, &fresh);
	if (err < 0)
		return err;
	r->rx = next; /* which also forgets the message's head */
	OPENSSL_cleanse(&next, sizeof(next));
	aead_free(&r->rx_aead);
	r->rx_aead = fresh;
	if (request)
		r->update_due = true;
	return 0;
}

static int on_handshake(struct record *r, const uint8_t *p, size_t n)
{
	struct record_dir *d = &r->rx;
	const uint8_t *end = p + n;

	if (n == 0)
		return -EPROTO;
	while (p < end) {
		size_t skip = (size_t)(end - p) < d->hs_skip ? (size_t)(end - p) : d->hs_skip;
		int err;

		p += skip;
		d->hs_skip -= (uint32_t)skip;
		if (p == end)
			break;
		/* Only a KeyUpdate waits with a whole head, for its one byte. It ends a key,
		 * so nothing may follow it in its record. */
		if (d->hs_len == sizeof(d->hs_head))
			return end - p == 1 ? on_key_update(r, *p) : -EPROTO;
		d->hs_head[d->hs_len++] = *p++;
		if (d->hs_len < sizeof(d->hs_head))
			continue;
		err = on_message(r);
		if (err < 0)
			return err;
	}
	return 0;
}

/* Cuts padding and content type off the inner plaintext; the type, or -errno. */
static int inner_strip(const uint8_t *p, size_t *n)
{
	size_t at = *n;

	if (at > RECORD_PLAIN_MAX + 1)
		return -EBADMSG;
	while (at > 0 && p[at - 1] == 0)
		at--;
	if (at == 0)
		return -EPROTO;
	*n = at - 1;
	return p[at - 1];
}

static int on_data(struct record *r, size_t n)
{
	if (r->rx.hs_len || r->rx.hs_skip)
		return -EPROTO;
	if (n > 0)
		r->quiet_run = r->update_run = 0;
	return 0;
}

/* The authenticated plaintext p[*n]; *n is the length of its data afterwards. */
static int on_inner(struct record *r, const uint8_t *p, size_t *n)
{
	int err, type = inner_strip(p, n);

	if (type < 0)
		return type;
	switch (type) {
	case RECORD_DATA:
		err = on_data(r, *n);
		break;
	case RECORD_ALERT:
		err = on_alert(r, p, *n);
		break;
	case RECORD_HANDSHAKE:
		err = on_handshake(r, p, *n);
		break;
	default:
		return -EPROTO;
	}
	if (err < 0)
		return err;
	if (type != RECORD_DATA)
		*n = 0;
	return *n == 0 && ++r->quiet_run > QUIET_RUN_MAX ? -EPROTO : 0;
}

static int body_open(struct record *r, uint8_t *buf, size_t n)
{
	const struct aead_span span = {
		.aad = buf, .aad_n = RECORD_HEADER, .p = buf + RECORD_HEADER, .n = n - RECORD_TAG
	};
	uint8_t nonce[AEAD_NONCE];

	dir_nonce(&r->rx, nonce);
	return aead_open(r->rx_aead, nonce, &span, buf + RECORD_HEADER + n - RECORD_TAG);
}

ssize_t record_open(struct record *r, uint8_t *buf, size_t n, struct record_view *ret,
		    size_t *ret_need)
{
	size_t body, len;
	int err;

	BUG_ON(!r->rx_aead);
	if (r->rx_closed && n > 0) {
		*ret = (struct record_view){ .type = RECORD_DATA, .p = buf };
		return (ssize_t)n;
	}
	if (n < RECORD_HEADER) {
		*ret_need = RECORD_HEADER;
		return 0;
	}
	err = head_check(buf);
	if (err < 0)
		return err;
	body = body_len(buf);
	if (n < RECORD_HEADER + body) {
		*ret_need = RECORD_HEADER + body;
		return 0;
	}
	err = body_open(r, buf, body);
	if (err < 0)
		return err;
	/* Before the content is looked at: a KeyUpdate starts again at 0. */
	r->rx.seq++;
	r->rx.sealed++;
	len = body - RECORD_TAG;
	err = on_inner(r, buf + RECORD_HEADER, &len);
	if (err < 0)
		return err;
	*ret = (struct record_view){ .type = RECORD_DATA, .p = buf + RECORD_HEADER, .n = len };
	return (ssize_t)(RECORD_HEADER + body);
}
