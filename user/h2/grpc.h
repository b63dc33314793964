/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gRPC client: a channel is one server and how to get there (connected when the first call
 * needs it, and again after it broke), a call is one request with messages both ways. Nothing
 * is retried here: who calls knows when it makes sense. Root certificates and token are read
 * from their files for every connection and every call, so that rotated ones are used without
 * a restart.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"

struct grpc_call;
struct grpc_channel;
struct loop;

enum grpc_code {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_UNAUTHENTICATED = 16,
};

/* The name that gRPC's documentation gives it, like "Unavailable"; "status N" for numbers that
 * gRPC does not know. Into buf; returns buf. */
const char *grpc_code_text(char *buf, size_t cap, unsigned code);

struct grpc_server {
	char host[256];
	uint16_t port;
	bool plaintext;
};
/* "host:port", "[v6]:port", "host", each with "https://" or "http://" (no TLS) in front or
 * not. -EINVAL with a sentence. */
int grpc_server_parse(const char *text, uint16_t default_port, struct errbuf *err,
		      struct grpc_server *ret);

struct grpc_channel_opts {
	struct grpc_server server;
	const char *alt_name; /* also accepted in its certificate; "" none */
	const char *root_ca;  /* path of a PEM file, PEM text, or "SYSTEM" */
	const char *token;    /* path of a file (beginning with / or .), or the token; "" none */
	const char *cluster;  /* header "clusterid"; "" none */
	/* Further headers, names in lower case, ended by a NULL name; may be NULL. */
	const struct grpc_header *headers;
	uint64_t idle_ns; /* closed after that long without a call; 0 never */
};

struct grpc_header {
	char *name, *value;
};

/* All strings of o must outlive the channel. */
int grpc_channel_new(struct loop *loop, const struct grpc_channel_opts *o, struct grpc_channel **ret);
/* Calls must be gone. */
void grpc_channel_free(struct grpc_channel **c);
/* "address:port" of the connection, "" if there is none. */
const char *grpc_channel_peer(const struct grpc_channel *c);

struct grpc_status {
	unsigned code;     /* enum grpc_code, or another one that the server gave */
	const char *message; /* for people; valid during the call */
	/* The server's answer, as opposed to: we could not reach it or the connection broke. */
	bool answered;
};

struct grpc_call_ops {
	/* Messages in pieces; below 0 ends the call with GRPC_INTERNAL. None may end calls. */
	int (*on_begin)(void *arg, uint32_t bytes);
	int (*on_bytes)(void *arg, const void *p, size_t n);
	int (*on_end)(void *arg);
	/* Once, the last one, on a turn of its own; the call is gone. */
	void (*on_done)(void *arg, const struct grpc_status *st);
};

struct grpc_call_opts {
	const char *path;     /* "/package.Service/Method", must outlive the call */
	uint32_t message_max; /* bytes of a message to us */
	uint64_t deadline_ns; /* from now to on_done; 0 none (connecting always has one) */
};

int grpc_call_start(struct grpc_channel *c, const struct grpc_call_opts *o,
		    const struct grpc_call_ops *ops, void *arg, struct grpc_call **ret);
/* One message; end: it was the last. Messages wait until there is a connection. */
int grpc_call_send(struct grpc_call *call, struct str message, bool end);
/* No callback comes any more. NULL is fine. */
void grpc_call_cancel(struct grpc_call **call);
