// SPDX-License-Identifier: Apache-2.0
/* L4 authorization, as tables: what each condition means, which policy decides, what may be
 * cached. Meshes are written as mesh files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/own.h"
#include "feed/file.h"
#include "policy/rbac.h"

struct mesh {
	struct model *model;
	struct snap *snap;
};

static void mesh_fini(struct mesh *m)
{
	snap_free(&m->snap);
	model_free(&m->model);
}

#define _mesh_ cleanup_with(mesh_fini)

/* The destination of all tests is Kubernetes//Pod/b/server. */
#define WORKLOADS(policies)                                                             \
	"workloads:\n"                                                                  \
	"- {name: client, namespace: a, serviceAccount: red, workloadIps: [10.0.0.1]}\n" \
	"- {name: other, namespace: c, serviceAccount: blue, trustDomain: td, workloadIps: [10.0.0.3]}\n" \
	"- {name: server, namespace: b, workloadIps: [10.0.0.2], authorizationPolicies: [" policies "]}\n" \
	"- {name: many, namespace: a, workloadIps: [10.0.0.4, 10.0.9.4, \"fd00::4\"]}\n" \
	"- {name: none, namespace: a}\n"                                                \
	"- {name: six, namespace: a, workloadIps: [\"fd00::6\"]}\n"

static struct mesh mesh_of(const char *text)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct mesh m = { 0 };

	if (feed_file_decode(str_of(text), "mesh.yaml", &err, &in) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(model_new(&m.model), 0);
	if (model_build(m.model, &in, &err, &m.snap) < 0)
		fail_msg("%s", err.text);
	return m;
}

static const struct workload *find(const struct mesh *m, const char *ns, const char *name)
{
	const struct workload *w = snap_workload_by_pod(m->snap, ns, name);

	assert_non_null(w);
	return w;
}

static struct facts facts_of(const struct mesh *m, const struct workload *src, uint16_t port)
{
	const struct workload *dst = find(m, "b", "server");
	struct facts f;

	rbac_facts_of(src, dst, port, &f);
	f.dst_ip = dst->addrs[0];
	f.src_ip = src ? src->addrs[0] : find(m, "a", "client")->addrs[0];
	return f;
}

static struct rbac_result check(const struct mesh *m, const struct workload *src, uint16_t port)
{
	struct facts f = facts_of(m, src, port);
	struct rbac_result res;

	rbac_check(m->snap, &f, &res);
	return res;
}

