// SPDX-License-Identifier: Apache-2.0
/*
 * A connection that arrived in a tunnel for a local pod (CONNECT on port 15008).
 *
 *   ask        istiod for what it has not told, where it tells only what is asked for
 *   identify   who is the peer (its certificate), which workload has its address
 *   authorize  is it for this pod and port, and does policy allow it: 400, 401, 503
 *   connect    to the application, from the client's address
 *   answer     200, only now: the application has accepted
 *   relay      bytes both ways until both sides ended
 */
#define LOG_SCOPE "conn"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "codec/hbone.h"
#include "codec/proxyv2.h"
#include "conn/conn.h"
#include "lb/route.h"
#include "report/access.h"
#include "report/drops.h"
#include "report/metric.h"
#include "weft/abi.h"

/* What the request said, parsed while its text was there. */
struct conn_head {
	struct hbone_authority authority;
	char host[256]; /* authority's host when it is no address */
	char forwarded_host[256];
	bool bad, not_connect;
};

static struct conn_head *head_parse(const struct h2_headers *h)
{
	struct conn_head *head = calloc(1, sizeof(*head));
	struct hbone_forwarded fwd;

	if (!head)
		return NULL;
	head->not_connect = !str_eq(h->method, STR("CONNECT"));
	head->bad = hbone_authority_parse(h->authority, &head->authority) < 0;
	if (!head->bad && !head->authority.is_ip)
		head->bad = str_copy(head->host, sizeof(head->host), head->authority.host) < 0;
	hbone_forwarded_parse(h->forwarded, &fwd);
	if (fwd.host.p && str_copy(head->forwarded_host, sizeof(head->forwarded_host), fwd.host) < 0)
		head->forwarded_host[0] = '\0';
	return head;
}

/* Ends the stream with this status; the connection then ends with why. */
static enum step refuse(struct conn *c, unsigned status, enum weft_reason why, const char *detail)
{
	struct tunnel_stream *s = c->stream;

	c->stream = NULL;
	pump_stop(&c->pump, false);
	tunnel_respond(s, status, NULL);
	return conn_fail(c, why, "%s", detail);
}

/* Who is the peer, and whose is an address that is not the pod's. */
static enum step stage_ask_both(struct conn *c)
{
	const struct hbone_authority *a = &c->head->authority;

	if (!c->head->bad && a->is_ip && !ip_eq(&a->addr, &c->chosen.addr))
		c->dialled.addr = a->addr;
	return stage_ask(c);
}

static enum step stage_identify(struct conn *c)
{
	const struct snap *s = model_snap(c->w->sh->model);
	struct workload *src;

	c->dst = workload_get(conn_local_workload(s, c->local));
	/* The address names the workload only if it proved to be it; a waypoint or gateway in
	 * between has its own. */
	src = snap_workload_by_addr(s, &c->client.addr);
	if (src && strcmp(src->identity, c->peer_identity) == 0)
		c->src = workload_get(src);
	if (!c->dst)
		return refuse(c, 503, WEFT_REASON_BAD_DESTINATION, "the pod is not in the mesh file");
	return STEP_NEXT;
}

/* Several namespaces may have a service of this name: the pod's own counts first. */
static struct service *service_named(const struct snap *s, const struct workload *w, const char *host)
{
	struct service *first = NULL, *svc;

	for (size_t i = 0; (svc = snap_service_by_hostname_nth(s, str_of(host), i)); i++)
		if (service_is_meant(svc, w->ns, &first))
			break;
	return first;
}

/* What the client dialled, as far as it says: the address, or one of the service's that it names. */
static struct weft_ep authority_ep(const struct conn *c)
{
	const struct hbone_authority *a = &c->head->authority;
	struct weft_ep ep = c->chosen;

	if (a->is_ip)
		return (struct weft_ep){ .addr = a->addr, .port = a->port };
	for (size_t i = 0; c->service && i < c->service->n_vips; i++) {
		if (i && !ip_is_v4(&c->service->vips[i]))
			continue;
		ep = (struct weft_ep){ .addr = c->service->vips[i], .port = a->port };
		if (ip_is_v4(&ep.addr))
			break;
	}
	return ep;
}

