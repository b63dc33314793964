// SPDX-License-Identifier: Apache-2.0
/*
 * The command "why": a story about the published snapshot, with what only the daemon knows:
 * which pods are enrolled, and what the kernel has cached. Control thread, so that snapshot,
 * enrolment and epoch are of one moment.
 */
#include <errno.h>

#include "admin/why.h"
#include "daemon/daemon.h"
#include "kern/kern.h"
#include "pod/pods.h"

static bool is_enrolled(void *arg, const struct workload *w, const struct weft_addr *a)
{
	struct daemon *d = arg;

	return pods_address_flags(d->pods, w->id, a) & WEFT_WLD_LOCAL;
}

static bool is_tunnel_only(void *arg, const struct workload *w, const struct weft_addr *a)
{
	struct daemon *d = arg;

	return pods_address_flags(d->pods, w->id, a) & WEFT_WLD_RULES;
}

static void get_cached(void *arg, uint32_t src, uint32_t dst, uint16_t port, struct why_cache *ret)
{
	struct daemon *d = arg;
	struct weft_verdict v;

	*ret = (struct why_cache){ .state = WHY_MISS, .epoch_now = kern_epoch_any(d->kern) };
	if (kern_verdict_get_any(d->kern, src, dst, port, &v) < 0)
		return;
	ret->epoch = v.epoch;
	if (v.epoch != ret->epoch_now)
		ret->state = WHY_STALE;
	else if (v.kind == WEFT_VERDICT_ALLOW)
		ret->state = WHY_HIT_ALLOW;
	else if (v.kind == WEFT_VERDICT_DENY)
		ret->state = WHY_HIT_DENY;
}

json_t *on_why(void *arg, const json_t *req, struct errbuf *err)
{
	struct daemon *d = arg;
	const struct why_env env = {
		.node = d->opts.node,
		.same_node_mtls = d->opts.same_node == OPTS_MTLS,
		.on_demand = d->istiod.demand,
		.enrolled = is_enrolled,
		.tunnel_only = is_tunnel_only,
		.cached = get_cached,
		.arg = d,
	};
	cleanup_with(why_free) struct why_story *story = NULL;
	const char *from, *to;
	json_int_t port = 0;

	if (json_unpack((json_t *)req, "{s:s, s:s, s?I}", "from", &from, "to", &to, "port", &port) <
	    0) {
		errbuf_set(err, -EINVAL,
			   "why needs from and to, and port as a number if it is given");
		return NULL;
	}
	if (port < 0 || port > UINT16_MAX) {
		errbuf_set(err, -EINVAL, "%lld is not a port", (long long)port);
		return NULL;
	}
	if (why_ask(model_snap(d->model), &env, from, to, (uint16_t)port, err, &story) < 0)
		return NULL;
	return view_why(story, d->opts.node);
}
