// SPDX-License-Identifier: Apache-2.0
/*
 * L4 authorization (see rbac.h). A pure function of a snapshot and the facts of a connection:
 * no state, no allocation, any thread that may read the snapshot.
 */
#include "policy/rbac.h"

#include <stdio.h>

#include "policy/match.h"

#define SPIFFE_SCHEME STR("spiffe://")

/* What is known while the policies of a destination are gone through. */
struct tally {
	bool any_allow;
	const struct policy *denied_by, *allowed_by;
	int rule;
};

static void tally_add(struct tally *t, const struct policy *p, const struct facts *f)
{
	int rule;

	if (p->dry_run)
		return;
	t->any_allow |= p->action == ACTION_ALLOW;
	/* One that denies ends it; one that allows only awaits one that denies. */
	if (t->denied_by || (p->action == ACTION_ALLOW && t->allowed_by))
		return;
	rule = policy_rule(p, f);
	if (rule < 0)
		return;
	t->rule = rule;
	if (p->action == ACTION_DENY)
		t->denied_by = p;
	else
		t->allowed_by = p;
}

static void tally_add_bound(struct tally *t, const struct snap *s, const char *ns,
			    const struct facts *f)
{
	struct policy *const *p;
	size_t n = snap_policies_of_ns(s, ns, &p);

	for (size_t i = 0; i < n; i++)
		tally_add(t, p[i], f);
}

static void result_set(struct rbac_result *ret, bool allow, const char *policy, int rule)
{
	*ret = (struct rbac_result){ .allow = allow, .rule = rule };
	snprintf(ret->policy, sizeof(ret->policy), "%s", policy);
	ret->explicit_deny = !allow && policy[0];
}

void rbac_check(const struct snap *s, const struct facts *f, struct rbac_result *ret)
{
	struct tally t = { 0 };

	if (!f->dst) {
		/* Without a destination nobody can say which policies bind it. */
		result_set(ret, false, "", -1);
		return;
	}
	for (size_t i = 0; i < f->dst->n_policies; i++) {
		const struct policy *p = snap_policy_by_key(s, str_of(f->dst->policies[i]));

		if (!p) {
			result_set(ret, false, f->dst->policies[i], -1);
			ret->missing = true;
			return;
		}
		tally_add(&t, p, f);
	}
	tally_add_bound(&t, s, NULL, f);
	tally_add_bound(&t, s, f->dst->ns, f);

	if (t.denied_by)
		result_set(ret, false, t.denied_by->key, t.rule);
	else if (t.allowed_by)
		result_set(ret, true, t.allowed_by->key, t.rule);
	else
		result_set(ret, !t.any_allow, "", -1);
}

void rbac_facts_of(const struct workload *src, const struct workload *dst, uint16_t port,
		   struct facts *ret)
{
	struct str identity;

	*ret = (struct facts){ .dst = dst, .dst_port = port };
	if (!src)
		return;
	identity = str_of(src->identity);
	if (!str_has_prefix(identity, SPIFFE_SCHEME))
		return;
	ret->has_identity = true;
	ret->principal = (struct str){ identity.p + SPIFFE_SCHEME.n, identity.n - SPIFFE_SCHEME.n };
	ret->id = (struct spiffe){ str_of(src->trust_domain), str_of(src->ns),
				   str_of(src->service_account) };
}

/* More address pairs than this are not worth comparing: the relay decides then. */
#define PAIRS_MAX 256

bool rbac_cacheable(const struct snap *s, const struct workload *src, const struct workload *dst,
		    uint16_t port, struct rbac_result *ret)
{
	struct rbac_result first = { 0 }, other;
	struct facts f;
	bool have = false;

	if (src->n_addrs * dst->n_addrs > PAIRS_MAX)
		return false;
	rbac_facts_of(src, dst, port, &f);
	for (size_t i = 0; i < src->n_addrs * dst->n_addrs; i++) {
		f.src_ip = src->addrs[i / dst->n_addrs];
		f.dst_ip = dst->addrs[i % dst->n_addrs];
		if (ip_is_v4(&f.src_ip) != ip_is_v4(&f.dst_ip))
			continue; /* no connection has these two */
		rbac_check(s, &f, have ? &other : &first);
		if (have && other.allow != first.allow)
			return false;
		have = true;
	}
	if (have)
		*ret = first;
	return have;
}
