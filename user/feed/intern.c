// SPDX-License-Identifier: Apache-2.0
/* Shared texts; see intern.h. */
#include "feed/intern.h"

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/hmap.h"

struct intern {
	pthread_mutex_t lock;
	struct hmap map;
	bool owned; /* intern_free() was not called yet */
};

struct shared_text {
	struct hnode node;
	struct intern *table;
	uint32_t refs; /* under the lock */
	uint32_t n;
	char text[];
};

int intern_new(struct intern **ret)
{
	struct intern *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->owned = true;
	*ret = t;
	return 0;
}

static void table_free(struct intern *t)
{
	hmap_fini(&t->map);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void intern_free(struct intern **pt)
{
	struct intern *t = TAKE_PTR(*pt);
	bool last;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->owned = false;
	last = t->map.n == 0;
	pthread_mutex_unlock(&t->lock);
	if (last)
		table_free(t);
}

static struct shared_text *find(const struct intern *t, struct str s, uint64_t hash)
{
	for (struct hnode *n = hmap_first(&t->map, hash); n; n = hmap_next_same(n)) {
		struct shared_text *e = container_of(n, struct shared_text, node);

		if (str_eq((struct str){ e->text, e->n }, s))
			return e;
	}
	return NULL;
}

/* Of what is behind the text. */
static size_t room_at(size_t n)
{
	return (sizeof(struct shared_text) + n + 1 + alignof(max_align_t) - 1) &
	       ~(alignof(max_align_t) - 1);
}

static struct shared_text *add(struct intern *t, struct str s, uint64_t hash, size_t room)
{
	struct shared_text *e = s.n < UINT32_MAX ? malloc(room_at(s.n) + room) : NULL;

	if (!e)
		return NULL;
	e->table = t;
	e->refs = 0;
	e->n = (uint32_t)s.n;
	memcpy(e->text, s.p, s.n);
	e->text[s.n] = '\0';
	if (hmap_insert(&t->map, &e->node, hash) == 0)
		return e;
	free(e);
	return NULL;
}

char *intern_get(struct intern *t, struct str s)
{
	uint64_t hash = hash_str(s);
	struct shared_text *e;

	if (!s.n || s.n > UINT32_MAX)
		return NULL;
	pthread_mutex_lock(&t->lock);
	e = find(t, s, hash);
	if (!e)
		e = add(t, s, hash, 0);
	if (e)
		e->refs++;
	pthread_mutex_unlock(&t->lock);
	return e ? e->text : NULL;
}

void *intern_get_with(struct intern *t, struct str key, size_t n,
		      void (*make)(void *room, char *key, void *arg), void *arg)
{
	uint64_t hash = hash_str(key);
	struct shared_text *e;
	void *room = NULL;

	pthread_mutex_lock(&t->lock);
	e = find(t, key, hash);
	if (!e) {
		e = add(t, key, hash, n);
		if (e)
			make((char *)e + room_at(key.n), e->text, arg);
	}
	if (e) {
		e->refs++;
		room = (char *)e + room_at(key.n);
	}
	pthread_mutex_unlock(&t->lock);
	return room;
}

void intern_put(char *text)
{
	struct shared_text *e;
	struct intern *t;
	bool last = false;

	if (!text || !text[0])
		return;
	e = container_of(text, struct shared_text, text);
	t = e->table;
	pthread_mutex_lock(&t->lock);
	if (--e->refs == 0) {
		hmap_remove(&t->map, &e->node);
		free(e);
		last = !t->owned && t->map.n == 0;
	}
	pthread_mutex_unlock(&t->lock);
	if (last)
		table_free(t);
}

size_t intern_count(struct intern *t)
{
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = t->map.n;
	pthread_mutex_unlock(&t->lock);
	return n;
}
