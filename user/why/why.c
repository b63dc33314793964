// SPDX-License-Identifier: Apache-2.0
/*
 * The ways of one connection (see why.h): every pair of addresses of one family, every endpoint
 * that may be chosen. The order of questions is that of bpf/connect.bpf.c.
 */
#include "why/why.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "weft/abi.h"
#include "base/own.h"
#include "policy/stranger.h"

struct teller {
	const struct snap *s;
	const struct why_env *env;
	struct why_story *story;
	struct lb_from from;
};

const char *why_path_text(enum why_path path)
{
	static const char *const text[] = {
		[WHY_REFUSED] = "refused",
		[WHY_LOCAL] = "local",
		[WHY_PASSTHROUGH] = "passthrough",
		[WHY_DIRECT] = "direct",
		[WHY_HBONE] = "hbone",
		[WHY_PLAIN] = "plain",
		[WHY_UNSEEN] = "unseen",
		[WHY_WAYPOINT] = "waypoint",
		[WHY_GATEWAY] = "gateway",
	};

	return text[path];
}

/* ---- policies */

static bool wants_policies(enum why_path path)
{
	return path == WHY_DIRECT || path == WHY_HBONE || path == WHY_PLAIN;
}

static void facts_of(const struct teller *t, const struct why_route *r, struct facts *ret)
{
	const struct workload *known = r->path == WHY_PLAIN ? NULL : t->story->src.w;

	rbac_facts_of(known, r->dst, r->chosen.port, ret);
	ret->src_ip = r->src;
	ret->dst_ip = r->chosen.addr;
}

static void on_policy(void *arg, const struct explain_policy *p)
{
	struct why_route *r = arg;

	r->n_applied++;
	r->n_allows += p->policy && !p->policy->dry_run && p->policy->action == ACTION_ALLOW;
	if (r->n_policies < WHY_POLICIES_MAX)
		r->policies[r->n_policies++] = (struct why_policy){ .p = *p };
	else if (p->decides)
		r->policies[WHY_POLICIES_MAX - 1] = (struct why_policy){ .p = *p };
}

static void on_miss(void *arg, const struct explain_policy *p, const struct explain_miss *m)
{
	struct why_route *r = arg;
	struct why_policy *last = &r->policies[r->n_policies - 1];

	if (last->p.policy != p->policy)
		return; /* it is not kept */
	if (last->n_misses < WHY_MISSES_MAX)
		last->miss[last->n_misses] = *m;
	last->n_misses++;
}

static int route_explain(const struct teller *t, struct why_route *r)
{
	static const struct explain_ops ops = { .on_policy = on_policy, .on_miss = on_miss };
	struct facts f;

	r->policies = calloc(WHY_POLICIES_MAX, sizeof(*r->policies));
	if (!r->policies)
		return -ENOMEM;
	facts_of(t, r, &f);
	policy_explain(t->s, &f, &ops, r, &r->verdict);
	return 0;
}

static void route_judge(const struct teller *t, struct why_route *r)
{
	struct facts f;

	facts_of(t, r, &f);
	rbac_check(t->s, &f, &r->verdict);
	r->judged = true;
	r->allow = r->verdict.allow;
	r->reason = r->allow ? WEFT_REASON_NONE : WEFT_REASON_POLICY_DENIED;
	r->at_syn = r->path == WHY_PLAIN && !r->allow &&
		    rbac_strangers_refused(t->s, r->dst, &r->chosen);
}

/* The kernel decides by its cache only what both ends of this node have to do with. */
static void route_ask_kernel(const struct teller *t, struct why_route *r)
{
	const struct why_env *env = t->env;
	const struct workload *w = t->story->src.w;

	if (r->path != WHY_DIRECT || !env->cached || strcmp(w->node, env->node) != 0)
		return;
	env->cached(env->arg, w->id, r->dst->id, r->chosen.port, &r->cache);
	r->cache_wrong = (r->cache.state == WHY_HIT_ALLOW && !r->allow) ||
			 (r->cache.state == WHY_HIT_DENY && r->allow);
}

/* ---- one way */

