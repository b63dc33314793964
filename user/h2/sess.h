/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP/2 as a client of servers outside of the mesh (control plane, certificate authority):
 * an nghttp2 session over a link that it makes itself. What the mesh's own tunnels use is
 * h2/conn, whose state can travel; this one's cannot and need not.
 *
 * Alive is a session only as long as the server answers: a PING every 30 s of silence, given up
 * after 10 s. Reading is bounded per turn of the loop, so that a message of 200 MB does not keep
 * the loop from its other work. One loop; no callback comes from inside of a call.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct loop;
struct sess;
struct h2_request;

struct sess_opts {
	const char *host; /* name or address; what the certificate is checked against */
	uint16_t port;
	bool plaintext;        /* no TLS at all */
	const char *alt_name;  /* another name the certificate may have; NULL or "" none */
	const char *roots_pem; /* NULL or "": the system's */
};

struct sess_ops {
	void (*on_up)(void *arg); /* requests may be opened */
	/* Once, and it is over: all requests were closed before. why is valid during the call. */
	void (*on_down)(void *arg, const char *why);
};

int sess_open(struct loop *loop, const struct sess_opts *o, const struct sess_ops *ops, void *arg,
	      struct sess **ret);
/* Says goodbye if that needs no waiting. Requests must be gone. */
void sess_free(struct sess **s);
/* Up, and the server has not asked us to go. */
bool sess_usable(const struct sess *s);
/* Told to go, or broken: it will not become usable again. */
bool sess_ended(const struct sess *s);
const char *sess_peer(const struct sess *s); /* "address:port" */
uint64_t sess_received(const struct sess *s); /* bytes of DATA, to see that something comes */

struct h2_header {
	const char *name, *value;
};

struct h2_request_ops {
	/* Of the response and, later, of its trailers. */
	void (*on_header)(void *arg, struct str name, struct str value);
	/* Below 0: reset the request. */
	int (*on_data)(void *arg, const void *p, size_t n);
	/* The last one. h2_error 0: it ended as it should. The request is gone. It may be called
	 * while the session reads: nothing of the session may be freed in it. */
	void (*on_close)(void *arg, uint32_t h2_error);
};

/* headers include the pseudo headers. The request's body stays open. */
int h2_request_open(struct sess *s, const struct h2_header *headers, size_t n,
		    const struct h2_request_ops *ops, void *arg, struct h2_request **ret);
/* Adds to the body; the bytes are copied. end: nothing follows. -EMSGSIZE when more than 64 MB
 * wait for the server. */
int h2_request_send(struct h2_request *q, struct str body, bool end);
/* Forgets it and resets the stream; no callback comes any more. */
void h2_request_cancel(struct h2_request **q);
