// SPDX-License-Identifier: Apache-2.0
/* What the mesh has not told; see unknown.h. */
#include "lb/unknown.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lb/gateway.h"
#include "model/gateway.h"

void unknown_addr(const char *network, const struct weft_addr *a, struct unknown *ret)
{
	char ip[IP_TEXT_MAX];

	*ret = (struct unknown){ .by_addr = true, .addr = *a };
	snprintf(ret->name, sizeof(ret->name), "%s/%s", network, ip_format(ip, a));
}

static bool addr_is_known(const struct snap *s, const struct weft_addr *a)
{
	return snap_workload_by_addr(s, a) || snap_service_by_vip(s, a);
}

/* What ref is called; an address is one of this network, unless ref says another. */
static bool name_of(const struct gateway_ref *ref, const char *network, struct unknown *ret)
{
	char said[256];

	if (!ref->by_addr) {
		*ret = (struct unknown){ 0 };
		return str_copy(ret->name, sizeof(ret->name), ref->key) >= 0;
	}
	if (ref->network.n && str_copy(said, sizeof(said), ref->network) >= 0)
		network = said;
	unknown_addr(network, &ref->addr, ret);
	return true;
}

static bool waypoint_unknown(const struct snap *s, const char *network, const char *text,
			     struct unknown *ret)
{
	struct gateway_ref ref;

	if (!text[0] || gateway_parse(str_of(text), &ref) < 0)
		return false;
	if (ref.by_addr ? addr_is_known(s, &ref.addr)
			: snap_service_by_key(s, ref.key) ||
				  snap_workload_by_host(s, ref.ns, ref.hostname))
		return false;
	return name_of(&ref, network, ret);
}

/* Of a workload behind a gateway to another network; its address means nothing in ours. */
static bool gateway_unknown(const struct snap *s, const struct lb_from *from,
			    const struct workload *w, struct unknown *ret)
{
	struct errbuf err = { 0 };
	struct gateway_ref ref;
	struct gateway_hop hop;

	if (!w->group->gateway[0] || !lb_is_away(from->network, w) ||
	    gateway_pick_network(s, w, from, true, &err, &hop) != -ENOENT ||
	    gateway_parse(str_of(w->group->gateway), &ref) < 0 || !name_of(&ref, w->network, ret))
		return false;
	ret->by_addr = false;
	return true;
}

static bool service_unknown(const struct snap *s, const char *network, const struct service *svc,
			    struct unknown *ret)
{
	const struct lb_from from = { "", "", "", "", "", network, false };

	for (size_t i = 0; i < svc->n_weighted; i++)
		if (svc->weighted[i].weight &&
		    waypoint_unknown(s, network, svc->weighted[i].text, ret))
			return true;
	if (waypoint_unknown(s, network, svc->waypoint, ret))
		return true;
	for (size_t i = 0; svc->has_gateways && i < svc->n_endpoints; i++)
		if (gateway_unknown(s, &from, svc->endpoints[i].w, ret))
			return true;
	/* Endpoints may have come since it was told; istiod does not say so by itself. */
	if (svc->n_endpoints || !svc->n_vips || svc->lb_mode == LB_PASSTHROUGH)
		return false;
	*ret = (struct unknown){ 0 };
	return str_copy(ret->name, sizeof(ret->name), str_of(svc->key)) >= 0;
}

bool unknown_of(const struct snap *s, const struct workload *src, const char *network,
		const struct weft_addr *dialled, struct unknown *ret)
{
	const struct workload *w = snap_workload_by_addr(s, dialled);
	const struct service *svc = snap_service_by_vip_for(s, dialled, src->ns);

	if (!w && !svc)
		svc = snap_service_by_range_for(s, dialled, src->ns);
	if (!w && !svc) {
		unknown_addr(network, dialled, ret);
		ret->dialled = true;
		return true;
	}
	if (svc && service_unknown(s, network, svc, ret))
		return true;
	return w && waypoint_unknown(s, network, w->waypoint, ret);
}
