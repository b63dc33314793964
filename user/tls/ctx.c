// SPDX-License-Identifier: Apache-2.0
/*
 * The protocol policy of the mesh as an SSL_CTX: version, suites, groups, ALPN, verification.
 * Used by tls/identity, which puts the certificate in. Owns nothing; any thread.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "tls/identity.h"

/* Intermediates between a leaf and its root. */
#define CHAIN_DEPTH 6
#define CERT_LIST_MAX (32 * 1024)

static const uint8_t alpn_h2[] = { 2, 'h', '2' };

static bool cpu_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes");
#elif defined(__aarch64__)
	return getauxval(AT_HWCAP) & HWCAP_AES;
#else
	return false;
#endif
}

static const char *suites(void)
{
	return cpu_has_aes() ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
			     : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:"
			       "TLS_AES_256_GCM_SHA384";
}

static int alpn_select(SSL *ssl, const unsigned char **ret, unsigned char *ret_n,
		       const unsigned char *in, unsigned int n, void *arg)
{
	(void)ssl, (void)arg;
	for (unsigned int at = 0; at < n; at += 1u + in[at]) {
		if (n - at < sizeof(alpn_h2) || memcmp(in + at, alpn_h2, sizeof(alpn_h2)) != 0)
			continue;
		*ret = in + at + 1;
		*ret_n = in[at];
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Without the extension alpn_select() is not called at all. */
static int hello_check(SSL *ssl, int *ret_alert, void *arg)
{
	const unsigned char *p;
	size_t n;

	(void)arg;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p, &n))
		return SSL_CLIENT_HELLO_SUCCESS;
	*ret_alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

bool ctx_alpn_ok(const SSL *ssl)
{
	const unsigned char *p;
	unsigned int n;

	SSL_get0_alpn_selected(ssl, &p, &n);
	return n == 2 && memcmp(p, "h2", 2) == 0;
}

static bool set_groups(SSL_CTX *ctx)
{
	/* Since OpenSSL 3.5; '*' sends a key share, both save old peers a round trip. */
	if (SSL_CTX_set1_groups_list(ctx, "*X25519MLKEM768:*X25519:P-256") == 1)
		return true;
	ERR_clear_error();
	return SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1;
}

static bool set_role(SSL_CTX *ctx, enum tls_role role)
{
	if (role == TLS_CLIENT)
		return SSL_CTX_set_alpn_protos(ctx, alpn_h2, sizeof(alpn_h2)) == 0;
	SSL_CTX_set_alpn_select_cb(ctx, alpn_select, NULL);
	SSL_CTX_set_client_hello_cb(ctx, hello_check, NULL);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

static bool set_policy(SSL_CTX *ctx)
{
	uint64_t options = SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
			   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION;

#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
	options |= SSL_OP_NO_RX_CERTIFICATE_COMPRESSION | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION;
#endif
	SSL_CTX_set_options(ctx, options);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* What is behind the handshake must stay in the BIO: it is the record layer's. */
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, CERT_LIST_MAX);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_ciphersuites(ctx, suites()) == 1 && set_groups(ctx);
}

SSL_CTX *ctx_new(enum tls_role role, X509_STORE *roots)
{
	SSL_CTX *ctx = SSL_CTX_new(role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
	X509_VERIFY_PARAM *param;

	if (!ctx)
		return NULL;
	if (!set_policy(ctx) || !set_role(ctx, role)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_keylog_callback(ctx, hs_keylog);
	SSL_CTX_set1_cert_store(ctx, roots);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH);
	SSL_CTX_set_cert_verify_callback(ctx, hs_verify, NULL);
	param = SSL_CTX_get0_param(ctx);
	/* The EKU for the peer's role: OpenSSL would pick the same, but this is what the mesh
	 * rests on, so it is said. */
	X509_VERIFY_PARAM_set_purpose(param, role == TLS_SERVER ? X509_PURPOSE_SSL_CLIENT
								: X509_PURPOSE_SSL_SERVER);
	/* The anchors are what the CA named as such, self-signed or not. */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	return ctx;
}
