// SPDX-License-Identifier: Apache-2.0
/*
 * istio.workload.Workload. A mesh has many of them: all that belongs to one workload alone is
 * in one block of memory; what all of a deployment say is there once for all of them, and other
 * texts that it shares are interned.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/own.h"
#include "codec/pb.h"
#include "codec/spiffe.h"
#include "feed/xds_decode.h"

#define DEFAULT_TRUST_DOMAIN STR("cluster.local")
#define DEFAULT_SERVICE_ACCOUNT STR("default")
#define DEFAULT_CLUSTER STR("Kubernetes")

enum wire_protocol { WIRE_NONE, WIRE_HBONE, WIRE_LEGACY_ISTIO_MTLS, WIRE_PROTOCOL_MAX };

/* As it is on the wire; texts point into the message. */
struct raw {
	struct str uid, name, ns, network, trust_domain, service_account, node, canonical_name,
		canonical_revision, workload_name, cluster, hostname, region, zone, subzone,
		type_text;
	int protocol, type, status, network_mode;
	bool native_tunnel;
	uint32_t capacity;
	struct xds_gateway waypoint, network_gateway;
	struct str gateway; /* network_gateway as gateway_parse() reads it */
	bool app_tunnel;
	int app_protocol;
	uint32_t app_port;
};

static const struct pb_field app_tunnel_fields[] = {
						     /* ApplicationTunnel */
	{ PB(1, PB_ENUM, offsetof(struct raw, app_protocol), "protocol") },
	{ PB(2, PB_U32, offsetof(struct raw, app_port), "port") },
	{ 0 },
};

static int set_app_tunnel(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct raw *raw = obj;
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "field application_tunnel has another type");
	r = pb_decode(pd, v->bytes, app_tunnel_fields, raw);
	if (r == 0 && raw->app_port > UINT16_MAX)
		r = errbuf_set(pd->err, -EINVAL, "application_tunnel has port %u", raw->app_port);
	raw->app_tunnel = true;
	return r;
}

static int add_address(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct xds_decoder *d = pd->arg;
	struct weft_addr a;

	(void)obj;
	if (v->wire != PB_LEN || ip_from_bytes(v->bytes.p, v->bytes.n, &a) < 0)
		return errbuf_set(pd->err, -EINVAL, "an address has %zu bytes", v->bytes.n);
	for (size_t i = 0; i < d->addrs.n; i++)
		if (ip_eq(&d->addrs.p[i], &a))
			return 0;
	return vec_push(&d->addrs, a);
}

static int add_policy(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct xds_decoder *d = pd->arg;
	struct str s;
	int r = pb_get(pd, v, PB_TEXT, "authorization_policies", &s);

	(void)obj;
	return r < 0 ? r : vec_push(&d->texts, s);
}

static int add_port(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	const struct xds_membership *m = obj;

	return xds_add_port(pd, m->first, v);
}

static const struct pb_field port_list_fields[] = {
	{ PB(1, PB_EACH, 0, "ports"), .each = add_port },
	{ 0 },
};

struct map_entry {
	struct str key, list;
};

static const struct pb_field map_entry_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct map_entry, key), "services") },
	{ PB(2, PB_BYTES, offsetof(struct map_entry, list), "services") },
	{ 0 },
};

/* map<"namespace/hostname", PortList> */
static int add_membership(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct xds_decoder *d = pd->arg;
	struct map_entry e = { 0 };
	struct xds_membership m = { .first = d->ports.n };
	const char *slash;
	int r;

	(void)obj;
	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "field services has another type");
	r = pb_decode(pd, v->bytes, map_entry_fields, &e);
	if (r < 0)
		return r;
	slash = e.key.n ? memchr(e.key.p, '/', e.key.n) : NULL;
	if (!slash || slash == e.key.p || slash + 1 == e.key.p + e.key.n)
		return errbuf_set(pd->err, -EINVAL,
				  "service '%.*s' is not written as namespace/hostname",
				  STR_FMT(e.key));
	r = pb_decode(pd, e.list, port_list_fields, &m);
	if (r < 0)
		return r;
	m.key = e.key;
	m.n = d->ports.n - m.first;
	return vec_push(&d->memberships, m);
}

static const struct pb_field u32_value_fields[] = { { PB(1, PB_U32, 0, "capacity") }, { 0 } };

/* UInt32Value: there with nothing in it means 0. */
static int set_capacity(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	*(uint32_t *)obj = 0;
	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "field capacity has another type");
	return pb_decode(pd, v->bytes, u32_value_fields, obj);
}

