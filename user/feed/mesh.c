// SPDX-License-Identifier: Apache-2.0
/*
 * Tables of the mesh file: its root, workloads and services (policies: mesh_policy.c). Keys
 * and words are those that ztunnel reads from LOCAL_XDS_PATH; docs/mesh-file.md lists them.
 */
#include "feed/mesh.h"

#include <errno.h>
#include <stdlib.h>

#include "weft/abi.h"

#include "base/own.h"
#include "codec/spiffe.h"
#include "feed/file.h"
#include "feed/manifest.h"
#include "model/gateway.h"

#define DEFAULT_SERVICE_ACCOUNT STR("default")

static const struct feed_defaults builtin = { "cluster.local", "Kubernetes" };

static const struct field item_addr = { .read = read_addr };
static const struct field item_text = { .read = read_text };
static const struct field item_pair = { .read = read_pair };

#define LIST_OF(type, member, item)                                                       \
	.read = read_list, .off = offsetof(type, member), .off_n = offsetof(type, n_##member), \
	.n32 = sizeof(((type *)NULL)->n_##member) == sizeof(uint32_t), \
	.sub = &(item), .size = sizeof(*((type *)0)->member), .max = MESH_ITEMS_MAX

/* ---- waypoint, for workloads and services; gateway of a network */

static int waypoint_text(struct decode *d, const struct at *at, const struct yaml *y, struct str *ret)
{
	int r = decode_scalar(d, at, y, ret);
	struct gateway_ref ref;

	if (r < 0)
		return r;
	if (gateway_parse(*ret, &ref) < 0)
		return decode_error(d, at, y, "must be 'namespace/hostname' or an address");
	return 0;
}

struct gateway {
	char *destination;
	uint16_t port;
};

static const struct field gateway_fields[] = {
	{ "destination", read_text, .off = offsetof(struct gateway, destination),
	  .flags = FIELD_REQUIRED },
	{ "hboneMtlsPort", read_port, .off = offsetof(struct gateway, port) },
	{ 0 },
};

int read_waypoint(struct decode *d, const struct at *at, const struct yaml *y,
		  const struct field *f, void *obj)
{
	char **slot = (char **)(void *)((char *)obj + f->off);
	struct gateway g = { .port = WEFT_PORT_HBONE };
	struct gateway_ref ref;
	struct str s;
	int r;

	if (y->kind != YAML_MAP) {
		r = waypoint_text(d, at, y, &s);
		if (r < 0)
			return r;
		*slot = str_dup(s);
		return *slot ? 0 : decode_oom(d);
	}
	r = decode_map(d, at, y, gateway_fields, &g);
	_free_ char *destination = g.destination;

	if (r == 0)
		r = waypoint_text(d, at, yaml_get(y, "destination"), &s);
	if (r < 0)
		return r;
	gateway_parse(s, &ref);
	ref.port = g.port;
	*slot = gateway_format(&ref);
	return *slot ? 0 : decode_oom(d);
}

static const struct field weighted_fields[] = {
	{ "destination", read_waypoint, .off = offsetof(struct weighted_waypoint, text),
	  .flags = FIELD_REQUIRED },
	{ "weight", read_u32, .off = offsetof(struct weighted_waypoint, weight) },
	{ 0 },
};

static int read_weighted(struct decode *d, const struct at *at, const struct yaml *y,
			 const struct field *f, void *obj)
{
	(void)f;
	return decode_map(d, at, y, weighted_fields, obj);
}

static const struct field item_weighted = { .read = read_weighted };

/* ---- workloads */

static int read_port_map(struct decode *d, const struct at *at, const struct yaml *y,
			 const struct field *f, void *obj)
{
	struct port_map *p = obj;

	(void)f;
	return decode_port_entry(d, at, y, &p->service_port, &p->target_port);
}

static const struct field item_port_map = { .read = read_port_map };
static const struct field membership_ports = {
	LIST_OF(struct workload_service, ports, item_port_map), .flags = FIELD_MAP
};

static int read_membership(struct decode *d, const struct at *at, const struct yaml *y,
			   const struct field *f, void *obj)
{
	struct workload_service *m = obj;
	int r = decode_check_pair(d, at, y, y->key);

	(void)f;
	if (r < 0)
		return r;
	m->key = str_dup(y->key);
	if (!m->key)
		return decode_oom(d);
	/* A membership without ports of its own uses those of the service. */
	return y->kind == YAML_NULL ? 0 : read_list(d, at, y, &membership_ports, m);
}

static const struct field item_membership = { .read = read_membership };

static const struct word protocol_words[] = {
	{ "HBONE", TUNNEL_HBONE }, { "TCP", TUNNEL_NONE }, { 0 },
};
static const struct word app_protocol_words[] = { { "NONE", false }, { "PROXY", true }, { 0 } };
static const struct field app_tunnel_fields[] = {
	{ "protocol", read_word_bool, .off = offsetof(struct workload, app_proxy),
	  .words = app_protocol_words },
	{ "port", read_port, .off = offsetof(struct workload, app_port) },
	{ 0 },
};

static int read_app_tunnel(struct decode *d, const struct at *at, const struct yaml *y,
			   const struct field *f, void *obj)
{
	(void)f;
	((struct workload *)obj)->app_tunnel = true;
	return decode_map(d, at, y, app_tunnel_fields, obj);
}

static const struct word status_words[] = {
	{ "Healthy", WORKLOAD_HEALTHY }, { "Unhealthy", WORKLOAD_UNHEALTHY }, { 0 },
};
static const struct word network_mode_words[] = {
	{ "Standard", false }, { "HostNetwork", true }, { 0 },
};

static const struct field locality_fields[] = {
	{ "region", read_text, .off = offsetof(struct workload_alone, group.region) },
	{ "zone", read_text, .off = offsetof(struct workload_alone, group.zone) },
	{ "subzone", read_text, .off = offsetof(struct workload_alone, group.subzone) },
	{ 0 },
};

static int read_labels(struct decode *d, const struct at *at, const struct yaml *y,
		       const struct field *f, void *obj)
{
	(void)f;
	return read_list(d, at, y, &workload_labels, obj);
}

static const struct field workload_fields[] = {
	{ "uid", read_text, .off = offsetof(struct workload, uid) },
	{ "name", read_text, .off = offsetof(struct workload, name) },
	{ "namespace", read_name, .off = offsetof(struct workload, ns), .flags = FIELD_REQUIRED },
	{ "serviceAccount", read_text, .off = offsetof(struct workload_alone, group.service_account) },
	{ "trustDomain", read_text, .off = offsetof(struct workload_alone, group.trust_domain) },
	{ "workloadIps", LIST_OF(struct workload, addrs, item_addr) },
	{ "protocol", read_word, .off = offsetof(struct workload, protocol), .words = protocol_words },
	{ "node", read_text, .off = offsetof(struct workload, node) },
	{ "network", read_text, .off = offsetof(struct workload, network) },
	{ "clusterId", read_text, .off = offsetof(struct workload_alone, group.cluster) },
	{ "canonicalName", read_text, .off = offsetof(struct workload_alone, group.canonical_name) },
	{ "canonicalRevision", read_text,
	  .off = offsetof(struct workload_alone, group.canonical_revision) },
	{ "workloadName", read_text, .off = offsetof(struct workload_alone, group.workload_name) },
	{ "workloadType", read_text, .off = offsetof(struct workload_alone, group.workload_type) },
	{ "hostname", read_text, .off = offsetof(struct workload, hostname) },
	{ "status", read_word, .off = offsetof(struct workload, status), .words = status_words },
	{ "networkMode", read_word_bool, .off = offsetof(struct workload, host_network),
	  .words = network_mode_words },
	{ "nativeTunnel", read_bool, .off = offsetof(struct workload, native_tunnel) },
	{ "capacity", read_u32, .off = offsetof(struct workload, capacity) },
	{ "locality", read_nested, .sub = locality_fields },
	{ "authorizationPolicies", LIST_OF(struct workload, policies, item_pair),
	  .flags = FIELD_NOT_NULL },
	{ "services", LIST_OF(struct workload, services, item_membership), .flags = FIELD_MAP },
	{ .key = "labels", .read = read_labels },
	{ "waypoint", read_waypoint, .off = offsetof(struct workload, waypoint) },
	{ "networkGateway", read_waypoint, .off = offsetof(struct workload_alone, group.gateway) },
	{ .key = "applicationTunnel", .read = read_app_tunnel },
	{ 0 },
};

static int text_default(char **text, struct str value)
{
	if (*text && **text)
		return 0;
	free(*text);
	*text = str_dup(value);
	return *text ? 0 : -ENOMEM;
}

static int workload_defaults(struct decode *d, const struct at *at, const struct yaml *y,
			     struct workload *w)
{
	struct spiffe id;

	if (text_default(&w->group->trust_domain, str_of(d->defaults->trust_domain)) < 0 ||
	    text_default(&w->group->service_account, DEFAULT_SERVICE_ACCOUNT) < 0 ||
	    text_default(&w->group->cluster, str_of(d->defaults->cluster)) < 0)
		return decode_oom(d);
	if (!w->uid || !w->uid[0]) {
		if (!w->name || !w->name[0])
			return decode_error(d, at, y, "has neither 'uid' nor 'name'");
		free(w->uid);
		w->uid = str_printf("%s//Pod/%s/%s", w->group->cluster, w->ns, w->name);
	}
	id = (struct spiffe){ str_of(w->group->trust_domain), str_of(w->ns), str_of(w->group->service_account) };
	w->identity = spiffe_format(&id);
	if (!w->uid || !w->identity)
		return decode_oom(d);
	if (spiffe_parse(str_of(w->identity), &id) < 0)
		return decode_error(d, at, y,
				    "'%.128s' is no SPIFFE id: look at trustDomain, namespace, "
				    "serviceAccount", w->identity);
	return 0;
}

static int read_workload(struct decode *d, const struct at *at, const struct yaml *y,
			 const struct field *f, void *obj)
{
	struct workload *w = workload_new();
	int r;

	(void)f;
	if (!w)
		return decode_oom(d);
	*(struct workload **)obj = w;
	w->capacity = 1;
	r = decode_map(d, at, y, workload_fields, w);
	return r < 0 ? r : workload_defaults(d, at, y, w);
}

const struct field mesh_workload = { .read = read_workload };

/* ---- services */

/* "network/ip", "/ip" or "ip". The network is not kept: addresses are looked up without. */
static int read_vip(struct decode *d, const struct at *at, const struct yaml *y,
		    const struct field *f, void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);
	const char *slash;

	(void)f;
	if (r < 0)
		return r;
	slash = s.n ? memchr(s.p, '/', s.n) : NULL;
	if (slash)
		s = (struct str){ slash + 1, s.n - (size_t)(slash + 1 - s.p) };
	return decode_addr(d, at, y, s, obj);
}

/* "network/10.0.0.0/8", "/10.0.0.0/8" or without the network. */
static int read_range(struct decode *d, const struct at *at, const struct yaml *y,
		      const struct field *f, void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);
	const char *first = r == 0 && s.n ? memchr(s.p, '/', s.n) : NULL;

	(void)f;
	if (r < 0)
		return r;
	if (first && memchr(first + 1, '/', s.n - (size_t)(first + 1 - s.p)))
		s = (struct str){ first + 1, s.n - (size_t)(first + 1 - s.p) };
	if (ip_parse_prefix(s, obj) < 0)
		return decode_error(d, at, y, "'%.*s' is no range of addresses", STR_FMT(s));
	return 0;
}

