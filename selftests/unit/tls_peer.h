/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A plain OpenSSL endpoint over memory BIOs, for tests that set what is in user/tls against
 * OpenSSL itself. Remembers the traffic secrets, so that a test can also put a record layer of
 * ours in its place.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "unit/tls_pki.h"

struct peer {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	uint8_t secret[2][48]; /* by the enum tls_role of who sends under it */
	size_t secret_n;
};

struct peer_opts {
	const char *suites; /* NULL: OpenSSL's */
	const char *alpn;   /* wire form; NULL: "\2h2"; "": no ALPN at all */
	size_t tickets;     /* of a server */
	bool anonymous;     /* no own certificate */
	bool trusting;     /* does not check the other side */
};

PKI_FN void peer_keylog(const SSL *ssl, const char *line)
{
	struct peer *p = SSL_get_app_data(ssl);
	const char *hex = strrchr(line, ' ') + 1;
	int who;

	if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0)
		who = TLS_CLIENT;
	else if (strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0)
		who = TLS_SERVER;
	else
		return;
	p->secret_n = strlen(hex) / 2;
	PKI_CHECK(p->secret_n <= 48);
	for (size_t i = 0; i < p->secret_n; i++) {
		unsigned int b;

		PKI_CHECK(sscanf(hex + 2 * i, "%2x", &b) == 1);
		p->secret[who][i] = (uint8_t)b;
	}
}

PKI_FN int peer_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
		     const unsigned char *in, unsigned int n, void *arg)
{
	const char *own = arg;

	(void)ssl;
	return SSL_select_next_proto((unsigned char **)(uintptr_t)ret, ret_n,
				     (const unsigned char *)own, (unsigned int)strlen(own), in,
				     n) == OPENSSL_NPN_NEGOTIATED
		       ? SSL_TLSEXT_ERR_OK
		       : SSL_TLSEXT_ERR_NOACK; /* a sloppy server goes on without */
}

PKI_FN void peer_ctx(struct peer *p, enum tls_role role, const struct pki_leaf *leaf,
		     const struct pki_ca *roots, const struct peer_opts *o)
{
	const char *alpn = o->alpn ? o->alpn : "\2h2";

	p->ctx = SSL_CTX_new(TLS_method());
	PKI_CHECK(p->ctx && SSL_CTX_set_min_proto_version(p->ctx, TLS1_3_VERSION));
	if (o->suites)
		PKI_CHECK(SSL_CTX_set_ciphersuites(p->ctx, o->suites) == 1);
	if (!o->anonymous)
		PKI_CHECK(SSL_CTX_use_certificate(p->ctx, leaf->cert) == 1 &&
			  SSL_CTX_use_PrivateKey(p->ctx, leaf->key) == 1);
	if (roots)
		X509_STORE_add_cert(SSL_CTX_get_cert_store(p->ctx), roots->cert);
	SSL_CTX_set_verify(p->ctx, o->trusting ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_num_tickets(p->ctx, o->tickets);
	SSL_CTX_set_session_id_context(p->ctx, (const unsigned char *)"t", 1);
	SSL_CTX_set_keylog_callback(p->ctx, peer_keylog);
	if (role == TLS_SERVER && *alpn)
		SSL_CTX_set_alpn_select_cb(p->ctx, peer_alpn, (void *)(uintptr_t)alpn);
	else if (*alpn)
		PKI_CHECK(SSL_CTX_set_alpn_protos(p->ctx, (const unsigned char *)alpn,
						  (unsigned int)strlen(alpn)) == 0);
}

PKI_FN void peer_init(struct peer *p, enum tls_role role, const struct pki_leaf *leaf,
		      const struct pki_ca *roots, const struct peer_opts *o)
{
	memset(p, 0, sizeof(*p));
	peer_ctx(p, role, leaf, roots, o);
	p->ssl = SSL_new(p->ctx);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	PKI_CHECK(p->ssl && p->in && p->out);
	BIO_set_mem_eof_return(p->in, -1);
	BIO_set_mem_eof_return(p->out, -1);
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_app_data(p->ssl, p);
	if (role == TLS_SERVER)
		SSL_set_accept_state(p->ssl);
	else
		SSL_set_connect_state(p->ssl);
}

PKI_FN void peer_fini(struct peer *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	memset(p, 0, sizeof(*p));
}

PKI_FN size_t peer_take(struct peer *p, uint8_t *buf, size_t cap)
{
	int n = BIO_read(p->out, buf, (int)cap);

	return n > 0 ? (size_t)n : 0;
}

PKI_FN void peer_feed(struct peer *p, const uint8_t *buf, size_t n)
{
	PKI_CHECK(n == 0 || BIO_write(p->in, buf, (int)n) == (int)n);
}

/* Bytes of application data, 0 nothing there, -1 the end or an error. */
PKI_FN int peer_read(struct peer *p, void *buf, size_t cap)
{
	int n = SSL_read(p->ssl, buf, (int)cap);

	if (n > 0)
		return n;
	return SSL_get_error(p->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* Two OpenSSL endpoints shake hands; their outputs are empty afterwards, save for tickets of
 * the server, which wait in its output. */
PKI_FN void peer_meet(struct peer *client, struct peer *server)
{
	uint8_t buf[16384];

	for (int i = 0; i < 4; i++) {
		if (!SSL_is_init_finished(client->ssl))
			SSL_do_handshake(client->ssl);
		peer_feed(server, buf, peer_take(client, buf, sizeof(buf)));
		if (SSL_is_init_finished(server->ssl))
			break;
		SSL_do_handshake(server->ssl);
		if (SSL_is_init_finished(server->ssl))
			break;
		peer_feed(client, buf, peer_take(server, buf, sizeof(buf)));
	}
	PKI_CHECK(SSL_is_init_finished(client->ssl) && SSL_is_init_finished(server->ssl));
}
