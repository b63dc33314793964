// SPDX-License-Identifier: Apache-2.0
/*
 * Addresses of a lab and the life of its description. Nodes are 172.31.250.N and
 * fd31:250::N, pods 10.244.NODE.N and fd00:10:244:NODE::N, services 10.96.0.0/16 and
 * fd00:10:96::/112. Used by the lab commands; owns the struct lab_spec; one thread.
 */
#include <string.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"
#include "lab_spec.h"

#define VIP_MAX 65000

static void node_fini(struct lab_node *n)
{
	free(n->name);
}

static void pod_fini(struct lab_pod *p)
{
	free(p->ns);
	free(p->name);
	free(p->service_account);
	free(p->app);
	free(p->revision);
	free(p->protocol);
	json_decref(p->labels);
	json_decref(p->command);
	json_decref(p->policies);
	json_decref(p->mesh);
}

static void service_fini(struct lab_service *s)
{
	free(s->ns);
	free(s->name);
	free(s->hostname);
	json_decref(s->ports);
	json_decref(s->selector);
	json_decref(s->weights);
	json_decref(s->mesh);
}

void lab_spec_fini(struct lab_spec *s)
{
	lab_for_each(struct lab_node, n, &s->nodes)
		node_fini(n);
	lab_for_each(struct lab_pod, p, &s->pods)
		pod_fini(p);
	lab_for_each(struct lab_service, v, &s->services)
		service_fini(v);
	vec_fini(&s->nodes);
	vec_fini(&s->pods);
	vec_fini(&s->services);
	free(s->congestion);
	json_decref(s->policies);
	json_decref(s->workloads);
	json_decref(s->weftd);
	*s = (struct lab_spec){ 0 };
}

bool lab_service_selects(const struct lab_service *svc, const struct lab_pod *pod)
{
	const char *key;
	json_t *want;

	if (strcmp(svc->ns, pod->ns) != 0 || json_object_size(svc->selector) == 0)
		return false;
	json_object_foreach(svc->selector, key, want) {
		const json_t *have = json_object_get(pod->labels, key);

		if (!have || !json_equal(have, want))
			return false;
	}
	return true;
}

const struct lab_pod *lab_spec_pod(const struct lab_spec *s, struct str ns, struct str name)
{
	lab_for_each(const struct lab_pod, p, &s->pods) {
		if (str_eq(str_of(p->ns), ns) && str_eq(str_of(p->name), name))
			return p;
	}
	return NULL;
}

/* Formats and parses: the text forms are what people see in docs/lab.md. */
__attribute__((format(printf, 2, 3))) static int addr_make(struct weft_addr *ret, const char *fmt,
							   ...)
{
	char text[IP_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ip_parse(str_of(text), ret);
}

static int nodes_allocate(struct lab_spec *s)
{
	int r = 0;

	for (size_t i = 0; i < s->nodes.n && r == 0; i++) {
		struct lab_node *n = &s->nodes.p[i];

		n->index = (unsigned int)i + 1;
		r = addr_make(&n->v4, "172.31.250.%u", n->index);
		if (r == 0)
			r = addr_make(&n->v6, "fd31:250::%u", n->index);
	}
	return r;
}

static int pods_allocate(struct lab_spec *s, struct errbuf *err)
{
	unsigned int used[LAB_MAX_NODES] = { 0 };

	lab_for_each(struct lab_pod, p, &s->pods) {
		unsigned int node = s->nodes.p[p->node].index;
		int r;

		p->slot = ++used[p->node];
		if (p->slot > LAB_MAX_PER_NODE)
			return errbuf_set(err, -ENOSPC, "node %s: more than %d pods",
					  s->nodes.p[p->node].name, LAB_MAX_PER_NODE);
		r = addr_make(&p->v4, "10.244.%u.%u", node, p->slot);
		if (r == 0)
			r = addr_make(&p->v6, "fd00:10:244:%u::%u", node, p->slot);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool vip_taken(const struct lab_spec *s, unsigned int number)
{
	lab_for_each(const struct lab_service, v, &s->services) {
		if (v->number == number)
			return true;
	}
	return false;
}

static int service_allocate(struct lab_spec *s, struct lab_service *v, unsigned int *next)
{
	int r;

	while (!v->number) {
		if (++*next > VIP_MAX)
			return -ENOSPC;
		if (!vip_taken(s, *next))
			v->number = *next;
	}
	r = addr_make(&v->v4, "10.96.%u.%u", v->number >> 8, v->number & 255);
	return r < 0 ? r : addr_make(&v->v6, "fd00:10:96::%x", v->number);
}

int lab_spec_allocate(struct lab_spec *s, const json_t *vips, struct errbuf *err)
{
	unsigned int next = 0;
	int r;

	lab_for_each(struct lab_service, v, &s->services) {
		json_int_t n = json_integer_value(json_object_get(vips, v->hostname));

		if (!v->headless && n > 0 && n <= VIP_MAX)
			v->number = (unsigned int)n;
	}
	r = nodes_allocate(s);
	if (r == 0)
		r = pods_allocate(s, err);
	for (size_t i = 0; i < s->services.n && r == 0; i++) {
		if (!s->services.p[i].headless)
			r = service_allocate(s, &s->services.p[i], &next);
	}
	return r < 0 ? errbuf_set(err, r, "cannot allocate addresses: %s", strerror(-r)) : 0;
}
