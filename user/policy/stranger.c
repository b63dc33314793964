// SPDX-License-Identifier: Apache-2.0
/* Strangers (stranger.h). No state; any thread that may read the snapshot. */
#include "policy/stranger.h"

#include <errno.h>
#include <string.h>

#include "base/vec.h"
#include "model/policies.h"

/* The evaluator is asked so often per port. */
#define SOURCES_MAX 128

struct gather {
	const struct weft_addr *dst_ip;
	VEC(struct weft_addr) sources; /* the first address of each range that may differ */
	VEC(uint16_t) ports;
	int error;
};

static void source_add(struct gather *g, const struct weft_addr *a)
{
	if (ip_is_v4(a) != ip_is_v4(g->dst_ip))
		return;
	for (size_t i = 0; i < g->sources.n; i++)
		if (ip_eq(&g->sources.p[i], a))
			return;
	if (vec_push(&g->sources, *a) < 0)
		g->error = -ENOMEM;
	else if (g->sources.n > SOURCES_MAX)
		g->error = -E2BIG;
}

/* The address behind the last one of p; false if there is none. */
static bool address_behind(const struct ip_prefix *p, struct weft_addr *ret)
{
	struct weft_addr a = p->addr;

	for (unsigned bit = p->len; bit < 128; bit++)
		a.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	for (int i = 15; i >= 0; i--) {
		if (++a.b[i] != 0) {
			*ret = a;
			return true;
		}
	}
	return false;
}

/* Membership changes where a range begins and where one has ended, nowhere else. */
static void prefixes_add(struct gather *g, const struct ip_prefix *p, size_t n)
{
	struct weft_addr behind;

	for (size_t i = 0; i < n; i++) {
		source_add(g, &p[i].addr);
		if (address_behind(&p[i], &behind))
			source_add(g, &behind);
	}
}

static void ports_add(struct gather *g, const uint16_t *port, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		for (size_t k = 0; k < g->ports.n; k++)
			known = known || g->ports.p[k] == port[i];
		if (known || port[i] == 0)
			continue;
		if (vec_push(&g->ports, port[i]) < 0)
			g->error = -ENOMEM;
		else if (g->ports.n > STRANGER_PORTS_MAX)
			g->error = -E2BIG;
	}
}

static void rule_add(struct gather *g, const struct rule *r)
{
	for (size_t i = 0; i < r->n_clauses; i++) {
		for (size_t k = 0; k < r->clauses[i].n_matches; k++) {
			const struct match *m = &r->clauses[i].matches[k];

			prefixes_add(g, m->source_ips, m->n_source_ips);
			prefixes_add(g, m->not_source_ips, m->n_not_source_ips);
			ports_add(g, m->destination_ports, m->n_destination_ports);
			ports_add(g, m->not_destination_ports, m->n_not_destination_ports);
		}
	}
}

static void policy_add(struct gather *g, const struct policy *p)
{
	if (!p || !policy_decides(p))
		return;
	for (size_t i = 0; i < p->n_rules && g->error == 0; i++)
		rule_add(g, &p->rules[i]);
}

static void policies_add(struct gather *g, const struct snap *s, const struct workload *dst)
{
	for (size_t i = 0; i < s->n_policies; i++)
		if (policy_binds(s->policy[i], NULL) || policy_binds(s->policy[i], dst->ns))
			policy_add(g, s->policy[i]);
	for (size_t i = 0; i < dst->n_policies; i++)
		policy_add(g, snap_policy_by_key(s, str_of(dst->policies[i])));
}

/* Port 0 stands for those that no policy names: none has it as a condition. */
static bool refuses_all(const struct gather *g, const struct snap *s, const struct workload *dst,
			uint16_t port)
{
	struct rbac_result res;
	struct facts f;

	rbac_facts_of(NULL, dst, port, &f);
	f.dst_ip = *g->dst_ip;
	for (size_t i = 0; i < g->sources.n; i++) {
		f.src_ip = g->sources.p[i];
		rbac_check(s, &f, &res);
		if (res.allow)
			return false;
	}
	return true;
}

int rbac_strangers(const struct snap *s, const struct workload *dst,
		   const struct weft_addr *dst_ip, struct strangers *ret)
{
	static const struct ip_prefix all = { .len = 0 },
				      all_v4 = { .addr.b = { [10] = 0xff, [11] = 0xff }, .len = 96 };
	struct gather g = { .dst_ip = dst_ip };

	/* Their first addresses; what is behind the IPv4 ones belongs to IPv6. */
	prefixes_add(&g, &all, 1);
	prefixes_add(&g, &all_v4, 1);
	policies_add(&g, s, dst);
	if (g.error == 0) {
		*ret = (struct strangers){ .others = refuses_all(&g, s, dst, 0), .n = g.ports.n };
		for (size_t i = 0; i < g.ports.n; i++) {
			ret->port[i].port = g.ports.p[i];
			ret->port[i].refused = refuses_all(&g, s, dst, g.ports.p[i]);
		}
	}
	vec_fini(&g.sources);
	vec_fini(&g.ports);
	return g.error;
}

bool rbac_strangers_refused(const struct snap *s, const struct workload *dst,
			    const struct weft_ep *to)
{
	struct strangers st;

	if (rbac_strangers(s, dst, &to->addr, &st) < 0)
		return false;
	for (size_t i = 0; i < st.n; i++)
		if (st.port[i].port == to->port)
			return st.port[i].refused;
	return st.others;
}
