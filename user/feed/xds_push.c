// SPDX-License-Identifier: Apache-2.0
/*
 * Messages of istiod: DeltaDiscoveryResponse of envoy.service.discovery.v3.
 *
 *	2 resources { 1 version, 2 resource { 1 type_url, 2 value }, 3 name, 4 aliases }
 *	4 type_url   5 nonce   6 removed_resources
 *
 * Resources are decoded one by one while the message comes in and wait in the push; what the
 * wire gives beyond one resource is never held. When the message is complete, the push becomes
 * part of the store in one go, and istiod is told.
 */
#define LOG_SCOPE "xds"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/xds_priv.h"

const char *const xds_type_url[XDS_TYPES] = {
	[XDS_ADDRESS] = "type.googleapis.com/istio.workload.Address",
	[XDS_AUTHORIZATION] = "type.googleapis.com/istio.security.Authorization",
};

#define LOGGED_MAX 20 /* refusals of one message */

#define ALIASES_MAX 16 /* addresses of one resource */

struct raw_resource {
	struct str version, name, type_url, value;
	struct str alias[ALIASES_MAX];
	size_t n_aliases;
};

static const struct pb_field any_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct raw_resource, type_url), "type_url") },
	{ PB(2, PB_BYTES, offsetof(struct raw_resource, value), "value") },
	{ 0 },
};

static int add_alias(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	struct raw_resource *raw = obj;
	struct str s = { 0 };
	int r = pb_get(d, v, PB_TEXT, "aliases", &s);

	if (r == 0 && raw->n_aliases < ALIASES_MAX)
		raw->alias[raw->n_aliases++] = s;
	return r;
}

static const struct pb_field resource_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct raw_resource, version), "version") },
	{ PB(2, PB_SUB, 0, "resource"), .sub = any_fields },
	{ PB(3, PB_TEXT, offsetof(struct raw_resource, name), "name") },
	{ PB(4, PB_EACH, 0, "aliases"), .each = add_alias },
	{ 0 },
};

static int type_of(struct str url)
{
	for (int t = 0; t < XDS_TYPES; t++)
		if (str_eq(url, str_of(xds_type_url[t])))
			return t;
	return -1;
}

/* ---- what is refused ---- */

