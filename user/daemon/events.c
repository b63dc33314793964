// SPDX-License-Identifier: Apache-2.0
/*
 * Events of the kernel's own connections (direct, passthrough, refused in the connect hook):
 * access log lines and drop records. Counters do not depend on them. Control thread.
 */
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon.h"
#include "policy/dryrun.h"
#include "report/access.h"
#include "report/drops.h"

/* When the hook refuses, the socket has no address yet: the pod's own of that family. */
static struct weft_addr source_addr(const struct weft_event *e, const struct workload *src)
{
	struct weft_addr addr = e->tuple.src;

	for (size_t i = 0;
	     e->kind == WEFT_EVENT_DENIED && e->path == WEFT_PATH_DENIED && src && i < src->n_addrs;
	     i++)
		if (ip_is_v4(&src->addrs[i]) == ip_is_v4(&e->tuple.dst))
			addr = src->addrs[i];
	return addr;
}

static bool facts_of(const struct access_rec *r, struct facts *ret)
{
	/* A plaintext client may have the address of a workload; its identity it has not. */
	const struct workload *src = r->path == WEFT_PATH_PLAIN ? NULL : r->src_w;

	if ((!src && r->path != WEFT_PATH_PLAIN) || !r->dst_w || r->path == WEFT_PATH_PASSTHROUGH)
		return false;
	rbac_facts_of(src, r->dst_w, r->dst.port, ret);
	ret->src_ip = r->src.addr;
	ret->dst_ip = r->dst.addr;
	return true;
}

/* The kernel knows whether it was denied; the evaluator knows by which policy, and what dry-run
 * policies would have changed. res, dry: where that is kept while r is used. */
static void explain(struct daemon *d, struct access_rec *r, struct rbac_result *res,
		    struct rbac_result *dry)
{
	const struct snap *s = model_snap(d->model);
	bool denied = r->reason == WEFT_REASON_POLICY_DENIED ||
		      r->reason == WEFT_REASON_POLICY_CHANGED;
	struct facts f;

	if ((!denied && !dryrun_any(s)) || !facts_of(r, &f))
		return;
	rbac_check(s, &f, res);
	if (denied) {
		r->policy = res->policy;
		r->rule = res->rule;
	}
	if (!dryrun_differs(s, &f, res, dry))
		return;
	r->dry_run = dry;
	atomic_fetch_add_explicit(&d->shared.dry_run[dry->allow], 1, memory_order_relaxed);
}

static void record_drop(struct daemon *d, const struct access_rec *a)
{
	struct drop_rec r = { .time_s = clock_wall_s(),
			      .reason = a->reason,
			      .kernel = true,
			      .src = a->src,
			      .dst = a->dst,
			      .rule = a->rule };

	if (a->src_w)
		snprintf(r.src_name, sizeof(r.src_name), "%s/%s", a->src_w->ns, a->src_w->name);
	if (a->dst_w)
		snprintf(r.dst_name, sizeof(r.dst_name), "%s/%s", a->dst_w->ns, a->dst_w->name);
	snprintf(r.policy, sizeof(r.policy), "%s", a->policy ? a->policy : "");
	drops_add_any(d->drops, &r);
}

void on_kernel_event(void *arg, const struct weft_event *e)
{
	struct daemon *d = arg;
	const struct snap *s = model_snap(d->model);
	const struct workload *src = snap_workload_by_id(s, e->src);
	const struct workload *dst = snap_workload_by_id(s, e->dst);
	struct rbac_result res, dry;
	struct access_rec r = {
		.inbound = e->path == WEFT_PATH_PLAIN,
		.path = e->path,
		.reason = e->reason,
		.src = { .addr = source_addr(e, src), .port = e->tuple.sport },
		.dst = { .addr = e->tuple.dst, .port = e->tuple.dport },
		.dialled = e->dialled,
		.src_w = src,
		.dst_w = dst,
		.service = snap_service_by_port_id(s, e->service, NULL),
		/* Per-pod perspective: what the client sent is received by the server. */
		.sent_bytes = e->received_bytes,
		.received_bytes = e->sent_bytes,
		.duration_ns = e->duration_ns,
		.rule = -1,
	};

	if (e->kind == WEFT_EVENT_OPENED)
		return;
	explain(d, &r, &res, &dry);
	if (e->kind == WEFT_EVENT_DENIED || e->reason == WEFT_REASON_POLICY_CHANGED)
		record_drop(d, &r);
	if (!r.service && dst)
		r.service = snap_service_of(s, dst, e->tuple.dport);
	access_write_any(d->access, &r);
	if (e->path != WEFT_PATH_DIRECT || e->reason == WEFT_REASON_CONNECT_FAILED)
		return;
	/* The same connection as the server's pod sees it: recorded once for both. */
	r.inbound = true;
	r.dialled = r.dst;
	r.sent_bytes = e->sent_bytes;
	r.received_bytes = e->received_bytes;
	access_write_any(d->access, &r);
}
