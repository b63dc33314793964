/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Revocation lists, and looking at a peer's chain again later: for tunnels that live longer than
 * the roots and lists by which their peer was accepted. Any thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"
#include "tls/handshake.h"

struct tls_crl; /* all lists of a file; immutable, refcounted */

/* text: lists in PEM, one after the other, or a single one in DER. Empty or blank: no lists, and so
 * nothing is revoked. -EINVAL with a sentence in err, -ENOMEM. */
int tls_crl_new(struct str text, struct errbuf *err, struct tls_crl **ret);
struct tls_crl *tls_crl_get(struct tls_crl *crl); /* thread safe; NULL gives NULL */
void tls_crl_put(struct tls_crl **crl);
size_t tls_crl_lists(const struct tls_crl *crl);
size_t tls_crl_entries(const struct tls_crl *crl); /* revoked certificates, all lists together */
/* When the first list is due for its successor, Unix seconds; 0 if none says. */
uint64_t tls_crl_next_update(const struct tls_crl *crl);

/* Before the first step: no certificate of the peer's chain may be on one of these lists (a
 * reference is taken; NULL: no lists). An issuer without a list says nothing about its
 * certificates, and a list that is past its time still counts. */
void tls_hs_use_crl(struct tls_hs *hs, struct tls_crl *crl);
/* After a failed step: did it fail because a certificate of the peer is revoked? */
bool tls_hs_peer_revoked(const struct tls_hs *hs);

struct tls_chain; /* a peer's chain as it was accepted */

/* After 1 of tls_hs_step(). */
int tls_chain_new(struct tls_hs *hs, struct tls_chain **ret);
void tls_chain_free(struct tls_chain **c);
/* Its bytes, to tell chains apart. */
struct str tls_chain_bytes(const struct tls_chain *c);
/* Would id, in this role, still accept the peer? Its end (notAfter) does not count: a tunnel may
 * outlive that. 0, -EKEYREVOKED, -EKEYREJECTED (no way to a root any more), both with a sentence
 * in err; -ENOMEM. */
int tls_chain_check(const struct tls_chain *c, const struct tls_identity *id, enum tls_role role,
		    struct tls_crl *crl, struct errbuf *err);
/* Is the identity's own chain revoked? 0, -EKEYREVOKED with a sentence, -ENOMEM. */
int tls_identity_check(const struct tls_identity *id, struct tls_crl *crl, struct errbuf *err);
