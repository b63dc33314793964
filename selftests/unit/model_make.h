/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Objects of the model for tests, made by hand; all abort when out of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bug.h"
#include "base/own.h"
#include "base/str.h"
#include "model/snap.h"

static inline struct weft_addr make_addr(const char *text)
{
	struct weft_addr a;

	assert_int_equal(ip_parse(str_of(text), &a), 0);
	return a;
}

static inline void *grown(void *p, size_t n, size_t size)
{
	p = realloc(p, n * size);
	assert_non_null(p);
	return p;
}

static inline struct workload *make_workload(const char *uid, const char *ns, const char *ip)
{
	struct workload *w = workload_new();

	assert_non_null(w);
	w->uid = str_dup(str_of(uid));
	w->name = str_dup(str_of(uid));
	w->ns = str_dup(str_of(ns));
	w->group->trust_domain = str_dup(STR("cluster.local"));
	w->group->service_account = str_dup(STR("default"));
	w->capacity = 1;
	if (ip) {
		w->addrs = grown(NULL, 1, sizeof(*w->addrs));
		w->addrs[w->n_addrs++] = make_addr(ip);
	}
	return w;
}

/* Member of a service, port 0: without ports of its own. */
static inline void make_member(struct workload *w, const char *key, uint16_t port, uint16_t target)
{
	struct workload_service *m;

	w->services = grown(w->services, w->n_services + 1, sizeof(*w->services));
	m = &w->services[w->n_services++];
	*m = (struct workload_service){ .key = str_dup(str_of(key)) };
	if (!port)
		return;
	m->ports = grown(NULL, 1, sizeof(*m->ports));
	m->ports[m->n_ports++] = (struct port_map){ port, target };
}

static inline struct service *make_service(const char *ns, const char *host, const char *vip,
					   uint16_t port, uint16_t target)
{
	struct service *s = service_new();

	assert_non_null(s);
	s->ns = str_dup(str_of(ns));
	s->name = str_dup(str_of(host));
	s->hostname = str_dup(str_of(host));
	s->vips = grown(NULL, 1, sizeof(*s->vips));
	s->vips[s->n_vips++] = make_addr(vip);
	s->ports = grown(NULL, 1, sizeof(*s->ports));
	s->ports[s->n_ports++] = (struct service_port){ .port = port, .target_port = target };
	return s;
}

static inline struct policy *make_policy(const char *ns, const char *name, enum policy_scope scope)
{
	struct policy *p = policy_new();

	assert_non_null(p);
	p->ns = str_dup(str_of(ns));
	p->name = str_dup(str_of(name));
	p->scope = scope;
	return p;
}

static inline void add_workload(struct model_input *in, struct workload *w)
{
	in->workload = grown(in->workload, in->n_workloads + 1, sizeof(*in->workload));
	in->workload[in->n_workloads++] = w;
}

static inline void add_service(struct model_input *in, struct service *s)
{
	in->service = grown(in->service, in->n_services + 1, sizeof(*in->service));
	in->service[in->n_services++] = s;
}

static inline void add_policy(struct model_input *in, struct policy *p)
{
	in->policy = grown(in->policy, in->n_policies + 1, sizeof(*in->policy));
	in->policy[in->n_policies++] = p;
}