/* Does a policy with these rules match: the plaintext client, client, other; port 80? */
static const struct {
	const char *rules;
	bool plain, client, other;
} matches[] = {
	/* what is empty */
	{ "[]", false, false, false },
	{ "[[]]", true, true, true },
	{ "[[[]]]", true, true, true },
	{ "[[[{}]]]", false, false, false },
	{ "[[[{}, {destinationPorts: [80]}]]]", true, true, true },
	{ "[[[{}], [{destinationPorts: [80]}]]]", false, false, false },
	{ "[[[], [{destinationPorts: [80]}]]]", true, true, true },
	{ "[[[{}]], [[]]]", true, true, true },
	/* one kind each, positive and negative */
	{ "[[[{namespaces: [a]}]]]", false, true, false },
	{ "[[[{notNamespaces: [a]}]]]", true, false, true },
	{ "[[[{namespaces: ['*']}]]]", false, true, true },
	{ "[[[{notNamespaces: ['*']}]]]", true, false, false },
	{ "[[[{namespaces: [{Exact: ''}]}]]]", true, false, false },
	{ "[[[{namespaces: [{Prefix: ''}]}]]]", true, true, true },
	{ "[[[{principals: [cluster.local/ns/a/sa/red]}]]]", false, true, false },
	{ "[[[{notPrincipals: [cluster.local/ns/a/sa/red]}]]]", true, false, true },
	{ "[[[{principals: ['*']}]]]", false, true, true },
	{ "[[[{notPrincipals: ['*']}]]]", true, false, false },
	{ "[[[{principals: ['cluster.local/*']}]]]", false, true, false },
	{ "[[[{principals: ['*/sa/blue']}]]]", false, false, true },
	{ "[[[{principals: [{Prefix: ''}]}]]]", false, true, true },
	{ "[[[{notPrincipals: [{Prefix: ''}]}]]]", true, false, false },
	{ "[[[{principals: [ns/a/sa/red]}]]]", false, false, false },
	{ "[[[{serviceAccounts: [a/red]}]]]", false, true, false },
	{ "[[[{notServiceAccounts: [a/red]}]]]", true, false, true },
	{ "[[[{serviceAccounts: [a/blue, c/blue]}]]]", false, false, true },
	{ "[[[{sourceIps: [10.0.0.1]}]]]", true, true, false },
	{ "[[[{notSourceIps: [10.0.0.1/32]}]]]", false, false, true },
	{ "[[[{sourceIps: [10.0.0.0/30]}]]]", true, true, true },
	{ "[[[{sourceIps: [0.0.0.0/0]}]]]", true, true, true },
	{ "[[[{sourceIps: ['::/0']}]]]", false, false, false },
	{ "[[[{notSourceIps: ['::/0']}]]]", true, true, true },
	{ "[[[{destinationIps: [10.0.0.2]}]]]", true, true, true },
	{ "[[[{destinationIps: [10.0.0.3]}]]]", false, false, false },
	{ "[[[{notDestinationIps: [10.0.0.0/24]}]]]", false, false, false },
	{ "[[[{destinationPorts: [80]}]]]", true, true, true },
	{ "[[[{destinationPorts: [81, 82]}]]]", false, false, false },
	{ "[[[{notDestinationPorts: [80]}]]]", false, false, false },
	{ "[[[{notDestinationPorts: [81]}]]]", true, true, true },
	/* and / or */
	{ "[[[{namespaces: [a, c]}]]]", false, true, true },
	{ "[[[{namespaces: [a, c], notNamespaces: [c]}]]]", false, true, false },
	{ "[[[{namespaces: [a], sourceIps: [10.0.0.3]}]]]", false, false, false },
	{ "[[[{namespaces: [a]}, {sourceIps: [10.0.0.3]}]]]", false, true, true },
	{ "[[[{namespaces: [a]}], [{sourceIps: [10.0.0.3]}]]]", false, false, false },
	{ "[[[{namespaces: [a]}], [{destinationPorts: [80]}]]]", false, true, false },
	{ "[[[{namespaces: [a]}]], [[{sourceIps: [10.0.0.3]}]]]", false, true, true },
	{ "[[[{namespaces: [a]}, {namespaces: [c]}], [{destinationPorts: [80]}]]]",
	  false, true, true },
};

static void each_condition_hits_what_it_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(matches); i++) {
		_free_ char *text = str_printf("%spolicies:\n- {name: p, namespace: r, scope: Global, "
					       "action: Deny, rules: %s}\n", WORKLOADS(""),
					       matches[i].rules);
		_mesh_ struct mesh m = mesh_of(text);
		bool got[3] = { !check(&m, NULL, 80).allow,
				!check(&m, find(&m, "a", "client"), 80).allow,
				!check(&m, find(&m, "c", "other"), 80).allow };

		if (got[0] != matches[i].plain || got[1] != matches[i].client || got[2] != matches[i].other)
			fail_msg("%s: matches plain %d, client %d, other %d", matches[i].rules, got[0],
				 got[1], got[2]);
	}
}

#define POLICY(name, ns, scope, action, more, rules) \
	"- {name: " name ", namespace: " ns ", scope: " scope ", action: " action ", " more "rules: " rules "}\n"
#define ALL "[[]]"
#define NEVER "[]"

