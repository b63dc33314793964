/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of h2/ share and nobody else uses. Functions that return int give 0 or the
 * -errno that ends the connection; after a callback nothing may be assumed of any stream.
 */
#include "h2/conn.h"
#include "h2/frame.h"
#include "h2/hpack.h"

#define H2_REFLEX_MAX 65536    /* queued bytes that the peer made us say */
#define H2_OUT_MAX (256 * 1024) /* queued bytes above which no stream begins */
#define H2_GLITCH_MAX 1000
#define H2_CONTINUATIONS 16    /* frames that one field block may be spread over */
#define H2_UPDATES_MAX (1u << 20) /* that are remembered as expected */
#define H2_WORK_CREDIT 8       /* glitches forgiven for half a stream window of payload */

/* conn.c */
/* Marks the connection as failed; always -EPROTO. The first sentence stays. */
int h2_conn_break(struct h2_conn *c, enum h2_error code, const char *why);
int conn_fail_mem(struct h2_conn *c);
/* Ends a failed connection: GOAWAY, on_closed for all. Returns c->broken. */
int conn_die(struct h2_conn *c);
/* n more WINDOW_UPDATEs have a reason: two for each DATA frame of ours, some for each stream. */
void conn_expect_updates(struct h2_conn *c, uint32_t n);
/* Something legal that an honest peer seldom does. */
int conn_glitch(struct h2_conn *c, uint32_t weight);
void conn_forgive(struct h2_conn *c, uint32_t credit);
/* Appends to the output; NULL: out of memory, the connection is marked. */
uint8_t *conn_queue(struct h2_conn *c, size_t n);
/* The same for what the peer makes us say; NULL also when it does not listen. */
uint8_t *conn_queue_reflex(struct h2_conn *c, size_t n);
/* Frees what an idle connection need not hold. */
void conn_trim(struct h2_conn *c);
int conn_hpack(struct h2_conn *c);
/* What streams may still grow by, all together. */
uint32_t conn_spare(const struct h2_conn *c);
/* n bytes of the connection window are free again. */
void conn_give(struct h2_conn *c, uint32_t n);
int conn_settings(struct h2_conn *c, const struct h2_frame *f, const uint8_t *p);
int conn_goaway_received(struct h2_conn *c, const uint8_t *p);

/* stream.c */
struct h2_stream *stream_find(const struct h2_conn *c, uint32_t id);
bool stream_id_is_idle(const struct h2_conn *c, uint32_t id);
bool stream_was_reset(const struct h2_conn *c, uint32_t id);
void stream_note_reset(struct h2_conn *c, uint32_t id);
int stream_attach(struct h2_conn *c, struct h2_stream *s, const struct h2_stream_state *st);
/* Out of the connection, its window given back; no callback, no frame. */
void stream_unlink(struct h2_stream *s);
/* stream_unlink() and on_closed. */
void stream_close(struct h2_stream *s, uint32_t code);
/* RST_STREAM for what the peer did on this stream, which need not exist. */
int stream_error(struct h2_conn *c, uint32_t id, enum h2_error code);
/* We have sent END_STREAM. */
void stream_local_end(struct h2_stream *s);
/* The peer has sent END_STREAM: on_end, and on_closed if that was the last word. */
void stream_remote_end(struct h2_stream *s);
/* n bytes of the stream's window are free again. */
void stream_give(struct h2_stream *s, uint32_t n);
int stream_window_update(struct h2_conn *c, uint32_t id, uint32_t increment);
/* The peer changed SETTINGS_INITIAL_WINDOW_SIZE. */
int stream_windows_adjust(struct h2_conn *c, uint32_t initial);
/* on_writable for those that wait and may send now, in order of waiting. */
void stream_wake_blocked(struct h2_conn *c);

/* headers.c */
/* A whole field block of stream id. */
int headers_received(struct h2_conn *c, uint32_t id, uint32_t dep, bool end, const uint8_t *p,
		     size_t n);
