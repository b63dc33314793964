// SPDX-License-Identifier: Apache-2.0
/*
 * Workloads and services as ztunnel's config dump has them: key names in camelCase, VIPs as
 * "network/address", ports and endpoints as objects. Members without a value are left out where
 * ztunnel leaves them out. Pure translation.
 */
#include <stdio.h>
#include <string.h>

#include "weft/abi.h"
#include "admin/dump.h"
#include "admin/rows.h"
#include "admin/views.h"
#include "base/str.h"
#include "model/snap.h"

static int set_some_text(json_t *row, const char *key, const char *value)
{
	return value && value[0] ? row_set_text(row, key, value) : 0;
}

static bool port_of(struct str text, uint16_t *ret)
{
	return str_to_u16(text, ret) == 0;
}

/* "namespace/hostname" or "network/address", with or without ":port"; also a bare address,
 * whose IPv6 form has colons of its own. */
static int set_gateway(json_t *row, const char *key, const char *text, const char *network)
{
	const char *colon = strrchr(text, ':');
	uint16_t port = WEFT_PORT_HBONE;
	struct weft_addr a;
	size_t n = strlen(text);
	_free_ char *to = NULL;

	if (!text[0])
		return 0;
	if (ip_parse(str_of(text), &a) < 0 && colon && port_of(str_of(colon + 1), &port))
		n = (size_t)(colon - text);
	if (memchr(text, '/', n))
		to = str_dup((struct str){ text, n });
	else
		to = str_printf("%s/%.*s", network, (int)n, text);
	return json_object_set_new_nocheck(row, key,
					   json_pack("{s:o, s:i}", "destination",
						     to ? view_text(to) : NULL, "hboneMtlsPort",
						     (int)port));
}

static int set_locality(json_t *row, const struct workload *w)
{
	json_t *l;

	if (!w->group->region[0] && !w->group->zone[0] && !w->group->subzone[0])
		return 0;
	l = json_object();
	return row_set_text(l, "region", w->group->region) | row_set_text(l, "zone", w->group->zone) |
	       row_set_text(l, "subzone", w->group->subzone) |
	       json_object_set_new_nocheck(row, "locality", l);
}

static int set_memberships(json_t *row, const struct workload *w)
{
	json_t *services, *policies;
	int r = 0;

	if (w->n_policies) {
		policies = json_array();
		for (size_t i = 0; i < w->n_policies; i++)
			r |= json_array_append_new(policies, view_text(w->policies[i]));
		r |= json_object_set_new_nocheck(row, "authorizationPolicies", policies);
	}
	if (w->n_services) {
		services = json_array();
		for (size_t i = 0; i < w->n_services; i++)
			r |= json_array_append_new(services, view_text(w->services[i].key));
		r |= json_object_set_new_nocheck(row, "services", services);
	}
	return r;
}

json_t *dump_workload(const struct workload *w)
{
	_json_ json_t *row = json_object();
	int r = row_set_addrs(row, "workloadIps", w->addrs, w->n_addrs);

	r |= set_gateway(row, "waypoint", w->waypoint, w->network);
	r |= set_gateway(row, "networkGateway", w->group->gateway, w->network);
	r |= row_set_text(row, "protocol", w->protocol == TUNNEL_HBONE ? "HBONE" : "TCP");
	r |= row_set_text(row, "networkMode", w->host_network ? "HostNetwork" : "Standard");
	r |= row_set_text(row, "uid", w->uid);
	r |= row_set_text(row, "name", w->name);
	r |= row_set_text(row, "namespace", w->ns);
	r |= set_some_text(row, "trustDomain", w->group->trust_domain);
	r |= row_set_text(row, "serviceAccount", w->group->service_account);
	r |= set_some_text(row, "network", w->network);
	r |= row_set_text(row, "workloadName", w->group->workload_name);
	r |= row_set_text(row, "workloadType", w->group->workload_type);
	r |= row_set_text(row, "canonicalName", w->group->canonical_name);
	r |= row_set_text(row, "canonicalRevision", w->group->canonical_revision);
	r |= row_set_text(row, "hostname", w->hostname);
	r |= row_set_text(row, "node", w->node);
	if (w->native_tunnel)
		r |= json_object_set_new_nocheck(row, "nativeTunnel", json_true());
	r |= row_set_text(row, "status", row_status_text(w->status));
	r |= row_set_text(row, "clusterId", w->group->cluster);
	r |= set_locality(row, w);
	r |= set_memberships(row, w);
	r |= row_set_u64(row, "capacity", w->capacity);
	return r == 0 ? TAKE_PTR(row) : NULL;
}

