// SPDX-License-Identifier: Apache-2.0
/*
 * A plaintext connection that arrived for a local pod from outside the mesh (or from a pod
 * that is not enrolled): bpf/sklookup.bpf.c steered its SYN to the plaintext listener, or rules of
 * istio-cni redirected it.
 *
 *   ask        who it is, where istiod tells only what is asked for
 *   identify   the client has an address, never an identity
 *   authorize  policy decides: permissive meshes let it in, strict ones do not
 *   connect    to the application, from the client's address
 *   open       counted as opened
 *   relay      splice both ways
 */
#define LOG_SCOPE "conn"
#include <errno.h>
#include <sys/socket.h>

#include "base/log.h"
#include "conn/conn.h"
#include "io/tcp.h"
#include "report/metric.h"
#include "weft/abi.h"

/*
 * Our own leg to an application, steered back to us because its approval is missing (full
 * map, weftd outside the cgroup of the hooks)? Its SYN carried our mark, which
 * tcp_fwmark_accept gave to the accepted socket; from outside no mark gets here.
 */
static bool is_own_leg(int fd)
{
	uint32_t mark = 0;
	socklen_t n = sizeof(mark);

	return getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &n) == 0 && mark == WEFT_ROUTE_MARK;
}

/* The local address is what the client dialled: sk_lookup left it as it was. istio-cni's rules did
 * not, but netfilter knows; what it says must be this pod. */
static enum step whom_dialled(struct conn *c)
{
	const struct conn_local *l = c->local;
	int r = l->pass_mark ? tcp_original_dst(c->fd2, &c->chosen) : tcp_local(c->fd2, &c->chosen);

	if (r < 0 && l->pass_mark)
		return conn_fail(c, WEFT_REASON_RESERVED_PORT,
				 "dialled as it is, not by istio-cni's rules");
	if (r < 0)
		return conn_fail(c, WEFT_REASON_RESET, "gone before it was accepted");
	if (l->pass_mark && !ip_eq(&c->chosen.addr, &l->v4) && !ip_eq(&c->chosen.addr, &l->v6))
		return conn_fail(c, WEFT_REASON_BAD_DESTINATION, "not an address of the pod");
	c->dialled = c->chosen;
	return STEP_NEXT;
}

static enum step stage_identify(struct conn *c)
{
	const struct snap *s = model_snap(c->w->sh->model);

	c->inbound = true;
	c->path = WEFT_PATH_PLAIN;
	if (whom_dialled(c) != STEP_NEXT)
		return STEP_FAIL;
	if (is_own_leg(c->fd2))
		return conn_fail(c, WEFT_REASON_LIMIT,
				 "weftd's own connection came back: weft_approved is full, or "
				 "weftd runs outside the cgroup of its hooks");
	c->src = workload_get(snap_workload_by_addr(s, &c->client.addr));
	c->dst = workload_get(conn_local_workload(s, c->local));
	if (!c->dst)
		return conn_fail(c, WEFT_REASON_BAD_DESTINATION, "the pod is not in the mesh file");
	c->service = service_get(snap_service_of(s, c->dst, c->chosen.port));
	return STEP_NEXT;
}

static enum step stage_authorize(struct conn *c)
{
	if (conn_local_reserves(c->local, c->chosen.port))
		return conn_fail(c, WEFT_REASON_RESERVED_PORT, "a port of weftd");
	if (conn_denied(c))
		return conn_fail(c, WEFT_REASON_POLICY_DENIED, "%s",
				 c->policy ? c->policy : "no ALLOW policy matches");
	return STEP_NEXT;
}

static enum step stage_connect(struct conn *c)
{
	int r = conn_connect_app(c, &c->splice.watch[1]);

	if (r < 0)
		return conn_fail(c, WEFT_REASON_CONNECT_FAILED, "%s", log_strerror(r));
	return STEP_WAIT;
}

static enum step stage_open(struct conn *c)
{
	if (c->app_error < 0)
		return conn_fail(c, c->app_error == -ETIMEDOUT ? WEFT_REASON_TIMEOUT
							       : WEFT_REASON_CONNECT_FAILED,
				 "the application does not accept: %s",
				 log_strerror(c->app_error));
	return stage_report_open(c);
}

static void on_done(void *arg, enum weft_reason why)
{
	conn_end(arg, why, NULL);
}

static enum step stage_relay(struct conn *c)
{
	const struct splice_opts o = {
		.count_a_to_b = c->series ? &c->series->received_bytes : NULL,
		.count_b_to_a = c->series ? &c->series->sent_bytes : NULL,
		.on_done = on_done, .arg = c,
	};
	int r = splice_start(&c->splice, c->w->loop, c->fd2, c->fd, &o);

	if (r < 0)
		return conn_fail(c, WEFT_REASON_LIMIT, "cannot relay: %s", log_strerror(r));
	c->relay_started = true;
	return STEP_WAIT;
}

const struct stage conn_plain[] = {
	{ "await", stage_await },
	{ "ask", stage_ask },
	{ "identify", stage_identify },
	{ "authorize", stage_authorize },
	{ "connect", stage_connect },
	{ "open", stage_open },
	{ "relay", stage_relay },
	{ NULL, NULL },
};
