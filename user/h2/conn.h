/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP/2 as HBONE needs it (RFC 9113, CONNECT only), both roles, as a state machine over
 * bytes: no sockets, no TLS, no clock. The owner feeds what it decrypted, sends what
 * h2_conn_output() gives, and carries DATA itself: it asks how much a stream may send, writes
 * the 9-byte header that h2_stream_data() makes in front of payload it read from the
 * application, so that payload is never copied for framing.
 *
 * The state that must travel to another process is struct h2_conn_state and struct
 * h2_stream_state, plain and without pointers; HPACK runs with table size 0 once the peer has
 * acknowledged our SETTINGS (h2_conn_exportable()).
 * No allocation per frame; a peer that sends more than the limits is a connection error.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hmap.h"
#include "base/list.h"
#include "base/str.h"

#define H2_FRAME_HEADER 9
/*
 * What we let a peer send before an application took it: a stream begins with the small window
 * and gets the large one while its application keeps up; all streams of a connection together
 * never have more than the connection's, which is also the connection window: so a stream that
 * stalls never takes from what the others may send.
 */
#define H2_STREAM_WINDOW (64u << 10)
#define H2_STREAM_WINDOW_MAX (4u << 20)
#define H2_CONN_WINDOW (16u << 20)
#define H2_MAX_STREAMS 100
#define H2_HEADERS_MAX 16384

enum h2_error { /* RFC 9113 section 7 */
	H2_NO_ERROR = 0, H2_PROTOCOL_ERROR, H2_INTERNAL_ERROR, H2_FLOW_CONTROL_ERROR,
	H2_SETTINGS_TIMEOUT, H2_STREAM_CLOSED, H2_FRAME_SIZE_ERROR, H2_REFUSED_STREAM, H2_CANCEL,
	H2_COMPRESSION_ERROR, H2_CONNECT_ERROR, H2_ENHANCE_YOUR_CALM, H2_INADEQUATE_SECURITY,
	H2_HTTP_1_1_REQUIRED,
};

/* Header fields the mesh reads; p == NULL when absent. They point into a buffer that lives
 * only during the callback. */
struct h2_headers {
	struct str method, authority, scheme, path;
	struct str forwarded, baggage, traceparent, forwarded_network;
	unsigned status; /* of a response, 0 otherwise */
};

enum h2_stream_phase { H2_IDLE, H2_OPEN, H2_HALF_LOCAL, H2_HALF_REMOTE, H2_CLOSED };

struct h2_stream_state {
	uint32_t id;
	uint8_t phase;	    /* enum h2_stream_phase; HALF_x: x has sent END_STREAM */
	uint8_t got_headers; /* request or final response was received */
	uint8_t sent_headers; /* request or final response was sent */
	uint8_t pad;
	int32_t send_window;
	uint32_t recv_window; /* bytes the peer may still send */
	uint32_t unacked;     /* consumed bytes not yet given back by WINDOW_UPDATE */
	uint32_t held;	      /* bytes given to on_data and not yet consumed */
};
_Static_assert(sizeof(struct h2_stream_state) == 24, "travels between processes");

struct h2_conn;

/* Embedded in its owner. Freed by the owner after on_closed, or after h2_stream_detach(). */
struct h2_stream {
	struct hnode by_id;
	struct list blocked; /* in conn->blocked while waiting for window */
	struct h2_conn *conn;
	struct h2_stream_state st;
	void *owner;
};

/* Ids of streams that we reset last: what the peer had under way for them is no offence. */
#define H2_RESET_RING 16

struct h2_conn_state {
	uint8_t server, preface_done, settings_acked, goaway_sent;
	uint8_t goaway_received;
	uint8_t got_settings; /* the peer's first SETTINGS */
	uint8_t table_zero;   /* the peer's encoder said that its table is 0 */
	uint8_t data_end;     /* END_STREAM of the DATA frame under way */
	uint32_t next_id;      /* client: id of the next stream */
	uint32_t last_peer_id; /* server: highest id seen */
	uint32_t goaway_last_id; /* in our GOAWAY */
	uint32_t peer_last_id;	 /* in the peer's GOAWAY */
	int64_t send_window;   /* connection window towards the peer */
	uint32_t recv_window, unacked;
	uint32_t peer_initial_window, peer_max_frame, peer_max_streams;
	uint32_t stream_window, conn_window, max_streams; /* what we told the peer */
	uint32_t data_left, pad_left; /* of the DATA frame under way */
	uint32_t data_stream;	      /* 0: what is left of the frame is skipped */
	uint32_t skip_left;	      /* of a frame of unknown type under way */
	uint32_t glitches; /* legal but suspicious things; a limit ends the connection */
	uint32_t reset_next; /* slot of reset_ids that is written next */
	uint32_t reset_forgotten; /* highest id that fell out of reset_ids */
	uint32_t reset_ids[H2_RESET_RING];
	uint32_t pad;
};
_Static_assert(sizeof(struct h2_conn_state) == 160, "travels between processes");

