// SPDX-License-Identifier: Apache-2.0
/* A story as JSON (why.h). Pure translation: no state, no decision. */
#include "admin/why.h"

#include <string.h>

#include "admin/rows.h"
#include "admin/views.h"
#include "why/say.h"

static int set_bool(json_t *row, const char *key, bool v)
{
	return json_object_set_new_nocheck(row, key, json_boolean(v));
}

static int set_null(json_t *row, const char *key)
{
	return json_object_set_new_nocheck(row, key, json_null());
}

static int set_ep(json_t *row, const char *key, const struct weft_ep *ep)
{
	char text[IP_TEXT_MAX];

	return row_set_text(row, key, ip_format_ep(text, ep));
}

/* An endpoint without an address is known by its name. */
static int set_to(json_t *row, const struct weft_ep *ep, const struct workload *w)
{
	_free_ char *text = NULL;

	if (!w || !ip_is_any(&ep->addr))
		return set_ep(row, "to", ep);
	text = str_printf("%s:%u", w->hostname, ep->port);
	return text ? row_set_text(row, "to", text) : -ENOMEM;
}

static int set_name(json_t *row, const char *key, const struct workload *w)
{
	char text[WHY_TEXT_MAX];

	return row_set_text(row, key, w ? why_say_workload(text, w) : "");
}

/* Who an end is; without a workload all is "". */
static int set_workload(json_t *row, const struct workload *w)
{
	int r = row_set_text(row, "uid", w ? w->uid : "");

	r |= row_set_text(row, "namespace", w ? w->ns : "");
	r |= row_set_text(row, "name", w ? w->name : "");
	r |= row_set_text(row, "node", w ? w->node : "");
	r |= row_set_text(row, "protocol", w && w->protocol == TUNNEL_HBONE ? "HBONE" : "TCP");
	return r;
}

static json_t *view_source(const struct why_source *src)
{
	json_t *row = json_object();
	int r = row_set_text(row, "kind", src->w ? "workload" : "outside");

	r |= set_workload(row, src->w);
	r |= row_set_text(row, "identity", src->w && src->enrolled ? src->w->identity : "");
	r |= row_set_addrs(row, "ips", src->addrs.a, src->addrs.n);
	r |= set_bool(row, "example", src->example);
	r |= set_bool(row, "enrolled", src->enrolled);
	r |= set_bool(row, "enrolled_known", src->enrol_known);
	if (r == 0)
		return row;
	json_decref(row);
	return NULL;
}

static const char *mode_text(const struct service *svc)
{
	static const char *const text[] = {
		[LB_STANDARD] = "Standard",
		[LB_STRICT] = "Strict",
		[LB_FAILOVER] = "Failover",
		[LB_PASSTHROUGH] = "Passthrough",
	};

	return svc ? text[svc->lb_mode] : "";
}

static const char *dest_kind(const struct why_dest *d)
{
	if (d->svc)
		return d->headless ? "headless" : "service";
	return d->w ? "workload" : "address";
}

static json_t *view_dest(const struct why_story *story)
{
	const struct why_dest *d = &story->dst;
	/* A VIP that was given as an address is a service all the same. */
	const struct service *svc = d->svc ? d->svc
				    : story->n_choices ? story->choices[0].svc
						       : NULL;
	json_t *row = json_object();
	int r = row_set_text(row, "kind", svc && !d->svc ? "service" : dest_kind(d));

	r |= set_workload(row, d->w);
	r |= row_set_text(row, "service", svc ? svc->key : "");
	r |= row_set_text(row, "mode", mode_text(svc));
	r |= row_set_addrs(row, "ips", d->addrs.a, d->addrs.n);
	r |= row_set_u64(row, "port", d->port);
	if (r == 0)
		return row;
	json_decref(row);
	return NULL;
}

/* ---- endpoints */

static int endpoint_add(json_t *list, const struct workload *w, const struct weft_ep *to,
			double share, const char *left_out)
{
	json_t *row = json_object();
	int r = set_name(row, "workload", w);

	r |= row_set_text(row, "uid", w->uid);
	r |= row_set_text(row, "node", w->node);
	r |= row_set_text(row, "region", w->group->region);
	r |= row_set_text(row, "zone", w->group->zone);
	r |= row_set_text(row, "subzone", w->group->subzone);
	r |= row_set_text(row, "status", row_status_text(w->status));
	r |= row_set_u64(row, "weight", w->capacity);
	r |= to ? set_to(row, to, w) : row_set_text(row, "to", "");
	r |= json_object_set_new_nocheck(row, "share", json_real(share));
	r |= row_set_text(row, "left_out", left_out);
	return row_add(list, row, r);
}

