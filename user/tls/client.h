/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TLS as a client of a server that is known by a name: the control plane and the certificate
 * authority. On a non-blocking socket, by OpenSSL from end to end (nothing here is handed to
 * another process, unlike the mesh's own TLS in handshake.h). TLS 1.2 and 1.3, ALPN "h2", no
 * client certificate, no resumption. The server must prove its name by a certificate of one of
 * the roots before a single byte of ours, a token above all, goes out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/errbuf.h"
#include "base/str.h"

struct tls_client;

struct tls_client_opts {
	int fd; /* connected, non-blocking; stays the caller's */
	struct str roots_pem; /* empty: those of the system */
	/* Host name or address that the certificate must have; one of the two is enough. */
	const char *name, *alt_name; /* alt_name may be NULL or "" */
};

int tls_client_new(const struct tls_client_opts *o, struct errbuf *err, struct tls_client **ret);
void tls_client_free(struct tls_client **c);

/* All three: -EAGAIN with what to wait for in tls_client_wants(), other failures with a
 * sentence in tls_client_error(). */
int tls_client_handshake(struct tls_client *c); /* 0: done, and the server is who it must be */
ssize_t tls_client_read(struct tls_client *c, void *buf, size_t cap); /* 0: it has ended */
ssize_t tls_client_write(struct tls_client *c, const void *p, size_t n);
bool tls_client_wants_write(const struct tls_client *c);
const char *tls_client_error(const struct tls_client *c);
