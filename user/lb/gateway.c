// SPDX-License-Identifier: Apache-2.0
/* Endpoint of a waypoint (gateway.h). Names and addresses are looked up as if they were dialled: a
 * service before a workload. */
#include "lb/gateway.h"

#include <errno.h>
#include <string.h>

#include "model/gateway.h"

struct found { /* both NULL: nobody */
	struct service *svc;
	struct workload *w;
};

static struct found lookup(const struct snap *s, const struct gateway_ref *ref)
{
	struct found f = { 0 };

	if (ref->by_addr) {
		f.svc = snap_service_by_vip(s, &ref->addr);
		f.w = f.svc ? NULL : snap_workload_by_addr(s, &ref->addr);
		return f;
	}
	f.svc = snap_service_by_key(s, ref->key);
	f.w = f.svc ? NULL : snap_workload_by_host(s, ref->ns, ref->hostname);
	return f;
}

/* Both are known, and not the same one. */
static bool other_network(const char *mine, struct str theirs)
{
	return mine && mine[0] && theirs.n && !str_eq(str_of(mine), theirs);
}

/* Does the service have endpoints, and all of them in other networks? */
static bool all_elsewhere(const struct service *svc, const struct lb_from *from)
{
	for (size_t i = 0; i < svc->n_endpoints; i++)
		if (!other_network(from->network, str_of(svc->endpoints[i].w->network)))
			return false;
	return svc->n_endpoints > 0;
}

static int pick_endpoint(const char *text, struct service *svc, uint16_t port,
			 const struct lb_from *from, bool v4, struct errbuf *err,
			 struct gateway_hop *ret)
{
	struct lb_choice c;
	int r = lb_pick(svc, from, port, v4, &c);

	if (r == -EHOSTUNREACH)
		r = lb_pick(svc, from, port, !v4, &c);
	if (r == -ESRCH)
		return errbuf_set(err, -EHOSTUNREACH, "waypoint %s: service %s has no port %u",
				  text, svc->key, port);
	if (r == -EHOSTUNREACH && all_elsewhere(svc, from))
		return errbuf_set(err, -ENETUNREACH, "waypoint %s: is in another network", text);
	if (r < 0)
		return errbuf_set(err, -EHOSTUNREACH, "waypoint %s: no endpoint to choose", text);
	if (ip_is_any(&c.ep.addr))
		return errbuf_set(err, -EHOSTUNREACH, "waypoint %s: workload %s has no address",
				  text, c.w->uid);
	*ret = (struct gateway_hop){ .w = c.w, .svc = svc, .ep = c.ep };
	return 0;
}

static int pick_workload(const char *text, struct workload *w, const struct gateway_ref *ref,
			 const struct lb_from *from, bool v4, struct errbuf *err,
			 struct gateway_hop *ret)
{
	const struct weft_addr *addr = NULL;

	if (other_network(from->network, str_of(w->network)))
		return errbuf_set(err, -ENETUNREACH, "waypoint %s: is in another network", text);
	for (size_t i = 0; i < w->n_addrs; i++)
		if (!addr || ip_is_v4(&w->addrs[i]) == v4)
			addr = &w->addrs[i];
	if (ref->by_addr)
		addr = &ref->addr;
	if (!addr)
		return errbuf_set(err, -EHOSTUNREACH, "waypoint %s: workload %s has no address",
				  text, w->uid);
	*ret = (struct gateway_hop){ .w = w, .ep = { .addr = *addr, .port = ref->port } };
	return 0;
}

int gateway_pick(const struct snap *s, const char *text, const struct lb_from *from, bool v4,
		 struct errbuf *err, struct gateway_hop *ret)
{
	struct gateway_ref ref;
	struct found f;

	if (gateway_parse(str_of(text), &ref) < 0)
		return errbuf_set(err, -EINVAL,
				  "waypoint %s: is no namespace/hostname and no address", text);
	if (ref.by_addr && other_network(from->network, ref.network))
		return errbuf_set(err, -ENETUNREACH, "waypoint %s: is in another network", text);
	f = lookup(s, &ref);
	if (f.svc)
		return pick_endpoint(text, f.svc, ref.port, from, v4, err, ret);
	if (f.w)
		return pick_workload(text, f.w, &ref, from, v4, err, ret);
	return errbuf_set(err, -ENOENT, "waypoint %s: nobody of the mesh has this %s", text,
			  ref.by_addr ? "address" : "name");
}

bool gateway_is(const struct snap *s, const char *text, const struct workload *w)
{
	struct gateway_ref ref;
	struct found f;

	if (gateway_parse(str_of(text), &ref) < 0)
		return false;
	f = lookup(s, &ref);
	if (f.svc)
		return workload_is_member(w, f.svc);
	return f.w && f.w->id == w->id;
}
