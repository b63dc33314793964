// SPDX-License-Identifier: Apache-2.0
/*
 * The driver of every connection: walks its stage table, remembers what is under way, and is
 * the single place where a connection ends; conn_free() then counts and logs it.
 */
#define LOG_SCOPE "conn"
#include "conn/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "weft/abi.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "codec/hbone.h"
#include "feed/demand.h"
#include "io/tcp.h"
#include "report/access.h"
#include "report/drops.h"
#include "report/metric.h"

struct conn_local *conn_local_get(struct conn_local *l)
{
	if (l)
		atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void conn_local_put(struct conn_local **lp)
{
	struct conn_local *l = *lp;

	*lp = NULL;
	if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
		return;
	own_close(&l->netns_fd);
	free(l->ns);
	free(l->name);
	free(l->identity);
	free(l->service_account);
	free(l);
}

bool conn_local_reserves(const struct conn_local *l, uint16_t port)
{
	return weft_port_is_reserved(port) || (l->pass_mark && port == WEFT_PORT_HOOKED);
}

struct workload *conn_local_workload(const struct snap *s, const struct conn_local *l)
{
	struct workload *w = snap_workload_by_pod(s, l->ns, l->name);

	return w && l->service_account[0] && strcmp(w->group->service_account, l->service_account) != 0
		       ? NULL
		       : w;
}

struct conn *conn_new(struct conn_worker *w, const struct stage *stages, struct conn_local *l)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->magic = CONN_MAGIC;
	c->w = w;
	c->stages = stages;
	c->local = conn_local_get(l);
	c->fd = c->fd2 = -1;
	c->rule = -1;
	c->started_ns = clock_mono_ns();
	c->id = (uint64_t)w->number << 48 | ++w->next_id;
	list_add_tail(&w->conns, &c->node);
	w->n_conns++;
	return c;
}

const char *conn_action(const struct conn *c)
{
	return c->stages[c->at].name ? c->stages[c->at].name : "done";
}

void conn_run(struct conn *c)
{
	while (!c->ending && c->stages[c->at].name) {
		switch (c->stages[c->at].run(c)) {
		case STEP_WAIT:
			return;
		case STEP_FAIL:
			conn_end(c, c->reason, NULL);
			return;
		case STEP_NEXT:
			c->at++;
		}
	}
}

static void on_resume(void *arg)
{
	struct conn *c = arg;

	OBJ_CHECK(c, CONN_MAGIC);
	if (c->ending)
		return;
	c->at++;
	conn_run(c);
}

void conn_resume(struct conn *c)
{
	task_defer(c->w->loop, &c->resume_later, on_resume, c);
}

static void set_detail(struct conn *c, const char *detail)
{
	if (!c->detail && detail)
		c->detail = str_dup(str_of(detail));
}

enum step conn_fail(struct conn *c, enum weft_reason why, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->reason = (uint8_t)why;
	set_detail(c, text);
	return STEP_FAIL;
}

void conn_set_policy(struct conn *c, const char *policy, int rule)
{
	free(c->policy);
	c->policy = policy && policy[0] ? str_dup(str_of(policy)) : NULL;
	c->rule = rule;
}

uint64_t conn_bytes_sent(const struct conn *c)
{
	if (!c->relay_started)
		return 0;
	return c->path == WEFT_PATH_PLAIN ? c->splice.way[c->inbound].bytes : c->pump.from_fd;
}

uint64_t conn_bytes_received(const struct conn *c)
{
	if (!c->relay_started)
		return 0;
	return c->path == WEFT_PATH_PLAIN ? c->splice.way[!c->inbound].bytes : c->pump.to_fd;
}

static void name_of(char *buf, size_t cap, const struct workload *w)
{
	if (w)
		snprintf(buf, cap, "%s/%s", w->ns, w->name);
}

static void report_drop(struct conn *c)
{
	struct drop_rec r = { .time_s = clock_wall_s(), .src = c->client, .dst = c->chosen,
			      .reason = c->reason };

	name_of(r.src_name, sizeof(r.src_name), c->src);
	name_of(r.dst_name, sizeof(r.dst_name), c->dst);
	if (c->policy)
		snprintf(r.policy, sizeof(r.policy), "%s", c->policy);
	r.rule = c->rule;
	drops_add_any(c->w->sh->drops, &r);
}

static void report_metrics(struct conn *c)
{
	struct tcp_series *s = conn_series_get(c, c->reason);

	if (!s)
		return;
	if (c->opened)
		atomic_fetch_add_explicit(&s->closed, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&s->failed, 1, memory_order_relaxed);
}

void conn_authority(const struct conn *c, char *buf, size_t cap)
{
	char text[IP_TEXT_MAX];

	if (c->gateway) {
		snprintf(buf, cap, "%s:%u", c->sans_of->hostname, c->dialled.port);
		return;
	}
	ip_format_ep(text, c->waypoint || c->inbound ? &c->dialled : &c->chosen);
	snprintf(buf, cap, "%s", text);
}

