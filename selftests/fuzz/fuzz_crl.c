// SPDX-License-Identifier: Apache-2.0
/*
 * The file of revocation lists: any bytes are lists or one sentence, and chains can be asked about
 * under whatever was read. An odd first byte puts a good list of our CA in front.
 */
#include <errno.h>
#include <string.h>

#include <openssl/err.h>

#include "base/bug.h"
#include "base/own.h"
#include "tls/crl.h"
#include "unit/tls_pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct pki_ca root;
static struct tls_identity *id;
static char *good; /* a list that revokes id */

static char *list_text(void)
{
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *one = X509_REVOKED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	BIO *bio = BIO_new(BIO_s_mem());

	PKI_CHECK(crl && one && now && serial && bio);
	PKI_CHECK(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
	PKI_CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(root.cert)) == 1);
	PKI_CHECK(X509_CRL_set1_lastUpdate(crl, now) == 1);
	PKI_CHECK(ASN1_INTEGER_set_uint64(serial, 4711) == 1);
	PKI_CHECK(X509_REVOKED_set_serialNumber(one, serial) == 1);
	PKI_CHECK(X509_REVOKED_set_revocationDate(one, now) == 1);
	PKI_CHECK(X509_CRL_add0_revoked(crl, one) == 1 && X509_CRL_sort(crl) == 1);
	PKI_CHECK(X509_CRL_sign(crl, root.key, EVP_sha256()) > 0);
	PKI_CHECK(PEM_write_bio_X509_CRL(bio, crl) == 1);
	ASN1_INTEGER_free(serial);
	ASN1_TIME_free(now);
	X509_CRL_free(crl);
	return pki_bio_text(bio);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	pki_ca_init(&root, "root");
	id = pki_quick(&root, "spiffe://td/ns/n/sa/a");
	good = list_text();
	return 0;
}

static void check(struct str text, bool revoked)
{
	struct errbuf err = { 0 };
	struct tls_crl *crl = NULL;
	int r = tls_crl_new(text, &err, &crl);

	BUG_ON(r < 0 && (crl || (r != -ENOMEM && !err.text[0])));
	if (r < 0)
		return;
	BUG_ON(crl && tls_crl_lists(crl) == 0 && tls_crl_entries(crl) != 0);
	tls_crl_next_update(crl);
	r = tls_identity_check(id, crl, &err);
	/* A newer list of our CA's name, by whomever, comes before the good one: peers refuse then. */
	BUG_ON(revoked && tls_crl_lists(crl) == 1 && r != -EKEYREVOKED);
	tls_crl_put(&crl);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_free_ char *both = NULL;

	if (size == 0)
		return 0;
	if (!(data[0] & 1)) {
		check((struct str){ (const char *)data + 1, size - 1 }, false);
		return 0;
	}
	both = malloc(strlen(good) + size);
	BUG_ON(!both);
	memcpy(both, good, strlen(good));
	memcpy(both + strlen(good), data + 1, size - 1);
	check((struct str){ both, strlen(good) + size - 1 }, true);
	return 0;
}
