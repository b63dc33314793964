// SPDX-License-Identifier: Apache-2.0
/*
 * A connection leaving a local pod, captured by bpf/connect.bpf.c to the pod's port 15001.
 *
 *   await      in a pod of istio-cni: the control plane tells of it after the agent did
 *   identify   whose socket is this, what did it dial (weft_origdst, left by sockops; what
 *              istio-cni's rules caught around the hooks, netfilter knows)
 *   ask        istiod for what it has not told, where it tells only what is asked for
 *   route      to the endpoint that the kernel chose, or to a waypoint of what was dialled
 *   resolve    the name of an endpoint that has no address of its own
 *   authorize  a destination on this node is decided here, and the verdict goes to the kernel;
 *              one on another node is decided over there, by its own relay, one behind a
 *              waypoint by the waypoint, and one behind the gateway of another network there
 *   tunnel     a stream to the destination, from the pool or a fresh connection; to another
 *              network a tunnel in a stream to its gateway
 *   relay      bytes both ways until both sides ended; those of the application go right
 *              behind the request, the answer is not waited for
 */
#define LOG_SCOPE "conn"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/str.h"
#include "codec/hbone.h"
#include "conn/conn.h"
#include "io/tcp.h"
#include "kern/kern.h"
#include "lb/route.h"
#include "policy/rbac.h"
#include "report/dnscount.h"
#include "report/metric.h"
#include "weft/abi.h"

/* Of a connection that a tunnel did not take, on other tunnels. */
#define REDIALS 3

/* The texts of a CONNECT; gone once it was answered. */
struct conn_head {
	struct h2_headers h;
	char authority[CONN_AUTHORITY_MAX];
	char forwarded[512];
	char traceparent[56];
	char baggage[HBONE_TEXT_MAX];
};

/* Not by the hooks, but by istio-cni's rules: a socket with a mark of its own, a subflow. */
static enum step identify_caught(struct conn *c, const struct snap *s)
{
	const struct conn_local *l = c->local;
	bool known;

	if (tcp_original_dst(c->fd, &c->dialled) < 0)
		return conn_fail(c, WEFT_REASON_UNKNOWN_SOURCE,
				 "no record of what it dialled, neither of the hooks nor of the "
				 "rules");
	c->chosen = c->dialled;
	known = ip_eq(&c->dialled.addr, &l->v4) || ip_eq(&c->dialled.addr, &l->v6) ||
		ip_is_loopback(&c->dialled.addr) || snap_workload_by_addr(s, &c->dialled.addr) ||
		snap_service_by_vip(s, &c->dialled.addr);
	if (known && conn_local_reserves(l, c->dialled.port))
		return conn_fail(c, WEFT_REASON_RESERVED_PORT, "a port of weftd");
	c->caught = true;
	return STEP_NEXT;
}

static enum step identify_hooked(struct conn *c, const struct snap *s)
{
	struct weft_origdst_key key = { .slot = c->local->slot };
	struct weft_origdst od;

	key.src = c->client.addr;
	key.sport = c->client.port;
	if (kern_origdst_any(c->w->sh->kern, &key, &od) < 0) {
		if (c->local->pass_mark)
			return identify_caught(c, s);
		return conn_fail(c, WEFT_REASON_UNKNOWN_SOURCE,
				 "no record of what it dialled; it did not come through the hooks");
	}
	c->dialled = od.dialled;
	c->chosen = od.chosen;
	c->service_id = od.service;
	c->service = service_get(snap_service_by_port_id(s, od.service, NULL));
	return STEP_NEXT;
}

static enum step stage_identify(struct conn *c)
{
	const struct snap *s = model_snap(c->w->sh->model);
	struct workload *src;
	enum step r = identify_hooked(c, s);

	if (r != STEP_NEXT)
		return r;
	src = conn_local_workload(s, c->local);
	if (!src)
		return conn_fail(c, WEFT_REASON_NO_IDENTITY, "pod %s/%s is not in the mesh file",
				 c->local->ns, c->local->name);
	c->src = workload_get(src);
	return STEP_NEXT;
}

/* The hooks let pass what is outside of the mesh, unless that depends on what they do not know. The
 * rules of istio-cni know nothing. */