static bool is_own_addr(const struct why_source *src, const struct weft_addr *a)
{
	for (size_t i = 0; i < src->addrs.n; i++)
		if (ip_eq(&src->addrs.a[i], a))
			return true;
	for (size_t i = 0; src->w && !src->w->host_network && i < src->w->n_addrs; i++)
		if (ip_eq(&src->w->addrs[i], a))
			return true;
	return false;
}

static bool may_be_direct(const struct teller *t, const struct why_route *r)
{
	const struct why_env *env = t->env;

	return !r->from_waypoint && !env->same_node_mtls &&
	       !route_depends_on_client(t->s, &r->dialled.addr) &&
	       strcmp(t->story->src.w->node, r->dst->node) == 0 &&
	       !(env->tunnel_only && env->tunnel_only(env->arg, r->dst, &r->chosen.addr));
}

static enum why_path path_of(const struct teller *t, struct why_route *r)
{
	const struct why_source *src = &t->story->src;
	const struct why_env *env = t->env;
	bool there;

	if (is_own_addr(src, &r->chosen.addr))
		return WHY_LOCAL;
	if (!r->dst)
		r->untold = env->on_demand && src->enrolled &&
			    !snap_service_by_vip(t->s, &r->chosen.addr) &&
			    !snap_service_by_range(t->s, &r->chosen.addr);
	if (!r->dst)
		return src->enrolled ? WHY_PASSTHROUGH : WHY_UNSEEN;
	there = why_is_enrolled(env, r->dst, &r->chosen.addr);
	r->dst_absent = !there && r->dst->protocol == TUNNEL_HBONE;
	if ((there || r->dst->protocol == TUNNEL_HBONE) && weft_port_is_reserved(r->chosen.port)) {
		r->reason = WEFT_REASON_RESERVED_PORT;
		return WHY_REFUSED;
	}
	if (src->enrolled && r->dst->protocol == TUNNEL_HBONE && route_is_elsewhere(src->w, r->dst)) {
		r->reason = WEFT_REASON_BAD_DESTINATION;
		return WHY_REFUSED;
	}
	if (src->enrolled && r->dst->protocol == TUNNEL_HBONE)
		return there && may_be_direct(t, r) ? WHY_DIRECT : WHY_HBONE;
	if (there)
		return WHY_PLAIN;
	return src->enrolled ? WHY_PASSTHROUGH : WHY_UNSEEN;
}

/* Where it is kept; NULL when the story is full of what matters more. */
static struct why_route *route_place(struct why_story *story, const struct why_route *r)
{
	if (story->n_routes < WHY_ROUTES_MAX)
		return &story->routes[story->n_routes++];
	if (r->reason == WEFT_REASON_NONE || story->n_denied > 1)
		return NULL;
	free(story->routes[WHY_ROUTES_MAX - 1].policies);
	return &story->routes[WHY_ROUTES_MAX - 1];
}

static int route_add(struct teller *t, struct why_route *r)
{
	struct why_story *story = t->story;
	struct why_route *kept;

	if (wants_policies(r->path))
		route_judge(t, r);
	else
		r->allow = r->path != WHY_REFUSED;
	route_ask_kernel(t, r);
	story->cache_wrong |= r->cache_wrong;
	story->n_ways++;
	if (r->allow)
		story->n_allowed++;
	else if (r->reason != WEFT_REASON_NO_ENDPOINT)
		story->n_denied++;
	if (!r->allow &&
	    (story->reason == WEFT_REASON_NONE || story->reason == WEFT_REASON_NO_ENDPOINT))
		story->reason = r->reason;
	kept = route_place(story, r);
	if (!kept)
		return 0;
	*kept = *r;
	return kept->judged ? route_explain(t, kept) : 0;
}

/* w: whose name is resolved for it, if it has no address. */
static int route_to(struct teller *t, struct why_route r, const struct workload *w)
{
	r.by_name = w && ip_is_any(&r.chosen.addr);
	r.dst = r.by_name ? w : snap_workload_by_addr(t->s, &r.chosen.addr);
	r.path = path_of(t, &r);
	return route_add(t, &r);
}

static int route_refuse(struct teller *t, struct why_route r, enum weft_reason why)
{
	r.path = WHY_REFUSED;
	r.reason = why;
	return route_add(t, &r);
}

/* ---- one dialled address */

