// SPDX-License-Identifier: Apache-2.0
/* istio.workload.Service. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/own.h"
#include "codec/pb.h"
#include "feed/xds_decode.h"

#define WEIGHTED_MAX 64 /* of one service */

struct raw {
	struct str name, ns, hostname;
	struct xds_gateway waypoint;
	int mode, health, families, visibility;
	bool canonical;
	struct service *service; /* under construction */
	int scopes[8];
	size_t n_scopes;
};

struct vip { /* NetworkAddress */
	struct str network, address;
	uint32_t length;
	bool has_length;
};

static int set_length(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct vip *vip = obj;

	vip->has_length = true;
	return pb_get(pd, v, PB_U32, "length", &vip->length);
}

static const struct pb_field vip_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct vip, network), "network") },
	{ PB(2, PB_BYTES, offsetof(struct vip, address), "address") },
	{ PB(3, PB_EACH, 0, "length"), .each = set_length },
	{ 0 },
};

static int add_range(struct service *s, const struct weft_addr *a, uint32_t len)
{
	struct ip_prefix *all = reallocarray(s->ranges, s->n_ranges + 1, sizeof(*all));
	struct ip_prefix *p;

	if (!all)
		return -ENOMEM;
	s->ranges = all;
	p = &all[s->n_ranges++];
	*p = (struct ip_prefix){ .addr = *a, .len = (uint8_t)len };
	for (uint32_t bit = len; bit < 128; bit++)
		p->addr.b[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
	return 0;
}

/* Only those of our network. */
static int add_vip(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct xds_decoder *d = pd->arg;
	struct vip vip = { 0 };
	struct weft_addr a;
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "field addresses has another type");
	r = pb_decode(pd, v->bytes, vip_fields, &vip);
	if (r < 0)
		return r;
	if (ip_from_bytes(vip.address.p, vip.address.n, &a) < 0)
		return errbuf_set(pd->err, -EINVAL, "an address has %zu bytes", vip.address.n);
	if (vip.has_length && vip.length > vip.address.n * 8)
		return errbuf_set(pd->err, -EINVAL, "an address of %zu bytes has length %u",
				  vip.address.n, vip.length);
	if (d->network[0] && !str_eq(vip.network, str_of(d->network)))
		return 0;
	if (vip.has_length && vip.length < vip.address.n * 8)
		return add_range(((struct raw *)obj)->service, &a,
				 vip.length + (vip.address.n == 4 ? 96 : 0));
	for (size_t i = 0; i < d->addrs.n; i++)
		if (ip_eq(&d->addrs.p[i], &a))
			return 0;
	return vec_push(&d->addrs, a);
}

static int add_port(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	(void)obj;
	return xds_add_port(pd, 0, v);
}

static int add_san(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct xds_decoder *d = pd->arg;
	struct str s;
	int r = pb_get(pd, v, PB_TEXT, "subject_alt_names", &s);

	(void)obj;
	return r < 0 ? r : vec_push(&d->texts, s);
}

static int add_scope_u32(struct pb_decode *pd, void *obj, uint32_t u)
{
	struct raw *raw = obj;

	if (u == 0)
		return errbuf_set(pd->err, -EINVAL, "a routing preference without a scope");
	for (size_t i = 0; i < raw->n_scopes; i++)
		if (raw->scopes[i] == (int)u)
			return 0;
	if (raw->n_scopes == ARRAY_LEN(raw->scopes))
		return errbuf_set(pd->err, -EINVAL, "too many routing preferences");
	raw->scopes[raw->n_scopes++] = (int)u;
	return 0;
}

static int add_scope(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	return pb_each_u32(pd, v, "routing_preference", add_scope_u32, obj);
}

static const struct pb_field balancing_fields[] = {
						    /* LoadBalancing */
	{ PB(1, PB_EACH, 0, "routing_preference"), .each = add_scope },
	{ PB(2, PB_ENUM, offsetof(struct raw, mode), "mode") },
	{ PB(3, PB_ENUM, offsetof(struct raw, health), "health_policy") },
	{ 0 },
};

struct weighted { /* WeightedWaypoint */
	struct xds_gateway destination;
	uint32_t weight;
};

static const struct pb_field weighted_fields[] = {
	{ PB(1, PB_SUB, offsetof(struct weighted, destination), "destination"),
	  .sub = xds_gateway_fields },
	{ PB(2, PB_U32, offsetof(struct weighted, weight), "weight") },
	{ 0 },
};

static int add_weighted(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct service *s = ((struct raw *)obj)->service;
	struct weighted w = { 0 };
	struct weighted_waypoint *all;
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "field weighted_waypoints has another type");
	r = pb_decode(pd, v->bytes, weighted_fields, &w);
	if (r < 0)
		return r;
	if (s->n_weighted == WEIGHTED_MAX)
		return errbuf_set(pd->err, -EINVAL, "more than %d weighted waypoints", WEIGHTED_MAX);
	all = reallocarray(s->weighted, s->n_weighted + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	s->weighted = all;
	all[s->n_weighted] = (struct weighted_waypoint){ .weight = w.weight };
	r = xds_gateway_text(&w.destination, pd->err, &all[s->n_weighted].text);
	s->n_weighted++;
	if (r == 0 && !all[s->n_weighted - 1].text)
		return errbuf_set(pd->err, -EINVAL, "a weighted waypoint has no destination");
	return r;
}