static bool may_be_nobodys(const struct conn *c, const struct snap *s, const struct route *r)
{
	return c->caught || c->outside || route_depends_on_client(s, &c->dialled.addr) ||
	       snap_service_by_range(s, &c->dialled.addr) ||
	       (r->svc && r->svc->lb_mode == LB_PASSTHROUGH);
}

/* Decided anew, by what is known now: the kernel's tables may be a moment behind, and leave what
 * has a waypoint to us. */
static enum step stage_route(struct conn *c)
{
	const struct snap *s = model_snap(c->w->sh->model);
	bool by_kernel = !ip_eq(&c->dialled.addr, &c->chosen.addr) || c->service_id;
	struct errbuf err = { 0 };
	struct route r;

	route_find(s, c->src, &c->dialled, by_kernel ? &c->chosen : NULL, &err, &r);
	if (r.svc && !c->service) {
		c->service = service_get(r.svc);
		c->service_id = r.svc->id;
	}
	if (r.kind == ROUTE_REFUSED) {
		c->path = WEFT_PATH_DENIED;
		c->dst = workload_get(snap_workload_by_addr(s, &c->chosen.addr));
		return conn_fail(c, r.reason, "%s", err.text);
	}
	c->waypoint = r.kind == ROUTE_WAYPOINT;
	c->by_name = r.by_name;
	c->chosen = r.to;
	c->dst = workload_get(r.dst);
	c->sans_of = service_get(r.sans_of);
	c->gateway = workload_get(r.gateway);
	c->gateway_sans_of = service_get(r.gateway_sans_of);
	if (!c->dst && !may_be_nobodys(c, s, &r))
		return conn_fail(c, WEFT_REASON_BAD_DESTINATION, "the destination left the mesh");
	if (!c->service && c->dst && !c->waypoint)
		c->service = service_get(snap_service_of(s, c->dst, c->chosen.port));
	return STEP_NEXT;
}

/* One of those of the dialled family, else of any. */
static struct weft_addr pick_addr(const struct conn *c, const struct weft_addr *addrs, size_t n)
{
	bool v4 = ip_is_v4(&c->dialled.addr);
	size_t fit = 0, at;

	for (size_t i = 0; i < n; i++)
		fit += ip_is_v4(&addrs[i]) == v4;
	if (!fit)
		return addrs[rand_fast() % n];
	at = rand_fast() % fit;
	for (size_t i = 0; i < n; i++)
		if (ip_is_v4(&addrs[i]) == v4 && at-- == 0)
			return addrs[i];
	return addrs[0];
}

static void on_resolved(void *arg, int r, const char *text, const struct weft_addr *addrs, size_t n)
{
	struct conn *c = arg;

	conn_deadline(c, 0);
	c->app_error = r;
	if (r == 0)
		c->chosen.addr = pick_addr(c, addrs, n);
	else
		conn_fail(c, WEFT_REASON_CONNECT_FAILED, "cannot resolve %s: %s", c->dst->hostname,
			  text);
	if (c->resolve_waits && r == 0)
		conn_resume(c);
	else if (c->resolve_waits)
		conn_end(c, c->reason, NULL);
}

/* An endpoint that is known by its hostname only: by the resolver of the host, as it is there now. */
static enum step stage_resolve(struct conn *c)
{
	struct conn_worker *w = c->w;
	int r = 0;

	if (!c->by_name)
		return STEP_NEXT;
	c->path = WEFT_PATH_PLAIN;
	dnscount_resolved_any(w->sh->dnscount, c->src, c->dst->hostname);
	c->query.fn = on_resolved;
	c->query.arg = c;
	c->app_error = -EINPROGRESS;
	if (!w->resolver)
		r = resolver_new(w->loop, &w->resolver);
	if (r == 0)
		r = resolver_ask(w->resolver, c->dst->hostname, &c->query);
	if (r < 0)
		return conn_fail(c, WEFT_REASON_LIMIT, "cannot resolve %s: %s", c->dst->hostname,
				 log_strerror(r));
	c->resolve_waits = c->app_error == -EINPROGRESS;
	if (!c->resolve_waits)
		return c->app_error < 0 ? STEP_FAIL : STEP_NEXT;
	conn_deadline(c, 10 * NS_PER_S);
	return STEP_WAIT;
}

/* Both pods are here: decide, and let the kernel know for the next time. Not if the mesh changed the
 * client while this one waited: what is true of the identity that it had is not of the pod's next. */