static int read_service_port(struct decode *d, const struct at *at, const struct yaml *y,
			     const struct field *f, void *obj)
{
	struct service_port *p = obj;

	(void)f;
	return decode_port_entry(d, at, y, &p->port, &p->target_port);
}

static const struct word scope_words[] = {
	{ "Region", LB_REGION }, { "Zone", LB_ZONE },	    { "Subzone", LB_SUBZONE },
	{ "Node", LB_NODE },	 { "Cluster", LB_CLUSTER }, { "Network", LB_NETWORK },
	{ 0 },
};
static const struct field item_scope = { .read = read_word, .words = scope_words };

static int read_scopes(struct decode *d, const struct at *at, const struct yaml *y,
		       const struct field *f, void *obj)
{
	struct service *svc = obj;

	(void)f;
	if (y->kind != YAML_LIST)
		return decode_error(d, at, y, "must be a list");
	if (y->n > ARRAY_LEN(svc->lb_scopes))
		return decode_error(d, at, y, "has more than %zu entries",
				    ARRAY_LEN(svc->lb_scopes));
	for (size_t i = 0; i < y->n; i++) {
		struct at here = { .up = at, .index = i };
		int scope = 0, r = read_word(d, &here, y->child[i], &item_scope, &scope);

		if (r < 0)
			return r;
		for (size_t k = 0; k < i; k++)
			if ((int)svc->lb_scopes[k] == scope)
				return decode_error(d, &here, y->child[i], "is there twice");
		svc->lb_scopes[i] = (enum lb_scope)scope;
		svc->n_lb_scopes = i + 1;
	}
	return 0;
}

