/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Service -> endpoint, by weight (workload capacity) and the service's locality mode. The
 * relay calls lb_pick(); the kernel gets the same distribution as a slot table.
 */
#include <stdint.h>

#include "model/snap.h"

struct lb_from { /* where the client stands; strings may be "" */
	const char *region, *zone, *subzone, *node, *cluster, *network;
	bool near; /* what is behind the gateway of another network does not count */
};

#define LB_SLOTS_MAX 1024

struct lb_choice {
	struct workload *w; /* not referenced */
	struct weft_ep ep; /* with the address ::, if w is known by its hostname only, or away */
	bool away; /* in another network, behind the gateway of w's group */
};

/* Endpoints must have an address of the family of vip, or none at all but a hostname, and a target
 * port for port. In another network than from's (both are known) they need a gateway, and no address, and the
 * service needs SANs, because nothing else can be proven over there.
 * -ESRCH: the service has no such port; -EHOSTUNREACH: no endpoint; -EOPNOTSUPP: the service
 * is LB_PASSTHROUGH, traffic goes where it was sent. */
int lb_pick(const struct service *svc, const struct lb_from *from, uint16_t port, bool v4,
	    struct lb_choice *ret);
/* Is w in a known other network than this one (NULL or "": unknown, then nobody is)? */
bool lb_is_away(const char *network, const struct workload *w);
/* Where w, as an endpoint of svc, is reached for the service's port: its own mapping of it, or the
 * service's. 0: w is no endpoint of it, or there is no such port. Health does not matter. */
uint16_t lb_target_port(const struct service *svc, const struct workload *w, uint16_t port);
/* Of endpoints with addresses, at most LB_SLOTS_MAX entries whose counts are proportional to the weights (every endpoint
 * with weight > 0 gets at least one while they fit). Number of slots, 0 when there is no
 * endpoint; -ESRCH, -EOPNOTSUPP, -ENOMEM. *ret is malloc'ed. */
int lb_slots(const struct service *svc, const struct lb_from *from, uint16_t port, bool v4,
	     struct lb_choice **ret);

/* What became of an endpoint in a choice, for people. */
enum lb_state {
	LB_CHOSEN, /* has its share of the slots */
	LB_NO_ADDRESS, /* of the family that was dialled, or the service refuses the family */
	LB_NO_PORT, /* neither it nor the service says a target port */
	LB_NO_WEIGHT, /* capacity 0 */
	LB_OTHER_NETWORK, /* and there is no gateway to it */
	LB_NO_SANS, /* there is, but behind it nobody could prove to be of the service */
	LB_NOT_PREFERRED, /* others agree in more of the routing preferences, or it not in all */
};

struct lb_row {
	struct lb_choice choice; /* .w in any case, .ep only when LB_CHOSEN or LB_NOT_PREFERRED */
	enum lb_state state;
	uint32_t slots; /* of all slots together, how many are its: may be 0 beyond LB_SLOTS_MAX */
};

/* One row per endpoint of svc, in its order, from the same choice as lb_slots(); *ret is
 * malloc'ed. Errors as of lb_slots(). */
int lb_rows(const struct service *svc, const struct lb_from *from, uint16_t port, bool v4,
	    struct lb_row **ret);
/* Where a workload stands. The texts are its own. */
struct lb_from lb_from_workload(const struct workload *w);
/* Where a node stands: the place of any of its workloads. The texts are those of s. */
void lb_from_node(const struct snap *s, const char *node, struct lb_from *ret);