static const struct pb_field locality_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct raw, region), "region") },
	{ PB(2, PB_TEXT, offsetof(struct raw, zone), "zone") },
	{ PB(3, PB_TEXT, offsetof(struct raw, subzone), "subzone") },
	{ 0 },
};

/* Not read, because the model has no place for it: extensions 26. */
static const struct pb_field workload_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct raw, name), "name") },
	{ PB(2, PB_TEXT, offsetof(struct raw, ns), "namespace") },
	{ PB(3, PB_EACH, 0, "addresses"), .each = add_address },
	{ PB(4, PB_TEXT, offsetof(struct raw, network), "network") },
	{ PB(5, PB_ENUM, offsetof(struct raw, protocol), "tunnel_protocol") },
	{ PB(6, PB_TEXT, offsetof(struct raw, trust_domain), "trust_domain") },
	{ PB(7, PB_TEXT, offsetof(struct raw, service_account), "service_account") },
	{ PB(8, PB_SUB, offsetof(struct raw, waypoint), "waypoint"), .sub = xds_gateway_fields },
	{ PB(9, PB_TEXT, offsetof(struct raw, node), "node") },
	{ PB(10, PB_TEXT, offsetof(struct raw, canonical_name), "canonical_name") },
	{ PB(11, PB_TEXT, offsetof(struct raw, canonical_revision), "canonical_revision") },
	{ PB(12, PB_ENUM, offsetof(struct raw, type), "workload_type") },
	{ PB(13, PB_TEXT, offsetof(struct raw, workload_name), "workload_name") },
	{ PB(14, PB_BOOL, offsetof(struct raw, native_tunnel), "native_tunnel") },
	{ PB(16, PB_EACH, 0, "authorization_policies"), .each = add_policy },
	{ PB(17, PB_ENUM, offsetof(struct raw, status), "status") },
	{ PB(18, PB_TEXT, offsetof(struct raw, cluster), "cluster_id") },
	{ PB(19, PB_SUB, offsetof(struct raw, network_gateway), "network_gateway"),
	  .sub = xds_gateway_fields },
	{ PB(20, PB_TEXT, offsetof(struct raw, uid), "uid") },
	{ PB(21, PB_TEXT, offsetof(struct raw, hostname), "hostname") },
	{ PB(22, PB_EACH, 0, "services"), .each = add_membership },
	{ PB(23, PB_EACH, 0, "application_tunnel"), .each = set_app_tunnel },
	{ PB(24, PB_SUB, 0, "locality"), .sub = locality_fields },
	{ PB(25, PB_ENUM, offsetof(struct raw, network_mode), "network_mode") },
	{ PB(27, PB_EACH, offsetof(struct raw, capacity), "capacity"), .each = set_capacity },
	{ 0 },
};

/* ---- what the workloads of a deployment have in common ---- */

struct common {
	struct workload_group group;
	char *key; /* of the table of shared texts; the texts below are in it */
	struct workload_service *services;
	char **policies;
};

static const struct {
	size_t at, raw;
} group_texts[] = {
#define BOTH(member) { offsetof(struct workload_group, member), offsetof(struct raw, member) }
	BOTH(service_account),
	BOTH(trust_domain),
	BOTH(cluster),
	BOTH(canonical_name),
	BOTH(canonical_revision),
	BOTH(workload_name),
	{ offsetof(struct workload_group, workload_type), offsetof(struct raw, type_text) },
	BOTH(region),
	BOTH(zone),
	BOTH(subzone),
	BOTH(gateway),
#undef BOTH
};

static int key_add(struct xds_decoder *d, const void *p, size_t n)
{
	int r = vec_reserve(&d->key, d->key.n + n);

	if (r < 0 || !n)
		return r;
	memcpy(d->key.p + d->key.n, p, n);
	d->key.n += n;
	return 0;
}

static int key_add_text(struct xds_decoder *d, struct str s)
{
	int r = key_add(d, s.p, s.n);

	return r < 0 ? r : key_add(d, "", 1);
}

/* What no text begins with, and how many texts there are. */
struct key_head {
	char tag;
	size_t services, policies;
};

