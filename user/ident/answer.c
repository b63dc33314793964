// SPDX-License-Identifier: Apache-2.0
/*
 * Reads what IstioCertificateService answers; see answer.h. Used by ident/istio, owns nothing.
 *
 *	IstioCertificateResponse { 1 cert_chain: leaf, intermediates, root bundle last }
 */
#define LOG_SCOPE "ident"
#include "ident/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hmap.h"
#include "base/log.h"
#include "base/own.h"
#include "codec/pb.h"
#include "tls/handshake.h"

#define CHAIN_MAX 16

struct chain {
	struct str pem[CHAIN_MAX];
	size_t n;
};

static int add_pem(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	struct chain *c = obj;

	if (c->n == CHAIN_MAX)
		return errbuf_set(d->err, -EBADMSG, "more than %d certificates", CHAIN_MAX);
	return pb_get(d, v, PB_BYTES, "cert_chain", &c->pem[c->n++]);
}

static const struct pb_field answer_fields[] = {
	{ PB(1, PB_EACH, 0, "cert_chain"), .each = add_pem },
	{ 0 },
};

/* Certificates may end without a line break; the next one must not begin in the same line. */
static char *join(const struct chain *c, size_t from, size_t to)
{
	size_t n = 1, at = 0;
	char *text;

	for (size_t i = from; i < to; i++)
		n += c->pem[i].n + 1;
	text = malloc(n);
	for (size_t i = from; text && i < to; i++) {
		if (c->pem[i].n)
			memcpy(text + at, c->pem[i].p, c->pem[i].n);
		at += c->pem[i].n;
		text[at++] = '\n';
	}
	if (text)
		text[at] = '\0';
	return text;
}

static int make_identity(const struct answer_to *to, const struct chain *c, struct errbuf *err,
			 struct source_cert *ret)
{
	_free_ char *chain = join(c, 0, c->n - 1), *roots = join(c, c->n - 1, c->n);
	struct source_cert cert = { 0 };
	int r;

	if (!chain || !roots)
		return -ENOMEM;
	r = tls_identity_new(str_of(chain), str_of(to->key_pem), str_of(roots), err, &cert.id);
	if (r < 0)
		return r;
	cert.begin_ms = (int64_t)tls_identity_not_before(cert.id) * 1000;
	cert.end_ms = (int64_t)tls_identity_not_after(cert.id) * 1000;
	cert.digest = hash_str(str_of(chain)) ^ hash_str(str_of(roots)) * 3;
	cert.roots = hash_str(str_of(roots));
	if (strcmp(tls_identity_uri(cert.id), to->uri) != 0)
		r = errbuf_set(err, -EINVAL, "the CA's certificate is for \"%s\"",
			       tls_identity_uri(cert.id));
	else if (tls_identity_not_after(cert.id) <= clock_wall_s())
		r = errbuf_set(err, -EKEYEXPIRED,
			       "the CA's certificate has expired already; "
			       "are the clocks right?");
	if (r < 0) {
		tls_identity_put(&cert.id);
		return r;
	}
	*ret = cert;
	return 0;
}

int answer_read(struct str message, const struct answer_to *to, struct errbuf *err,
		struct source_cert *ret)
{
	struct errbuf why = { 0 };
	struct pb_decode d = { .err = &why };
	struct chain c = { 0 };
	int r = pb_decode(&d, message, answer_fields, &c);

	if (r == 0 && c.n < 2)
		r = errbuf_set(&why, -EBADMSG, "%zu certificates, there should be one and the root",
			       c.n);
	if (r == 0)
		r = make_identity(to, &c, &why, ret);
	return r < 0 ? errbuf_set(err, r, "the CA's answer: %.400s",
				  why.text[0] ? why.text : log_strerror(r))
		     : 0;
}