static const struct field item_vip = { .read = read_vip };
static const struct field item_range = { .read = read_range };
static const struct field item_service_port = { .read = read_service_port };

static const struct word mode_words[] = {
	{ "Standard", LB_STANDARD },	   { "Strict", LB_STRICT }, { "Failover", LB_FAILOVER },
	{ "Passthrough", LB_PASSTHROUGH }, { 0 },
};
static const struct word health_words[] = { { "OnlyHealthy", false }, { "AllowAll", true }, { 0 } };
static const struct word family_words[] = {
	{ "Dual", FAMILIES_ANY }, { "IPv4", FAMILIES_V4 }, { "IPv6", FAMILIES_V6 }, { 0 },
};

static const struct word visibility_words[] = {
	{ "Public", false },
	{ "Namespace", true },
	{ "PUBLIC", false },
	{ "NAMESPACE", true },
	{ 0 },
};

static const struct field load_balancer_fields[] = {
	{ "mode", read_word, .off = offsetof(struct service, lb_mode),
	  .flags = FIELD_REQUIRED, .words = mode_words },
	{ .key = "routingPreferences", .read = read_scopes },
	{ "healthPolicy", read_word_bool, .off = offsetof(struct service, allow_unhealthy),
	  .words = health_words },
	{ 0 },
};