/* Where the authority leads inside this pod; sets chosen. NULL, or what is wrong with it. */
static const char *destination(struct conn *c, unsigned *ret_status)
{
	const struct snap *s = model_snap(c->w->sh->model);
	const struct conn_head *h = c->head;
	struct service *svc;

	*ret_status = 400;
	if (h->not_connect)
		return "method is not CONNECT";
	if (h->bad)
		return "authority is not address:port or host:port";
	if (h->authority.is_ip) {
		/* Of others only what has this pod as its waypoint; it still gets it itself. */
		if (!ip_eq(&h->authority.addr, &c->chosen.addr) && !c->dst->app_tunnel &&
		    !route_is_waypoint(s, &h->authority.addr, c->dst))
			return "authority is not an address of this pod";
		c->chosen.port = h->authority.port;
	} else {
		*ret_status = 503;
		svc = service_named(s, c->dst, h->host);
		c->chosen.port = svc ? lb_target_port(svc, c->dst, h->authority.port) : 0;
		if (!c->chosen.port)
			return "this pod is no endpoint of the host and port in the authority";
		c->service = service_get(svc);
	}
	*ret_status = 503;
	if (conn_local_reserves(c->local, c->chosen.port))
		return "authority names a port of weftd";
	c->dialled = authority_ep(c);
	if (c->dst->app_port)
		c->chosen.port = c->dst->app_port;
	if (conn_local_reserves(c->local, c->chosen.port))
		return "the application's tunnel names a port of weftd";
	return NULL;
}

/* The service is a label only: what the client says, if this pod belongs to it. */
static void label_service(struct conn *c)
{
	const struct snap *s = model_snap(c->w->sh->model);
	struct str host = str_of(c->head->forwarded_host);
	struct service *svc;

	if (c->service)
		return;
	for (size_t i = 0; host.n && (svc = snap_service_by_hostname_nth(s, host, i)); i++) {
		if (workload_is_member(c->dst, svc)) {
			c->service = service_get(svc);
			return;
		}
	}
	c->service = service_get(snap_service_of(s, c->dst, c->chosen.port));
}

static enum step stage_authorize(struct conn *c)
{
	unsigned status;
	const char *wrong = destination(c, &status);

	if (wrong)
		return refuse(c, status, WEFT_REASON_BAD_DESTINATION, wrong);
	label_service(c);
	if (conn_denied(c))
		return refuse(c, 401, WEFT_REASON_POLICY_DENIED,
			      c->policy ? c->policy : "no ALLOW policy matches");
	return STEP_NEXT;
}

static enum step stage_connect(struct conn *c)
{
	int r;

	c->told = c->dst->app_proxy;
	r = conn_connect_app(c, &c->pump.watch);

	if (r < 0)
		return refuse(c, 503, WEFT_REASON_CONNECT_FAILED, log_strerror(r));
	return STEP_WAIT;
}

static enum step stage_answer(struct conn *c)
{
	char baggage[HBONE_TEXT_MAX];
	int n;

	if (c->app_error < 0)
		return refuse(c, 503,
			      c->app_error == -ETIMEDOUT ? WEFT_REASON_TIMEOUT
							 : WEFT_REASON_CONNECT_FAILED,
			      log_strerror(c->app_error));
	n = conn_baggage(c->dst, baggage, sizeof(baggage));
	stage_report_open(c);
	if (c->series) {
		c->pump.o.count_from_fd = &c->series->sent_bytes;
		c->pump.o.count_to_fd = &c->series->received_bytes;
	}
	c->relay_started = true;
	free(c->head);
	c->head = NULL;
	if (tunnel_respond(c->stream, 200, n > 0 ? baggage : NULL) < 0)
		return conn_fail(c, WEFT_REASON_LIMIT, "cannot answer");
	return STEP_NEXT;
}

