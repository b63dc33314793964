// SPDX-License-Identifier: Apache-2.0
/*
 * The decision (route.h). A service has the say over a workload with the same address, for the
 * ports that it has; traffic to a service never passes the waypoint of the endpoint that it
 * resolves to: those are two different wishes of two owners.
 */
#include "lb/route.h"

#include <errno.h>
#include <string.h>

#include "base/rand.h"

struct target { /* at most one of both */
	struct service *svc;
	struct workload *w;
	bool by_range; /* svc: none of its VIPs, but in a range of it */
};

static bool has_port(const struct service *svc, uint16_t port)
{
	for (size_t i = 0; i < svc->n_ports; i++)
		if (svc->ports[i].port == port)
			return true;
	return false;
}

static struct target target_of(const struct snap *s, const struct weft_ep *dialled, const char *ns)
{
	struct service *svc = snap_service_by_vip_for(s, &dialled->addr, ns);
	struct workload *w = snap_workload_by_addr(s, &dialled->addr);

	if (svc && (!w || has_port(svc, dialled->port)))
		return (struct target){ .svc = svc };
	if (!w)
		return (struct target){ .svc = snap_service_by_range_for(s, &dialled->addr, ns),
					.by_range = true };
	return (struct target){ .w = w };
}

static uint64_t weights_of(const struct service *svc)
{
	uint64_t total = 0;

	for (size_t i = 0; i < svc->n_weighted; i++)
		total += svc->weighted[i].weight;
	return total;
}

static bool service_has_waypoint(const struct service *svc)
{
	return svc && (svc->waypoint[0] || weights_of(svc) > 0);
}

/* One of the weighted ones, if they have weights; "" none. */
static const char *service_waypoint(const struct service *svc)
{
	uint64_t total = weights_of(svc), at = total ? rand_fast() % total : 0;

	for (size_t i = 0; total && i < svc->n_weighted; i++) {
		if (at < svc->weighted[i].weight)
			return svc->weighted[i].text;
		at -= svc->weighted[i].weight;
	}
	return svc->waypoint;
}

/* Any of them: what came in by one of the weighted goes out of it. */
static bool is_service_waypoint(const struct snap *s, const struct service *svc,
				const struct workload *w)
{
	for (size_t i = 0; i < svc->n_weighted; i++)
		if (gateway_is(s, svc->weighted[i].text, w))
			return true;
	return svc->waypoint[0] && gateway_is(s, svc->waypoint, w);
}

static bool is_waypoint_of(const struct snap *s, const struct target *t, const struct workload *w)
{
	if (t->svc)
		return is_service_waypoint(s, t->svc, w);
	return t->w && t->w->waypoint[0] && gateway_is(s, t->w->waypoint, w);
}

static bool leads_away(const struct service *svc, const char *network)
{
	for (size_t i = 0; svc->has_gateways && i < svc->n_endpoints; i++)
		if (svc->endpoints[i].w->group->gateway[0] && lb_is_away(network, svc->endpoints[i].w))
			return true;
	return false;
}

static bool service_needs_relay(const struct service *svc, const char *network)
{
	return svc && (service_has_waypoint(svc) || svc->has_names || leads_away(svc, network));
}

bool route_depends_on_client(const struct snap *s, const struct weft_addr *vip)
{
	const struct service *svc = snap_service_by_vip(s, vip);

	return svc && (svc->ns_only || snap_service_by_vip_nth(s, vip, 1));
}

bool route_has_waypoint(const struct service *svc, const struct workload *w)
{
	return svc ? service_has_waypoint(svc) : w && w->waypoint[0];
}

bool route_needs_relay_of(const struct service *svc, const char *network, const struct workload *w)
{
	return svc ? service_needs_relay(svc, network) : w && w->waypoint[0];
}

bool route_needs_relay(const struct snap *s, const char *network, const struct weft_addr *dialled)
{
	const struct workload *w = snap_workload_by_addr(s, dialled);
	const struct service *svc = snap_service_by_vip(s, dialled);

	if (!w && !svc)
		svc = snap_service_by_range(s, dialled);
	return (w && w->waypoint[0]) || service_needs_relay(svc, network) ||
	       route_depends_on_client(s, dialled);
}

/* Could this range be the one that a client means, of all that have the address? Those of its own
 * namespace come first, then those for everybody; in both, as they are listed. */
static bool may_be_meant(const struct snap_range *all, size_t at, const struct weft_addr *a)
{
	bool own = true, others = !all[at].svc->ns_only;

	for (size_t i = 0; i < at; i++) {
		if (!snap_range_has(&all[i], a))
			continue;
		own &= strcmp(all[i].svc->ns, all[at].svc->ns) != 0;
		others &= all[i].svc->ns_only;
	}
	return own || others;
}

