/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A certificate and its key as they lie in the folder of the CA: BASE-cert.pem and BASE-key.pem,
 * where BASE is a node or "root". Private to ident/.
 */
#include <stdlib.h>

#include "base/errbuf.h"
#include "ident/cert.h"

struct ca_pair {
	X509 *cert;
	EVP_PKEY *key;
};

void ca_pair_fini(struct ca_pair *p);
void own_secret(char **z); /* wipes the text and frees it */

#define _pair_ cleanup_with(ca_pair_fini)
#define _secret_ cleanup_with(own_secret)

/* dirfd is that of keydir_open(), dir its name for err. *ret_pem: the file's text, malloc'ed; may be
 * NULL. -ENOENT and others of keydir_read(), -EINVAL for what is no certificate. */
int ca_read_cert(int dirfd, const char *dir, const char *base, struct errbuf *err, char **ret_pem,
		 X509 **ret);
/* -EINVAL, too, where the key is another one's. */
int ca_read_pair(int dirfd, const char *dir, const char *base, struct errbuf *err,
		 struct ca_pair *ret);
int ca_write_pair(int dirfd, const char *dir, const char *base, const struct ca_pair *p,
		  struct errbuf *err);
