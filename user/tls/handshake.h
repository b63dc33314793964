/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Mutual TLS 1.3 handshakes by OpenSSL over memory BIOs; when one is done, its traffic secrets
 * go to tls/record and the SSL object is freed. Nothing here touches a socket.
 * Only TLS 1.3; suites AES-128-GCM (preferred), AES-256-GCM, and ChaCha20-Poly1305 where the
 * CPU has no AES; ALPN exactly "h2"; client certificate mandatory; no tickets, no resumption,
 * no SNI. Both sides check the chain against the identity's roots, with the right EKU; who
 * the peer may be is the caller's decision, from tls_hs_peer_uri().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"

struct tls_identity; /* certificate, key and roots as two SSL_CTX; immutable, refcounted */
struct record;

enum tls_role { TLS_CLIENT, TLS_SERVER };

/* chain: leaf first. -EINVAL with a sentence in err. */
int tls_identity_new(struct str chain_pem, struct str key_pem, struct str roots_pem,
		     struct errbuf *err, struct tls_identity **ret);
struct tls_identity *tls_identity_get(struct tls_identity *id); /* thread safe */
void tls_identity_put(struct tls_identity **id);
/* First URI SAN of the own leaf, "" if none; valid as long as id. */
const char *tls_identity_uri(const struct tls_identity *id);
/* Validity of the own leaf in Unix seconds; serial as decimal text. */
uint64_t tls_identity_not_before(const struct tls_identity *id);
uint64_t tls_identity_not_after(const struct tls_identity *id);
const char *tls_identity_serial(const struct tls_identity *id);

/* A certificate for people to look at; valid during the call. */
struct tls_cert_text {
	bool root; /* one of those that peers are checked against, not of the own chain */
	const char *pem_base64; /* base64 of the PEM text */
	const char *serial; /* decimal */
	uint64_t not_before, not_after; /* Unix seconds */
};
/* The own chain, leaf first, then the roots. 0 or -ENOMEM. Any thread. */
int tls_identity_certs(const struct tls_identity *id,
		       void (*fn)(void *arg, const struct tls_cert_text *c), void *arg);

struct tls_hs;

int tls_hs_new(struct tls_identity *id, enum tls_role role, struct tls_hs **ret);
void tls_hs_free(struct tls_hs **hs);
/* Feeds n bytes from the peer (0 at the start of a client). 1: done, 0: more is needed,
 * -EPROTO: failed (tls_hs_error), -ENOMEM; output may be waiting in every case, alerts included.
 * A client is done before the server has looked at its certificate: a refusal arrives as an
 * alert at record_open(). */
int tls_hs_step(struct tls_hs *hs, const void *in, size_t n);
/* Takes up to cap bytes for the peer out of the handshake; returns how many. */
size_t tls_hs_output(struct tls_hs *hs, void *buf, size_t cap);
const char *tls_hs_error(const struct tls_hs *hs);

/* After 1: */
size_t tls_hs_peer_uris(struct tls_hs *hs); /* number of URI SANs of the peer's leaf */
const char *tls_hs_peer_uri(struct tls_hs *hs, size_t i);
uint64_t tls_hs_peer_not_after(struct tls_hs *hs);
int tls_hs_record(struct tls_hs *hs, struct record *ret); /* record_init() with the secrets */
uint16_t tls_hs_suite(const struct tls_hs *hs); /* enum record_suite */
/* Bytes that came behind the handshake and belong to the record layer; returns how many. */
size_t tls_hs_leftover(struct tls_hs *hs, void *buf, size_t cap);