static int row_endpoint_add(json_t *list, const struct why_choice *c, const struct lb_row *row)
{
	bool addressed = row->state == LB_CHOSEN || row->state == LB_NOT_PREFERRED;
	double share = c->all_slots ? (double)row->slots / c->all_slots : 0;

	return endpoint_add(list, row->choice.w, addressed ? &row->choice.ep : NULL, share,
			    why_say_left_out(row->state));
}

static int choice_add(json_t *list, const struct why_choice *c)
{
	json_t *row = json_object(), *endpoints = json_array();
	size_t all = c->n_rows + c->n_unhealthy, kept = 0;
	int r = row_set_text(row, "service", c->svc->key);

	r |= set_ep(row, "dialled", &c->dialled);
	r |= row_set_text(row, "mode", mode_text(c->svc));
	for (; kept < c->n_rows && kept < WHY_ENDPOINTS_MAX; kept++)
		r |= row_endpoint_add(endpoints, c, &c->rows[kept]);
	for (size_t i = 0; i < c->n_unhealthy && i < WHY_UNHEALTHY_MAX; i++, kept++)
		r |= endpoint_add(endpoints, c->unhealthy[i], NULL, 0, "it is unhealthy");
	r |= json_object_set_new_nocheck(row, "endpoints", endpoints);
	r |= row_set_u64(row, "endpoints_not_shown", all - kept);
	return row_add(list, row, r);
}

/* ---- policies */

static int miss_add(json_t *list, const struct why_story *story, const struct why_route *route,
		    const struct why_policy *p, const struct explain_miss *m)
{
	char text[WHY_TEXT_MAX];
	json_t *row = json_object();
	int r = row_set_u64(row, "rule", m->rule);

	r |= row_set_u64(row, "clause", m->clause);
	r |= row_set_u64(row, "match", m->match);
	r |= row_set_text(row, "field", m->field);
	r |= row_set_text(row, "sentence", why_say_miss(text, story, route, p, m));
	return row_add(list, row, r);
}

static int policy_add(json_t *list, const struct why_story *story, const struct why_route *route,
		      const struct why_policy *p)
{
	const struct policy *policy = p->p.policy;
	json_t *row = json_object(), *misses = json_array(), *warnings = json_array();
	int r = row_set_text(row, "policy", p->p.key);

	r |= set_bool(row, "exists", policy != NULL);
	r |= row_set_text(row, "scope", policy ? row_scope_text(policy->scope) : "");
	r |= row_set_text(row, "action", policy ? row_action_text(policy->action) : "");
	r |= set_bool(row, "dry_run", policy && policy->dry_run);
	r |= set_bool(row, "matches", p->p.matches);
	r |= set_bool(row, "decides", p->p.decides);
	r |= p->p.matches ? row_set_u64(row, "rule", (uint64_t)p->p.rule) : set_null(row, "rule");
	r |= row_set_u64(row, "rules", policy ? policy->n_rules : 0);
	for (size_t i = 0; policy && i < policy->n_warnings; i++)
		r |= json_array_append_new(warnings, view_text(policy->warnings[i]));
	r |= json_object_set_new_nocheck(row, "warnings", warnings);
	for (size_t i = 0; i < p->n_misses && i < WHY_MISSES_MAX; i++)
		r |= miss_add(misses, story, route, p, &p->miss[i]);
	r |= json_object_set_new_nocheck(row, "ruled_out", misses);
	r |= row_set_u64(row, "ruled_out_not_shown",
			 p->n_misses > WHY_MISSES_MAX ? p->n_misses - WHY_MISSES_MAX : 0);
	return row_add(list, row, r);
}

/* ---- routes */

static json_t *view_cache(const struct why_route *route)
{
	static const char *const text[] = {
		[WHY_NOT_ASKED] = "not-asked", [WHY_MISS] = "miss",	 [WHY_STALE] = "stale",
		[WHY_HIT_ALLOW] = "hit",       [WHY_HIT_DENY] = "hit",
	};
	const struct why_cache *c = &route->cache;
	const char *verdict = c->state == WHY_HIT_ALLOW	 ? "allow"
			      : c->state == WHY_HIT_DENY ? "deny"
							 : "";
	json_t *row = json_object();
	int r = row_set_text(row, "state", text[c->state]);

	r |= row_set_text(row, "verdict", verdict);
	r |= row_set_u64(row, "epoch", c->epoch);
	r |= row_set_u64(row, "epoch_now", c->epoch_now);
	r |= set_bool(row, "disagrees", route->cache_wrong);
	if (r == 0)
		return row;
	json_decref(row);
	return NULL;
}

