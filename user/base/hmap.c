// SPDX-License-Identifier: Apache-2.0
#include "base/hmap.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_draw(void)
{
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		seed[0] = (uint64_t)(uintptr_t)&seed;
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

#define SIP_ROUND             \
	do {                  \
		v0 += v1;     \
		v1 = rotl(v1, 13) ^ v0; \
		v0 = rotl(v0, 32); \
		v2 += v3;     \
		v3 = rotl(v3, 16) ^ v2; \
		v0 += v3;     \
		v3 = rotl(v3, 21) ^ v0; \
		v2 += v1;     \
		v1 = rotl(v1, 17) ^ v2; \
		v2 = rotl(v2, 32); \
	} while (0)

/* SipHash-1-3: keyed, short inputs cheap (Aumasson, Bernstein 2012). */
uint64_t hash_bytes(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t v0, v1, v2, v3, m;
	size_t left = n;

	pthread_once(&seed_once, seed_draw);
	v0 = 0x736f6d6570736575ull ^ seed[0];
	v1 = 0x646f72616e646f6dull ^ seed[1];
	v2 = 0x6c7967656e657261ull ^ seed[0];
	v3 = 0x7465646279746573ull ^ seed[1];
	for (; left >= 8; left -= 8, b += 8) {
		memcpy(&m, b, 8);
		v3 ^= m;
		SIP_ROUND;
		v0 ^= m;
	}
	m = (uint64_t)n << 56;
	for (size_t i = 0; i < left; i++)
		m |= (uint64_t)b[i] << (8 * i);
	v3 ^= m;
	SIP_ROUND;
	v0 ^= m;
	v2 ^= 0xff;
	SIP_ROUND;
	SIP_ROUND;
	SIP_ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

void hmap_fini(struct hmap *m)
{
	free(m->buckets);
	*m = (struct hmap){ 0 };
}

static int hmap_resize(struct hmap *m, size_t n_buckets)
{
	struct hnode **b = calloc(n_buckets, sizeof(*b));

	if (!b)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_buckets; i++) {
		struct hnode *node = m->buckets[i];

		while (node) {
			struct hnode *next = node->next;
			struct hnode **slot = &b[node->hash & (n_buckets - 1)];

			node->next = *slot;
			*slot = node;
			node = next;
		}
	}
	free(m->buckets);
	m->buckets = b;
	m->n_buckets = n_buckets;
	return 0;
}

int hmap_insert(struct hmap *m, struct hnode *node, uint64_t hash)
{
	struct hnode **slot;

	if (m->n >= m->n_buckets) {
		int r = hmap_resize(m, m->n_buckets ? m->n_buckets * 2 : 16);

		/* A map that cannot grow still works, only slower; an empty one cannot. */
		if (r < 0 && m->n_buckets == 0)
			return r;
	}
	node->hash = hash;
	slot = &m->buckets[hash & (m->n_buckets - 1)];
	node->next = *slot;
	*slot = node;
	m->n++;
	return 0;
}

void hmap_remove(struct hmap *m, struct hnode *node)
{
	struct hnode **slot;

	if (!m->n_buckets)
		return;
	slot = &m->buckets[node->hash & (m->n_buckets - 1)];
	for (; *slot; slot = &(*slot)->next) {
		if (*slot == node) {
			*slot = node->next;
			node->next = NULL;
			m->n--;
			return;
		}
	}
}

struct hnode *hmap_first(const struct hmap *m, uint64_t hash)
{
	struct hnode *node;

	if (!m->n_buckets)
		return NULL;
	for (node = m->buckets[hash & (m->n_buckets - 1)]; node; node = node->next)
		if (node->hash == hash)
			return node;
	return NULL;
}

struct hnode *hmap_next_same(const struct hnode *node)
{
	struct hnode *n;

	for (n = node->next; n; n = n->next)
		if (n->hash == node->hash)
			return n;
	return NULL;
}

struct hnode *hmap_walk(const struct hmap *m, const struct hnode *prev)
{
	size_t i = 0;

	if (!m->n_buckets)
		return NULL;
	if (prev) {
		if (prev->next)
			return prev->next;
		i = (prev->hash & (m->n_buckets - 1)) + 1;
	}
	for (; i < m->n_buckets; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}
