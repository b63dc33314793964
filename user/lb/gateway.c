// SPDX-License-Identifier: Apache-2.0
/* Endpoint of a waypoint, or of the gateway of a network (gateway.h). Names and addresses are looked
 * up as if they were dialled: a service before a workload. */
#include "lb/gateway.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
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

/* What the sentences call it, and its text. */
struct asked {
	const char *what, *text;
};

static int pick_endpoint(const struct asked *q, struct service *svc, uint16_t port,
			 const struct lb_from *from, bool v4, struct errbuf *err,
			 struct gateway_hop *ret)
{
	struct lb_choice c;
	int r = lb_pick(svc, from, port, v4, &c);

	if (r == -EHOSTUNREACH)
		r = lb_pick(svc, from, port, !v4, &c);
	if (r == -ESRCH)
		return errbuf_set(err, -EHOSTUNREACH, "%s %s: service %s has no port %u", q->what,
				  q->text, svc->key, port);
	if (r == -EHOSTUNREACH && all_elsewhere(svc, from))
		return errbuf_set(err, -ENETUNREACH, "%s %s: is in another network", q->what,
				  q->text);
	if (r < 0)
		return errbuf_set(err, -EHOSTUNREACH, "%s %s: no endpoint to choose", q->what,
				  q->text);
	if (ip_is_any(&c.ep.addr))
		return errbuf_set(err, -EHOSTUNREACH, "%s %s: workload %s has no address", q->what,
				  q->text, c.w->uid);
	*ret = (struct gateway_hop){ .w = c.w, .svc = svc, .ep = c.ep };
	return 0;
}

static int pick_workload(const struct asked *q, struct workload *w, const struct gateway_ref *ref,
			 const struct lb_from *from, bool v4, struct errbuf *err,
			 struct gateway_hop *ret)
{
	const struct weft_addr *addr = NULL;

	if (other_network(from->network, str_of(w->network)))
		return errbuf_set(err, -ENETUNREACH, "%s %s: is in another network", q->what,
				  q->text);
	for (size_t i = 0; i < w->n_addrs; i++)
		if (!addr || ip_is_v4(&w->addrs[i]) == v4)
			addr = &w->addrs[i];
	if (ref->by_addr)
		addr = &ref->addr;
	if (!addr)
		return errbuf_set(err, -EHOSTUNREACH, "%s %s: workload %s has no address", q->what,
				  q->text, w->uid);
	*ret = (struct gateway_hop){ .w = w, .ep = { .addr = *addr, .port = ref->port } };
	return 0;
}

static int pick(const struct asked *q, const struct found *f, const struct gateway_ref *ref,
		const struct lb_from *from, bool v4, struct errbuf *err, struct gateway_hop *ret)
{
	if (f->svc)
		return pick_endpoint(q, f->svc, ref->port, from, v4, err, ret);
	if (f->w)
		return pick_workload(q, f->w, ref, from, v4, err, ret);
	return errbuf_set(err, -ENOENT, "%s %s: nobody of the mesh has this %s", q->what, q->text,
			  ref->by_addr ? "address" : "name");
}

int gateway_pick(const struct snap *s, const char *text, const struct lb_from *from, bool v4,
		 struct errbuf *err, struct gateway_hop *ret)
{
	const struct asked q = { "waypoint", text };
	struct lb_from near = *from;
	struct gateway_ref ref;
	struct found f;

	near.near = true;
	if (gateway_parse(str_of(text), &ref) < 0)
		return errbuf_set(err, -EINVAL,
				  "waypoint %s: is no namespace/hostname and no address", text);
	if (ref.by_addr && other_network(from->network, ref.network))
		return errbuf_set(err, -ENETUNREACH, "waypoint %s: is in another network", text);
	f = lookup(s, &ref);
	return pick(&q, &f, &ref, &near, v4, err, ret);
}

/* By the uid that istiod makes for gateways of other networks, whose addresses are no addresses of
 * ours; or by an address, if that is of the network. */
static struct workload *network_gateway(const struct snap *s, const struct gateway_ref *ref,
					struct str network)
{
	char ip[IP_TEXT_MAX];
	_free_ char *uid = NULL;
	struct workload *w;

	ip_format(ip, &ref->addr);
	uid = str_printf("NetworkGateway/%.*s/%s/%u", STR_FMT(network), ip, ref->port);
	w = uid ? snap_workload_by_uid(s, str_of(uid)) : NULL;
	if (!w)
		w = snap_workload_by_addr(s, &ref->addr);
	return w && str_eq(str_of(w->network), network) ? w : NULL;
}

int gateway_pick_network(const struct snap *s, const struct workload *w, const struct lb_from *from,
			 bool v4, struct errbuf *err, struct gateway_hop *ret)
{
	const char *text = w->group->gateway;
	const struct asked q = { "gateway", text };
	struct lb_from anywhere = *from;
	struct gateway_ref ref;
	struct found f = { 0 };
	int r;

	/* It is in the network that it leads to; its own address is reached from all. */
	anywhere.network = "";
	if (gateway_parse(str_of(text), &ref) < 0)
		return errbuf_set(err, -EINVAL,
				  "gateway %s: is no namespace/hostname and no address", text);
	if (ref.by_addr)
		f.w = network_gateway(s, &ref, ref.network.n ? ref.network : str_of(w->network));
	else
		f = lookup(s, &ref);
	r = pick(&q, &f, &ref, &anywhere, v4, err, ret);
	if (r == 0 && ret->w->protocol != TUNNEL_HBONE)
		r = errbuf_set(err, -EPROTONOSUPPORT, "gateway %s: takes no tunnel", text);
	return r;
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
