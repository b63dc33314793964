/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of tunnel/: the HBONE connection and what its files share. */
#include "base/bug.h"
#include "base/list.h"
#include "io/loop.h"
#include "tls/crl.h"
#include "tls/handshake.h"
#include "tls/record.h"
#include "tunnel/tunnel.h"

#define HBONE_MAGIC 0x48424f4eu

/* DATA frame and record coincide: 9 bytes of frame header and the payload fill one record. */
#define HBONE_PAYLOAD (RECORD_PLAIN_MAX - H2_FRAME_HEADER)
#define HBONE_SLOT (RECORD_PLAIN_MAX + RECORD_OVERHEAD)
#define HBONE_SLOTS 16
/*
 * The first records of a burst after silence fit into a TCP segment each: the first segments of a
 * connection whose congestion window starts anew are all that arrives for a round trip, and a
 * large record among them could not be opened before its end has come.
 */
#define HBONE_SMALL_SLOT 1400u
#define HBONE_SMALL_PAYLOAD (HBONE_SMALL_SLOT - RECORD_OVERHEAD - H2_FRAME_HEADER)
#define HBONE_BURST (10u * HBONE_SMALL_PAYLOAD) /* RFC 6928 */
#define HBONE_SILENCE_NS NS_PER_S
/* All slots and a little for control frames. */
#define HBONE_OUT_CAP (HBONE_SLOT * HBONE_SLOTS + 4096)
#define HBONE_READ (256u * 1024)
#define HBONE_RBUF (HBONE_READ + RECORD_WIRE_MAX)

#define HBONE_HANDSHAKE_NS (10 * NS_PER_S)
#define HBONE_PING_NS (10 * NS_PER_S)
#define HBONE_DEAD 3u /* spans of ping_ns without a byte from the peer, pings included */
#define HBONE_IDLE_NS (300 * NS_PER_S)
#define HBONE_ANSWER_NS (10 * NS_PER_MS) /* see hbone_flush_soon() */
#define HBONE_LINGER_NS (50 * NS_PER_MS) /* from the last stream of a used up one to its end */
/* Accepted connections of a worker that have not finished their handshake: each costs some
 * 30 KB of OpenSSL for up to HBONE_HANDSHAKE_NS. */
#define HBONE_SHAKING_MAX 1024
#define HBONE_SHAKING_PEER_MAX 512 /* of one address: a stranger must not use up the rest */
#define HBONE_BUSY_RATE (250u * 1000 * 1000)
#define HBONE_BUSY_NS (100 * NS_PER_MS) /* span over which the rate is taken */
#define HBONE_BUSY_MAX 4 /* connections to one peer that only bytes have called for */
/* After one of those has failed, none is tried for so long. */
#define HBONE_EXTRA_PAUSE_NS (10 * NS_PER_S)

enum hbone_phase { HBONE_CONNECTING, HBONE_HANDSHAKE, HBONE_READY, HBONE_CLOSED };

struct hbone {
	uint32_t magic;
	uint32_t refs; /* one until closed, one per stream */
	enum hbone_phase phase;
	bool server, writable, readable, rdhup, draining;
	int fd;
	struct tunnel *t;
	struct list node; /* in t->conns */
	struct list shaking; /* server, before READY: in t->shaking */
	struct hnode by_key; /* client: in t->pool while streams may be opened on it */
	bool pooled;
	struct watch watch;
	struct timer timer;
	struct task flush, read_again, free_later;
	struct timer flush_soon;
	size_t patient; /* so many bytes of h2's output can wait for it */
	struct tls_hs *hs;
	struct tls_identity *identity;
	struct tls_chain *chain; /* of the peer, from READY on */
	uint64_t trust;   /* ident_trust_any() when the handshake began */
	uint64_t until_s; /* Unix: when the first certificate of both ends expires; from READY on */
	struct record rec;
	bool rec_ready;
	struct h2_conn h2;
	bool h2_ready;
	uint8_t *out; /* HBONE_OUT_CAP, only while bytes wait to be sent */
	size_t out_at, out_n;
	uint64_t last_tx_ns;
	size_t small_left; /* bytes of the burst that still go in small records */
	uint8_t *in; /* start of a record that is not complete */
	size_t in_n;
	struct list waiting; /* client streams until READY */
	size_t n_waiting;
	/* Bytes since moved_since_ns; whether those of the span before were many. */
	uint64_t moved, moved_since_ns;
	bool busy;
	bool extra; /* client: made because the others were busy */
	uint32_t n_dialled; /* client: streams it was asked for so far */
	struct list blocked; /* streams that found no room in out */
	uint64_t last_rx_ns, idle_since_ns, last_ping_ns;
	struct weft_ep local_ep, peer_ep;
	char *own_uri;
	char *want_uri, **want_alts; /* client: one of these is expected */
	size_t n_want_alts;
	char *peer_uri; /* proven; NULL before the handshake is over */
	uint32_t slot;
	void *local; /* server */
	struct nest *nest; /* client: it runs in a stream of another one */
	bool again; /* nobody has looked at what waits: it may be dialled again */
};