static const struct field service_fields[] = {
	{ "name", read_name, .off = offsetof(struct service, name), .flags = FIELD_REQUIRED },
	{ "namespace", read_name, .off = offsetof(struct service, ns), .flags = FIELD_REQUIRED },
	{ "hostname", read_name, .off = offsetof(struct service, hostname), .flags = FIELD_REQUIRED },
	{ "vips", LIST_OF(struct service, vips, item_vip) },
	{ "ports", LIST_OF(struct service, ports, item_service_port), .flags = FIELD_MAP },
	{ "loadBalancer", read_nested, .sub = load_balancer_fields },
	{ "subjectAltNames", LIST_OF(struct service, sans, item_text) },
	{ "waypoint", read_waypoint, .off = offsetof(struct service, waypoint) },
	{ "ipFamilies", read_word, .off = offsetof(struct service, families), .words = family_words },
	{ "canonical", read_bool, .off = offsetof(struct service, canonical) },
	{ .key = "endpoints",
	  .read = read_nothing }, /* ztunnel's dump has them; they come from workloads */
	{ "cidrVips", LIST_OF(struct service, ranges, item_range) },
	{ "weightedWaypoints", LIST_OF(struct service, weighted, item_weighted) },
	{ "visibility", read_word_bool, .off = offsetof(struct service, ns_only),
	  .words = visibility_words },
	{ 0 },
};

static int read_service(struct decode *d, const struct at *at, const struct yaml *y,
			const struct field *f, void *obj)
{
	struct service *svc = service_new();

	(void)f;
	if (!svc)
		return decode_oom(d);
	*(struct service **)obj = svc;
	return decode_map(d, at, y, service_fields, svc);
}

const struct field mesh_service = { .read = read_service };

/* ---- the root */

