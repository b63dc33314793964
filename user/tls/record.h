/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TLS 1.3 record layer (RFC 8446 section 5) on traffic secrets that a finished OpenSSL
 * handshake left behind. The state of a direction is one plain struct without pointers, so
 * that a live tunnel can move to another process; the expanded AEAD key is made from it.
 * Secrets are wiped by record_fini(). One thread per object.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_HEADER 5
#define RECORD_TAG 16
#define RECORD_PLAIN_MAX 16384
/* What a record adds to its plaintext: header, content type byte, tag. */
#define RECORD_OVERHEAD (RECORD_HEADER + 1 + RECORD_TAG)
#define RECORD_WIRE_MAX (RECORD_HEADER + RECORD_PLAIN_MAX + 256)

enum record_suite { /* TLS cipher suite numbers */
	RECORD_AES_128_GCM_SHA256 = 0x1301,
	RECORD_AES_256_GCM_SHA384 = 0x1302,
	RECORD_CHACHA20_POLY1305_SHA256 = 0x1303,
};

enum record_type { RECORD_ALERT = 21, RECORD_HANDSHAKE = 22, RECORD_DATA = 23 };

/* Serialisable state of one direction. */
struct record_dir {
	uint16_t suite;	     /* enum record_suite */
	uint8_t secret_len;  /* 32 or 48 */
	uint8_t hs_len;	     /* rx: bytes in hs_head */
	uint8_t hs_head[4];  /* rx: header of a post-handshake message split over records */
	uint64_t seq;	     /* number of the next record */
	uint64_t sealed;     /* records under this key, for the limit of RFC 8446 5.5 */
	uint8_t secret[48];  /* traffic secret, source of key, iv and the next secret */
	uint8_t key[32];
	uint8_t iv[12];
	uint32_t hs_skip;    /* rx: rest of a message to skip (NewSessionTicket) */
};
_Static_assert(sizeof(struct record_dir) == 120, "travels between processes");

struct aead; /* expanded key behind libipsec-mb or OpenSSL EVP */

struct record {
	struct record_dir tx, rx;
	struct aead *tx_aead, *rx_aead;
	bool tx_closed, rx_closed; /* close_notify sent / received */
	/* A KeyUpdate of ours is due, record_key_update(): the peer asked for one, or the
	 * AES-GCM key nears its limit. */
	bool update_due;
	uint8_t alert;	     /* description of a received fatal alert, 0 none */
	uint16_t quiet_run;  /* received records in a row that carried no data */
	uint16_t update_run; /* KeyUpdates among them */
};

/* Name of the engine in use ("ipsec-mb avx512", "openssl"); chosen once per process. */
const char *record_engine(void);

/* Sets both directions from traffic secrets (copied). 0, -ENOTSUP unknown suite, -EINVAL wrong
 * secret_len, -ENOMEM. *r need not be initialised and is all zero after a failure. */
int record_init(struct record *r, uint16_t suite, const uint8_t *tx_secret,
		const uint8_t *rx_secret, size_t secret_len);
/* From exported directions (r->tx, r->rx) of another process; same errors. The flags do not
 * travel: who exports first sends the KeyUpdate that is due, and keeps closing links. */
int record_import(struct record *r, const struct record_dir *tx, const struct record_dir *rx);
void record_fini(struct record *r);

/*
 * Seals in place. rec points at RECORD_HEADER free bytes, then n plaintext bytes (n <=
 * RECORD_PLAIN_MAX), then 1 + RECORD_TAG free bytes. Returns the length on the wire
 * (n + RECORD_OVERHEAD) or -errno (-EPIPE after close, -EOVERFLOW at the record limit,
 * -EINVAL n too large, or 0 for anything but data).
 */
ssize_t record_seal(struct record *r, uint8_t *rec, size_t n, enum record_type type);

struct record_view {
	enum record_type type;
	uint8_t *p; /* plaintext, inside the input */
	size_t n;
};
/*
 * Opens the first record of buf[n] in place. > 0: bytes consumed, *ret is the plaintext
 * (RECORD_DATA only: KeyUpdate, tickets and alerts are handled inside and give n == 0).
 * 0: incomplete, *ret_need is the full length once 5 bytes are there. -EBADMSG: forged or
 * malformed; -EPROTO: not allowed here; -ECONNRESET: fatal alert (r->alert); -ENOMEM. All of
 * them end the connection; RECORD_ALERT_OF(r) is what to tell the peer.
 * After close_notify r->rx_closed is set, and whatever follows is swallowed. *ret and *ret_need
 * are only written in the cases above.
 */
ssize_t record_open(struct record *r, uint8_t *buf, size_t n, struct record_view *ret,
		    size_t *ret_need);

/* Writes a whole KeyUpdate record to out[64] under the old key and switches tx to the next
 * one; length or -errno. */
ssize_t record_key_update(struct record *r, uint8_t *out, bool request_peer);
/* Writes an alert record to out[32]: close_notify (0) is a warning, everything else fatal. */
ssize_t record_alert(struct record *r, uint8_t *out, uint8_t description);
/* Alert description for an error of record_open(): bad_record_mac, unexpected_message,
 * internal_error. */
#define RECORD_ALERT_OF(err) ((err) == -EBADMSG ? 20 : (err) == -EPROTO ? 10 : 80)
/* "unknown CA", for r->alert in logs; never NULL. */
const char *record_alert_text(uint8_t description);