/* Nobody says here who the client was: a waypoint of any that has it. */
bool route_is_waypoint(const struct snap *s, const struct weft_addr *dialled,
		       const struct workload *w)
{
	const struct target wld = { .w = snap_workload_by_addr(s, dialled) };
	struct target svc = { 0 };
	size_t n, n_ranges;
	const struct snap_range *range = snap_ranges(s, &n_ranges);

	for (n = 0; (svc.svc = snap_service_by_vip_nth(s, dialled, n)); n++)
		if (is_waypoint_of(s, &svc, w))
			return true;
	if (n > 0 || wld.w)
		return is_waypoint_of(s, &wld, w);
	for (n = 0; n < n_ranges; n++) {
		svc.svc = range[n].svc;
		if (snap_range_has(&range[n], dialled) && may_be_meant(range, n, dialled) &&
		    is_waypoint_of(s, &svc, w))
			return true;
	}
	return false;
}

static void through_waypoint(const struct snap *s, const char *text, const struct lb_from *from,
			     const struct weft_ep *dialled, struct errbuf *err, struct route *ret)
{
	struct gateway_hop hop;

	if (gateway_pick(s, text, from, ip_is_v4(&dialled->addr), err, &hop) < 0) {
		ret->kind = ROUTE_REFUSED;
		ret->reason = WEFT_REASON_NO_WAYPOINT;
		return;
	}
	ret->kind = ROUTE_WAYPOINT;
	ret->to = hop.ep;
	ret->dst = hop.w;
	ret->sans_of = hop.svc;
}

bool route_is_elsewhere(const struct workload *src, const struct workload *dst)
{
	return lb_is_away(src->network, dst);
}

static void refuse(struct route *ret, enum weft_reason why)
{
	ret->kind = ROUTE_REFUSED;
	ret->reason = why;
}

void route_through_gateway(const struct snap *s, struct workload *dst, const struct lb_from *from,
			   const struct weft_ep *dialled, struct errbuf *err, struct route *ret)
{
	struct gateway_hop hop;

	ret->dst = dst;
	if (gateway_pick_network(s, dst, from, ip_is_v4(&dialled->addr), err, &hop) < 0) {
		refuse(ret, WEFT_REASON_NO_ENDPOINT);
		return;
	}
	ret->kind = ROUTE_GATEWAY;
	ret->to = hop.ep;
	ret->gateway = hop.w;
	ret->gateway_sans_of = hop.svc;
}

static void to_endpoint(const struct snap *s, const struct workload *src, const struct target *t,
			const struct lb_from *from, const struct weft_ep *dialled,
			const struct weft_ep *chosen, struct errbuf *err, struct route *ret)
{
	struct lb_choice c;
	int r = -EOPNOTSUPP;

	ret->kind = ROUTE_ENDPOINT;
	ret->sans_of = t->svc;
	ret->to = chosen ? *chosen : *dialled;
	/* Of a range without a waypoint all is reached as it is, as the kernel does it. */
	if (!chosen && t->svc && (!t->by_range || service_has_waypoint(t->svc)))
		r = lb_pick(t->svc, from, dialled->port, ip_is_v4(&dialled->addr), &c);
	if (r == 0 && c.away) {
		route_through_gateway(s, c.w, from, dialled, err, ret);
		return;
	}
	if (r == 0) {
		ret->to = c.ep;
		ret->dst = c.w;
		ret->by_name = ip_is_any(&c.ep.addr);
		return;
	}
	if (r != -EOPNOTSUPP) {
		refuse(ret, WEFT_REASON_NO_ENDPOINT);
		errbuf_set(err, r, "service %s has no %s %u", t->svc->key,
			   r == -ESRCH ? "port" : "endpoint for port", dialled->port);
		return;
	}
	ret->dst = snap_workload_by_addr(s, &ret->to.addr);
	if (!ret->dst || !route_is_elsewhere(src, ret->dst))
		return;
	refuse(ret, WEFT_REASON_BAD_DESTINATION);
	errbuf_set(err, -ENETUNREACH,
		   "%s is in network %s, whose gateway takes in what goes to services only",
		   ret->dst->uid, ret->dst->network);
}

void route_find(const struct snap *s, const struct workload *src, const struct weft_ep *dialled,
		const struct weft_ep *chosen, struct errbuf *err, struct route *ret)
{
	const struct lb_from from = lb_from_workload(src);
	const struct target t = target_of(s, dialled, src->ns);
	const char *waypoint = t.svc ? service_waypoint(t.svc) : t.w ? t.w->waypoint : "";

	*ret = (struct route){ .svc = t.svc };
	if (waypoint[0] && !is_waypoint_of(s, &t, src))
		through_waypoint(s, waypoint, &from, dialled, err, ret);
	else
		to_endpoint(s, src, &t, &from, dialled, chosen, err, ret);
}
