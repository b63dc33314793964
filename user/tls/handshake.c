// SPDX-License-Identifier: Apache-2.0
/*
 * One handshake: OpenSSL between two memory BIOs, until its traffic secrets are known. Used by
 * tunnel/{dial,serve}, which move the bytes. Owns the SSL object and the secrets until
 * tls_hs_free(), and holds its identity. One thread per object.
 */
#include "tls/handshake.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/own.h"
#include "tls/crl.h"
#include "tls/identity.h"
#include "tls/record.h"
#include "tls/schedule.h"

/* A chain of ten P-256 certificates is below 16 KiB. */
#define INPUT_MAX (64 * 1024)
#define SECRET_MAX 48

enum hs_state { HS_RUNNING, HS_DONE, HS_FAILED };

struct secret {
	uint8_t p[SECRET_MAX];
	size_t n; /* 0: not seen yet */
};

struct tls_hs {
	enum hs_state state;
	enum tls_role role;
	struct tls_identity *id;
	struct tls_crl *crl;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	size_t fed;
	struct secret secret[2]; /* by the enum tls_role of who sends under it */
	struct cert_uris uris;
	uint64_t peer_not_after;
	uint16_t suite;
	bool peer_revoked;
	char error[256];
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static void secret_parse(struct str hex, struct secret *ret)
{
	ret->n = 0;
	if (hex.n % 2 || hex.n / 2 > sizeof(ret->p))
		return;
	for (size_t i = 0; i < hex.n / 2; i++) {
		int hi = hex_digit(hex.p[2 * i]), lo = hex_digit(hex.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return;
		ret->p[i] = (uint8_t)(hi << 4 | lo);
	}
	ret->n = hex.n / 2;
}

/* "<label> <client random> <secret>": the one way OpenSSL gives traffic secrets out. */
void hs_keylog(const SSL *ssl, const char *line)
{
	struct tls_hs *hs = SSL_get_app_data(ssl);
	struct str rest = str_of(line), label = str_cut(&rest, ' ');

	if (!hs)
		return;
	str_cut(&rest, ' ');
	if (str_eq(label, STR("CLIENT_TRAFFIC_SECRET_0")))
		secret_parse(rest, &hs->secret[TLS_CLIENT]);
	else if (str_eq(label, STR("SERVER_TRAFFIC_SECRET_0")))
		secret_parse(rest, &hs->secret[TLS_SERVER]);
}

int hs_verify(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_hs *hs = ssl ? SSL_get_app_data(ssl) : NULL;

	(void)arg;
	if (hs)
		crl_apply(ctx, hs->crl);
	return X509_verify_cert(ctx);
}

void tls_hs_use_crl(struct tls_hs *hs, struct tls_crl *crl)
{
	tls_crl_put(&hs->crl);
	hs->crl = tls_crl_get(crl);
}

bool tls_hs_peer_revoked(const struct tls_hs *hs)
{
	return hs->peer_revoked;
}

int tls_chain_new(struct tls_hs *hs, struct tls_chain **ret)
{
	const STACK_OF(X509) *certs = SSL_get0_verified_chain(hs->ssl);

	return certs ? chain_make(certs, ret) : -EINVAL;
}

int tls_hs_new(struct tls_identity *id, enum tls_role role, struct tls_hs **ret)
{
	struct tls_hs *hs = calloc(1, sizeof(*hs));

	if (!hs)
		return -ENOMEM;
	hs->role = role;
	hs->id = tls_identity_get(id);
	hs->ssl = SSL_new(identity_ctx(id, role));
	hs->in = BIO_new(BIO_s_mem());
	hs->out = BIO_new(BIO_s_mem());
	if (!hs->ssl || !hs->in || !hs->out) {
		BIO_free(hs->in);
		BIO_free(hs->out);
		tls_hs_free(&hs);
		return -ENOMEM;
	}
	/* Empty means "later", not "end". */
	BIO_set_mem_eof_return(hs->in, -1);
	BIO_set_mem_eof_return(hs->out, -1);
	SSL_set_bio(hs->ssl, hs->in, hs->out);
	SSL_set_app_data(hs->ssl, hs);
	if (role == TLS_CLIENT)
		SSL_set_connect_state(hs->ssl);
	else
		SSL_set_accept_state(hs->ssl);
	*ret = hs;
	return 0;
}

void tls_hs_free(struct tls_hs **hsp)
{
	struct tls_hs *hs = TAKE_PTR(*hsp);

	if (!hs)
		return;
	SSL_free(hs->ssl);
	cert_uris_fini(&hs->uris);
	tls_identity_put(&hs->id);
	tls_crl_put(&hs->crl);
	OPENSSL_cleanse(hs, sizeof(*hs));
	free(hs);
}

__attribute__((format(printf, 3, 4))) static int hs_fail(struct tls_hs *hs, int r, const char *fmt,
							 ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(hs->error, sizeof(hs->error), fmt, ap);
	va_end(ap);
	hs->state = HS_FAILED;
	OPENSSL_cleanse(hs->secret, sizeof(hs->secret));
	return r;
}

/* Makes the sentence of OpenSSL's own failure. */
static int hs_fail_ssl(struct tls_hs *hs)
{
	const char *who = hs->role == TLS_CLIENT ? "server" : "client";
	long verify = SSL_get_verify_result(hs->ssl);
	unsigned long e = ERR_peek_error();
	const char *reason = ERR_reason_error_string(e);
	int code = ERR_GET_REASON(e);

	ERR_clear_error();
	hs->peer_revoked = verify == X509_V_ERR_CERT_REVOKED;
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && code == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return hs_fail(hs, -EPROTO, "certificate of the %s refused: %s", who,
			       X509_verify_cert_error_string(verify));
	/* Alerts of the peer are reasons above SSL_AD_REASON_OFFSET. */
	if (ERR_GET_LIB(e) == ERR_LIB_SSL && code >= SSL_AD_REASON_OFFSET)
		return hs_fail(hs, -EPROTO, "%s refused the handshake: %s", who,
			       SSL_alert_desc_string_long(code - SSL_AD_REASON_OFFSET));
	return hs_fail(hs, -EPROTO, "TLS handshake with the %s failed: %s", who,
		       reason ? reason : "connection broken");
}

static int hs_secrets(struct tls_hs *hs)
{
	hs->suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(hs->ssl));
	for (size_t i = 0; i < ARRAY_LEN(hs->secret); i++)
		if (hs->secret[i].n == 0 || hs->secret[i].n != schedule_secret_len(hs->suite))
			return hs_fail(hs, -EPROTO, "TLS library gave no traffic secrets");
	return 0;
}

/* OpenSSL is through and the keys are the application's: a refusal must be sealed by them. */
static void hs_send_alert(struct tls_hs *hs, uint8_t description)
{
	struct record rec;
	uint8_t buf[32];
	ssize_t n;

	if (tls_hs_record(hs, &rec) < 0)
		return;
	n = record_alert(&rec, buf, description);
	if (n > 0)
		BIO_write(hs->out, buf, (int)n);
	record_fini(&rec);
}

static int hs_peer(struct tls_hs *hs)
{
	X509 *leaf = SSL_get0_peer_certificate(hs->ssl);
	int r;

	/* All of this was enforced by the context; a peer without identity must not get by. */
	if (!leaf || SSL_get_verify_result(hs->ssl) != X509_V_OK) {
		hs_send_alert(hs, SSL_AD_CERTIFICATE_REQUIRED);
		return hs_fail(hs, -EPROTO, "peer has no verified certificate");
	}
	r = cert_uris(leaf, &hs->uris);
	if (r < 0) {
		hs_send_alert(hs, SSL_AD_BAD_CERTIFICATE);
		return hs_fail(hs, r, "certificate of the peer: %s",
			       r == -ENOMEM ? "out of memory" : "broken URI SAN");
	}
	hs->peer_not_after = cert_unix(X509_get0_notAfter(leaf));
	return 0;
}

static int hs_finish(struct tls_hs *hs)
{
	int r;

	r = hs_secrets(hs);
	if (r < 0)
		return r;
	hs->state = HS_DONE;
	if (!ctx_alpn_ok(hs->ssl)) {
		hs_send_alert(hs, SSL_AD_NO_APPLICATION_PROTOCOL);
		return hs_fail(hs, -EPROTO, "peer does not speak HTTP/2 (ALPN h2)");
	}
	r = hs_peer(hs);
	if (r < 0)
		return r;
	/* What OpenSSL has taken from the BIO would be lost to the record layer. */
	if (SSL_has_pending(hs->ssl))
		return hs_fail(hs, -EPROTO, "data inside the last record of the handshake");
	return 1;
}

int tls_hs_step(struct tls_hs *hs, const void *in, size_t n)
{
	int r;

	if (hs->state == HS_FAILED)
		return -EPROTO;
	if (n > INT_MAX)
		return hs_fail(hs, -EPROTO, "handshake input too large");
	if (n > 0 && BIO_write(hs->in, in, (int)n) != (int)n)
		return hs_fail(hs, -ENOMEM, "out of memory");
	if (hs->state == HS_DONE)
		return 1;
	hs->fed += n;
	ERR_clear_error();
	r = SSL_do_handshake(hs->ssl);
	if (r == 1)
		return hs_finish(hs);
	r = SSL_get_error(hs->ssl, r);
	if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE)
		return hs_fail_ssl(hs);
	/* Checked behind the step: what follows a finished handshake may be of any size. */
	if (hs->fed > INPUT_MAX)
		return hs_fail(hs, -EPROTO, "handshake of the peer is longer than %d bytes",
			       INPUT_MAX);
	return 0;
}

