/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tunnel: HBONE connections of one worker, both roles: mutual TLS 1.3, HTTP/2, CONNECT
 * streams. It verifies who the peer is, pools client connections, and gives each stream as a
 * chan to the relay. It decides nothing about policy: that is conn/. Loop thread only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/reason.h"
#include "base/ip.h"
#include "h2/conn.h"
#include "relay/chan.h"

struct tunnel;
struct tunnel_stream;
struct ident_store;
struct kern;
struct loop;

struct tunnel_ops {
	/* Server: a CONNECT (or another method) arrived; h lives during the call. Must call
	 * tunnel_stream_claim() or tunnel_respond() with an error. */
	void (*on_request)(void *arg, struct tunnel_stream *s, const struct h2_headers *h);
	/* Server: a peer did not get as far as a request. */
	void (*on_refused)(void *arg, void *local, const struct weft_ep *peer, enum weft_reason why,
			   const char *detail);
	/* A reference for local (given to tunnel_serve) is returned. */
	void (*local_put)(void *arg, void *local);
};

struct tunnel_opts {
	struct loop *loop;
	struct ident_store *ident;
	struct kern *kern; /* NULL: sockets are not marked as our own (no hooks are attached) */
	/* Silence after which a peer is pinged; after three times that it is given up, noticed
	 * at most one such span later. 0: 10 s. */
	uint64_t ping_ns;
	uint32_t keepalive_s; /* of the client's sockets, see tcp_tune() */
	uint32_t max_streams; /* at once on a connection, what a peer allows may be less; 0: 100 */
	/* Bytes per second, both ways, above which a client connection counts as busy: then the
	 * next stream to the same peer gets another one, up to four. 0: 250 MB/s. */
	uint64_t busy_rate;
	const struct tunnel_ops *ops;
	void *arg; /* of ops */
};

/* Keeps a copy of o. 0 or -ENOMEM. */
int tunnel_new(const struct tunnel_opts *o, struct tunnel **ret);
/* Closes everything; streams still claimed get on_fail or on_reset with SHUTDOWN. */
void tunnel_free(struct tunnel **t);

/* After so many streams a client connection takes no more and ends with the last of them;
 * 0, as at the beginning: no limit. */
void tunnel_limit(struct tunnel *t, uint32_t streams_max);

struct tunnel_stats {
	size_t client_conns, server_conns, streams;
	uint64_t revoked[2]; /* by our role (server is 1): refused or closed for their certificates */
	uint64_t handshakes_ok, handshakes_failed, opened_conns;
	uint64_t ended[2][WEFT_REASON_MAX]; /* connections, by our role likewise, at any stage */
};
void tunnel_stats(const struct tunnel *t, struct tunnel_stats *ret);

/* As status in on_fail: the request was not sent, or the peer has not looked at it
 * (REFUSED_STREAM, RFC 9113 8.7); it may be dialled again. */
#define TUNNEL_TRY_AGAIN 1

/* What becomes of a stream before it relays (afterwards: chan events). Exactly one of both is
 * called, never from inside the call that armed it; after on_fail the stream is gone. */
/*
 * A client may attach the chan before on_open and send at once ("early data"): the bytes go
 * behind the request and the peer keeps them until its application has accepted, which saves a
 * round trip for every connection. If it fails instead, they are lost with it.
 */
struct tunnel_stream_ops {
	void (*on_open)(void *arg); /* client: the peer answered 200 */
	/* status: the peer's answer, 0 if there was none. */
	void (*on_fail)(void *arg, enum weft_reason why, unsigned status, const char *detail);
};

struct tunnel_dst {
	const char *source_uri; /* own identity */
	const char *peer_uri; /* the peer must prove exactly this one, */
	char *const *peer_alts; /* or one of these: SPIFFE ids, others never match; copied */
	size_t n_peer_alts;
	struct weft_ep to; /* pod address, port 15008 */
	uint32_t mark; /* of the connection's socket, 0 none */
	int netns_fd; /* connect from inside the source pod; duplicated if kept */
	uint32_t slot; /* pod slot: connections are never shared between pods */
	/* NULL, or it is reached in a stream of a tunnel to this one (which has none itself), with the
	 * same authority; then to is not used. Such a tunnel carries one stream and is never shared, so
	 * that the gateway spreads each connection anew. Must be valid during the call. */
	const struct tunnel_dst *gateway;
};

/* Opens a stream on a pooled connection or a new one. req must stay valid until on_open or
 * on_fail. 0, or -errno (-ENOBUFS: limits). */
int tunnel_dial(struct tunnel *t, const struct tunnel_dst *dst, const struct h2_headers *req,
		const struct tunnel_stream_ops *ops, void *arg, struct tunnel_stream **ret);
/* Gives up a stream that is not relaying; no callback follows. */
void tunnel_cancel(struct tunnel_stream **s);

/* Server: takes over an accepted socket. local: an opaque reference for the callbacks,
 * returned by ops->local_put. own_uri is copied. */
int tunnel_serve(struct tunnel *t, int fd, const char *own_uri, void *local);
/* The owner of a request, until it relays: on_fail tells that the peer has gone. */
void tunnel_stream_claim(struct tunnel_stream *s, const struct tunnel_stream_ops *ops, void *arg);
/* status 200 keeps the stream, anything else ends it (s is gone). baggage may be NULL. */
int tunnel_respond(struct tunnel_stream *s, unsigned status, const char *baggage);

struct chan *tunnel_chan(struct tunnel_stream *s);
const char *tunnel_peer_uri(const struct tunnel_stream *s);
void *tunnel_local(const struct tunnel_stream *s);
void tunnel_addrs(const struct tunnel_stream *s, struct weft_ep *ret_local, struct weft_ep *ret_peer);

/* Roots or revocation lists have changed: connections whose peer would not be accepted any more, or
 * whose own certificate is revoked, are closed with CERT_REVOKED. */
void tunnel_recheck(struct tunnel *t);

/* A pod left: no new streams on its client connections (by slot) and on the server
 * connections whose local is this one (GOAWAY); streams that are open go on to their end. */
void tunnel_drain_pod(struct tunnel *t, uint32_t slot, const void *local);
/* The same for all pods. Streams that are being opened go on, too. */
void tunnel_drain(struct tunnel *t);
