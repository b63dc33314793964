/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP/2 frames on the wire (RFC 9113 sections 4 and 6): headers and control frames to bytes
 * and back, and the size and stream id rules that need no connection state. Pure functions;
 * the connection in h2/ uses them, the tests too.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "h2/conn.h"

#define H2_FRAME_MAX 16384u /* our SETTINGS_MAX_FRAME_SIZE, the smallest one allowed */
#define H2_FRAME_MAX_LIMIT 0xffffffu
#define H2_WINDOW_MAX 0x7fffffffu
#define H2_WINDOW_DEFAULT 65535u
#define H2_ID_MAX 0x7fffffffu

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN (sizeof(H2_PREFACE) - 1)

enum h2_frame_type {
	H2_DATA = 0, H2_HEADERS, H2_PRIORITY, H2_RST_STREAM, H2_SETTINGS, H2_PUSH_PROMISE, H2_PING,
	H2_GOAWAY, H2_WINDOW_UPDATE, H2_CONTINUATION, H2_FRAME_TYPE_MAX,
};

enum h2_frame_flag {
	H2_FLAG_ACK = 0x1, H2_FLAG_END_STREAM = 0x1, H2_FLAG_END_HEADERS = 0x4, H2_FLAG_PADDED = 0x8,
	H2_FLAG_PRIORITY = 0x20,
};

enum h2_setting_id {
	H2_SET_HEADER_TABLE_SIZE = 1, H2_SET_ENABLE_PUSH, H2_SET_MAX_CONCURRENT_STREAMS,
	H2_SET_INITIAL_WINDOW_SIZE, H2_SET_MAX_FRAME_SIZE, H2_SET_MAX_HEADER_LIST_SIZE,
};

struct h2_frame {
	uint32_t len;
	uint32_t id;
	uint8_t type, flags;
};

struct h2_setting {
	uint16_t id;
	uint32_t value;
};

static inline uint32_t h2_get_u32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void h2_put_u32(uint8_t *b, uint32_t v)
{
	b[0] = (uint8_t)(v >> 24);
	b[1] = (uint8_t)(v >> 16);
	b[2] = (uint8_t)(v >> 8);
	b[3] = (uint8_t)v;
}

/* The reserved bit of the stream id is dropped. */
void h2_frame_parse(const uint8_t b[H2_FRAME_HEADER], struct h2_frame *ret);
void h2_frame_format(uint8_t b[H2_FRAME_HEADER], const struct h2_frame *f);

/* Size and stream id rules of one frame header, without state. H2_NO_ERROR, or the code of the
 * connection error and its sentence. Unknown types pass. */
enum h2_error h2_frame_check(const struct h2_frame *f, const char **ret_why);

/* Cuts padding and the priority block of a whole HEADERS payload, or of DATA. false: the
 * padding is longer than the payload. *ret_dep: stream it depends on, 0 when not given. */
bool h2_frame_strip(const struct h2_frame *f, const uint8_t **p, size_t *n, uint32_t *ret_dep);

/* Settings number i of a SETTINGS payload. */
struct h2_setting h2_setting_parse(const uint8_t *payload, size_t i);

/* Each writes a whole frame; returns its length. */
size_t h2_settings_format(uint8_t *b, const struct h2_setting *v, size_t n); /* 9 + 6 * n */
size_t h2_settings_ack_format(uint8_t b[9]);
size_t h2_rst_format(uint8_t b[13], uint32_t id, uint32_t code);
size_t h2_ping_format(uint8_t b[17], bool ack, uint64_t opaque);
size_t h2_goaway_format(uint8_t b[17], uint32_t last_id, uint32_t code);
size_t h2_window_update_format(uint8_t b[13], uint32_t id, uint32_t increment);