static enum step stage_authorize(struct conn *c)
{
	const struct snap *s = model_snap(c->w->sh->model);
	struct rbac_result res;

	if (c->waypoint || c->gateway || !c->dst || strcmp(c->dst->node, c->w->sh->node) != 0)
		return STEP_NEXT;
	if (conn_local_workload(s, c->local) == c->src &&
	    rbac_cacheable(s, c->src, c->dst, c->chosen.port, &res))
		kern_verdict_set_any(c->w->sh->kern, c->src->id, c->dst->id, c->chosen.port,
				     res.allow);
	if (conn_denied(c))
		return conn_fail(c, WEFT_REASON_POLICY_DENIED, "%s",
				 c->policy ? c->policy : "no ALLOW policy matches");
	return STEP_NEXT;
}

static int head_fill(struct conn *c, struct conn_head *h)
{
	int n, m;

	conn_authority(c, h->authority, sizeof(h->authority));
	n = hbone_forwarded_format(h->forwarded, sizeof(h->forwarded), &c->client,
				   c->service_id && c->service ? str_of(c->service->hostname)
							       : (struct str){ 0 });
	m = conn_baggage(c->src, h->baggage, sizeof(h->baggage));
	if (n < 0 || m < 0)
		return -ENAMETOOLONG;
	hbone_traceparent(h->traceparent);
	h->h = (struct h2_headers){
		.method = STR("CONNECT"),
		.authority = str_of(h->authority),
		.forwarded = { h->forwarded, (size_t)n },
		.baggage = { h->baggage, (size_t)m },
		.traceparent = str_of(h->traceparent),
	};
	/* Says to the other network that the address of the peer is nobody's there. */
	if (c->gateway)
		h->h.forwarded_network = str_of(c->src->network);
	return 0;
}

static void on_relay_done(void *arg, enum weft_reason why)
{
	struct conn *c = arg;

	c->stream = NULL; /* the pump has closed or reset it */
	conn_end(c, why, NULL);
}

/* 200: the application over there has accepted. Early bytes are counted now. */
static void on_stream_open(void *arg)
{
	struct conn *c = arg;

	conn_deadline(c, 0);
	/* It may have proven another one of those it may have. */
	if (c->sans_of && strcmp(tunnel_peer_uri(c->stream), c->peer_identity) != 0) {
		char *proven = str_dup(str_of(tunnel_peer_uri(c->stream)));

		free(c->peer_identity);
		c->peer_identity = proven; /* out of memory: the log does not say who it is */
	}
	stage_report_open(c);
	if (c->series) {
		atomic_fetch_add_explicit(&c->series->received_bytes, c->pump.from_fd,
					  memory_order_relaxed);
		c->pump.o.count_from_fd = &c->series->received_bytes;
		c->pump.o.count_to_fd = &c->series->sent_bytes;
	}
	free(c->head);
	c->head = NULL;
	conn_resume(c);
}

static int dial(struct conn *c);

static void on_stream_fail(void *arg, enum weft_reason why, unsigned status, const char *detail)
{
	struct conn *c = arg;

	c->stream = NULL;
	pump_stop(&c->pump, false);
	/* A tunnel that drains refuses what crosses its GOAWAY; another one will take it, unless
	 * bytes have gone already. */
	if (status == TUNNEL_TRY_AGAIN && c->redials < REDIALS && c->pump.from_fd == 0 &&
	    !c->pump.fd_eof) {
		c->redials++;
		if (dial(c) == 0)
			return;
	}
	conn_end(c, why, detail);
}

static const struct tunnel_stream_ops stream_ops = {
	.on_open = on_stream_open,
	.on_fail = on_stream_fail,
};

static void sans_take(struct tunnel_dst *dst, const struct service *svc)
{
	dst->peer_alts = svc ? svc->sans : NULL;
	dst->n_peer_alts = svc ? svc->n_sans : 0;
}