/* Callbacks come out of h2_conn_input() only. They may call any function of this header except
 * h2_conn_input() and h2_conn_fini(), and free any stream that they detached or reset.
 * Those that begin no stream and carry no payload (on_end and below) may be NULL. */
struct h2_conn_ops {
	/* Server: a CONNECT arrived. Give the stream a home (struct h2_stream zeroed) or NULL to
	 * refuse it with REFUSED_STREAM. on_request follows at once for that stream. Also called
	 * for other methods than CONNECT: the owner looks at h->method and answers 400. */
	struct h2_stream *(*new_stream)(void *arg);
	void (*on_request)(void *arg, struct h2_stream *s, const struct h2_headers *h);
	/* Client: the final response. */
	void (*on_response)(void *arg, struct h2_stream *s, const struct h2_headers *h);
	/* Payload; p is valid during the call. The receiver says later, by
	 * h2_stream_consumed(), what the application has taken. */
	void (*on_data)(void *arg, struct h2_stream *s, const uint8_t *p, size_t n);
	void (*on_end)(void *arg, struct h2_stream *s); /* peer sent END_STREAM */
	/* The stream is closed and forgotten by the connection (s->conn is NULL); code is the
	 * peer's RST_STREAM code, H2_NO_ERROR after a clean end, the code of our RST_STREAM when
	 * the peer broke a rule on this stream. Last callback for s. A stream that the owner's
	 * own call closes (the peer has ended, then h2_stream_end() or h2_stream_respond() with
	 * end; h2_stream_reset(); h2_stream_detach()) gets no on_closed. */
	void (*on_closed)(void *arg, struct h2_stream *s, uint32_t code);
	void (*on_writable)(void *arg, struct h2_stream *s); /* window was 0, is not any more */
	/* Peer's GOAWAY: streams above last_id were closed (on_closed, REFUSED_STREAM) before. */
	void (*on_goaway)(void *arg, uint32_t last_id, uint32_t code);
	void (*on_settings)(void *arg); /* peer's limits are known, first time */
	void (*on_ping_ack)(void *arg, uint64_t opaque);
};

struct h2_limits {
	uint32_t stream_window; /* at first; 0: H2_STREAM_WINDOW; at least 65535 is used */
	/* A stream grows up to this; 0: H2_STREAM_WINDOW_MAX; at least stream_window is used. */
	uint32_t stream_window_max;
	/* 0: H2_CONN_WINDOW; at least stream_window for each of max_streams is used. */
	uint32_t conn_window;
	/* SETTINGS_MAX_CONCURRENT_STREAMS of a server, and what a client opens at most; 0:
	 * H2_MAX_STREAMS. */
	uint32_t max_streams;
};

struct h2_hpack; /* nghttp2_hd_* pair, freed while the connection is idle */

struct h2_conn {
	struct h2_conn_state st;
	struct h2_limits limits;
	const struct h2_conn_ops *ops;
	void *arg;
	struct hmap streams;
	size_t n_streams; /* open ones */
	uint32_t grown;	  /* sum of what streams have beyond st.stream_window */
	struct list blocked;
	struct h2_hpack *hpack;
	uint32_t updates_due; /* WINDOW_UPDATEs that what we have sent may have caused */
	uint32_t n_exchange; /* streams whose request is not answered yet: HPACK is kept */
	/* Output: control frames waiting for the owner. */
	uint8_t *out;
	size_t out_n, out_cap;
	size_t out_reflex; /* upper bound of those bytes that the peer made us say */
	/* Input: a partial frame other than DATA, header included. */
	uint8_t *in;
	size_t in_n, in_cap;
	uint8_t preface_n; /* server: bytes of the preface seen */
	bool in_headers_end_stream;
	bool in_input;		    /* inside h2_conn_input(): memory stays */
	uint32_t in_headers_stream; /* CONTINUATION expected for this one */
	uint32_t in_headers_dep;    /* stream that its priority block names */
	uint32_t n_continuation;
	uint8_t *hblock;
	size_t hblock_n;
	int broken; /* -errno once the connection failed */
	bool dead;  /* and GOAWAY was queued and the streams were closed */
	uint32_t error_code; /* enum h2_error of our GOAWAY */
	const char *error; /* sentence for the log once h2_conn_input() failed */
};

/* Queues preface (client) and SETTINGS plus the connection WINDOW_UPDATE. 0 or -ENOMEM. */
int h2_conn_init(struct h2_conn *c, bool server, const struct h2_limits *limits,
		 const struct h2_conn_ops *ops, void *arg);
