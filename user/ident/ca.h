/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The embedded CA of a mesh without istiod: a self-signed root (offline by nature: it is only
 * needed to make node intermediates), one intermediate per node that signs the short-lived
 * SPIFFE certificates of that node's pods. P-256, SHA-256. All files 0600 in a 0700 folder:
 * root-cert.pem root-key.pem, <node>-cert.pem <node>-key.pem.
 * Name constraints on the intermediate keep it inside its trust domain.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"

/* Whether a text can be a trust domain (lower case DNS characters, no address) or name a node
 * (it becomes part of file names); -EINVAL with the sentence. */
int ca_check_trust_domain(const char *trust_domain, struct errbuf *err);
int ca_check_node(const char *node, struct errbuf *err);

/* Makes the root in dir if there is none. -EEXIST if there is one already and !keep. */
int ca_init_root(const char *dir, const char *trust_domain, uint64_t valid_s, bool keep,
		 struct errbuf *err);
/* Makes (or renews, if it ends within a third of its life) the node's intermediate. */
int ca_init_node(const char *dir, const char *node, uint64_t valid_s, struct errbuf *err);

struct ca; /* an opened node intermediate */

int ca_open(const char *dir, const char *node, struct errbuf *err, struct ca **ret);
void ca_free(struct ca **ca);
/* New key and certificate for uri (SAN, critical, empty subject), serverAuth and clientAuth.
 * It ends with the intermediate at the latest; -EKEYEXPIRED when that has ended already.
 * PEM texts malloc'ed: chain is leaf + intermediate. Clock skew of 60 s is allowed for. */
int ca_issue(struct ca *ca, const char *uri, uint64_t valid_s, struct errbuf *err,
	     char **ret_chain_pem, char **ret_key_pem);
const char *ca_root_pem(const struct ca *ca);
const char *ca_trust_domain(const struct ca *ca);
/* End of the intermediate, Unix seconds: no certificate lives longer. */
uint64_t ca_not_after(const struct ca *ca);
