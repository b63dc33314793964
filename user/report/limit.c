// SPDX-License-Identifier: Apache-2.0
/* Limited log lines (limit.h). Used by report/access.c; a table under a mutex, bounded. */
#include "report/limit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hmap.h"
#include "base/own.h"

struct entry {
	struct hnode node;
	struct limit_pair pair;
	uint64_t until_ns, more; /* more: lines behind the kept one */
	unsigned written;
	bool keeping; /* a line was asked for, and comes or is there */
	char *line;
	size_t n;
};

struct limit {
	pthread_mutex_t lock;
	struct hmap entries;
	uint64_t dropped;
};

int limit_new(struct limit **ret)
{
	struct limit *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	*ret = l;
	return 0;
}

static void entry_free(struct limit *l, struct entry *e)
{
	hmap_remove(&l->entries, &e->node);
	free(e->line);
	free(e);
}

void limit_free(struct limit **lp)
{
	struct limit *l = TAKE_PTR(*lp);

	if (!l)
		return;
	hmap_for_each_safe(n, &l->entries)
		entry_free(l, container_of(n, struct entry, node));
	hmap_fini(&l->entries);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static bool same_pair(const struct limit_pair *a, const struct limit_pair *b)
{
	return ip_eq(&a->src, &b->src) && ip_eq(&a->dst, &b->dst) && a->port == b->port &&
	       a->inbound == b->inbound;
}

static uint64_t pair_hash(const struct limit_pair *p)
{
	struct weft_addr addrs[2] = { p->src, p->dst };

	return hash_bytes(addrs, sizeof(addrs)) + p->port;
}

static struct entry *entry_find(struct limit *l, const struct limit_pair *pair)
{
	struct hnode *n = hmap_first(&l->entries, pair_hash(pair));

	while (n && !same_pair(&container_of(n, struct entry, node)->pair, pair))
		n = hmap_next_same(n);
	return n ? container_of(n, struct entry, node) : NULL;
}

/* NULL when there are too many: those wait until others have gone, a few seconds. */
static struct entry *entry_add(struct limit *l, const struct limit_pair *pair, uint64_t now_ns)
{
	struct entry *e = l->entries.n < LIMIT_PAIRS ? calloc(1, sizeof(*e)) : NULL;

	if (!e)
		return NULL;
	e->pair = *pair;
	e->until_ns = now_ns + LIMIT_WINDOW_NS;
	if (hmap_insert(&l->entries, &e->node, pair_hash(pair)) < 0)
		own_free(&e);
	return e;
}

static enum limit_what ask(struct limit *l, const struct limit_pair *pair, uint64_t now_ns)
{
	struct entry *e = entry_find(l, pair);

	if (!e)
		e = entry_add(l, pair, now_ns);
	if (e && e->written < LIMIT_LINES) {
		e->written++;
		return LIMIT_WRITE;
	}
	if (e && !e->keeping) {
		e->keeping = true;
		return LIMIT_KEEP;
	}
	l->dropped++;
	if (e)
		e->more++;
	return LIMIT_DROP;
}

enum limit_what limit_ask_any(struct limit *l, const struct limit_pair *pair, uint64_t now_ns)
{
	enum limit_what what;

	pthread_mutex_lock(&l->lock);
	what = ask(l, pair, now_ns);
	pthread_mutex_unlock(&l->lock);
	return what;
}

void limit_keep_any(struct limit *l, const struct limit_pair *pair, char *line, size_t n)
{
	struct entry *e;

	pthread_mutex_lock(&l->lock);
	e = entry_find(l, pair);
	if (e && e->keeping && !e->line) {
		e->line = TAKE_PTR(line);
		e->n = n;
	} else {
		l->dropped++; /* no memory, or it took longer than the window */
	}
	pthread_mutex_unlock(&l->lock);
	free(line);
}

void limit_expire_any(struct limit *l, uint64_t now_ns,
		      void (*fn)(void *arg, char *line, size_t n, uint64_t more), void *arg)
{
	pthread_mutex_lock(&l->lock);
	hmap_for_each_safe(n, &l->entries) {
		struct entry *e = container_of(n, struct entry, node);

		if (e->until_ns > now_ns)
			continue;
		if (e->line)
			fn(arg, TAKE_PTR(e->line), e->n, e->more);
		entry_free(l, e);
	}
	pthread_mutex_unlock(&l->lock);
}

uint64_t limit_dropped_any(struct limit *l)
{
	uint64_t n;

	pthread_mutex_lock(&l->lock);
	n = l->dropped;
	pthread_mutex_unlock(&l->lock);
	return n;
}
