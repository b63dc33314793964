/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the embedded CA takes back: crl.pem in its folder, with one list (RFC 5280) for each issuer
 * that revoked anything, the root or a node's intermediate, signed by its key. Made for ca_crl of
 * weftd.yaml; the folders of several nodes each have their own.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/errbuf.h"

#define CA_CRL_NAME "crl.pem"
#define CA_SERIAL_MAX 64 /* decimal digits and a NUL: 20 bytes (RFC 5280 4.1.2.2) have 49 */

struct ca_revoked {
	char issuer[256]; /* "root", the node, or the name in the list where its certificate is gone */
	char serial[CA_SERIAL_MAX]; /* decimal, as `weft certs` shows it */
	uint64_t revoked_s;	    /* Unix */
	uint64_t next_update_s;	    /* of its list, Unix */
};

/*
 * Revokes the certificate what: the path of one in PEM (the first of the file), which the root or an
 * intermediate in dir must have issued; or its serial, decimal or 0x and hexadecimal, with the node
 * that issued it ("root": the root). A path needs no node. The issuer's key must be in dir.
 * *ret says what was done, *ret_was whether it had been revoked already; nothing is written then.
 * Errors name the file: -EINVAL (no certificate of this CA, no serial, broken list), -ENOENT (no
 * certificate or key of the issuer in dir), and those of keydir_write().
 */
int ca_revoke(const char *dir, const char *node, const char *what, struct errbuf *err,
	      struct ca_revoked *ret, bool *ret_was);

/* All that crl.pem in dir says; malloc'ed, NULL without any. No file is no error. */
int ca_revoked_list(const char *dir, struct errbuf *err, struct ca_revoked **ret, size_t *ret_n);
