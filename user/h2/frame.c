// SPDX-License-Identifier: Apache-2.0
/* HTTP/2 frame headers and control frames to bytes and back; pure functions, no state. */
#include "h2/frame.h"

#include <string.h>

#include "base/own.h"

enum frame_on { ON_STREAM, ON_CONN, ON_BOTH };

struct frame_rule {
	enum frame_on on;
	uint32_t min, max, multiple;
};

/* PRIORITY of a wrong size is a stream error and judged where streams are known. */
static const struct frame_rule rules[H2_FRAME_TYPE_MAX] = {
	[H2_DATA] = { ON_STREAM, 0, H2_FRAME_MAX, 1 },
	[H2_HEADERS] = { ON_STREAM, 0, H2_FRAME_MAX, 1 },
	[H2_PRIORITY] = { ON_STREAM, 0, H2_FRAME_MAX, 1 },
	[H2_RST_STREAM] = { ON_STREAM, 4, 4, 1 },
	[H2_SETTINGS] = { ON_CONN, 0, H2_FRAME_MAX, 6 },
	[H2_PUSH_PROMISE] = { ON_STREAM, 0, H2_FRAME_MAX, 1 },
	[H2_PING] = { ON_CONN, 8, 8, 1 },
	[H2_GOAWAY] = { ON_CONN, 8, H2_FRAME_MAX, 1 },
	[H2_WINDOW_UPDATE] = { ON_BOTH, 4, 4, 1 },
	[H2_CONTINUATION] = { ON_STREAM, 0, H2_FRAME_MAX, 1 },
};

void h2_frame_parse(const uint8_t b[H2_FRAME_HEADER], struct h2_frame *ret)
{
	*ret = (struct h2_frame){
		.len = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2],
		.type = b[3],
		.flags = b[4],
		.id = h2_get_u32(b + 5) & H2_ID_MAX,
	};
}

void h2_frame_format(uint8_t b[H2_FRAME_HEADER], const struct h2_frame *f)
{
	b[0] = (uint8_t)(f->len >> 16);
	b[1] = (uint8_t)(f->len >> 8);
	b[2] = (uint8_t)f->len;
	b[3] = f->type;
	b[4] = f->flags;
	h2_put_u32(b + 5, f->id);
}

static enum h2_error check_failed(enum h2_error code, const char *why, const char **ret_why)
{
	*ret_why = why;
	return code;
}

/* Bytes that the flags of a HEADERS or DATA frame demand before its content. */
static uint32_t frame_prefix(const struct h2_frame *f)
{
	uint32_t n = 0;

	if (f->type != H2_DATA && f->type != H2_HEADERS)
		return 0;
	if (f->flags & H2_FLAG_PADDED)
		n++;
	if (f->type == H2_HEADERS && f->flags & H2_FLAG_PRIORITY)
		n += 5;
	return n;
}

enum h2_error h2_frame_check(const struct h2_frame *f, const char **ret_why)
{
	const struct frame_rule *rule;

	if (f->len > H2_FRAME_MAX)
		return check_failed(H2_FRAME_SIZE_ERROR, "frame longer than our maximum", ret_why);
	if (f->type >= H2_FRAME_TYPE_MAX)
		return H2_NO_ERROR;
	rule = &rules[f->type];
	if (rule->on == ON_STREAM && f->id == 0)
		return check_failed(H2_PROTOCOL_ERROR, "stream frame on stream 0", ret_why);
	if (rule->on == ON_CONN && f->id != 0)
		return check_failed(H2_PROTOCOL_ERROR, "connection frame on a stream", ret_why);
	if (f->len < rule->min || f->len > rule->max || f->len % rule->multiple)
		return check_failed(H2_FRAME_SIZE_ERROR, "frame of a wrong size", ret_why);
	if (f->type == H2_SETTINGS && f->flags & H2_FLAG_ACK && f->len)
		return check_failed(H2_FRAME_SIZE_ERROR, "SETTINGS ACK with content", ret_why);
	if (f->len < frame_prefix(f))
		return check_failed(H2_FRAME_SIZE_ERROR, "frame too short for its flags", ret_why);
	return H2_NO_ERROR;
}

bool h2_frame_strip(const struct h2_frame *f, const uint8_t **p, size_t *n, uint32_t *ret_dep)
{
	size_t prefix = frame_prefix(f);
	size_t pad = f->flags & H2_FLAG_PADDED ? **p : 0;

	if (pad + prefix > *n)
		return false;
	*ret_dep = 0;
	if (f->type == H2_HEADERS && f->flags & H2_FLAG_PRIORITY)
		*ret_dep = h2_get_u32(*p + prefix - 5) & H2_ID_MAX;
	*p += prefix;
	*n -= prefix + pad;
	return true;
}

struct h2_setting h2_setting_parse(const uint8_t *payload, size_t i)
{
	const uint8_t *b = payload + 6 * i;

	return (struct h2_setting){
		.id = (uint16_t)(b[0] << 8 | b[1]),
		.value = h2_get_u32(b + 2),
	};
}

size_t h2_settings_format(uint8_t *b, const struct h2_setting *v, size_t n)
{
	const struct h2_frame f = { .len = (uint32_t)(6 * n), .type = H2_SETTINGS };

	h2_frame_format(b, &f);
	b += H2_FRAME_HEADER;
	for (size_t i = 0; i < n; i++, b += 6) {
		b[0] = (uint8_t)(v[i].id >> 8);
		b[1] = (uint8_t)v[i].id;
		h2_put_u32(b + 2, v[i].value);
	}
	return H2_FRAME_HEADER + 6 * n;
}

size_t h2_settings_ack_format(uint8_t b[9])
{
	const struct h2_frame f = { .type = H2_SETTINGS, .flags = H2_FLAG_ACK };

	h2_frame_format(b, &f);
	return 9;
}

size_t h2_rst_format(uint8_t b[13], uint32_t id, uint32_t code)
{
	const struct h2_frame f = { .len = 4, .type = H2_RST_STREAM, .id = id };

	h2_frame_format(b, &f);
	h2_put_u32(b + 9, code);
	return 13;
}

size_t h2_ping_format(uint8_t b[17], bool ack, uint64_t opaque)
{
	const struct h2_frame f = { .len = 8, .type = H2_PING, .flags = ack ? H2_FLAG_ACK : 0 };

	h2_frame_format(b, &f);
	h2_put_u32(b + 9, (uint32_t)(opaque >> 32));
	h2_put_u32(b + 13, (uint32_t)opaque);
	return 17;
}

size_t h2_goaway_format(uint8_t b[17], uint32_t last_id, uint32_t code)
{
	const struct h2_frame f = { .len = 8, .type = H2_GOAWAY };

	h2_frame_format(b, &f);
	h2_put_u32(b + 9, last_id);
	h2_put_u32(b + 13, code);
	return 17;
}

size_t h2_window_update_format(uint8_t b[13], uint32_t id, uint32_t increment)
{
	const struct h2_frame f = { .len = 4, .type = H2_WINDOW_UPDATE, .id = id };

	h2_frame_format(b, &f);
	h2_put_u32(b + 9, increment);
	return 13;
}

const char *h2_error_name(uint32_t code)
{
	static const char *const names[] = {
		"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR",
		"SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
		"CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
		"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
	};

	return code < ARRAY_LEN(names) ? names[code] : "unknown";
}
