// SPDX-License-Identifier: Apache-2.0
/*
 * Model and certificates as JSON rows. Used by the daemon's control commands and the admin
 * pages. Pure translation: no state, no policy. Control thread.
 */
#include "admin/views.h"

#include <stdlib.h>

#include "admin/rows.h"
#include "base/str.h"
#include "ident/store.h"
#include "model/snap.h"

json_t *view_text(const char *s)
{
	json_t *j = json_string(s ? s : "");
	_free_ char *copy = NULL;

	if (j)
		return j;
	copy = str_dup(str_of(s));
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(copy);
}

int row_set_text(json_t *row, const char *key, const char *value)
{
	return json_object_set_new_nocheck(row, key, view_text(value));
}

int row_set_u64(json_t *row, const char *key, uint64_t v)
{
	return json_object_set_new_nocheck(row, key, json_integer((json_int_t)v));
}

int row_set_addrs(json_t *row, const char *key, const struct weft_addr *addrs, size_t n)
{
	json_t *list = json_array();
	char text[IP_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; i < n; i++)
		r |= json_array_append_new(list, json_string(ip_format(text, &addrs[i])));
	return r | json_object_set_new_nocheck(row, key, list);
}

static int set_texts(json_t *row, const char *key, char *const *texts, size_t n)
{
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; i < n; i++)
		r |= json_array_append_new(list, view_text(texts[i]));
	return r | json_object_set_new_nocheck(row, key, list);
}

int row_add(json_t *list, json_t *row, int r)
{
	if (r == 0)
		return json_array_append_new(list, row);
	json_decref(row);
	return r;
}

const char *row_status_text(enum workload_status status)
{
	return status == WORKLOAD_HEALTHY ? "Healthy" : "Unhealthy";
}

static int workload_add(json_t *list, const struct workload *w)
{
	json_t *row = json_object(), *services = json_array();
	int r = 0;

	r |= row_set_text(row, "uid", w->uid);
	r |= row_set_text(row, "namespace", w->ns);
	r |= row_set_text(row, "name", w->name);
	r |= row_set_addrs(row, "ips", w->addrs, w->n_addrs);
	r |= row_set_text(row, "node", w->node);
	r |= row_set_text(row, "identity", w->identity);
	r |= row_set_text(row, "protocol", w->protocol == TUNNEL_HBONE ? "HBONE" : "TCP");
	r |= row_set_text(row, "status", row_status_text(w->status));
	for (size_t i = 0; i < w->n_services; i++)
		r |= json_array_append_new(services, view_text(w->services[i].key));
	r |= json_object_set_new_nocheck(row, "services", services);
	r |= set_texts(row, "policies", w->policies, w->n_policies);
	r |= row_set_text(row, "waypoint", w->waypoint);
	r |= row_set_text(row, "network", w->network);
	r |= row_set_text(row, "gateway", w->group->gateway);
	r |= row_set_u64(row, "id", w->id);
	return row_add(list, row, r);
}

json_t *view_workloads(const struct snap *s)
{
	_json_ json_t *list = json_array();

	for (size_t i = 0; i < s->n_workloads; i++)
		if (workload_add(list, s->workload[i]) < 0)
			return NULL;
	return TAKE_PTR(list);
}

static int set_ports(json_t *row, const struct service *svc)
{
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; i < svc->n_ports; i++) {
		json_t *port = json_object();
		int bad = row_set_u64(port, "port", svc->ports[i].port);

		bad |= row_set_u64(port, "target_port", svc->ports[i].target_port);
		bad |= row_set_u64(port, "id", svc->ports[i].id);
		r |= row_add(list, port, bad);
	}
	return r | json_object_set_new_nocheck(row, "ports", list);
}

static int set_endpoints(json_t *row, const struct service *svc)
{
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; i < svc->n_endpoints; i++) {
		const struct workload *w = svc->endpoints[i].w;
		json_t *ep = json_object();
		int bad = row_set_text(ep, "workload", w->uid);

		bad |= row_set_addrs(ep, "ips", w->addrs, w->n_addrs);
		bad |= row_set_u64(ep, "weight", w->capacity);
		bad |= row_set_text(ep, "status", row_status_text(w->status));
		r |= row_add(list, ep, bad);
	}
	return r | json_object_set_new_nocheck(row, "endpoints", list);
}

