// SPDX-License-Identifier: Apache-2.0
/*
 * Fuzzes what an unauthenticated peer reaches of tls/handshake, and the readers of
 * certificates. First byte: what; second byte of a handshake: size of the pieces fed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "tls/handshake.h"
#include "tls/identity.h"
#include "tls/record.h"
#include "unit/tls_pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct tls_identity *id;
static struct pki_ca ca;
static struct pki_leaf leaf;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	pki_ca_init(&ca, "root");
	pki_leaf_init(&leaf, &ca, &(struct pki_opts){ .uri = "spiffe://td/ns/n/sa/a" });
	id = pki_identity(&leaf, &ca);
	return 0;
}

static void handshake(enum tls_role role, const uint8_t *data, size_t size)
{
	const size_t chunk = data[0] ? data[0] * 8u : SIZE_MAX;
	uint8_t out[512];
	struct tls_hs *hs;
	struct record rec;
	int r;

	data++;
	size--;
	PKI_CHECK(tls_hs_new(id, role, &hs) == 0);
	r = tls_hs_step(hs, NULL, 0);
	while (r == 0 && size > 0) {
		size_t n = size < chunk ? size : chunk;

		r = tls_hs_step(hs, data, n);
		data += n;
		size -= n;
		while (tls_hs_output(hs, out, sizeof(out)) > 0)
			;
	}
	/* Nobody gets through without a key of ours. */
	PKI_CHECK(r == 0 || (r == -EPROTO && tls_hs_error(hs)[0]));
	PKI_CHECK(tls_hs_record(hs, &rec) == -EINVAL);
	tls_hs_free(&hs);
}

static void identity(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size }, key = str_of(leaf.key_pem);
	struct str chain = str_of(leaf.chain_pem), roots = str_of(ca.pem);
	struct tls_identity *got;
	struct errbuf err = { 0 };
	int r;

	r = tls_identity_new(text, key, roots, &err, &got);
	if (r == 0)
		tls_identity_put(&got);
	PKI_CHECK(r == 0 || err.text[0]);
	if (tls_identity_new(chain, text, roots, NULL, &got) == 0)
		tls_identity_put(&got);
	if (tls_identity_new(chain, key, text, NULL, &got) == 0)
		tls_identity_put(&got);
}

static void certificate(const uint8_t *data, size_t size)
{
	X509 *x = d2i_X509(NULL, &data, (long)size);
	struct cert_uris u;

	if (x && cert_uris(x, &u) == 0) {
		for (size_t i = 0; i < u.n; i++)
			PKI_CHECK(!strpbrk(u.p[i], " \n\r\t\x1b"));
		cert_uris_fini(&u);
		(void)cert_unix(X509_get0_notAfter(x));
	}
	X509_free(x);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	switch (data[0] % 4) {
	case 0:
		handshake(TLS_SERVER, data + 1, size - 1);
		break;
	case 1:
		handshake(TLS_CLIENT, data + 1, size - 1);
		break;
	case 2:
		identity(data + 1, size - 1);
		break;
	default:
		certificate(data + 1, size - 1);
		break;
	}
	return 0;
}