/* Frees memory; streams still attached are detached without callbacks. */
void h2_conn_fini(struct h2_conn *c);

/*
 * Moving a connection: when h2_conn_exportable(), take h2_conn_export(), the st of every stream
 * that is open, h2_conn_pending() and what is left of h2_conn_output(). On the other side
 * h2_conn_import(), h2_stream_import() for each, send the output first, and give the pending
 * bytes to h2_conn_input() before anything else. h2_conn_fini() of the old one says nothing.
 * Not exportable are a connection that failed, one before the peer's acknowledgement of our
 * SETTINGS and one inside a field block (HEADERS without END_HEADERS): feed it and ask again.
 */
bool h2_conn_exportable(const struct h2_conn *c);
int h2_conn_export(const struct h2_conn *c, struct h2_conn_state *ret); /* 0 or -EBUSY */
/* Bytes of a frame of which only a part has arrived. */
const uint8_t *h2_conn_pending(const struct h2_conn *c, size_t *ret_n);
/* 0 or -EINVAL (not the state of a live connection). Of limits only max_streams and
 * stream_window_max count: the peer was told the other windows long ago. Calls nothing. */
int h2_conn_import(struct h2_conn *c, const struct h2_conn_state *st,
		   const struct h2_limits *limits, const struct h2_conn_ops *ops, void *arg);
/* s as for new_stream: zeroed but for owner. 0, -EINVAL (closed, known id) or -ENOMEM. A stream
 * that waited for window must ask h2_stream_sendable() again. */
int h2_stream_import(struct h2_conn *c, struct h2_stream *s, const struct h2_stream_state *st);

/* Takes all n bytes. 0, or -EPROTO: the peer broke the rules, GOAWAY is in the output, send it
 * and close; every stream got on_closed with H2_INTERNAL_ERROR. -ENOMEM likewise. Any other
 * call may run out of memory too, then c->broken is set and the next input ends it so. */
int h2_conn_input(struct h2_conn *c, const uint8_t *p, size_t n);

/* Control bytes to send before any more DATA; n == 0 when there are none. Valid until the next
 * call for this connection or one of its streams. */
const uint8_t *h2_conn_output(struct h2_conn *c, size_t *ret_n);
void h2_conn_output_done(struct h2_conn *c, size_t n);

/* Client: may one more stream be opened (limits of the peer, no GOAWAY, ids left)? */
bool h2_conn_can_open(const struct h2_conn *c);
/* Sends HEADERS; s must be zeroed and outlive the stream. NULL-p fields are left out.
 * -EAGAIN: h2_conn_can_open() is false. -EINVAL: a field has bytes that HTTP forbids or they
 * are too long for one frame. -ENOMEM. On error s is as before. */
int h2_conn_connect(struct h2_conn *c, struct h2_stream *s, const struct h2_headers *h);
/* Server: response head; end: no body follows (errors). baggage may be set in h, which may be
 * NULL. -EPIPE: the stream is closed. -EINVAL: status not 200..599, answered already, or a field
 * with forbidden bytes. -ENOMEM. */
int h2_stream_respond(struct h2_stream *s, unsigned status, const struct h2_headers *h, bool end);

/* Bytes of DATA this stream may send now, over both windows; 0 puts it on the list of those
 * that get on_writable. */
size_t h2_stream_sendable(struct h2_stream *s);
/* Writes a DATA frame header for n bytes (n <= min(sendable, peer's max frame)) and takes them
 * off the windows. */
void h2_stream_data(struct h2_stream *s, uint8_t hdr[H2_FRAME_HEADER], size_t n);
size_t h2_conn_max_frame(const struct h2_conn *c);
/* Queues an empty DATA frame with END_STREAM. If the peer has ended too the stream is closed by
 * this, without on_closed: s->st.phase is H2_CLOSED then and s may be freed. 0 when done before.
 * -EPIPE: the stream was closed by something else. -EINVAL: not answered yet. -ENOMEM. */
int h2_stream_end(struct h2_stream *s);
/* Queues RST_STREAM and closes: on_closed is not called, s may be freed. */
void h2_stream_reset(struct h2_stream *s, uint32_t code);
/* The application took n bytes; opens the windows again (batched). A closed stream has given
 * back everything, for it this does nothing. */
void h2_stream_consumed(struct h2_stream *s, size_t n);
/* Forgets s: nothing is called for it any more. Resets it at the peer if still open. */
void h2_stream_detach(struct h2_stream *s);

/* Graceful: no new streams, those open go on. -ENOMEM, or -EPIPE after the connection failed. */
int h2_conn_goaway(struct h2_conn *c, uint32_t code);
int h2_conn_ping(struct h2_conn *c, uint64_t opaque);
const char *h2_error_name(uint32_t code);