struct tunnel_stream {
	struct h2_stream h2;
	struct chan chan;
	struct hbone *hb; /* referenced: it may be closed, it is not freed */
	struct list node; /* in hb->waiting or hb->blocked */
	const struct h2_headers *req; /* client, until sent */
	const struct tunnel_stream_ops *ops;
	void *arg;
	bool relaying; /* ops are over, chan events hold */
	bool sent;     /* h2 knows it */
	bool closed;   /* h2 has forgotten it */
	bool eof_seen; /* the peer has ended its side */
	bool shut;     /* we have ended ours */
	bool early;    /* server: bytes came before the answer */
};

#define TUNNEL_BUFS 8

struct tunnel {
	struct loop *loop;
	struct ident_store *ident;
	struct kern *kern;
	const struct tunnel_ops *ops;
	void *arg;
	uint64_t ping_ns;
	uint32_t keepalive_s;
	uint32_t max_streams;
	uint64_t busy_rate, extra_after_ns;
	struct list conns, dead; /* dead: closed, freed later in the turn */
	struct hmap pool;
	uint8_t *rbuf;
	uint8_t *bufs[TUNNEL_BUFS]; /* spare out buffers */
	size_t n_bufs;
	struct tunnel_stats stats;
	uint32_t streams_max; /* of one client connection in its life; 0: no limit */
	size_t n_shaking; /* server connections before READY */
	struct list shaking;
	struct list nests;
	/* Payload slices of one stream, collected while records are opened, so that the
	 * application gets them by one sendmsg(2). They point into rbuf. */
	struct tunnel_stream *batch;
	struct iovec batch_iov[64];
	int batch_n;
	/* What reserve() gave out last. */
	size_t reserved_at;
	int reserved_small; /* how many of the first slots are small ones */
};

/* hbone.c */
void hbone_free(void *arg);
void hbone_put(struct hbone *hb);
int hbone_new(struct tunnel *t, int fd, bool server, struct hbone **ret);
/* Ends the connection: every stream on it fails or is reset with why. Freed later. */
void hbone_close(struct hbone *hb, enum weft_reason why, const char *detail);
void hbone_flush_later(struct hbone *hb);
/* What h2 has to say now waits for bytes that go the same way, for HBONE_ANSWER_NS. */
void hbone_flush_soon(struct hbone *hb);
/* Later in this turn, if h2 has more to say than what waits for company. */
void hbone_flush_due(struct hbone *hb);
/* n bytes were sent or received. */
void hbone_moved(struct hbone *hb, size_t n);
bool hbone_is_busy(const struct hbone *hb);
/* One that is up, but on certificates that have expired by now: what is open goes on, for nobody
 * can tell a connection that its end is no longer who it was; new streams need a new handshake. */
bool hbone_has_expired(const struct hbone *hb);
/* No new streams, in either role; it ends with the last one. From inside h2, too. */
void hbone_retire(struct hbone *hb);
int hbone_start(struct hbone *hb); /* watch the socket and begin */
/* The handshake is over: its deadline makes room for pings. */
void hbone_watch_peer(struct hbone *hb);
/* A used up connection has no streams any more: it ends soon. */
void hbone_linger(struct hbone *hb);
/* send.c */
bool hbone_out_get(struct hbone *hb);
size_t hbone_out_room(const struct hbone *hb);
int hbone_seal_control(struct hbone *hb);
void hbone_flush(void *arg);
/* recv.c */
void hbone_read(void *arg);
void hbone_open_records(struct hbone *hb, size_t have);
/* shake.c */
void hbone_handshake(struct hbone *hb, const uint8_t *p, size_t n);
int hbone_handshake_begin(struct hbone *hb);
/* trust.c: looks again at a connection whose handshake a change of trust may have missed; false: it is
 * closed. */
bool hbone_trusted(struct hbone *hb);
/* stream.c */
extern const struct h2_conn_ops hbone_h2_ops;
struct tunnel_stream *stream_new(struct hbone *hb);
void stream_free(struct tunnel_stream *s);
/* Tells the owner that it is over and frees s. */
void stream_fail(struct tunnel_stream *s, enum weft_reason why, unsigned status, const char *detail);
void stream_send_waiting(struct hbone *hb);
void stream_batch_flush(struct tunnel *t);
/* nest.c: tunnels in streams of others */
/* Dials the gateway of d and begins to carry bytes between that stream and *ret_fd, which is the
 * caller's: the socket of the tunnel inside. req is copied but for forwarded_network, which is not for
 * the gateway. nest_bind() is to follow, or nest_free(). */
int nest_open(struct tunnel *t, const struct tunnel_dst *d, const struct h2_headers *req,
	      struct nest **ret, int *ret_fd);
void nest_bind(struct nest *n, struct hbone *inner);
void nest_free(void *nest);
/* The tunnel inside has closed its socket. */
void nest_inner_gone(struct nest *n);
void nest_free_all(struct tunnel *t);
/* pool.c */
void pool_remove(struct hbone *hb);