/* All of it, so that what has the same key is the same: texts, each with its end, then numbers. */
static int key_build(struct xds_decoder *d, const struct raw *raw)
{
	struct key_head head;
	int r;

	memset(&head, 0, sizeof(head));
	head.tag = 1;
	head.services = d->memberships.n;
	head.policies = d->texts.n;
	d->key.n = 0;
	r = key_add(d, &head, sizeof(head));
	for (size_t i = 0; i < ARRAY_LEN(group_texts) && r == 0; i++) {
		struct str s;

		memcpy(&s, (const char *)raw + group_texts[i].raw, sizeof(s));
		r = key_add_text(d, s);
	}
	vec_for_each(m, &d->memberships)
		if (r == 0)
			r = key_add_text(d, m->key);
	vec_for_each(s, &d->texts)
		if (r == 0)
			r = key_add_text(d, *s);
	vec_for_each(m, &d->memberships)
		if (r == 0)
			r = key_add(d, &m->n, sizeof(m->n));
	return r < 0 ? r : key_add(d, d->ports.p, d->ports.n * sizeof(struct port_map));
}

static char *next_text(char **at)
{
	char *text = *at;

	*at += strlen(text) + 1;
	return text;
}

static void release(struct workload *w);

static void common_make(void *room, char *key, void *arg)
{
	const struct xds_decoder *d = arg;
	struct common *c = room;
	char *at = (char *)(c + 1), *text = key + sizeof(struct key_head);
	struct port_map *port;

	*c = (struct common){ .group.release = release, .key = key };
	c->services = xds_carve(&at, d->memberships.n * sizeof(*c->services));
	c->policies = xds_carve(&at, d->texts.n * sizeof(char *));
	port = xds_carve(&at, d->ports.n * sizeof(*port));
	if (port)
		memcpy(port, d->ports.p, d->ports.n * sizeof(*port));
	for (size_t i = 0; i < ARRAY_LEN(group_texts); i++) {
		char *t = next_text(&text);

		memcpy((char *)&c->group + group_texts[i].at, &t, sizeof(t));
	}
	for (size_t i = 0; i < d->memberships.n; i++) {
		const struct xds_membership *m = &d->memberships.p[i];

		c->services[i] = (struct workload_service){ .key = next_text(&text),
							    .ports = m->n ? port + m->first : NULL,
							    .n_ports = m->n };
	}
	for (size_t i = 0; i < d->texts.n; i++)
		c->policies[i] = next_text(&text);
}

static int share_common(struct xds_decoder *d, struct workload *w, const struct raw *raw)
{
	int r = key_build(d, raw);
	struct common *c;

	if (r < 0)
		return r;
	c = intern_get_with(d->strings, (struct str){ d->key.p, d->key.n },
			    sizeof(*c) + d->memberships.n * sizeof(*c->services) +
				    d->texts.n * sizeof(char *) +
				    d->ports.n * sizeof(struct port_map),
			    common_make, d);
	if (!c)
		return -ENOMEM;
	w->group = &c->group;
	w->services = c->services;
	w->n_services = (uint32_t)d->memberships.n;
	w->policies = c->policies;
	w->n_policies = (uint32_t)d->texts.n;
	return 0;
}

/* ---- one block for one workload ---- */

/* What is not in the block. */
static void release(struct workload *w)
{
	char *const shared[] = { w->ns, w->node, w->network, w->hostname, w->waypoint, w->identity };

	for (size_t i = 0; i < ARRAY_LEN(shared); i++)
		intern_put(shared[i]);
	intern_put(container_of(w->group, struct common, group)->key);
	free(w);
}

/* A pod's uid ends with its name. */
static bool is_tail(struct str name, struct str uid)
{
	return name.n && str_has_suffix(uid, name);
}

/* With all that has a size of its own: addresses first, for their alignment, then texts. */
static struct workload *block_new(struct xds_decoder *d, const struct raw *raw)
{
	size_t addrs = d->addrs.n * sizeof(struct weft_addr);
	bool tail = is_tail(raw->name, raw->uid);
	struct workload *w =
		calloc(1, sizeof(*w) + addrs + raw->uid.n + 1 + (tail ? 0 : raw->name.n + 1));
	char *at = (char *)(w + 1);

	if (!w)
		return NULL;
	atomic_init(&w->refs, 1);
	w->addrs = xds_carve(&at, addrs);
	w->uid = xds_carve_text(&at, raw->uid);
	if (tail)
		w->name = w->uid + raw->uid.n - raw->name.n;
	else if (raw->name.n)
		w->name = xds_carve_text(&at, raw->name);
	if (d->addrs.n)
		memcpy(w->addrs, d->addrs.p, addrs);
	w->n_addrs = (uint32_t)d->addrs.n;
	if (share_common(d, w, raw) == 0)
		return w;
	free(w);
	return NULL;
}

/* False when out of memory; an empty text is none. */
static bool share(struct xds_decoder *d, char **ret, struct str s)
{
	*ret = intern_get(d->strings, s);
	return *ret || !s.n;
}