static int refuse(struct xds *x, struct str name, const char *why)
{
	struct xds_push *p = &x->push;
	char *copy = str_dup(name);
	size_t n = p->n_errors;

	if (!copy || vec_push(&p->rejected, copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	/* Not a line for each of thousands; the status has their number. */
	if (p->rejected.n <= LOGGED_MAX)
		log_error("'%.*s' is refused: %s%s", STR_FMT(name), why,
			  p->rejected.n == LOGGED_MAX ? "; further ones are not logged" : "");
	snprintf(x->status.rejection, sizeof(x->status.rejection), "%.*s: %.200s",
		 (int)(name.n < 250 ? name.n : 250), name.p ? name.p : "", why);
	if (n < sizeof(p->errors)) {
		int more = snprintf(p->errors + n, sizeof(p->errors) - n, "%s%.*s: %s",
				    n ? "; " : "", STR_FMT(name), why);

		p->n_errors += more > 0 ? (size_t)more : 0;
	}
	return 0;
}

/* ---- resources ---- */

static int decode(struct xds *x, const struct raw_resource *raw, struct errbuf *err,
		  struct xds_object *ret)
{
	int type = type_of(raw->type_url), r;

	if (type == XDS_ADDRESS)
		r = xds_decode_address(&x->decoder, raw->value, err, ret);
	else if (type == XDS_AUTHORIZATION)
		r = xds_decode_policy(&x->decoder, raw->value, err, ret);
	else
		return errbuf_set(err, -EINVAL, "is of type '%.*s', which was not asked for",
				  STR_FMT(raw->type_url));
	if (r < 0)
		return r;
	/* Removals go by the name: it must be the one that the object is found by. */
	if (raw->name.n && !str_eq(raw->name, str_of(xds_object_name(ret)))) {
		errbuf_set(err, 0, "is inside of it called '%.200s'", xds_object_name(ret));
		xds_object_put(ret);
		return -EINVAL;
	}
	return 0;
}

/* istiod sends again what it does not know that we hold, after a stream that ended: after one glance at the
 * version nothing of it is decoded, and what is held stays where it is. */
static bool is_held(struct xds *x, const struct raw_resource *raw)
{
	int type = type_of(raw->type_url);
	struct xds_resource *held;

	if (type < 0 || !raw->version.n ||
	    xds_store_is_refused(&x->store, (enum xds_type)type, raw->name))
		return false;
	held = xds_store_find(&x->store, (enum xds_type)type, raw->name);
	if (!held || !str_eq(str_of(held->version), raw->version))
		return false;
	held->seen = x->message;
	return true;
}

/* ---- answers to who asks by name ---- */

static int hear(struct xds *x, struct str name, int result)
{
	struct xds_heard heard = { .result = result };
	int r;

	if (!x->o.demand || !demand_waits(x->o.demand, name))
		return 0;
	heard.name = str_dup(name);
	r = heard.name ? vec_push(&x->push.heard, heard) : -ENOMEM;
	if (r < 0)
		free(heard.name);
	return r;
}

static int hear_resource(struct xds *x, const struct raw_resource *raw, int result)
{
	int r = hear(x, raw->name, result);

	for (size_t i = 0; r == 0 && i < raw->n_aliases; i++)
		r = hear(x, raw->alias[i], result);
	return r;
}

static int add_resource(struct xds *x, struct str bytes)
{
	struct raw_resource raw = { 0 };
	struct xds_object obj = { 0 };
	struct errbuf err = { 0 };
	struct pb_decode pd = { .err = &err };
	struct xds_resource *res;
	int r = pb_decode(&pd, bytes, resource_fields, &raw);

	if (r == 0 && is_held(x, &raw))
		return hear_resource(x, &raw, 0);
	if (r == 0)
		r = decode(x, &raw, &err, &obj);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && hear_resource(x, &raw, -EBADMSG) < 0)
		return -ENOMEM;
	if (r < 0)
		return refuse(x, raw.name, err.text[0] ? err.text : log_strerror(r));
	res = xds_resource_new(&obj, raw.version);
	if (!res)
		return -ENOMEM;
	res->seen = x->message;
	r = vec_push(&x->push.resources, res);
	if (r < 0) {
		xds_resource_free(&res);
		return r;
	}
	return hear_resource(x, &raw, 0);
}

static int add_removed(struct xds *x, struct str name)
{
	char *copy = str_dup(name);

	if (!copy || vec_push(&x->push.removed, copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	return hear(x, name, -ENOENT);
}

static int set_type(struct xds_push *p, struct str url)
{
	int type = type_of(url);

	p->has_type = true;
	p->unknown_type = type < 0;
	p->type = type < 0 ? XDS_ADDRESS : (enum xds_type)type;
	return 0;
}

static int on_field(void *arg, const struct pb_value *v)
{
	struct xds *x = arg;
	struct xds_push *p = &x->push;

	if (v->wire != PB_LEN)
		return 0; /* none of those we know */
	switch (v->field) {
	case 2:
		return add_resource(x, v->bytes);
	case 4:
		return set_type(p, v->bytes);
	case 5:
		free(p->nonce);
		p->nonce = str_dup(v->bytes);
		return p->nonce ? 0 : -ENOMEM;
	case 6:
		return add_removed(x, v->bytes);
	default:
		return 0;
	}
}

int xds_push_bytes(struct xds *x, const void *p, size_t n)
{
	return pb_split_feed(&x->push.split, p, n, XDS_RESOURCE_MAX, on_field, x);
}

/* ---- the end of a message ---- */

static enum xds_type type_of_object(const struct xds_object *o)
{
	return o->kind == XDS_POLICY ? XDS_AUTHORIZATION : XDS_ADDRESS;
}

/* A resource has changed. When it is a policy, its name is remembered: a few policies are applied
 * without building the mesh anew. */
static void set_dirty(struct xds *x, enum xds_type type, const char *name)
{
	char *copy = NULL;

	if (!x->dirty)
		x->only_policies = true;
	x->dirty = true;
	if (type == XDS_AUTHORIZATION && x->only_policies && x->policies.n < XDS_POLICIES_MAX)
		copy = str_dup(str_of(name));
	if (copy && vec_push(&x->policies, copy) == 0)
		return;
	free(copy);
	x->only_policies = false;
}

void xds_clean(struct xds *x)
{
	vec_for_each(name, &x->policies)
		free(*name);
	vec_fini(&x->policies);
	x->dirty = x->only_policies = false;
}

static bool lacks_policy(const struct xds_store *store, const struct xds_object *o)
{
	if (o->kind != XDS_WORKLOAD)
		return false;
	for (size_t i = 0; i < o->workload->n_policies; i++)
		if (!xds_store_find(store, XDS_AUTHORIZATION, str_of(o->workload->policies[i])))
			return true;
	return false;
}

static int commit(struct xds *x, enum xds_type type)
{
	struct xds_push *p = &x->push;
	int r = 0;

	vec_for_each(name, &p->removed) {
		struct xds_resource *held = xds_store_find(&x->store, type, str_of(*name));

		/* This message brings it as it is: is_held(). */
		if (held && held->seen == x->message)
			continue;
		if (xds_store_remove(&x->store, type, str_of(*name)))
			set_dirty(x, type, *name);
	}
	vec_for_each(res, &p->resources) {
		if (type_of_object(&(*res)->obj) != type) {
			log_warn("'%s' came in a message of another type, ignoring",
				 xds_object_name(&(*res)->obj));
			continue;
		}
		if (!x->lacks_since_ns && lacks_policy(&x->store, &(*res)->obj))
			x->lacks_since_ns = clock_mono_ns();
		set_dirty(x, type, xds_object_name(&(*res)->obj));
		r = xds_store_put(&x->store, type, *res);
		*res = NULL;
		if (r < 0)
			return r;
	}
	vec_for_each(name, &p->rejected) {
		struct xds_resource *held = xds_store_find(&x->store, type, str_of(*name));

		if (held)
			held->seen = x->message;
		r = xds_store_refuse(&x->store, type, str_of(*name), x->message);
		if (r < 0)
			return r;
	}
	x->status.rejected[type] += p->rejected.n;
	if (type == XDS_AUTHORIZATION)
		x->lacks_since_ns = 0;
	return 0;
}

/* The first answer on a stream has everything that was not claimed. */
static void sweep(struct xds *x, enum xds_type type)
{
	size_t n;

	if (x->status.synced[type])
		return;
	n = xds_store_sweep(&x->store, type, x->message);
	if (n)
		log_info("%zu resources of %s are gone since the last stream", n, xds_type_url[type]);
	if (n || !x->answered_once[type])
		set_dirty(x, XDS_ADDRESS, ""); /* whatever it was */
	x->status.synced[type] = true;
	x->answered_once[type] = true;
}

int xds_push_end(struct xds *x)
{
	struct xds_push *p = &x->push;
	int r = pb_split_end(&p->split);

	if (r < 0)
		return r;
	if (!p->has_type || !p->nonce) {
		log_error("a message without type or nonce");
		return -EBADMSG;
	}
	if (p->unknown_type) {
		log_warn("a message of a type that was not asked for, ignoring");
		return 0;
	}
	r = commit(x, p->type);
	if (r < 0)
		return r;
	vec_for_each(heard, &p->heard)
		demand_heard(x->o.demand, heard->name, heard->result);
	x->status.messages[p->type]++;
	sweep(x, p->type);
	/* Of addresses on demand there may be no word at all; in this order they would have come. */
	if (x->o.demand && p->type == XDS_AUTHORIZATION)
		sweep(x, XDS_ADDRESS);
	return xds_send_ack(x, xds_type_url[p->type], p->nonce, p->n_errors ? p->errors : NULL);
}

void xds_push_reset(struct xds_push *p)
{
	vec_for_each(res, &p->resources)
		xds_resource_free(res);
	vec_for_each(name, &p->removed)
		free(*name);
	vec_for_each(name, &p->rejected)
		free(*name);
	vec_for_each(heard, &p->heard)
		free(heard->name);
	vec_fini(&p->heard);
	vec_fini(&p->resources);
	vec_fini(&p->removed);
	vec_fini(&p->rejected);
	free(p->nonce);
	pb_split_fini(&p->split);
	*p = (struct xds_push){ 0 };
}
