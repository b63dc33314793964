/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Mutations that know what a frame is, for the two fuzzers of h2/: most inputs stay sequences of
 * whole frames, so that what the state machine does with them is tried, not only how lengths are
 * read. Input as in fuzz_h2_owner.h: a byte of seed, for the server the preface, then frames. Every
 * fourth mutation is libFuzzer's own.
 */
#include <stdint.h>
#include <string.h>

#include "h2/frame.h"

#define MUTATE_FRAMES 64

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

struct mutate {
	uint8_t *p;
	size_t n, max;
	size_t at[MUTATE_FRAMES + 1]; /* frames begin here; the last is the end of the last whole one */
	size_t frames;
};

static inline size_t frame_size(const uint8_t *p)
{
	return H2_FRAME_HEADER + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);
}

static inline void mutate_cut(struct mutate *m, size_t head)
{
	m->frames = 0;
	m->at[0] = head;
	while (m->frames < MUTATE_FRAMES && m->at[m->frames] + H2_FRAME_HEADER <= m->n) {
		size_t end = m->at[m->frames] + frame_size(m->p + m->at[m->frames]);

		if (end > m->n)
			return;
		m->at[++m->frames] = end;
	}
}

/* Makes room for n bytes (or takes them away) at this place; false if they do not fit. */
static inline bool mutate_room(struct mutate *m, size_t at, size_t had, size_t n)
{
	if (m->n - had + n > m->max)
		return false;
	memmove(m->p + at + n, m->p + at + had, m->n - at - had);
	m->n = m->n - had + n;
	return true;
}

static inline void mutate_payload(struct mutate *m, size_t at, size_t size)
{
	uint8_t payload[256];
	size_t n = size - H2_FRAME_HEADER;

	if (n > 128)
		return;
	memcpy(payload, m->p + at + H2_FRAME_HEADER, n);
	n = LLVMFuzzerMutate(payload, n, sizeof(payload));
	if (!mutate_room(m, at + H2_FRAME_HEADER, size - H2_FRAME_HEADER, n))
		return;
	memcpy(m->p + at + H2_FRAME_HEADER, payload, n);
	m->p[at] = m->p[at + 1] = 0;
	m->p[at + 1] = (uint8_t)(n >> 8);
	m->p[at + 2] = (uint8_t)n;
}

/* One of the frames that a peer sends in a conversation. */
static inline void mutate_insert(struct mutate *m, size_t at, unsigned int which)
{
	static const struct {
		uint8_t n, bytes[24];
	} frames[] = {
		{ 9, { 0, 0, 0, 4, 0 } },					   /* SETTINGS */
		{ 9, { 0, 0, 0, 4, 1 } },					   /* and its ACK */
		{ 15, { 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0 } },	   /* window of 0 */
		{ 13, { 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 1, 0, 0 } },		   /* WINDOW_UPDATE */
		{ 13, { 0, 0, 4, 8, 0, 0, 0, 0, 1, 0x7f, 0xff, 0, 0 } },	   /* of a stream */
		{ 13, { 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8 } },		   /* RST_STREAM */
		{ 17, { 0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 } },	   /* PING */
		{ 17, { 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0 } },	   /* GOAWAY */
		{ 10, { 0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88 } },			   /* :status 200 */
		/* :method CONNECT, :authority a:1 */
		{ 23, { 0, 0, 14, 1, 4, 0, 0, 0, 1, 0x02, 7, 'C', 'O', 'N', 'N', 'E', 'C', 'T',
			0x01, 3, 'a', ':', '1' } },
		{ 13, { 0, 0, 4, 0, 0, 0, 0, 0, 1, 'd', 'a', 't', 'a' } },	   /* DATA */
		{ 9, { 0, 0, 0, 0, 1, 0, 0, 0, 1 } },				   /* END_STREAM */
		{ 10, { 0, 0, 1, 9, 4, 0, 0, 0, 1, 0x88 } },			   /* CONTINUATION */
	};
	const size_t i = which % (sizeof(frames) / sizeof(frames[0]));

	if (mutate_room(m, at, 0, frames[i].n))
		memcpy(m->p + at, frames[i].bytes, frames[i].n);
}

static inline void mutate_double(struct mutate *m, size_t at, size_t size)
{
	if (mutate_room(m, at + size, 0, size))
		memcpy(m->p + at + size, m->p + at, size);
}

/* The frame goes behind the next one. */
static inline void mutate_swap(struct mutate *m, size_t i)
{
	const size_t a = m->at[i], b = m->at[i + 1], c = m->at[i + 2];
	uint8_t first[512];

	if (b - a > sizeof(first))
		return;
	memcpy(first, m->p + a, b - a);
	memmove(m->p + a, m->p + b, c - b);
	memcpy(m->p + a + (c - b), first, b - a);
}

static inline size_t mutate_frames(bool server, uint8_t *data, size_t size, size_t max,
				   unsigned int seed)
{
	static const uint8_t ids[] = { 0, 1, 2, 3, 5, 7, 9, 255 };
	struct mutate m = { .p = data, .n = size, .max = max };
	const unsigned int what = seed >> 2 & 7, more = seed >> 5;
	size_t i, at;

	mutate_cut(&m, 1 + (server ? H2_PREFACE_LEN : 0));
	if (seed % 4 == 0 || size < m.at[0] || (m.frames == 0 && what != 7))
		return LLVMFuzzerMutate(data, size, max);
	i = m.frames ? more % m.frames : 0;
	at = m.at[i];
	switch (what) {
	case 0:
		mutate_double(&m, at, m.at[i + 1] - at);
		break;
	case 1:
		mutate_room(&m, at, m.at[i + 1] - at, 0);
		break;
	case 2:
		data[at + 3] = (uint8_t)(more >> 8) % 11;
		break;
	case 3:
		data[at + 4] ^= (uint8_t)(1u << (more >> 8) % 6);
		break;
	case 4:
		data[at + 8] = ids[(more >> 8) % sizeof(ids)];
		break;
	case 5:
		if (i + 1 < m.frames)
			mutate_swap(&m, i);
		break;
	case 6:
		mutate_payload(&m, at, m.at[i + 1] - at);
		break;
	default:
		mutate_insert(&m, at, more >> 8);
	}
	return m.n;
}
