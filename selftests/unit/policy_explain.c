// SPDX-License-Identifier: Apache-2.0
/* Explanations: what is told about each policy, and that the verdict is the evaluator's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "feed/file.h"
#include "policy/explain.h"

#define HEAD \
	"workloads:\n" \
	"- {name: client, namespace: a, serviceAccount: red, workloadIps: [10.0.0.1]}\n" \
	"- {name: server, namespace: b, workloadIps: [10.0.0.2], " \
	"authorizationPolicies: [b/own, b/gone, b/own]}\n" \
	"policies:\n"

struct told {
	char text[2048];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct told *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->n += (size_t)vsnprintf(t->text + t->n, sizeof(t->text) - t->n, fmt, ap);
	va_end(ap);
	assert_true(t->n < sizeof(t->text));
}

static void on_policy(void *arg, const struct explain_policy *p)
{
	add(arg, "%s %s%d%s\n", p->key,
	    !p->policy   ? "missing "
	    : p->matches ? "matches "
			 : "no ",
	    p->rule, p->decides ? " decides" : "");
}

static void on_miss(void *arg, const struct explain_policy *p, const struct explain_miss *m)
{
	(void)p;
	add(arg, "  %zu.%zu.%zu %s %zu\n", m->rule, m->clause, m->match,
	    m->field ? m->field : "empty", m->entry);
}

static void explain(const char *policies, bool identity, struct told *told, struct rbac_result *ret)
{
	static const struct explain_ops ops = { on_policy, on_miss };
	_free_ char *text = str_printf("%s%s", HEAD, policies);
	cleanup_with(model_free) struct model *m = NULL;
	cleanup_with(snap_free) struct snap *s = NULL;
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	const struct workload *src, *dst;
	struct facts f;

	*told = (struct told){ 0 };
	assert_int_equal(model_new(&m), 0);
	if (feed_file_decode(str_of(text), "mesh.yaml", &err, &in) < 0 ||
	    model_build(m, &in, &err, &s) < 0)
		fail_msg("%s", err.text);
	src = snap_workload_by_pod(s, "a", "client");
	dst = snap_workload_by_pod(s, "b", "server");
	rbac_facts_of(identity ? src : NULL, dst, 80, &f);
	f.src_ip = src->addrs[0];
	f.dst_ip = dst->addrs[0];
	policy_explain(s, &f, &ops, told, ret);
}

#define P(name, ns, scope, action, rules) \
	"- {name: " name ", namespace: " ns ", scope: " scope ", action: " action \
	", rules: " rules "}\n"

static void every_policy_that_applies_is_told_once_and_in_order(void **state)
{
	struct rbac_result res;
	struct told t;

	(void)state;
	explain(P("own", "b", "WorkloadSelector", "Allow", "[[], []]")
			P("z", "b", "Namespace", "Deny", "[]") P("y", "a", "Namespace", "Deny", "[[]]")
				P("x", "r", "Global", "Deny", "[[[{destinationPorts: [81]}]], [[]]]")
					P("w", "b", "WorkloadSelector", "Deny", "[[]]"),
		true, &t, &res);
	assert_string_equal(t.text, "b/own matches 0\n"
				    "b/gone missing -1 decides\n"
				    "r/x matches 1\n"
				    "b/z no -1\n");
	assert_false(res.allow);
	assert_true(res.missing);
	assert_int_equal(res.rule, -1);
	assert_string_equal(res.policy, "b/gone");
}

static void each_match_of_the_clause_that_failed_names_its_field(void **state)
{
	struct rbac_result res;
	struct told t;

	(void)state;
	explain(P("own", "b", "WorkloadSelector", "Deny",
		  "[[[{destinationPorts: [80]}], [{namespaces: [c]}, {}, {notPrincipals: [x, '*']}]],"
		  " [[{destinationIps: [10.0.0.3]}], [{namespaces: [c]}]],"
		  " [[{sourceIps: [10.0.0.1], notSourceIps: [10.0.0.9, 10.0.0.0/8]}]],"
		  " [[{notDestinationPorts: [80]}]], [[{serviceAccounts: [a/blue]}]],"
		  " [[{notServiceAccounts: [a/red]}]], [[{notNamespaces: [a]}]],"
		  " [[{principals: [y]}]], [[{notDestinationIps: [10.0.0.2]}]],"
		  " [[{destinationPorts: [1]}]], [[{sourceIps: [1.1.1.1]}]]]"),
		true, &t, &res);
	assert_string_equal(t.text, "b/own no -1\n"
				    "  0.1.0 namespaces 0\n"
				    "  0.1.1 empty 0\n"
				    "  0.1.2 notPrincipals 1\n"
				    "  1.0.0 destinationIps 0\n"
				    "  2.0.0 notSourceIps 1\n"
				    "  3.0.0 notDestinationPorts 0\n"
				    "  4.0.0 serviceAccounts 0\n"
				    "  5.0.0 notServiceAccounts 0\n"
				    "  6.0.0 notNamespaces 0\n"
				    "  7.0.0 principals 0\n"
				    "  8.0.0 notDestinationIps 0\n"
				    "  9.0.0 destinationPorts 0\n"
				    "  10.0.0 sourceIps 0\n"
				    "b/gone missing -1 decides\n");
}

static void a_policy_whose_name_is_longer_than_the_result_is_the_one_that_decides(void **state)
{
	_free_ char *name = calloc(1, 301);
	_free_ char *text = NULL;
	struct rbac_result res;
	struct told t;

	(void)state;
	memset(name, 'n', 300);
	text = str_printf(P("own", "b", "WorkloadSelector", "Allow", "[]")
			  P("gone", "b", "WorkloadSelector", "Allow", "[]")
			  P("%s", "b", "Namespace", "Allow", "[[]]"), name);
	explain(text, true, &t, &res);
	assert_non_null(strstr(t.text, "nnn matches 0 decides\n"));
	assert_int_equal(strlen(res.policy), sizeof(res.policy) - 1);
}

static void nothing_is_told_without_a_destination(void **state)
{
	static const struct explain_ops ops = { on_policy, NULL };
	cleanup_with(model_free) struct model *m = NULL;
	struct facts f = { .dst_port = 80 };
	struct rbac_result res = { .allow = true };
	struct told t = { 0 };

	(void)state;
	assert_int_equal(model_new(&m), 0);
	policy_explain(model_snap(m), &f, &ops, &t, &res);
	assert_string_equal(t.text, "");
	assert_false(res.allow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_policy_that_applies_is_told_once_and_in_order),
		cmocka_unit_test(each_match_of_the_clause_that_failed_names_its_field),
		cmocka_unit_test(a_policy_whose_name_is_longer_than_the_result_is_the_one_that_decides),
		cmocka_unit_test(nothing_is_told_without_a_destination),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