/* Goes into the socket's empty buffer whole. */
static int introduce(struct conn *c)
{
	uint8_t buf[PROXYV2_MAX];
	int n = proxyv2_format(buf, sizeof(buf), &c->client, &c->dialled, str_of(c->peer_identity));

	if (n < 0)
		return n;
	return send(c->fd, buf, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EPIPE;
}

static enum step stage_relay(struct conn *c)
{
	int r = c->told ? introduce(c) : 0;

	if (r < 0)
		return conn_fail(c, WEFT_REASON_CONNECT_FAILED, "the application does not read: %s",
				 log_strerror(r));
	r = pump_start(&c->pump, c->fd);

	if (r < 0)
		return conn_fail(c, WEFT_REASON_LIMIT, "cannot relay: %s", log_strerror(r));
	return STEP_WAIT;
}

const struct stage conn_inbound[] = {
	{ "ask", stage_ask_both },
	{ "identify", stage_identify },
	{ "authorize", stage_authorize },
	{ "connect", stage_connect },
	{ "answer", stage_answer },
	{ "relay", stage_relay },
	{ NULL, NULL },
};

/* ---- what the tunnel calls ---- */

static void on_relay_done(void *arg, enum weft_reason why)
{
	struct conn *c = arg;

	c->stream = NULL;
	conn_end(c, why, NULL);
}

/* The client went away before it was answered. */
static void on_stream_fail(void *arg, enum weft_reason why, unsigned status, const char *detail)
{
	struct conn *c = arg;

	(void)status;
	(void)why;
	c->stream = NULL;
	conn_end(c, WEFT_REASON_PEER_CLOSED, detail);
}

static void on_stream_open(void *arg)
{
	(void)arg; /* only clients are told */
}

static const struct tunnel_stream_ops stream_ops = {
	.on_open = on_stream_open,
	.on_fail = on_stream_fail,
};

static void on_request(void *arg, struct tunnel_stream *s, const struct h2_headers *h)
{
	struct conn_worker *w = arg;
	struct conn *c = conn_new(w, conn_inbound, tunnel_local(s));
	const struct pump_opts o = { .on_done = on_relay_done, .arg = c };

	if (c) {
		c->inbound = true;
		c->path = WEFT_PATH_HBONE;
		c->head = head_parse(h);
		c->peer_identity = str_dup(str_of(tunnel_peer_uri(s)));
		tunnel_addrs(s, &c->chosen, &c->client);
	}
	if (!c || !c->head || !c->peer_identity) {
		if (c)
			conn_end(c, WEFT_REASON_LIMIT, "out of memory");
		tunnel_respond(s, 503, NULL);
		return;
	}
	c->stream = s;
	tunnel_stream_claim(s, &stream_ops, c);
	/* Bytes that come before the application has accepted are kept, up to the window. */
	pump_init(&c->pump, w->loop, tunnel_chan(s), &o);
	conn_run(c);
}

static void on_refused(void *arg, void *local, const struct weft_ep *peer, enum weft_reason why,
		       const char *detail)
{
	struct conn_worker *w = arg;
	struct conn_local *l = local;
	const struct snap *s = model_snap(w->sh->model);
	struct workload *dst = conn_local_workload(s, l);
	struct access_rec r = {
		.inbound = true,
		.path = WEFT_PATH_HBONE,
		.reason = why,
		.src = *peer,
		.dst = { .addr = ip_is_v4(&peer->addr) ? l->v4 : l->v6, .port = WEFT_PORT_HBONE },
		.src_w = snap_workload_by_addr(s, &peer->addr),
		.dst_w = dst,
		.detail = detail,
	};
	struct drop_rec d = {
		.time_s = clock_wall_s(), .src = *peer, .dst = r.dst, .reason = why, .rule = -1
	};

	snprintf(d.dst_name, sizeof(d.dst_name), "%s/%s", l->ns, l->name);
	drops_add_any(w->sh->drops, &d);
	access_write_any(w->sh->access, &r);
	atomic_fetch_add_explicit(&w->sh->ended[WEFT_PATH_HBONE][why], 1, memory_order_relaxed);
}

/* An accepted tunnel has ended. */
static void on_local_put(void *arg, void *local)
{
	struct conn_worker *w = arg;
	struct conn_local *l = local;

	atomic_fetch_sub_explicit(&w->n_tunnels, 1, memory_order_relaxed);
	conn_local_put(&l);
}

const struct tunnel_ops conn_tunnel_ops = {
	.on_request = on_request,
	.on_refused = on_refused,
	.local_put = on_local_put,
};