static const struct service *vip_service(const struct teller *t, const struct weft_addr *a)
{
	const struct workload *src = t->story->src.w;
	const struct service *svc = src ? snap_service_by_vip_for(t->s, a, src->ns)
					: snap_service_by_vip(t->s, a);

	return svc && svc->lb_mode != LB_PASSTHROUGH ? svc : NULL;
}

static bool has_port(const struct service *svc, uint16_t port)
{
	for (size_t i = 0; i < svc->n_ports; i++)
		if (svc->ports[i].port == port)
			return true;
	return false;
}

static void choice_unhealthy(const struct snap *s, struct why_choice *c)
{
	for (size_t i = 0; i < s->n_workloads && !c->svc->allow_unhealthy; i++) {
		const struct workload *w = s->workload[i];

		for (size_t k = 0; w->status != WORKLOAD_HEALTHY && k < w->n_services; k++) {
			if (strcmp(w->services[k].key, c->svc->key) != 0)
				continue;
			if (c->n_unhealthy < WHY_UNHEALTHY_MAX)
				c->unhealthy[c->n_unhealthy] = w;
			c->n_unhealthy++;
		}
	}
}

static int choice_make(struct teller *t, const struct service *svc, const struct weft_ep *dialled,
		       struct why_choice **ret)
{
	struct why_choice *c = &t->story->choices[t->story->n_choices];
	int r;

	*c = (struct why_choice){ .svc = svc, .dialled = *dialled };
	r = lb_rows(svc, &t->from, dialled->port, ip_is_v4(&dialled->addr), &c->rows);
	if (r < 0)
		return r;
	t->story->n_choices++;
	c->n_rows = svc->n_endpoints;
	for (size_t i = 0; i < c->n_rows; i++)
		c->all_slots += c->rows[i].slots;
	choice_unhealthy(t->s, c);
	*ret = c;
	return 0;
}

/* To an endpoint in another network, which the kernel never chooses. */
static int route_away(struct teller *t, struct why_route r, struct workload *w)
{
	struct errbuf err = { 0 };
	struct route found = { 0 };

	r.dst = w;
	if (!t->story->src.enrolled) {
		r.path = WHY_UNSEEN;
		return route_add(t, &r);
	}
	route_through_gateway(t->s, w, &t->from, &r.dialled, &err, &found);
	if (found.kind == ROUTE_REFUSED) {
		str_copy(r.said, sizeof(r.said), str_of(err.text));
		return route_refuse(t, r, found.reason);
	}
	r.path = WHY_GATEWAY;
	r.chosen = found.to;
	r.gateway = found.gateway;
	return route_add(t, &r);
}

static int ways_of_service(struct teller *t, const struct why_route *r, const struct why_choice *c)
{
	if (c->all_slots == 0)
		return route_refuse(t, *r, WEFT_REASON_NO_ENDPOINT);
	for (size_t i = 0; i < c->n_rows; i++) {
		struct why_route way = *r;
		int bad;

		if (c->rows[i].slots == 0)
			continue;
		way.chosen = c->rows[i].choice.ep;
		way.slots = c->rows[i].slots;
		way.all_slots = c->all_slots;
		bad = c->rows[i].choice.away ? route_away(t, way, c->rows[i].choice.w)
					     : route_to(t, way, c->rows[i].choice.w);
		if (bad < 0)
			return bad;
	}
	return 0;
}

/* What has a waypoint: *ret_done unless the source is that waypoint. */
static int way_of_waypoint(struct teller *t, struct why_route *r, bool *ret_done)
{
	struct errbuf err = { 0 };
	struct route found;

	route_find(t->s, t->story->src.w, &r->dialled, NULL, &err, &found);
	*ret_done = found.kind == ROUTE_WAYPOINT || found.reason == WEFT_REASON_NO_WAYPOINT;
	r->from_waypoint = !*ret_done && route_is_waypoint(t->s, &r->dialled.addr, t->story->src.w);
	if (!*ret_done)
		return 0;
	r->svc = found.svc;
	if (found.kind == ROUTE_REFUSED) {
		str_copy(r->said, sizeof(r->said), str_of(err.text));
		return route_refuse(t, *r, found.reason);
	}
	r->path = WHY_WAYPOINT;
	r->chosen = found.to;
	r->dst = found.dst;
	return route_add(t, r);
}

