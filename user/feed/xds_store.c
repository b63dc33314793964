// SPDX-License-Identifier: Apache-2.0
/* Resources held; see xds_store.h. */
#include "feed/xds_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

struct xds_resource *xds_resource_new(struct xds_object *obj, struct str version)
{
	struct xds_resource *r = calloc(1, sizeof(*r) + version.n + 1);

	if (!r) {
		xds_object_put(obj);
		return NULL;
	}
	r->obj = *obj;
	obj->kind = XDS_NONE;
	if (version.n)
		memcpy(r->version, version.p, version.n);
	return r;
}

void xds_resource_free(struct xds_resource **pr)
{
	struct xds_resource *r = TAKE_PTR(*pr);

	if (!r)
		return;
	xds_object_put(&r->obj);
	free(r);
}

static struct xds_resource *resource_of(struct hnode *n)
{
	return container_of(n, struct xds_resource, node);
}

void xds_store_fini(struct xds_store *s)
{
	for (int t = 0; t < XDS_TYPES; t++) {
		hmap_for_each_safe(n, &s->map[t]) {
			struct xds_resource *r = resource_of(n);

			hmap_remove(&s->map[t], n);
			xds_resource_free(&r);
		}
		hmap_fini(&s->map[t]);
		hmap_for_each_safe(n, &s->refused[t])
			free(container_of(n, struct xds_refused, node));
		hmap_fini(&s->refused[t]);
	}
}

/* ---- names of what was refused ---- */

static struct xds_refused *refused_find(const struct xds_store *s, enum xds_type type, struct str name)
{
	for (struct hnode *n = hmap_first(&s->refused[type], hash_str(name)); n;
	     n = hmap_next_same(n)) {
		struct xds_refused *f = container_of(n, struct xds_refused, node);

		if (str_eq(str_of(f->name), name))
			return f;
	}
	return NULL;
}

static void refused_drop(struct xds_store *s, enum xds_type type, struct xds_refused *f)
{
	if (!f)
		return;
	hmap_remove(&s->refused[type], &f->node);
	free(f);
}

int xds_store_refuse(struct xds_store *s, enum xds_type type, struct str name, uint32_t seen)
{
	struct xds_refused *f = refused_find(s, type, name);
	int r;

	if (f) {
		f->seen = seen;
		return 0;
	}
	if (s->refused[type].n >= XDS_REFUSED_MAX)
		return 0;
	f = calloc(1, sizeof(*f) + name.n + 1);
	if (!f)
		return -ENOMEM;
	f->seen = seen;
	if (name.n)
		memcpy(f->name, name.p, name.n);
	r = hmap_insert(&s->refused[type], &f->node, hash_str(name));
	if (r < 0)
		free(f);
	return r;
}

bool xds_store_is_refused(const struct xds_store *s, enum xds_type type, struct str name)
{
	return s->refused[type].n && refused_find(s, type, name);
}

size_t xds_store_refused(const struct xds_store *s)
{
	return s->refused[XDS_ADDRESS].n + s->refused[XDS_AUTHORIZATION].n;
}

/* ---- resources ---- */

struct xds_resource *xds_store_find(const struct xds_store *s, enum xds_type type, struct str name)
{
	for (struct hnode *n = hmap_first(&s->map[type], hash_str(name)); n; n = hmap_next_same(n))
		if (str_eq(str_of(xds_object_name(&resource_of(n)->obj)), name))
			return resource_of(n);
	return NULL;
}

static void drop(struct xds_store *s, enum xds_type type, struct xds_resource *r)
{
	hmap_remove(&s->map[type], &r->node);
	xds_resource_free(&r);
}

int xds_store_put(struct xds_store *s, enum xds_type type, struct xds_resource *r)
{
	struct str name = str_of(xds_object_name(&r->obj));
	struct xds_resource *old = xds_store_find(s, type, name);
	int e = hmap_insert(&s->map[type], &r->node, hash_str(name));

	if (e < 0) {
		xds_resource_free(&r);
		return e;
	}
	if (old)
		drop(s, type, old);
	if (s->refused[type].n)
		refused_drop(s, type, refused_find(s, type, name));
	return 0;
}

bool xds_store_remove(struct xds_store *s, enum xds_type type, struct str name)
{
	struct xds_resource *r = xds_store_find(s, type, name);

	refused_drop(s, type, refused_find(s, type, name));
	if (!r)
		return false;
	drop(s, type, r);
	return true;
}

size_t xds_store_sweep(struct xds_store *s, enum xds_type type, uint32_t seen)
{
	size_t before = s->map[type].n;

	hmap_for_each_safe(n, &s->map[type]) {
		struct xds_resource *r = resource_of(n);

		if (!r->claimed && r->seen != seen)
			drop(s, type, r);
	}
	hmap_for_each_safe(n, &s->refused[type]) {
		struct xds_refused *f = container_of(n, struct xds_refused, node);

		if (f->seen != seen)
			refused_drop(s, type, f);
	}
	return before - s->map[type].n;
}

struct fill {
	struct model_input in;
	size_t here, elsewhere; /* places for workloads: from the front, and before this one */
};

static int input_add(struct fill *f, const struct xds_resource *r, const char *node)
{
	struct workload *w = r->obj.workload;
	struct service *copy;

	if (r->obj.kind == XDS_WORKLOAD) {
		bool here = w->node && strcmp(w->node, node) == 0;

		f->in.workload[here ? f->here++ : --f->elsewhere] = workload_get(w);
		return 0;
	}
	if (r->obj.kind == XDS_POLICY) {
		f->in.policy[f->in.n_policies++] = policy_get(r->obj.policy);
		return 0;
	}
	copy = service_copy(r->obj.service);
	if (!copy)
		return -ENOMEM;
	f->in.service[f->in.n_services++] = copy;
	return 0;
}

static int input_fill(const struct xds_store *s, const char *node, struct fill *f)
{
	int r = 0;

	for (int t = 0; t < XDS_TYPES; t++)
		hmap_for_each(h, &s->map[t])
			if (r == 0)
				r = input_add(f, resource_of(h), node);
	return r;
}

int xds_store_input(const struct xds_store *s, const char *node, struct model_input *ret)
{
	struct fill f = { .in.addrs_may_repeat = true };
	size_t n[XDS_POLICY + 1] = { 0 };
	int r = -ENOMEM;

	for (int t = 0; t < XDS_TYPES; t++)
		hmap_for_each(h, &s->map[t])
			n[resource_of(h)->obj.kind]++;
	f.in.workload = calloc(n[XDS_WORKLOAD] + 1, sizeof(*f.in.workload));
	f.in.service = calloc(n[XDS_SERVICE] + 1, sizeof(*f.in.service));
	f.in.policy = calloc(n[XDS_POLICY] + 1, sizeof(*f.in.policy));
	if (f.in.workload && f.in.service && f.in.policy) {
		f.in.n_workloads = f.elsewhere = n[XDS_WORKLOAD]; /* NULL as long as they are not there */
		r = input_fill(s, node, &f);
	}
	if (r < 0)
		model_input_drop(&f.in);
	else
		*ret = f.in;
	return r;
}