/* The answer to the client at port 80, and who decided. */
static void deny_comes_before_allow_and_no_allow_means_yes(void **state)
{
	static const struct {
		const char *named, *policies;
		bool allow, explicit_deny;
		const char *policy;
	} rows[] = {
		{ "", "", true, false, "" },
		{ "", POLICY("d", "r", "Global", "Deny", "", NEVER), true, false, "" },
		{ "", POLICY("d", "r", "Global", "Deny", "", ALL), false, true, "r/d" },
		{ "", POLICY("a", "r", "Global", "Allow", "", ALL), true, false, "r/a" },
		{ "", POLICY("a", "r", "Global", "Allow", "", NEVER), false, false, "" },
		{ "", POLICY("a", "r", "Global", "Allow", "", ALL)
		      POLICY("d", "b", "Namespace", "Deny", "", ALL), false, true, "b/d" },
		{ "", POLICY("a1", "r", "Global", "Allow", "", NEVER)
		      POLICY("a2", "b", "Namespace", "Allow", "", ALL), true, false, "b/a2" },
		/* what does not bind the destination */
		{ "", POLICY("d", "a", "Namespace", "Deny", "", ALL), true, false, "" },
		{ "", POLICY("d", "b", "WorkloadSelector", "Deny", "", ALL), true, false, "" },
		{ "", POLICY("a", "a", "Namespace", "Allow", "", NEVER), true, false, "" },
		/* what it names */
		{ "b/d", POLICY("d", "b", "WorkloadSelector", "Deny", "", ALL), false, true, "b/d" },
		{ "x/d", POLICY("d", "x", "WorkloadSelector", "Deny", "", ALL), false, true, "x/d" },
		{ "b/a", POLICY("a", "b", "WorkloadSelector", "Allow", "", NEVER), false, false, "" },
		{ "b/a", POLICY("a", "b", "WorkloadSelector", "Allow", "", ALL), true, false, "b/a" },
		/* fail closed */
		{ "b/gone", "", false, true, "b/gone" },
		{ "b/a, b/gone", POLICY("a", "b", "WorkloadSelector", "Allow", "", ALL),
		  false, true, "b/gone" },
		/* dry run */
		{ "", POLICY("d", "r", "Global", "Deny", "dryRun: true, ", ALL), true, false, "" },
		{ "", POLICY("a", "r", "Global", "Allow", "dryRun: true, ", NEVER), true, false, "" },
		{ "", POLICY("a", "r", "Global", "Allow", "", NEVER)
		      POLICY("b", "r", "Global", "Allow", "dryRun: true, ", ALL), false, false, "" },
		{ "b/d", POLICY("d", "b", "WorkloadSelector", "Deny", "dryRun: true, ", ALL),
		  true, false, "" },
		/* as istiod writes STRICT */
		{ "", POLICY("strict", "r", "Global", "Deny", "", "[[[{notPrincipals: ['*']}]]]"),
		  true, false, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_free_ char *text = str_printf("workloads:\n"
			"- {name: client, namespace: a, serviceAccount: red, workloadIps: [10.0.0.1]}\n"
			"- {name: server, namespace: b, workloadIps: [10.0.0.2], "
			"authorizationPolicies: [%s]}\npolicies:\n%s", rows[i].named, rows[i].policies);
		_mesh_ struct mesh m = mesh_of(text);
		struct rbac_result res = check(&m, find(&m, "a", "client"), 80);

		if (res.allow != rows[i].allow || res.explicit_deny != rows[i].explicit_deny ||
		    strcmp(res.policy, rows[i].policy) != 0)
			fail_msg("row %zu: allow %d, explicit %d, by '%s'", i, res.allow,
				 res.explicit_deny, res.policy);
	}
}

static void the_result_names_the_rule_that_decided(void **state)
{
	static const struct {
		const char *action, *rules;
		int rule;
	} rows[] = {
		{ "Deny", "[[]]", 0 },
		{ "Deny", "[[[{destinationPorts: [81]}]], [[]], [[]]]", 1 },
		{ "Allow", "[[[{destinationPorts: [81]}]], [[{}]], [[{destinationPorts: [80]}]]]", 2 },
		{ "Allow", "[]", -1 },
		{ "Deny", "[]", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_free_ char *text = str_printf("%spolicies:\n- {name: p, namespace: r, scope: Global, "
					       "action: %s, rules: %s}\n", WORKLOADS(""),
					       rows[i].action, rows[i].rules);
		_mesh_ struct mesh m = mesh_of(text);
		struct rbac_result res = check(&m, NULL, 80);

		assert_int_equal(res.rule, rows[i].rule);
		assert_string_equal(res.policy, rows[i].rule >= 0 ? "r/p" : "");
		assert_false(res.missing);
	}
}

static void strict_refuses_plaintext(void **state)
{
	_mesh_ struct mesh m = mesh_of(WORKLOADS("")
		"policies:\n"
		POLICY("strict", "r", "Global", "Deny", "", "[[[{notPrincipals: ['*']}]]]"));
	struct rbac_result res = check(&m, NULL, 80);

	(void)state;
	assert_false(res.allow);
	assert_string_equal(res.policy, "r/strict");
}

static void an_unknown_destination_is_denied(void **state)
{
	_mesh_ struct mesh m = mesh_of(WORKLOADS(""));
	struct rbac_result res = { .allow = true };
	struct facts f = { .dst_port = 80 };

	(void)state;
	rbac_check(m.snap, &f, &res);
	assert_false(res.allow);
}

static void facts_carry_the_identity_of_the_sender(void **state)
{
	_mesh_ struct mesh m = mesh_of(WORKLOADS(""));
	struct facts f = facts_of(&m, find(&m, "c", "other"), 443);

	(void)state;
	assert_true(f.has_identity);
	assert_true(str_eq(f.principal, STR("td/ns/c/sa/blue")));
	assert_true(str_eq(f.id.trust_domain, STR("td")));
	assert_true(str_eq(f.id.ns, STR("c")));
	assert_true(str_eq(f.id.sa, STR("blue")));
	assert_int_equal(f.dst_port, 443);
	f = facts_of(&m, NULL, 80);
	assert_false(f.has_identity);
	assert_int_equal(f.principal.n, 0);
}

/* May {src, server, 80} be cached, and what is the verdict? */
static void a_verdict_is_cacheable_if_no_address_changes_it(void **state)
{
	static const struct {
		const char *src, *rules;
		bool cacheable, allow;
	} rows[] = {
		{ "client", "[[[{destinationPorts: [80]}]]]", true, false },
		{ "client", "[[[{destinationPorts: [81]}]]]", true, true },
		{ "client", "[[[{sourceIps: [10.0.0.1]}]]]", true, false },
		{ "many", "[[[{sourceIps: [10.0.0.4]}]]]", false, false },
		{ "many", "[[[{notSourceIps: [10.0.9.0/24]}]]]", false, false },
		{ "many", "[[[{sourceIps: [10.0.0.0/8]}]]]", true, false },
		{ "many", "[[[{sourceIps: [10.0.0.4]}], [{destinationPorts: [81]}]]]", true, true },
		/* an address of another family than the destination's is never used */
		{ "many", "[[[{sourceIps: ['fd00::4']}]]]", true, true },
		{ "none", "[[[{destinationPorts: [81]}]]]", false, false },
		{ "six", "[[[{destinationPorts: [81]}]]]", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_free_ char *text = str_printf("%spolicies:\n- {name: p, namespace: r, scope: Global, "
					       "action: Deny, rules: %s}\n", WORKLOADS(""),
					       rows[i].rules);
		_mesh_ struct mesh m = mesh_of(text);
		struct rbac_result res = { .policy = "untouched" };
		bool got = rbac_cacheable(m.snap, find(&m, "a", rows[i].src),
					  find(&m, "b", "server"), 80, &res);

		if (got != rows[i].cacheable || (got && res.allow != rows[i].allow))
			fail_msg("row %zu: cacheable %d, allow %d", i, got, res.allow);
		if (!got)
			assert_string_equal(res.policy, "untouched");
	}
}

static void a_verdict_that_differs_between_destination_addresses_is_not_cacheable(void **state)
{
	_mesh_ struct mesh m = mesh_of(
		"workloads:\n"
		"- {name: s, namespace: a, workloadIps: [10.0.0.1]}\n"
		"- {name: d, namespace: b, workloadIps: [10.0.0.2, 10.0.0.3]}\n"
		"policies:\n"
		POLICY("p", "b", "Namespace", "Allow", "", "[[[{destinationIps: [10.0.0.3]}]]]"));
	struct rbac_result res;

	(void)state;
	assert_false(rbac_cacheable(m.snap, find(&m, "a", "s"), find(&m, "b", "d"), 80, &res));
	assert_true(rbac_cacheable(m.snap, find(&m, "b", "d"), find(&m, "a", "s"), 80, &res));
	assert_true(res.allow);
}

static void very_many_address_pairs_are_not_compared(void **state)
{
	(void)state;
	for (int n = 16; n <= 17; n++) {
		_free_ char *ips = str_dup(STR("10.0.0.100"));
		struct rbac_result res;

		for (int i = 1; i < n; i++) {
			char *more = str_printf("%s, 10.0.0.%d", ips, i);

			free(ips);
			ips = more;
		}
		_free_ char *text = str_printf("workloads:\n"
			"- {name: s, namespace: a, networkMode: HostNetwork, workloadIps: [%s]}\n"
			"- {name: d, namespace: b, networkMode: HostNetwork, workloadIps: [%s]}\n",
			ips, ips);
		_mesh_ struct mesh m = mesh_of(text);

		assert_int_equal(rbac_cacheable(m.snap, find(&m, "a", "s"), find(&m, "b", "d"), 80,
						&res), n == 16);
	}
}

static void a_workload_may_name_more_policies_than_are_kept(void **state)
{
	(void)state;
	/* The last one decides; there are 70, of which 64 are kept. */
	for (int deny = 0; deny < 2; deny++) {
		_free_ char *names = str_dup(STR("b/p0")), *policies = str_dup(STR(""));

		for (int i = 0; i < 70; i++) {
			char *more = str_printf("%s, b/p%d", names, i);
			char *p = str_printf("%s- {name: p%d, namespace: b, scope: WorkloadSelector, "
					     "action: %s, rules: %s}\n", policies, i,
					     deny && i == 69 ? "Deny" : "Allow",
					     i == 69 ? "[[]]" : "[]");

			free(names);
			free(policies);
			names = more;
			policies = p;
		}
		_free_ char *text = str_printf("workloads:\n"
			"- {name: client, namespace: a, workloadIps: [10.0.0.1]}\n"
			"- {name: server, namespace: b, workloadIps: [10.0.0.2], "
			"authorizationPolicies: [%s]}\npolicies:\n%s", names, policies);
		_mesh_ struct mesh m = mesh_of(text);
		struct rbac_result res = check(&m, NULL, 80);

		assert_int_equal(res.allow, !deny);
		assert_string_equal(res.policy, "b/p69");
		assert_int_equal(res.rule, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_condition_hits_what_it_names),
		cmocka_unit_test(deny_comes_before_allow_and_no_allow_means_yes),
		cmocka_unit_test(the_result_names_the_rule_that_decided),
		cmocka_unit_test(strict_refuses_plaintext),
		cmocka_unit_test(an_unknown_destination_is_denied),
		cmocka_unit_test(facts_carry_the_identity_of_the_sender),
		cmocka_unit_test(very_many_address_pairs_are_not_compared),
		cmocka_unit_test(a_workload_may_name_more_policies_than_are_kept),
		cmocka_unit_test(a_verdict_is_cacheable_if_no_address_changes_it),
		cmocka_unit_test(a_verdict_that_differs_between_destination_addresses_is_not_cacheable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