int conn_baggage(const struct workload *w, char *buf, size_t cap)
{
	const struct hbone_baggage b = {
		.cluster = str_of(w->group->cluster),
		.ns = str_of(w->ns),
		.workload_type = str_of(w->group->workload_type),
		.workload_name = str_of(w->group->workload_name),
		.service_name = str_of(w->group->canonical_name),
		.service_version = str_of(w->group->canonical_revision),
		.region = str_of(w->group->region),
		.zone = str_of(w->group->zone),
	};

	return hbone_baggage_format(buf, cap, &b);
}

static void report_access(struct conn *c)
{
	char authority[CONN_AUTHORITY_MAX];
	const char *own = c->inbound ? (c->dst ? c->dst->identity : c->local->identity)
				     : c->local->identity;
	bool mtls = c->path == WEFT_PATH_HBONE && c->peer_identity;
	struct rbac_result dry;
	struct access_rec r = {
		.inbound = c->inbound, .mutual_tls = mtls, .path = c->path, .reason = c->reason,
		.src = c->client, .dst = c->chosen, .dialled = c->dialled,
		.src_w = c->src, .dst_w = c->dst, .service = c->service,
		.src_identity = c->inbound ? c->peer_identity : own,
		.dst_identity = c->inbound ? own : c->peer_identity,
		.sent_bytes = conn_bytes_sent(c), .received_bytes = conn_bytes_received(c),
		.duration_ns = c->ended_ns - c->started_ns,
		.policy = c->policy, .rule = c->rule, .detail = c->detail,
	};

	if (c->path == WEFT_PATH_HBONE) {
		conn_authority(c, authority, sizeof(authority));
		r.hbone_addr = authority;
		if (!c->waypoint && !c->gateway)
			r.dst.port = WEFT_PORT_HBONE;
	}
	r.dry_run = conn_dry_run(c, &dry) ? &dry : NULL;
	access_write_any(c->w->sh->access, &r);
}

/* Later in the turn in which it ended, when nothing on the stack knows it any more. Counted and
 * logged only now: of many that are cut at once, the last shall not wait for words about the
 * first. */
void conn_free(void *arg)
{
	struct conn *c = arg;

	OBJ_CHECK(c, CONN_MAGIC);
	if ((!c->opened && c->reason != WEFT_REASON_RESET) ||
	    c->reason == WEFT_REASON_POLICY_CHANGED)
		report_drop(c);
	report_metrics(c);
	report_access(c);
	c->magic = 0;
	list_del(&c->node);
	task_cancel(&c->free_later);
	workload_put(&c->src);
	workload_put(&c->dst);
	workload_put(&c->gateway);
	service_put(&c->service);
	service_put(&c->sans_of);
	service_put(&c->gateway_sans_of);
	conn_local_put(&c->local);
	free(c->head);
	free(c->peer_identity);
	free(c->policy);
	free(c->detail);
	free(c);
}

static void conn_stop_relay(struct conn *c)
{
	if (c->path == WEFT_PATH_PLAIN) {
		if (c->relay_started)
			splice_stop(&c->splice);
		else
			watch_del(&c->splice.watch[1]);
		return;
	}
	/* pump_init() was called if there is a stream; it resets the stream while it lives. */
	if (c->pump.loop)
		pump_stop(&c->pump, c->stream && c->relay_started);
	if (c->stream && !c->relay_started)
		tunnel_cancel(&c->stream);
	c->stream = NULL;
}

void conn_end(struct conn *c, enum weft_reason why, const char *detail)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->ending)
		return;
	if (c->cut) {
		why = WEFT_REASON_POLICY_CHANGED;
		detail = "denied since the last change";
	}
	c->ending = true;
	c->ended_ns = clock_mono_ns();
	c->reason = (uint8_t)why;
	set_detail(c, detail);
	timer_cancel(&c->deadline);
	task_cancel(&c->resume_later);
	resolver_cancel(&c->query);
	demand_cancel(&c->ask);
	conn_stop_relay(c);
	/* The application shall see an error, not an orderly end of a stream that was cut. */
	if (why != WEFT_REASON_OK) {
		if (c->fd >= 0)
			tcp_reset_on_close(c->fd);
		if (c->fd2 >= 0)
			tcp_reset_on_close(c->fd2);
	}
	own_close(&c->fd);
	own_close(&c->fd2);
	atomic_fetch_add_explicit(&c->w->sh->ended[c->path][why], 1, memory_order_relaxed);
	list_del(&c->node);
	list_add_tail(&c->w->dead, &c->node);
	c->w->n_conns--;
	task_defer(c->w->loop, &c->free_later, conn_free, c);
}