static bool share_texts(struct xds_decoder *d, struct workload *w, const struct raw *raw)
{
	return share(d, &w->ns, raw->ns) && share(d, &w->node, raw->node) &&
	       share(d, &w->network, raw->network) && share(d, &w->hostname, raw->hostname);
}

static int share_identity(struct xds_decoder *d, struct workload *w, const struct raw *raw,
			  struct errbuf *err)
{
	struct spiffe id = { raw->trust_domain, raw->ns, raw->service_account };
	_free_ char *text = spiffe_format(&id);

	if (!text)
		return -ENOMEM;
	if (spiffe_parse(str_of(text), &id) < 0)
		return errbuf_set(err, -EINVAL, "'%.200s' is no SPIFFE id", text);
	return share(d, &w->identity, str_of(text)) ? 0 : -ENOMEM;
}

static int share_waypoint(struct xds_decoder *d, struct workload *w, const struct raw *raw,
			  struct errbuf *err)
{
	_free_ char *text = NULL;
	int r = xds_gateway_text(&raw->waypoint, err, &text);

	if (r < 0 || !text)
		return r;
	return share(d, &w->waypoint, str_of(text)) ? 0 : -ENOMEM;
}

static int set_enums(struct xds_decoder *d, struct workload *w, const struct raw *raw,
		     struct errbuf *err)
{
	/* A protocol of the future is not plaintext: what does not speak HBONE refuses it. */
	int protocol = xds_enum(d, raw->protocol, WIRE_PROTOCOL_MAX, WIRE_HBONE);

	if (protocol == WIRE_LEGACY_ISTIO_MTLS)
		return errbuf_set(err, -EINVAL, "tunnel protocol LEGACY_ISTIO_MTLS is not spoken");
	w->protocol = protocol == WIRE_HBONE ? TUNNEL_HBONE : TUNNEL_NONE;
	w->status = xds_enum(d, raw->status, 2, WORKLOAD_UNHEALTHY) ? WORKLOAD_UNHEALTHY
								    : WORKLOAD_HEALTHY;
	w->host_network = xds_enum(d, raw->network_mode, 2, 0) == 1;
	w->native_tunnel = raw->native_tunnel;
	w->capacity = raw->capacity;
	w->app_tunnel = raw->app_tunnel;
	w->app_proxy = xds_enum(d, raw->app_protocol, 2, 0) == 1;
	w->app_port = (uint16_t)raw->app_port;
	return 0;
}

static int check(const struct raw *raw, struct errbuf *err)
{
	if (!raw->uid.n)
		return errbuf_set(err, -EINVAL, "has no uid");
	if (!raw->ns.n)
		return errbuf_set(err, -EINVAL, "has no namespace");
	return 0;
}

static void text_default(struct str *s, struct str def)
{
	if (!s->n)
		*s = def;
}

int xds_decode_workload(struct xds_decoder *d, struct str bytes, struct errbuf *err,
			struct workload **ret)
{
	static const struct str types[] = { STR("deployment"), STR("cronjob"), STR("pod"),
					    STR("job") };
	struct pb_decode pd = { .err = err, .arg = d };
	cleanup_with(workload_put) struct workload *w = NULL;
	struct raw raw = { .capacity = 1 };
	_free_ char *gateway = NULL;
	int r;

	d->addrs.n = d->texts.n = d->memberships.n = d->ports.n = 0;
	r = pb_decode(&pd, bytes, workload_fields, &raw);
	if (r == 0)
		r = check(&raw, err);
	if (r == 0)
		r = xds_gateway_text(&raw.network_gateway, err, &gateway);
	if (r < 0)
		return r;
	if (gateway)
		raw.gateway = str_of(gateway);
	text_default(&raw.trust_domain, DEFAULT_TRUST_DOMAIN);
	text_default(&raw.service_account, DEFAULT_SERVICE_ACCOUNT);
	text_default(&raw.cluster, DEFAULT_CLUSTER);
	raw.type_text = types[xds_enum(d, raw.type, ARRAY_LEN(types), 2)];
	/* The same address may be somebody else's in our network. */
	if (d->network[0] && !str_eq(raw.network, str_of(d->network)))
		d->addrs.n = 0;
	w = block_new(d, &raw);
	if (!w || !share_texts(d, w, &raw))
		return -ENOMEM;
	r = share_identity(d, w, &raw, err);
	if (r == 0)
		r = share_waypoint(d, w, &raw, err);
	if (r == 0)
		r = set_enums(d, w, &raw, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}