/* Not read, because the model has no place for it: extensions 10, ingress_use_waypoint 12. */
static const struct pb_field service_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct raw, name), "name") },
	{ PB(2, PB_TEXT, offsetof(struct raw, ns), "namespace") },
	{ PB(3, PB_TEXT, offsetof(struct raw, hostname), "hostname") },
	{ PB(4, PB_EACH, 0, "addresses"), .each = add_vip },
	{ PB(5, PB_EACH, 0, "ports"), .each = add_port },
	{ PB(6, PB_EACH, 0, "subject_alt_names"), .each = add_san },
	{ PB(7, PB_SUB, offsetof(struct raw, waypoint), "waypoint"), .sub = xds_gateway_fields },
	{ PB(8, PB_SUB, 0, "load_balancing"), .sub = balancing_fields },
	{ PB(9, PB_ENUM, offsetof(struct raw, families), "ip_families") },
	{ PB(11, PB_BOOL, offsetof(struct raw, canonical), "canonical") },
	{ PB(13, PB_EACH, 0, "weighted_waypoints"), .each = add_weighted },
	{ PB(14, PB_ENUM, offsetof(struct raw, visibility), "visibility") },
	{ 0 },
};

static int set_balancing(struct xds_decoder *d, struct service *s, const struct raw *raw)
{
	static const enum lb_mode mode[] = { LB_STANDARD, LB_STRICT, LB_FAILOVER, LB_PASSTHROUGH };
	static const enum ip_families family[] = { FAMILIES_ANY, FAMILIES_V4, FAMILIES_V6,
						   FAMILIES_ANY };

	s->lb_mode = mode[xds_enum(d, raw->mode, ARRAY_LEN(mode), 0)];
	s->families = family[xds_enum(d, raw->families, ARRAY_LEN(family), 0)];
	s->allow_unhealthy = xds_enum(d, raw->health, 2, 0) == 1;
	s->canonical = raw->canonical;
	s->ns_only = xds_enum(d, raw->visibility, 2, 0) == 1;
	for (size_t i = 0; i < raw->n_scopes; i++) {
		int scope = xds_enum(d, raw->scopes[i], LB_NETWORK + 1, 0);

		if (scope && s->n_lb_scopes < ARRAY_LEN(s->lb_scopes))
			s->lb_scopes[s->n_lb_scopes++] = (enum lb_scope)scope;
	}
	return 0;
}

/* The name is the end of the key; lists first, for their alignment. */
static int set_block(const struct xds_decoder *d, struct service *s, const struct raw *raw)
{
	size_t vips = d->addrs.n * sizeof(*s->vips), ports = d->ports.n * sizeof(*s->ports);
	char *at = malloc(vips + ports + raw->name.n + 1 + raw->ns.n + 1 + raw->ns.n + 1 +
			  raw->hostname.n + 1);

	s->block = at;
	if (!at)
		return -ENOMEM;
	s->vips = xds_carve(&at, vips);
	s->ports = xds_carve(&at, ports);
	for (; s->n_vips < d->addrs.n; s->n_vips++)
		s->vips[s->n_vips] = d->addrs.p[s->n_vips];
	for (; s->n_ports < d->ports.n; s->n_ports++)
		s->ports[s->n_ports] = (struct service_port){
			.port = d->ports.p[s->n_ports].service_port,
			.target_port = d->ports.p[s->n_ports].target_port,
		};
	s->name = xds_carve_text(&at, raw->name);
	s->ns = xds_carve_text(&at, raw->ns);
	s->key = xds_carve_text(&at, raw->ns);
	at[-1] = '/';
	s->hostname = xds_carve_text(&at, raw->hostname);
	return 0;
}

static int set_sans(const struct xds_decoder *d, struct service *s)
{
	if (!d->texts.n)
		return 0;
	s->sans = calloc(d->texts.n, sizeof(*s->sans));
	if (!s->sans)
		return -ENOMEM;
	for (; s->n_sans < d->texts.n; s->n_sans++) {
		s->sans[s->n_sans] = str_dup(d->texts.p[s->n_sans]);
		if (!s->sans[s->n_sans])
			return -ENOMEM;
	}
	return 0;
}

int xds_decode_service(struct xds_decoder *d, struct str bytes, struct errbuf *err,
		       struct service **ret)
{
	struct pb_decode pd = { .err = err, .arg = d };
	cleanup_with(service_put) struct service *s = NULL;
	struct raw raw = { 0 };
	int r;

	d->addrs.n = d->texts.n = d->memberships.n = d->ports.n = 0;
	s = raw.service = service_new();
	if (!s)
		return -ENOMEM;
	r = pb_decode(&pd, bytes, service_fields, &raw);
	if (r < 0)
		return r;
	if (!raw.ns.n || !raw.hostname.n || memchr(raw.ns.p, '/', raw.ns.n) ||
	    memchr(raw.hostname.p, '/', raw.hostname.n))
		return errbuf_set(err, -EINVAL, "'%.*s/%.*s' is no namespace and hostname",
				  STR_FMT(raw.ns), STR_FMT(raw.hostname));
	r = set_block(d, s, &raw);
	if (r < 0)
		return r;
	r = xds_gateway_text(&raw.waypoint, err, &s->waypoint);
	if (r == 0)
		r = set_sans(d, s);
	if (r == 0)
		r = set_balancing(d, s, &raw);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}
