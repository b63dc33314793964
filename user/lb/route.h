/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where a connection of an enrolled pod goes: through a waypoint, to an endpoint, or nowhere. The
 * one decision for the relay (conn/), for `weft why` and, as far as the kernel is concerned (may
 * it decide by itself?), for its tables (pod/mesh.c). Pure.
 */
#include "lb/gateway.h"
#include "weft/reason.h"

enum route_kind {
	ROUTE_ENDPOINT, /* to .to as it is: .dst is whose address that is, NULL nobody's. If .by_name, to
			 * the address that .dst's hostname has by now and the port of .to */
	ROUTE_WAYPOINT, /* HBONE to .to, which is .dst's; what was dialled is the authority */
	ROUTE_GATEWAY, /* .dst is in another network. HBONE to .to, which is .gateway's, and in a stream
			* of it HBONE to whoever proves a SAN of .sans_of (it has some, and .dst's own
			* identity does not count: it need not be a workload that runs). The authority of
			* both is the hostname of .sans_of with the port that was dialled */
	ROUTE_REFUSED, /* .reason, and a sentence in err */
};

struct route {
	enum route_kind kind;
	bool by_name;
	struct weft_ep to; /* host order */
	struct workload *dst, *gateway; /* not referenced */
	struct service *svc; /* that was dialled; NULL: an address of a workload, or nobody's */
	struct service *sans_of; /* whose SANs the peer may prove besides its own identity; NULL */
	struct service *gateway_sans_of; /* the same for the gateway */
	enum weft_reason reason;
};

/* Must connections to this address go to the relay, because what it belongs to has a waypoint, is a
 * service with endpoints that are known by name only or are behind the gateway of another network than
 * this one ("": unknown), or means another service to other clients? */
bool route_needs_relay(const struct snap *s, const char *network, const struct weft_addr *dialled);
/* Does it depend on the client's namespace which service has this VIP? */
bool route_depends_on_client(const struct snap *s, const struct weft_addr *vip);
/* As route_needs_relay(), of a connection to svc, or if that is NULL to w. */
bool route_needs_relay_of(const struct service *svc, const char *network, const struct workload *w);
/* Has what was dialled a waypoint: svc, or if that is NULL w? */
bool route_has_waypoint(const struct service *svc, const struct workload *w);
/* Is w a waypoint of whoever this address belongs to? It is let through to the destination. */
bool route_is_waypoint(const struct snap *s, const struct weft_addr *dialled,
		       const struct workload *w);
/* Is dst in a known other network, where its address may be anybody's here? */
bool route_is_elsewhere(const struct workload *src, const struct workload *dst);
/* To dst, an endpoint in another network: sets kind, dst and what belongs to it in *ret, and if it is
 * refused the sentence in err. */
void route_through_gateway(const struct snap *s, struct workload *dst, const struct lb_from *from,
			   const struct weft_ep *dialled, struct errbuf *err, struct route *ret);
/*
 * chosen: the endpoint that the kernel took for it, NULL none (then one is chosen here if a
 * service was dialled). Never leads around a waypoint: one that cannot be used refuses.
 */
void route_find(const struct snap *s, const struct workload *src, const struct weft_ep *dialled,
		const struct weft_ep *chosen, struct errbuf *err, struct route *ret);