json_t *view_services(const struct snap *s)
{
	_json_ json_t *list = json_array();

	for (size_t i = 0; i < s->n_services; i++) {
		const struct service *svc = s->service[i];
		json_t *row = json_object();
		int r = row_set_text(row, "namespace", svc->ns);

		r |= row_set_text(row, "hostname", svc->hostname);
		r |= row_set_addrs(row, "vips", svc->vips, svc->n_vips);
		r |= set_ports(row, svc);
		r |= set_endpoints(row, svc);
		if (row_add(list, row, r) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

const char *row_scope_text(enum policy_scope scope)
{
	static const char *const text[] = {
		[SCOPE_GLOBAL] = "Global",
		[SCOPE_NAMESPACE] = "Namespace",
		[SCOPE_WORKLOAD] = "WorkloadSelector",
	};

	return text[scope];
}

const char *row_action_text(enum policy_action action)
{
	static const char *const text[] = {
		[ACTION_ALLOW] = "Allow",
		[ACTION_DENY] = "Deny",
		[ACTION_NONE] = "None",
	};

	return text[action];
}

json_t *view_policies(const struct snap *s)
{
	_json_ json_t *list = json_array();

	for (size_t i = 0; i < s->n_policies; i++) {
		const struct policy *p = s->policy[i];
		json_t *row = json_object();
		int r = row_set_text(row, "namespace", p->ns);

		r |= row_set_text(row, "name", p->name);
		r |= row_set_text(row, "scope", row_scope_text(p->scope));
		r |= row_set_text(row, "action", row_action_text(p->action));
		r |= json_object_set_new_nocheck(row, "dry_run", json_boolean(p->dry_run));
		r |= row_set_u64(row, "rules", p->n_rules);
		r |= set_texts(row, "warnings", p->warnings, p->n_warnings);
		if (row_add(list, row, r) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

/* Of the workloads that name a missing policy, this many are listed. */
#define MISSING_NAMED 8

static void missing_add(json_t *by_key, const char *key, const struct workload *w)
{
	json_t *row = json_object_get(by_key, key), *names;

	if (!row) {
		row = json_pack("{s:o, s:i, s:[]}", "policy", view_text(key), "count", 0, "workloads");
		json_object_set_new_nocheck(by_key, key, row);
	}
	names = json_object_get(row, "workloads");
	row_set_u64(row, "count", (uint64_t)json_integer_value(json_object_get(row, "count")) + 1);
	if (json_array_size(names) < MISSING_NAMED)
		json_array_append_new(names, view_text(w->uid));
}

json_t *view_missing_policies(const struct snap *s)
{
	_json_ json_t *by_key = json_object();
	_json_ json_t *list = json_array();
	const char *key;
	json_t *row;

	for (size_t i = 0; i < s->n_workloads; i++)
		for (size_t k = 0; k < s->workload[i]->n_policies; k++)
			if (!snap_policy_by_key(s, str_of(s->workload[i]->policies[k])))
				missing_add(by_key, s->workload[i]->policies[k], s->workload[i]);
	json_object_foreach(by_key, key, row)
		json_array_append(list, row);
	return TAKE_PTR(list);
}

struct certs {
	json_t *list;
	int r;
};

static void cert_add(void *arg, const struct ident_row *row)
{
	struct certs *c = arg;
	json_t *j = json_object();
	int r = row_set_text(j, "identity", row->uri);

	r |= row_set_text(j, "state", row->state);
	r |= row_set_text(j, "error", row->error);
	r |= row_set_text(j, "serial", row->serial);
	r |= row_set_u64(j, "not_before_s", row->not_before_s);
	r |= row_set_u64(j, "not_after_s", row->not_after_s);
	r |= row_set_u64(j, "next_s", row->next_s);
	r |= row_set_u64(j, "pods", row->wants);
	r |= row_set_u64(j, "rotations", row->rotations);
	c->r |= row_add(c->list, j, r);
}

json_t *view_certs(struct ident_store *s)
{
	_json_ json_t *list = json_array();
	struct certs c = { .list = list };

	ident_each(s, cert_add, &c);
	return c.r == 0 ? TAKE_PTR(list) : NULL;
}
