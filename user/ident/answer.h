/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The answer of a CA that speaks istio.v1.auth.IstioCertificateService. Stateless, any thread. */
#include "base/str.h"
#include "ident/source.h"

struct answer_to { /* what was asked */
	const char *uri, *key_pem;
};

/* message: an IstioCertificateResponse. 0 and ret->id, a reference for the caller: a certificate of
 * that identity and key, valid still, that leads to the roots it came with. Else a sentence is in
 * err and *ret untouched: -EBADMSG (not such a message), -EINVAL (other certificates, another identity),
 * -EKEYEXPIRED, -ENOMEM. */
int answer_read(struct str message, const struct answer_to *to, struct errbuf *err,
		struct source_cert *ret);