static const char *reason_text(enum weft_reason reason)
{
	static const char *const text[] = {
#define X(name, number, token, flag, sentence) [number] = token,
		WEFT_REASONS(X)
#undef X
	};

	return reason == WEFT_REASON_NONE ? "" : text[reason];
}

static int set_policies(json_t *row, const struct why_story *story, const struct why_route *route)
{
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; i < route->n_policies; i++)
		r |= policy_add(list, story, route, &route->policies[i]);
	r |= json_object_set_new_nocheck(row, "policies", list);
	r |= row_set_u64(row, "policies_not_shown", route->n_applied - route->n_policies);
	return r;
}

static int route_add(json_t *list, const struct why_story *story, const struct why_route *route)
{
	const struct rbac_result *v = &route->verdict;
	double share = route->all_slots ? (double)route->slots / route->all_slots : 1;
	char text[WHY_TEXT_MAX], src[IP_TEXT_MAX];
	json_t *row = json_object();
	int r = row_set_text(row, "src", ip_format(src, &route->src));

	r |= set_ep(row, "dialled", &route->dialled);
	r |= set_to(row, &route->chosen, route->dst);
	r |= row_set_text(row, "service", route->svc ? route->svc->key : "");
	r |= set_name(row, "workload", route->dst);
	r |= row_set_text(row, "node", route->dst ? route->dst->node : "");
	r |= json_object_set_new_nocheck(row, "share", json_real(share));
	r |= row_set_text(row, "path", why_path_text(route->path));
	r |= set_bool(row, "at_syn", route->at_syn);
	r |= row_set_text(row, "path_sentence", why_say_path(text, story, route));
	r |= row_set_text(row, "verdict", route->allow ? "allow" : "deny");
	r |= row_set_text(row, "verdict_sentence", why_say_verdict(text, story, route));
	r |= row_set_text(row, "reason", reason_text(route->reason));
	r |= set_bool(row, "enforced", route->judged);
	r |= row_set_text(row, "policy", v->policy);
	r |= route->judged && v->policy[0] && v->rule >= 0 ? row_set_u64(row, "rule", (uint64_t)v->rule)
							   : set_null(row, "rule");
	r |= set_policies(row, story, route);
	r |= json_object_set_new_nocheck(row, "cache", view_cache(route));
	return row_add(list, row, r);
}

static const char *story_sentence(char *buf, const struct why_story *story)
{
	const struct why_route *route = why_decisive(story);

	if (!route && story->reason == WEFT_REASON_NO_ENDPOINT)
		return "denied: the service has no endpoint";
	if (!route)
		return "denied: the two have no address family in common";
	return why_say_verdict(buf, story, route);
}

json_t *view_why(const struct why_story *story, const char *node)
{
	static const char *const verdict[] = {
		[WHY_ALLOW] = "allow",
		[WHY_DENY] = "deny",
		[WHY_MIXED] = "mixed",
	};
	_json_ json_t *j = json_object();
	json_t *choices = json_array(), *routes = json_array();
	const struct why_route *first = why_decisive(story);
	char text[WHY_TEXT_MAX];
	int r = row_set_text(j, "node", node);

	r |= row_set_text(j, "verdict", verdict[story->verdict]);
	r |= row_set_text(j, "reason", reason_text(story->reason));
	r |= row_set_text(j, "policy", first && first->judged ? first->verdict.policy : "");
	r |= row_set_text(j, "sentence", story_sentence(text, story));
	r |= json_object_set_new_nocheck(j, "source", view_source(&story->src));
	r |= json_object_set_new_nocheck(j, "destination", view_dest(story));
	for (size_t i = 0; i < story->n_choices; i++)
		r |= choice_add(choices, &story->choices[i]);
	for (size_t i = 0; i < story->n_routes; i++)
		r |= route_add(routes, story, &story->routes[i]);
	r |= json_object_set_new_nocheck(j, "choices", choices);
	r |= json_object_set_new_nocheck(j, "routes", routes);
	r |= row_set_u64(j, "routes_allowed", story->n_allowed);
	r |= row_set_u64(j, "routes_denied", story->n_ways - story->n_allowed);
	r |= row_set_u64(j, "routes_not_shown", story->n_ways - story->n_routes);
	r |= set_bool(j, "kernel_disagrees", story->cache_wrong);
	return r == 0 ? TAKE_PTR(j) : NULL;
}
