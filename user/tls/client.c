// SPDX-License-Identifier: Apache-2.0
/* TLS client of named servers; see client.h. One thread at a time. */
#include "tls/client.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/ip.h"
#include "base/own.h"
#include "tls/identity.h"

#define CERT_LIST_MAX (64 * 1024)

struct tls_client {
	SSL_CTX *ctx;
	SSL *ssl;
	char *name, *alt_name;
	bool wants_write;
	struct errbuf err;
};

static void own_store(X509_STORE **s)
{
	X509_STORE_free(*s);
}

static int use_roots(SSL_CTX *ctx, struct str pem, struct errbuf *err)
{
	cleanup_with(own_store) X509_STORE *store = NULL;
	STACK_OF(X509) *certs = NULL;
	int r;

	if (!pem.n)
		return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : -ENOENT;
	r = pem_certs(pem, "root certificates", err, &certs);
	if (r < 0)
		return r;
	store = X509_STORE_new();
	for (int i = 0; store && i < sk_X509_num(certs); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(certs, i)) != 1)
			r = -ENOMEM;
	sk_X509_pop_free(certs, X509_free);
	if (!store || r < 0)
		return -ENOMEM;
	SSL_CTX_set1_cert_store(ctx, store);
	return 0;
}

static int make_ctx(struct tls_client *c, const struct tls_client_opts *o, struct errbuf *err)
{
	static const unsigned char alpn[] = { 2, 'h', '2' };

	c->ctx = SSL_CTX_new(TLS_client_method());
	if (!c->ctx)
		return -ENOMEM;
	SSL_CTX_set_options(c->ctx,
			    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(c->ctx, CERT_LIST_MAX);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(c->ctx, alpn, sizeof(alpn)) != 0)
		return -ENOMEM;
	return use_roots(c->ctx, o->roots_pem, err);
}

static bool is_address(const char *name)
{
	struct weft_addr a;

	return ip_parse(str_of(name), &a) == 0;
}

int tls_client_new(const struct tls_client_opts *o, struct errbuf *err, struct tls_client **ret)
{
	cleanup_with(tls_client_free) struct tls_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	ERR_clear_error();
	c->name = str_dup(str_of(o->name));
	c->alt_name = str_dup(str_of(o->alt_name));
	if (!c->name || !c->alt_name)
		return -ENOMEM;
	r = make_ctx(c, o, err);
	if (r < 0)
		return r;
	c->ssl = SSL_new(c->ctx);
	if (!c->ssl || SSL_set_fd(c->ssl, o->fd) != 1)
		return -ENOMEM;
	/* The name is checked by us when the handshake is done, because it may be either of two;
	 * addresses have no SNI (RFC 6066, section 3). */
	if (!is_address(o->name) && SSL_set_tlsext_host_name(c->ssl, o->name) != 1)
		return -ENOMEM;
	SSL_set_connect_state(c->ssl);
	*ret = TAKE_PTR(c);
	return 0;
}

void tls_client_free(struct tls_client **pc)
{
	struct tls_client *c = TAKE_PTR(*pc);

	if (!c)
		return;
	if (c->ssl && SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl); /* close_notify, if it fits into the socket */
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	free(c->name);
	free(c->alt_name);
	free(c);
	ERR_clear_error();
}

static bool has_name(X509 *x, const char *name)
{
	const unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

	if (!name[0])
		return false;
	if (is_address(name))
		return X509_check_ip_asc(x, name, flags) == 1;
	return X509_check_host(x, name, strlen(name), flags, NULL) == 1;
}

static int check_server(struct tls_client *c)
{
	X509 *x = SSL_get1_peer_certificate(c->ssl);
	const unsigned char *alpn;
	unsigned n = 0;
	bool ok = x && (has_name(x, c->name) || has_name(x, c->alt_name));

	X509_free(x);
	if (!ok)
		return errbuf_set(&c->err, -EPROTO, "the server's certificate is not for %s%s%s",
				  c->name, c->alt_name[0] ? " nor for " : "", c->alt_name);
	SSL_get0_alpn_selected(c->ssl, &alpn, &n);
	if (n != 2 || memcmp(alpn, "h2", 2) != 0)
		return errbuf_set(&c->err, -EPROTO, "the server does not speak HTTP/2");
	return 0;
}

/* What an SSL call that gave ret means; never 0. */
static int failure(struct tls_client *c, int ret, const char *what)
{
	int saved = errno, e = SSL_get_error(c->ssl, ret);
	unsigned long code = ERR_peek_last_error();
	long verify = SSL_get_verify_result(c->ssl);

	c->wants_write = e == SSL_ERROR_WANT_WRITE;
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (verify != X509_V_OK)
		errbuf_set(&c->err, 0, "the server's certificate is refused: %s",
			   X509_verify_cert_error_string(verify));
	else if (code)
		errbuf_set(&c->err, 0, "%s: %s", what, ERR_reason_error_string(code));
	else if (e == SSL_ERROR_SYSCALL && saved)
		errbuf_set(&c->err, 0, "%s: %s", what, strerror(saved));
	else
		errbuf_set(&c->err, 0, "%s: the server closed the connection", what);
	ERR_clear_error();
	return -EPROTO;
}

int tls_client_handshake(struct tls_client *c)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_do_handshake(c->ssl);
	return ret == 1 ? check_server(c) : failure(c, ret, "TLS handshake");
}

ssize_t tls_client_read(struct tls_client *c, void *buf, size_t cap)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_read(c->ssl, buf, cap > INT_MAX ? INT_MAX : (int)cap);
	if (ret > 0)
		return ret;
	if (SSL_get_error(c->ssl, ret) == SSL_ERROR_ZERO_RETURN)
		return 0;
	return failure(c, ret, "TLS");
}

ssize_t tls_client_write(struct tls_client *c, const void *p, size_t n)
{
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_write(c->ssl, p, n > INT_MAX ? INT_MAX : (int)n);
	return ret > 0 ? ret : failure(c, ret, "TLS");
}

bool tls_client_wants_write(const struct tls_client *c)
{
	return c->wants_write;
}

const char *tls_client_error(const struct tls_client *c)
{
	return c->err.text;
}
