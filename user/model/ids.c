// SPDX-License-Identifier: Apache-2.0
/*
 * See ids.h. A remembered name costs one allocation; the numbers only go up.
 */
#include "model/ids.h"

#include <errno.h>
#include <stdlib.h>

struct id_name {
	struct hnode by_name;
	uint64_t round; /* when it was kept or asked for last */
	uint32_t id;
	uint32_t n;
	char text[];
};

struct id_adopted {
	struct hnode by_addr;
	struct weft_ep ep;
	uint32_t id;
};

struct id_taken {
	struct hnode by_id;
	uint32_t id, n;
	char name[];
};

/* Names kept although nobody uses them: a workload that comes back gets its old id. */
#define NAMES_SPARE 65536

static uint64_t hash_id(uint32_t id)
{
	return hash_bytes(&id, sizeof(id));
}

static uint64_t hash_ep(const struct weft_ep *ep)
{
	uint8_t b[18];

	memcpy(b, ep->addr.b, 16);
	memcpy(b + 16, &ep->port, 2);
	return hash_bytes(b, sizeof(b));
}

static struct id_name *name_find(const struct ids *t, struct str name, uint64_t hash)
{
	for (struct hnode *n = hmap_first(&t->by_name, hash); n; n = hmap_next_same(n)) {
		struct id_name *e = container_of(n, struct id_name, by_name);

		if (str_eq((struct str){ e->text, e->n }, name))
			return e;
	}
	return NULL;
}

/* Of another name than this one. */
static bool is_taken(const struct ids *t, uint32_t id, struct str name)
{
	for (struct hnode *n = hmap_first(&t->taken, hash_id(id)); n; n = hmap_next_same(n)) {
		struct id_taken *e = container_of(n, struct id_taken, by_id);

		if (e->id == id)
			return !str_eq((struct str){ e->name, e->n }, name);
	}
	return false;
}

static struct id_adopted *adopted_find(const struct ids *t, const struct weft_ep *ep)
{
	for (struct hnode *n = hmap_first(&t->adopted, hash_ep(ep)); n; n = hmap_next_same(n)) {
		struct id_adopted *a = container_of(n, struct id_adopted, by_addr);

		if (ip_eq(&a->ep.addr, &ep->addr) && a->ep.port == ep->port)
			return a;
	}
	return NULL;
}

int ids_adopt(struct ids *t, const struct weft_ep *ep, uint32_t id)
{
	struct id_adopted *a = adopted_find(t, ep);
	int r;

	if (id == 0)
		return -EINVAL;
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return -ENOMEM;
		a->ep = *ep;
		r = hmap_insert(&t->adopted, &a->by_addr, hash_ep(ep));
		if (r < 0) {
			free(a);
			return r;
		}
	}
	a->id = id;
	if (id > t->last)
		t->last = id;
	return 0;
}

static uint32_t adopted_pick(const struct ids *t, struct str name, const struct weft_addr *addrs,
			     size_t n_addrs, uint16_t port)
{
	for (size_t i = 0; t->adopted.n && i < n_addrs; i++) {
		struct weft_ep ep = { .addr = addrs[i], .port = port };
		struct id_adopted *a = adopted_find(t, &ep);

		if (a && !is_taken(t, a->id, name))
			return a->id;
	}
	return 0;
}

static int adopted_take(struct ids *t, uint32_t id, struct str name)
{
	struct id_taken *e = calloc(1, sizeof(*e) + name.n);
	int r;

	if (!e)
		return -ENOMEM;
	e->id = id;
	e->n = (uint32_t)name.n;
	if (name.n)
		memcpy(e->name, name.p, name.n);
	r = hmap_insert(&t->taken, &e->by_id, hash_id(id));
	if (r < 0)
		free(e);
	return r;
}

int ids_lend(struct ids *t, struct str name, const struct weft_addr *addrs, size_t n_addrs,
	     uint16_t port, uint32_t *ret)
{
	struct id_name *e = name_find(t, name, hash_str(name));
	uint32_t id;
	int r = 0;

	if (e) {
		e->round = t->round;
		*ret = e->id;
		return 0;
	}
	id = adopted_pick(t, name, addrs, n_addrs, port);
	if (!id && t->last == UINT32_MAX)
		return -ENOSPC;
	if (id)
		r = adopted_take(t, id, name);
	else
		id = ++t->last;
	*ret = id;
	return r;
}

static int name_add(struct ids *t, struct str name, uint32_t id)
{
	struct id_name *e = calloc(1, sizeof(*e) + name.n);
	int r;

	if (!e)
		return -ENOMEM;
	e->id = id;
	e->round = t->round;
	e->n = (uint32_t)name.n;
	if (name.n)
		memcpy(e->text, name.p, name.n);
	r = hmap_insert(&t->by_name, &e->by_name, hash_str(name));
	if (r < 0)
		free(e);
	return r;
}

void ids_keep(struct ids *t, struct str name, uint32_t id)
{
	struct id_name *e = name_find(t, name, hash_str(name));

	if (e)
		e->round = t->round;
	else
		(void)name_add(t, name, id);
}

void ids_adoption_end(struct ids *t)
{
	hmap_for_each_safe(n, &t->adopted)
		free(container_of(n, struct id_adopted, by_addr));
	hmap_fini(&t->adopted);
	hmap_for_each_safe(n, &t->taken)
		free(container_of(n, struct id_taken, by_id));
	hmap_fini(&t->taken);
}

void ids_forget(struct ids *t)
{
	if (t->by_name.n > NAMES_SPARE) {
		hmap_for_each_safe(n, &t->by_name) {
			struct id_name *e = container_of(n, struct id_name, by_name);

			if (e->round == t->round)
				continue;
			hmap_remove(&t->by_name, &e->by_name);
			free(e);
		}
	}
	t->round++;
}

void ids_fini(struct ids *t)
{
	ids_adoption_end(t);
	hmap_for_each_safe(n, &t->by_name)
		free(container_of(n, struct id_name, by_name));
	hmap_fini(&t->by_name);
}