static size_t bio_take(BIO *bio, void *buf, size_t cap)
{
	int n = cap > 0 ? BIO_read(bio, buf, cap > INT_MAX ? INT_MAX : (int)cap) : 0;

	return n > 0 ? (size_t)n : 0;
}

size_t tls_hs_output(struct tls_hs *hs, void *buf, size_t cap)
{
	return bio_take(hs->out, buf, cap);
}

size_t tls_hs_leftover(struct tls_hs *hs, void *buf, size_t cap)
{
	return hs->state == HS_DONE ? bio_take(hs->in, buf, cap) : 0;
}

const char *tls_hs_error(const struct tls_hs *hs)
{
	return hs->error;
}

size_t tls_hs_peer_uris(struct tls_hs *hs)
{
	return hs->uris.n;
}

const char *tls_hs_peer_uri(struct tls_hs *hs, size_t i)
{
	return i < hs->uris.n ? hs->uris.p[i] : NULL;
}

uint64_t tls_hs_peer_not_after(struct tls_hs *hs)
{
	return hs->peer_not_after;
}

uint16_t tls_hs_suite(const struct tls_hs *hs)
{
	return hs->suite;
}

int tls_hs_record(struct tls_hs *hs, struct record *ret)
{
	const struct secret *own = &hs->secret[hs->role];
	const struct secret *peer = &hs->secret[hs->role == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT];

	if (hs->state != HS_DONE)
		return -EINVAL;
	return record_init(ret, hs->suite, own->p, peer->p, own->n);
}
