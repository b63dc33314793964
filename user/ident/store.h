/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Identities of this node's pods: certificate state by SPIFFE id. The control thread wants
 * and forgets ids, issues and renews (at half life plus jitter up to a tenth of the life;
 * failures back off from 1 s to 150 s while the old certificate lives); workers only read.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/list.h"

struct grpc_channel_opts;
struct loop;
struct revoke;
struct tls_crl;
struct tls_identity;
struct ident_store;

enum ident_source { IDENT_CA, IDENT_FILES, IDENT_ISTIO };

struct ident_opts {
	enum ident_source source;
	const char *ca_dir, *node; /* IDENT_CA */
	/* IDENT_FILES: "<dir>/<ns>.<sa>.{cert,key}.pem" and "<dir>/root-cert.pem", reread on
	 * change (inotify). */
	const char *files_dir;
	const struct grpc_channel_opts *istio; /* IDENT_ISTIO: see ident/istio.h */
	uint64_t ttl_s; /* life of an issued certificate; from istiod it may be another one */
	const char *crl_file; /* revocation lists (revoke.h); NULL or "": none */
	/* Roots or lists are other ones: live tunnels have to be looked at again. */
	void (*on_trust)(void *arg);
	void *on_trust_arg;
};

int ident_store_new(struct loop *control, const struct ident_opts *o, struct errbuf *err,
		    struct ident_store **ret);
void ident_store_free(struct ident_store **s);
/* Counted: one want per pod. Fetches at once; from istiod the certificate comes later. */
int ident_want(struct ident_store *s, const char *uri);
void ident_forget(struct ident_store *s, const char *uri);
/* Any thread: the current identity with a reference for the caller, NULL if there is none or
 * it has expired or is revoked. */
struct tls_identity *ident_current_any(struct ident_store *s, const char *uri);
/* Any thread: the revocation lists in force, with a reference; NULL: none. */
struct tls_crl *ident_crl_any(struct ident_store *s);
/* Any thread: another number after each change of roots or lists. */
uint64_t ident_trust_any(struct ident_store *s);
const struct revoke *ident_revoke(const struct ident_store *s); /* NULL: no lists are wanted */

struct ident_row {
	char uri[320];
	const char *state; /* "ready", "pending", "failed: ..." (valid until the next call) */
	char error[256];
	uint64_t not_before_s, not_after_s, next_s; /* next: when it will be renewed or retried */
	char serial[64];
	unsigned wants;
	uint64_t rotations;
};
/* Control thread. Calls fn for each id, sorted by uri. */
void ident_each(struct ident_store *s, void (*fn)(void *arg, const struct ident_row *row), void *arg);