static int set_port(json_t *ports, uint16_t port, uint16_t target)
{
	char key[8];

	snprintf(key, sizeof(key), "%u", port);
	return row_set_u64(ports, key, target);
}

static int set_endpoints(json_t *row, const struct service *svc)
{
	json_t *all = json_object();
	int r = 0;

	for (size_t i = 0; i < svc->n_endpoints; i++) {
		const struct endpoint *e = &svc->endpoints[i];
		json_t *ep = json_object(), *ports = json_object();

		r |= row_set_text(ep, "workloadUid", e->w->uid);
		for (size_t k = 0; k < e->n_ports; k++)
			r |= set_port(ports, e->ports[k].service_port, e->ports[k].target_port);
		r |= json_object_set_new_nocheck(ep, "port", ports);
		r |= row_set_text(ep, "status", row_status_text(e->w->status));
		/* A name that is not UTF-8 (a feed refuses it) would make the object fail. */
		r |= json_object_set_new(all, e->w->uid, ep);
	}
	return r | json_object_set_new_nocheck(row, "endpoints", all);
}

static int set_balancer(json_t *row, const struct service *svc)
{
	static const char *const mode[] = {
		[LB_STANDARD] = "Standard", [LB_STRICT] = "Strict", [LB_FAILOVER] = "Failover", [LB_PASSTHROUGH] = "Passthrough"
	};
	static const char *const scope[] = {
		[LB_REGION] = "Region", [LB_ZONE] = "Zone",       [LB_SUBZONE] = "Subzone",
		[LB_NODE] = "Node",     [LB_CLUSTER] = "Cluster", [LB_NETWORK] = "Network"
	};
	json_t *lb, *prefer;
	int r = 0;

	if (svc->lb_mode == LB_STANDARD && !svc->n_lb_scopes && !svc->allow_unhealthy)
		return 0;
	lb = json_object();
	prefer = json_array();
	for (size_t i = 0; i < svc->n_lb_scopes; i++)
		r |= json_array_append_new(prefer, json_string(scope[svc->lb_scopes[i]]));
	r |= json_object_set_new_nocheck(lb, "routingPreferences", prefer);
	r |= row_set_text(lb, "mode", mode[svc->lb_mode]);
	r |= row_set_text(lb, "healthPolicy", svc->allow_unhealthy ? "AllowAll" : "OnlyHealthy");
	return r | json_object_set_new_nocheck(row, "loadBalancer", lb);
}

static int set_vips(json_t *row, const struct service *svc, const char *network)
{
	json_t *vips = json_array();
	char ip[IP_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; i < svc->n_vips; i++) {
		_free_ char *vip = str_printf("%s/%s", network, ip_format(ip, &svc->vips[i]));

		r |= json_array_append_new(vips, vip ? view_text(vip) : NULL);
	}
	return r | json_object_set_new_nocheck(row, "vips", vips);
}

static int set_sans(json_t *row, const struct service *svc)
{
	json_t *sans = json_array();
	int r = 0;

	for (size_t i = 0; i < svc->n_sans; i++)
		r |= json_array_append_new(sans, view_text(svc->sans[i]));
	return r | json_object_set_new_nocheck(row, "subjectAltNames", sans);
}

json_t *dump_service(const struct service *svc, const char *network)
{
	static const char *const families[] = { [FAMILIES_V4] = "IPv4", [FAMILIES_V6] = "IPv6" };
	_json_ json_t *row = json_object();
	json_t *ports = json_object();
	int r = row_set_text(row, "name", svc->name);

	r |= row_set_text(row, "namespace", svc->ns);
	r |= row_set_text(row, "hostname", svc->hostname);
	r |= set_vips(row, svc, network);
	for (size_t i = 0; i < svc->n_ports; i++)
		r |= set_port(ports, svc->ports[i].port, svc->ports[i].target_port);
	r |= json_object_set_new_nocheck(row, "ports", ports);
	r |= set_endpoints(row, svc);
	r |= set_sans(row, svc);
	r |= set_gateway(row, "waypoint", svc->waypoint, network);
	r |= set_balancer(row, svc);
	if (svc->families != FAMILIES_ANY)
		r |= row_set_text(row, "ipFamilies", families[svc->families]);
	r |= json_object_set_new_nocheck(row, "canonical", json_boolean(svc->canonical));
	return r == 0 ? TAKE_PTR(row) : NULL;
}
