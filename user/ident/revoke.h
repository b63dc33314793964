/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The file of revocation lists: read at start, looked at every second, and again when it is
 * another one. Fail closed: a file that cannot be read or understood leaves the lists of before in
 * force, also one that vanished; only an empty file takes them back. Control thread, except _any.
 */
#include <stdint.h>

#include "base/errbuf.h"

struct loop;
struct revoke;
struct tls_crl;

struct revoke_status {
	uint64_t lists, entries; /* in force */
	uint64_t next_update_s;	 /* earliest of the lists, Unix; 0: none says */
	uint64_t applied, rejected;
	char error[256]; /* of the last attempt, "" if it succeeded */
};

/* A file that is not there yet means no lists, with a warning; one that is broken is an error. on_change
 * comes after each later change. */
int revoke_start(struct loop *loop, const char *path, void (*on_change)(void *arg), void *arg,
		 struct errbuf *err, struct revoke **ret);
void revoke_stop(struct revoke **r);
/* A reference for the caller; NULL without lists. r may be NULL. */
struct tls_crl *revoke_crl_any(struct revoke *r);
void revoke_status(const struct revoke *r, struct revoke_status *ret); /* r may be NULL */
