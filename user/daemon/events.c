// SPDX-License-Identifier: Apache-2.0
/*
 * Events of the kernel's own connections (direct, passthrough, refused in the connect hook):
 * access log lines and drop records. Counters do not depend on them. Control thread.
 */
#include <string.h>

#include "base/clock.h"
#include "daemon/daemon.h"
#include "policy/rbac.h"
#include "report/access.h"
#include "report/drops.h"

/* The kernel knows that it was denied; the evaluator knows by which policy. */
static void explain(const struct snap *s, const struct workload *src, const struct workload *dst,
		    const struct weft_event *e, struct rbac_result *ret)
{
	struct facts f;

	if (!src || !dst)
		return;
	rbac_facts_of(src, dst, e->tuple.dport, &f);
	f.dst_ip = e->tuple.dst;
	for (size_t i = 0; i < src->n_addrs; i++)
		if (ip_is_v4(&src->addrs[i]) == ip_is_v4(&e->tuple.dst))
			f.src_ip = src->addrs[i];
	rbac_check(s, &f, ret);
}

static void record_drop(struct daemon *d, const struct weft_event *e, const struct workload *src,
			const struct workload *dst, const char *policy)
{
	struct drop_rec r = { .time_s = clock_wall_s(), .reason = e->reason, .kernel = true,
			      .dst = { .addr = e->tuple.dst, .port = e->tuple.dport } };

	if (src) {
		snprintf(r.src_name, sizeof(r.src_name), "%s/%s", src->ns, src->name);
		if (src->n_addrs)
			r.src.addr = src->addrs[0];
	}
	if (dst)
		snprintf(r.dst_name, sizeof(r.dst_name), "%s/%s", dst->ns, dst->name);
	snprintf(r.policy, sizeof(r.policy), "%s", policy);
	drops_add_any(d->drops, &r);
}

void on_kernel_event(void *arg, const struct weft_event *e)
{
	struct daemon *d = arg;
	const struct snap *s = model_snap(d->model);
	const struct workload *src = snap_workload_by_id(s, e->src);
	const struct workload *dst = snap_workload_by_id(s, e->dst);
	bool inbound = e->reporter == WEFT_REPORTER_DESTINATION;
	struct rbac_result res = { .allow = true };
	struct access_rec r = {
		.inbound = inbound, .path = e->path, .reason = e->reason,
		.src = { .addr = e->tuple.src, .port = e->tuple.sport },
		.dst = { .addr = e->tuple.dst, .port = e->tuple.dport }, .dialled = e->dialled,
		.src_w = src, .dst_w = dst, .service = snap_service_by_port_id(s, e->service, NULL),
		/* Per-pod perspective: what the client sent is received by the server. */
		.sent_bytes = inbound ? e->sent_bytes : e->received_bytes,
		.received_bytes = inbound ? e->received_bytes : e->sent_bytes,
		.duration_ns = e->duration_ns,
	};

	if (e->kind == WEFT_EVENT_OPENED)
		return;
	if (e->kind == WEFT_EVENT_DENIED) {
		if (src && src->n_addrs)
			r.src.addr = src->addrs[0];
		if (e->reason == WEFT_REASON_POLICY_DENIED)
			explain(s, src, dst, e, &res);
		r.policy = res.policy;
		record_drop(d, e, src, dst, res.policy);
	}
	if (!r.service && dst)
		r.service = snap_service_of(s, dst, e->tuple.dport);
	access_write_any(d->access, &r);
}
