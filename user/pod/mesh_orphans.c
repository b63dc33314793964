// SPDX-License-Identifier: Apache-2.0
/*
 * Slots that no service shows. A daemon writes a service's slots before the entry that makes them
 * visible, and deletes those that it no longer shows after it; one that is killed in between
 * leaves slots of which no entry tells. They harm nobody, but they would stay for ever.
 */
#define LOG_SCOPE "mesh"
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/vec.h"
#include "kern/kern.h"
#include "pod/mesh_priv.h"

/* The most slots that an entry of this service and family shows. */
struct shown {
	struct hnode node;
	struct weft_slot_key first; /* n: 0 or WEFT_SLOT_V6 */
	uint32_t n_slots;
};

struct sweep {
	struct hmap shown;
	VEC(struct weft_slot_key) orphans;
	bool failed; /* out of memory: nothing is deleted */
};

static struct shown *shown_find(const struct sweep *w, const struct weft_slot_key *key)
{
	const struct weft_slot_key first = { .service = key->service, .n = key->n & WEFT_SLOT_V6 };

	for (struct hnode *n = hmap_first(&w->shown, hash_bytes(&first, sizeof(first))); n;
	     n = hmap_next_same(n)) {
		struct shown *s = container_of(n, struct shown, node);

		if (memcmp(&s->first, &first, sizeof(first)) == 0)
			return s;
	}
	return NULL;
}

static void shown_add(struct sweep *w, const struct svc_node *sn)
{
	const struct weft_slot_key first = { .service = sn->value.service, .n = slot_bit(&sn->key) };
	struct shown *s = shown_find(w, &first);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s || hmap_insert(&w->shown, &s->node, hash_bytes(&first, sizeof(first))) < 0) {
			free(s);
			w->failed = true;
			return;
		}
		s->first = first;
	}
	if (sn->value.n_slots > s->n_slots)
		s->n_slots = sn->value.n_slots;
}

static void on_slot(void *arg, const struct weft_slot_key *key, const struct weft_slot *v)
{
	struct sweep *w = arg;
	const struct shown *s = shown_find(w, key);

	(void)v;
	if (s && (key->n & ~WEFT_SLOT_V6) < s->n_slots)
		return;
	w->failed |= vec_push(&w->orphans, *key) < 0;
}

void mesh_orphans_drop(struct mesh *m)
{
	struct sweep w = { 0 };

	hmap_for_each(n, &m->services)
		shown_add(&w, container_of(n, struct svc_node, by_key));
	if (!w.failed)
		kern_slot_each(m->kern, on_slot, &w);
	if (!w.failed)
		vec_for_each(key, &w.orphans)
			kern_slot_del(m->kern, key);
	if (w.orphans.n && !w.failed)
		log_info("%zu slots of services that the last daemon had not finished are deleted",
			 w.orphans.n);
	hmap_for_each_safe(n, &w.shown)
		free(container_of(n, struct shown, node));
	hmap_fini(&w.shown);
	vec_fini(&w.orphans);
}
