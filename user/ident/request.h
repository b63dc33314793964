/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The certificate signing request (PKCS #10) for one SPIFFE id: empty subject, one critical URI
 * SAN, SHA-256, as istiod and istio-csr want it. Stateless, any thread. */
#include <openssl/evp.h>

/* PEM text, malloc'ed. -ENOMEM; -EKEYREJECTED when OpenSSL does not sign. */
int request_make(EVP_PKEY *key, const char *uri, char **ret_pem);
