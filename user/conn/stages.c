// SPDX-License-Identifier: Apache-2.0
/* Stages and steps that more than one itinerary uses. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conn/conn.h"
#include "io/tcp.h"
#include "kern/kern.h"
#include "policy/dryrun.h"
#include "report/metric.h"
#include "weft/abi.h"

static const bool flagless[WEFT_REASON_MAX] = {
#define X(name, number, token, flag, sentence) [number] = flag[0] == '-',
	WEFT_REASONS(X)
#undef X
};

struct tcp_series *conn_series_get(struct conn *c, enum weft_reason reason)
{
	struct tcp_labels l = {
		.reporter = c->inbound ? REPORTER_DESTINATION : REPORTER_SOURCE,
		.src = c->src, .dst = c->dst, .service = c->service,
		.mutual_tls = c->path == WEFT_PATH_HBONE && c->peer_identity,
		.src_principal = c->inbound ? c->peer_identity : NULL,
		/* An end without a flag is counted where the opening was. */
		.reason = flagless[reason] ? WEFT_REASON_NONE : reason,
	};
	uint64_t key[3] = { (uintptr_t)c->src ^ (uintptr_t)c->service << 1, (uintptr_t)c->dst,
			    l.reason };
	struct conn_series *slot =
		&c->w->series[hash_bytes(key, sizeof(key)) % CONN_SERIES_SLOTS];

	if (l.reason == WEFT_REASON_NONE && c->series)
		return c->series;
	/* A source without a workload is named by its certificate alone. */
	if (!c->src || !c->dst)
		return metrics_tcp_any(c->w->sh->metrics, &l);
	if (slot->series && slot->src == c->src && slot->dst == c->dst &&
	    slot->service == c->service && slot->reporter == l.reporter &&
	    slot->mutual_tls == l.mutual_tls && slot->reason == l.reason)
		return slot->series;
	conn_series_drop(slot);
	slot->series = metrics_tcp_any(c->w->sh->metrics, &l);
	slot->src = workload_get(c->src);
	slot->dst = workload_get(c->dst);
	slot->service = service_get(c->service);
	slot->reporter = (uint8_t)l.reporter;
	slot->mutual_tls = l.mutual_tls;
	slot->reason = (uint8_t)l.reason;
	return slot->series;
}

void conn_series_drop(struct conn_series *slot)
{
	workload_put(&slot->src);
	workload_put(&slot->dst);
	service_put(&slot->service);
	slot->series = NULL;
}

/* Counts the connection as opened; from here on its bytes are visible. */
enum step stage_report_open(struct conn *c)
{
	c->series = conn_series_get(c, WEFT_REASON_NONE);
	if (c->series)
		atomic_fetch_add_explicit(&c->series->opened, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->w->sh->opened[c->path], 1, memory_order_relaxed);
	c->opened = true;
	return STEP_NEXT;
}

static void on_deadline(void *arg)
{
	conn_end(arg, WEFT_REASON_TIMEOUT, "no answer in time");
}

void conn_deadline(struct conn *c, uint64_t ns)
{
	if (ns)
		timer_set(c->w->loop, &c->deadline, ns, on_deadline, c);
	else
		timer_cancel(&c->deadline);
}

static int own_mark(int fd, void *arg)
{
	return kern_own_mark_any(arg, fd);
}

/* The result waits in app_error; the next stage knows how to tell the client. */
static void connect_over(struct conn *c, int r)
{
	timer_cancel(&c->deadline);
	c->app_error = r;
	conn_resume(c);
}

static void on_connecting(void *arg, uint32_t events)
{
	struct conn *c = arg;

	/* The connect is over; until the relay takes the watch, later edges are its business,
	 * and it begins with a look at the socket anyway. */
	if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) && timer_armed(&c->deadline))
		connect_over(c, tcp_connect_result(c->inbound ? c->fd : c->fd2));
}

static void on_connect_timeout(void *arg)
{
	connect_over(arg, -ETIMEDOUT);
}

/*
 * Source ports of legs that carry a client's address are ours to choose, and must not be ones
 * the client itself may be using towards the same application: the two connections would be
 * one 4-tuple in this netns. So they come from below the range that clients' kernels use, one
 * after the other, each worker its own residue class.
 */
#define APP_PORT_FIRST 1024u
#define APP_PORT_COUNT 31744u /* up to 32767; net.ipv4.ip_local_port_range begins at 32768 */
#define APP_PORT_TRIES 64