/* gateway: where the gateway goes, if there is one. */
static void tunnel_to(struct conn *c, struct tunnel_dst *dst, struct tunnel_dst *gateway)
{
	bool hop = c->waypoint || c->gateway;

	*dst = (struct tunnel_dst){
		.source_uri = c->local->identity,
		.peer_uri = c->dst->identity,
		.to = { .addr = c->chosen.addr, .port = hop ? c->chosen.port : WEFT_PORT_HBONE },
		.netns_fd = c->local->netns_fd,
		.mark = c->local->pass_mark,
		.slot = c->local->slot,
	};
	sans_take(dst, c->sans_of);
	if (!c->gateway)
		return;
	*gateway = *dst;
	gateway->peer_uri = c->gateway->identity;
	sans_take(gateway, c->gateway_sans_of);
	/* Behind it only the service's names count (ROUTE_GATEWAY). */
	dst->peer_uri = c->sans_of->sans[0];
	dst->gateway = gateway;
}

/* Opens the stream and lets bytes go right behind the request, without waiting for the
 * answer (see tunnel_stream_ops). */
static int dial(struct conn *c)
{
	const struct pump_opts o = { .on_done = on_relay_done, .arg = c };
	struct tunnel_dst dst, gateway;
	int r;

	tunnel_to(c, &dst, &gateway);
	r = tunnel_dial(c->w->tunnel, &dst, &c->head->h, &stream_ops, c, &c->stream);

	if (r < 0)
		return r;
	pump_init(&c->pump, c->w->loop, tunnel_chan(c->stream), &o);
	c->relay_started = true;
	return pump_start(&c->pump, c->fd);
}

/* A destination that takes none, and came here nevertheless: from a waypoint of it, or by
 * istio-cni's rules. Others are let pass by the kernel. */
static enum step without_tunnel(struct conn *c)
{
	int r;

	c->path = WEFT_PATH_PLAIN;
	r = conn_connect_plain(c);
	if (r < 0)
		return conn_fail(c, WEFT_REASON_CONNECT_FAILED, "%s", log_strerror(r));
	return STEP_WAIT;
}

static enum step stage_tunnel(struct conn *c)
{
	int r;

	if (!c->waypoint && !c->gateway && (!c->dst || c->dst->protocol != TUNNEL_HBONE))
		return without_tunnel(c);
	c->path = WEFT_PATH_HBONE;
	c->head = calloc(1, sizeof(*c->head));
	if (!c->head || head_fill(c, c->head) < 0)
		return conn_fail(c, WEFT_REASON_LIMIT, "out of memory");
	c->peer_identity = str_dup(str_of(c->gateway ? c->sans_of->sans[0] : c->dst->identity));
	if (!c->peer_identity)
		return conn_fail(c, WEFT_REASON_LIMIT, "out of memory");
	r = dial(c);
	if (r == -ENOKEY)
		return conn_fail(c, WEFT_REASON_NO_IDENTITY, "no certificate for %s in force",
				 c->local->identity);
	if (r < 0)
		return conn_fail(c, WEFT_REASON_CONNECT_FAILED, "cannot open a tunnel: %s",
				 log_strerror(r));
	conn_deadline(c, 20 * NS_PER_S);
	return STEP_WAIT;
}

static void on_splice_done(void *arg, enum weft_reason why)
{
	conn_end(arg, why, NULL);
}

static enum step relay_plain(struct conn *c)
{
	struct splice_opts o = { .on_done = on_splice_done, .arg = c };
	int r;

	if (c->app_error < 0)
		return conn_fail(c,
				 c->app_error == -ETIMEDOUT ? WEFT_REASON_TIMEOUT
							    : WEFT_REASON_CONNECT_FAILED,
				 "%s", log_strerror(c->app_error));
	stage_report_open(c);
	if (c->series) {
		o.count_a_to_b = &c->series->received_bytes;
		o.count_b_to_a = &c->series->sent_bytes;
	}
	r = splice_start(&c->splice, c->w->loop, c->fd, c->fd2, &o);
	if (r < 0)
		return conn_fail(c, WEFT_REASON_LIMIT, "cannot relay: %s", log_strerror(r));
	c->relay_started = true;
	return STEP_WAIT;
}

/* In a tunnel the pump runs since the request was sent; its end is the connection's. */
static enum step stage_relay(struct conn *c)
{
	return c->path == WEFT_PATH_PLAIN ? relay_plain(c) : STEP_WAIT;
}

const struct stage conn_outbound[] = {
	{ "await", stage_await },
	{ "identify", stage_identify },
	{ "ask", stage_ask },
	{ "route", stage_route },
	{ "resolve", stage_resolve },
	{ "authorize", stage_authorize },
	{ "tunnel", stage_tunnel },
	{ "relay", stage_relay },
	{ NULL, NULL },
};
