/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From the text of a waypoint or of the gateway of a network (model/gateway.h) to the pod that HBONE
 * goes to, and back: is this workload one of those that the text means? Pure: any thread that may
 * read the snapshot.
 */
#include "base/errbuf.h"
#include "lb/pick.h"

struct gateway_hop {
	struct workload *w;    /* the gateway's pod; not referenced */
	struct service *svc; /* whose endpoint it is: its SANs are accepted too; NULL */
	struct weft_ep ep;    /* host order; where its HBONE listens */
};

/*
 * v4: the family to prefer, the other one is taken where there is no endpoint of it. Errors with
 * the sentence in err: -EINVAL the text is none, -ENOENT nobody of the mesh has that name or
 * address, -EHOSTUNREACH there is nobody to choose, -ENETUNREACH it is in another network.
 */
int gateway_pick(const struct snap *s, const char *text, const struct lb_from *from, bool v4,
		 struct errbuf *err, struct gateway_hop *ret);
/* The same for the gateway of the network that w is in (w->group->gateway); its own network does not
 * count, because it is there to be reached from others. -EPROTONOSUPPORT: it takes no tunnel. */
int gateway_pick_network(const struct snap *s, const struct workload *w, const struct lb_from *from,
			 bool v4, struct errbuf *err, struct gateway_hop *ret);
/* False also for a text that means nobody. Health does not matter. */
bool gateway_is(const struct snap *s, const char *text, const struct workload *w);
