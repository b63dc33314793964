// SPDX-License-Identifier: Apache-2.0
/*
 * Model and certificates as JSON rows. Used by the daemon's control commands and the admin
 * pages. Pure translation: no state, no policy. Control thread.
 */
#include "admin/views.h"

#include <stdlib.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/str.h"
#include "ident/store.h"
#include "model/snap.h"

static void own_json(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

#define _json_ cleanup_with(own_json)

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

/* The _new functions of jansson accept NULL and answer -1, so a row is built without a check
 * after each member: the results are or'ed together. */
static int set_text(json_t *row, const char *key, const char *value)
{
	return json_object_set_new_nocheck(row, key, view_text(value));
}

static int set_u64(json_t *row, const char *key, uint64_t v)
{
	return json_object_set_new_nocheck(row, key, json_integer((json_int_t)v));
}

static int set_addrs(json_t *row, const char *key, const struct weft_addr *addrs, size_t n)
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

/* Finishes a row: gives it to the list, or drops it when something failed. */
static int row_add(json_t *list, json_t *row, int r)
{
	if (r == 0)
		return json_array_append_new(list, row);
	json_decref(row);
	return r;
}

static const char *status_text(enum workload_status status)
{
	return status == WORKLOAD_HEALTHY ? "Healthy" : "Unhealthy";
}

static int workload_add(json_t *list, const struct workload *w)
{
	json_t *row = json_object(), *services = json_array();
	int r = 0;

	r |= set_text(row, "uid", w->uid);
	r |= set_text(row, "namespace", w->ns);
	r |= set_text(row, "name", w->name);
	r |= set_addrs(row, "ips", w->addrs, w->n_addrs);
	r |= set_text(row, "node", w->node);
	r |= set_text(row, "identity", w->identity);
	r |= set_text(row, "protocol", w->protocol == TUNNEL_HBONE ? "HBONE" : "TCP");
	r |= set_text(row, "status", status_text(w->status));
	for (size_t i = 0; i < w->n_services; i++)
		r |= json_array_append_new(services, view_text(w->services[i].key));
	r |= json_object_set_new_nocheck(row, "services", services);
	r |= set_texts(row, "policies", w->policies, w->n_policies);
	r |= set_text(row, "waypoint", w->waypoint);
	r |= set_u64(row, "id", w->id);
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
		int bad = set_u64(port, "port", svc->ports[i].port);

		bad |= set_u64(port, "target_port", svc->ports[i].target_port);
		bad |= set_u64(port, "id", svc->ports[i].id);
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
		int bad = set_text(ep, "workload", w->uid);

		bad |= set_addrs(ep, "ips", w->addrs, w->n_addrs);
		bad |= set_u64(ep, "weight", w->capacity);
		bad |= set_text(ep, "status", status_text(w->status));
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
		int r = set_text(row, "namespace", svc->ns);

		r |= set_text(row, "hostname", svc->hostname);
		r |= set_addrs(row, "vips", svc->vips, svc->n_vips);
		r |= set_ports(row, svc);
		r |= set_endpoints(row, svc);
		if (row_add(list, row, r) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static const char *scope_text(enum policy_scope scope)
{
	static const char *const text[] = {
		[SCOPE_GLOBAL] = "Global",
		[SCOPE_NAMESPACE] = "Namespace",
		[SCOPE_WORKLOAD] = "WorkloadSelector",
	};

	return text[scope];
}

static const char *action_text(enum policy_action action)
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
		int r = set_text(row, "namespace", p->ns);

		r |= set_text(row, "name", p->name);
		r |= set_text(row, "scope", scope_text(p->scope));
		r |= set_text(row, "action", action_text(p->action));
		r |= json_object_set_new_nocheck(row, "dry_run", json_boolean(p->dry_run));
		r |= set_u64(row, "rules", p->n_rules);
		r |= set_texts(row, "warnings", p->warnings, p->n_warnings);
		if (row_add(list, row, r) < 0)
			return NULL;
	}
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
	int r = set_text(j, "identity", row->uri);

	r |= set_text(j, "state", row->state);
	r |= set_text(j, "error", row->error);
	r |= set_text(j, "serial", row->serial);
	r |= set_u64(j, "not_before_s", row->not_before_s);
	r |= set_u64(j, "not_after_s", row->not_after_s);
	r |= set_u64(j, "next_s", row->next_s);
	r |= set_u64(j, "pods", row->wants);
	r |= set_u64(j, "rotations", row->rotations);
	c->r |= row_add(c->list, j, r);
}

json_t *view_certs(struct ident_store *s)
{
	_json_ json_t *list = json_array();
	struct certs c = { .list = list };

	ident_each(s, cert_add, &c);
	return c.r == 0 ? TAKE_PTR(list) : NULL;
}