#define ROOT_LIST(array, count, limit, item)                                                \
	.read = read_list, .off = offsetof(struct root, array),                             \
	.off_n = offsetof(struct root, count), .sub = &(item), .size = sizeof(void *), \
	.max = (limit)

struct root {
	struct model_input in;
	struct manifests manifests;
};

static void root_fini(struct root *r)
{
	model_input_drop(&r->in);
	manifests_fini(&r->manifests);
}

static int read_manifests(struct decode *d, const struct at *at, const struct yaml *y,
			  const struct field *f, void *obj)
{
	struct root *root = obj;
	int r = 0;

	(void)f;
	if (y->kind != YAML_LIST)
		return manifest_read(d, at, y, &root->manifests);
	for (size_t i = 0; r == 0 && i < y->n; i++) {
		struct at here = { .up = at, .index = i };

		r = manifest_read(d, &here, y->child[i], &root->manifests);
	}
	return r;
}

static const struct field root_fields[] = {
	{ "workloads", ROOT_LIST(in.workload, in.n_workloads, MESH_WORKLOADS_MAX, mesh_workload) },
	{ "services", ROOT_LIST(in.service, in.n_services, MESH_SERVICES_MAX, mesh_service) },
	{ "policies", ROOT_LIST(in.policy, in.n_policies, MESH_POLICIES_MAX, mesh_policy) },
	{ .key = "rootNamespace", .read = read_nothing },
	{ "manifests", read_manifests, .flags = FIELD_NOT_NULL },
	{ 0 },
};

/* Before all others: what the objects of any document mean depends on it. */
static int read_root_ns(struct decode *d, const struct yaml *documents, struct manifests *m)
{
	static const struct field field = { .read = read_name,
					    .off = offsetof(struct manifests, root_ns) };

	for (size_t i = 0; i < documents->n; i++) {
		const struct yaml *y = yaml_get(documents->child[i], "rootNamespace");
		struct at at = { .key = STR("rootNamespace") };

		if (y && y->kind != YAML_NULL && !m->root_ns)
			return read_name(d, &at, y, &field, m);
	}
	return 0;
}

/* One mesh, and any number of Kubernetes objects, which have a kind. */
static int read_documents(struct decode *d, const struct yaml *documents, struct root *root)
{
	const struct yaml *mesh = NULL;
	int r = read_root_ns(d, documents, &root->manifests);

	for (size_t i = 0; r == 0 && i < documents->n; i++) {
		const struct yaml *y = documents->child[i];

		if (y->kind == YAML_NULL)
			continue;
		if (yaml_get(y, "kind"))
			r = manifest_read(d, NULL, y, &root->manifests);
		else if (mesh)
			r = decode_error(d, NULL, y, "a second mesh in one file; the first is in line %d",
					 mesh->line);
		else
			r = decode_map(d, NULL, mesh = y, root_fields, root);
	}
	return r < 0 ? r : manifests_apply(d, &root->manifests, &root->in);
}

/* What a file looks like that is just being written must not empty the mesh. */
static bool is_empty(const struct yaml *documents)
{
	for (size_t i = 0; i < documents->n; i++)
		if (documents->child[i]->kind != YAML_NULL)
			return false;
	return true;
}

int feed_file_decode(struct str text, const char *path, struct errbuf *err,
		     struct model_input *ret)
{
	return feed_file_decode_with(text, path, NULL, err, ret);
}

int feed_file_decode_with(struct str text, const char *path, const struct feed_defaults *defaults,
			  struct errbuf *err, struct model_input *ret)
{
	struct decode d = { .path = path, .err = err, .defaults = defaults ? defaults : &builtin };
	cleanup_with(root_fini) struct root root = { 0 };
	cleanup_with(yaml_free) struct yaml *documents = NULL;
	int r = yaml_parse_all(text, path, err, &documents);

	if (r < 0)
		return r;
	if (is_empty(documents))
		return decode_error(&d, NULL, documents,
				    "the file is empty; a mesh of nothing is {}");
	r = read_documents(&d, documents, &root);
	if (r < 0)
		return r;
	*ret = root.in;
	root.in = (struct model_input){ 0 };
	return 0;
}

void model_input_fini(struct model_input *in)
{
	model_input_drop(in);
}