static uint16_t app_port(struct conn_worker *w)
{
	uint32_t n = w->sh->n_workers ? w->sh->n_workers : 1;

	w->next_port = (w->next_port + n) % (APP_PORT_COUNT - APP_PORT_COUNT % n);
	return (uint16_t)(APP_PORT_FIRST + w->next_port);
}

/*
 * Connects to the application inside its pod, from the client's address: the leg stays on the
 * pod's loopback, replies come back to it by mark and routing table (replies.c). A pod that
 * calls itself keeps its own address. One that reads PROXY protocol is connected to on loopback.
 */
int conn_connect_app(struct conn *c, struct watch *w)
{
	bool self = ip_eq(&c->client.addr, &c->chosen.addr);
	bool spoof = !self && !c->told && ip_is_v4(&c->client.addr) == ip_is_v4(&c->chosen.addr);
	struct tcp_connect_opts o = {
		.netns_fd = c->local->netns_fd, .to = c->chosen,
		.from = spoof ? &c->client.addr : NULL,
		.stays_here = true, .mark = WEFT_ROUTE_MARK, .congestion = c->w->sh->congestion,
		.prepare = own_mark, .prepare_arg = c->w->sh->kern,
	};
	int fd = -EADDRINUSE, r;

	if (c->told)
		ip_parse(ip_is_v4(&o.to.addr) ? STR("127.0.0.1") : STR("::1"), &o.to.addr);
	r = spoof ? conn_local_replies(c->local) : 0;

	if (r < 0)
		return r;
	for (int i = 0; i < APP_PORT_TRIES && (fd == -EADDRINUSE || fd == -EADDRNOTAVAIL); i++) {
		o.from_port = spoof ? app_port(c->w) : 0;
		fd = tcp_connect(&o);
		if (!spoof)
			break;
	}
	if (fd < 0)
		return fd;
	c->fd = fd;
	timer_set(c->w->loop, &c->deadline, 10 * NS_PER_S, on_connect_timeout, c);
	return watch_add(c->w->loop, w, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_connecting,
			 c);
}

int conn_connect_plain(struct conn *c)
{
	const struct tcp_connect_opts o = {
		.netns_fd = c->local->netns_fd,
		.to = c->chosen,
		.mark = c->local->pass_mark,
		.keepalive_s = c->w->sh->keepalive_s,
		.prepare = own_mark,
		.prepare_arg = c->w->sh->kern,
	};
	int fd = tcp_connect(&o);

	if (fd < 0)
		return fd;
	c->fd2 = fd;
	timer_set(c->w->loop, &c->deadline, 10 * NS_PER_S, on_connect_timeout, c);
	return watch_add(c->w->loop, &c->splice.watch[1], fd,
			 EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_connecting, c);
}

static struct facts facts_of(const struct conn *c, const char *uri)
{
	struct facts f = { .src_ip = c->client.addr, .dst_ip = c->chosen.addr,
			   .dst_port = c->chosen.port, .dst = c->dst };

	if (uri && spiffe_parse(str_of(uri), &f.id) == 0) {
		f.has_identity = true;
		f.principal = (struct str){ uri + strlen("spiffe://"),
					    strlen(uri) - strlen("spiffe://") };
	}
	return f;
}

bool conn_denied_as(struct conn *c, const char *uri)
{
	const struct snap *s = model_snap(c->w->sh->model);
	struct facts f = facts_of(c, uri);
	struct rbac_result res;

	rbac_check(s, &f, &res);
	if (res.allow)
		return false;
	conn_set_policy(c, res.policy, res.rule);
	return true;
}

bool conn_denied(struct conn *c)
{
	return conn_denied_as(c, c->inbound ? c->peer_identity
				 : c->src   ? c->src->identity
					    : NULL);
}

bool conn_dry_run(struct conn *c, struct rbac_result *ret)
{
	const struct snap *s = model_snap(c->w->sh->model);
	struct rbac_result now;
	struct facts f;

	if (!c->inbound || !dryrun_any(s))
		return false;
	f = facts_of(c, c->peer_identity);
	rbac_check(s, &f, &now);
	if (!dryrun_differs(s, &f, &now, ret))
		return false;
	atomic_fetch_add_explicit(&c->w->sh->dry_run[ret->allow], 1, memory_order_relaxed);
	return true;
}