/* c: what the dialled service chooses from, NULL if it is none. */
static int ways_of_pair(struct teller *t, const struct weft_addr *from, const struct weft_ep *dialled,
			const struct service *vip, const struct why_choice *c)
{
	const struct why_source *src = &t->story->src;
	struct why_route r = { .src = *from, .dialled = *dialled, .chosen = *dialled, .svc = vip };
	bool own = is_own_addr(src, &dialled->addr) || ip_is_loopback(&dialled->addr);
	bool known = own || vip || snap_workload_by_addr(t->s, &dialled->addr);

	if (src->enrolled && known && weft_port_is_reserved(dialled->port))
		return route_refuse(t, r, WEFT_REASON_RESERVED_PORT);
	if (own) {
		r.path = WHY_LOCAL;
		return route_add(t, &r);
	}
	if (src->enrolled && route_needs_relay(t->s, t->from.network, &dialled->addr)) {
		bool done;
		int bad = way_of_waypoint(t, &r, &done);

		if (bad < 0 || done)
			return bad;
	}
	if (c)
		return ways_of_service(t, &r, c);
	if (vip && !snap_workload_by_addr(t->s, &dialled->addr))
		return route_refuse(t, r, WEFT_REASON_NO_ENDPOINT);
	r.svc = NULL;
	return route_to(t, r, NULL);
}

static int ways_of_dialled(struct teller *t, const struct weft_ep *dialled)
{
	const struct service *vip = vip_service(t, &dialled->addr);
	const struct why_addrs *from = &t->story->src.addrs;
	struct why_choice *c = NULL;
	int r = 0;

	if (vip && has_port(vip, dialled->port))
		r = choice_make(t, vip, dialled, &c);
	for (size_t i = 0; i < from->n && r == 0; i++)
		if (ip_is_v4(&from->a[i]) == ip_is_v4(&dialled->addr))
			r = ways_of_pair(t, &from->a[i], dialled, vip, c);
	return r;
}

/* ---- the story */

static void story_verdict(struct why_story *story)
{
	if (story->n_ways == 0)
		story->reason = story->dst.addrs.n ? WEFT_REASON_BAD_DESTINATION
						   : WEFT_REASON_NO_ENDPOINT;
	if (story->n_allowed == 0)
		story->verdict = WHY_DENY;
	else
		story->verdict = story->n_denied ? WHY_MIXED : WHY_ALLOW;
	if (story->verdict == WHY_ALLOW)
		story->reason = WEFT_REASON_NONE;
}

const struct why_route *why_decisive(const struct why_story *story)
{
	for (size_t i = 0; i < story->n_routes; i++)
		if (story->routes[i].reason == story->reason)
			return &story->routes[i];
	return NULL;
}

int why_ask(const struct snap *s, const struct why_env *env, const char *from, const char *to,
	    uint16_t port, struct errbuf *err, struct why_story **ret)
{
	static const struct why_env nobody;
	cleanup_with(why_free) struct why_story *story = calloc(1, sizeof(*story));
	struct teller t = { .s = s, .env = env ? env : &nobody, .story = story };
	int r = story ? why_find_source(s, t.env, from, err, &story->src) : -ENOMEM;

	if (r == 0)
		r = why_find_dest(s, &story->src, to, port, err, &story->dst);
	if (r < 0)
		return r;
	lb_from_node(s, story->src.w ? story->src.w->node : "", &t.from);
	for (size_t i = 0; i < story->dst.addrs.n && r == 0; i++)
		r = ways_of_dialled(&t, &(struct weft_ep){ .addr = story->dst.addrs.a[i],
							   .port = story->dst.port });
	if (r < 0)
		return r;
	story_verdict(story);
	*ret = TAKE_PTR(story);
	return 0;
}

void why_free(struct why_story **sp)
{
	struct why_story *story = *sp;

	if (!story)
		return;
	for (size_t i = 0; i < story->n_routes; i++)
		free(story->routes[i].policies);
	for (size_t i = 0; i < story->n_choices; i++)
		free(story->choices[i].rows);
	free(story);
	*sp = NULL;
}
