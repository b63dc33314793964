// SPDX-License-Identifier: Apache-2.0
/* Dry run: what is said beforehand is what holds once the policies are in force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "feed/file.h"
#include "policy/dryrun.h"

#define HEAD \
	"workloads:\n" \
	"- {name: client, namespace: a, serviceAccount: red, workloadIps: [10.0.0.1]}\n" \
	"- {name: server, namespace: b, workloadIps: [10.0.0.2], authorizationPolicies: [b/own, %s]}\n" \
	"policies:\n" \
	"- {name: own, namespace: b, scope: WorkloadSelector, action: %s, dryRun: %s, rules: %s}\n"

#define RULES 3
static const char *const rules[RULES] = { "[]", "[[]]", "[[], [[{destinationPorts: [81]}]]]" };
static const char *const actions[2] = { "Allow", "Deny" };
static const char *const scopes[2] = { "Namespace", "Global" };

static struct snap *snap_of(struct model *m, const char *text)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	if (feed_file_decode(str_of(text), "mesh.yaml", &err, &in) < 0 ||
	    model_build(m, &in, &err, &s) < 0)
		fail_msg("%s", err.text);
	return s;
}

/* One mesh, by the bits of n; force: the policies are no dry run. */
static char *mesh_of(unsigned int n, bool force)
{
	char *text = str_printf(HEAD, n & 1 && n & 64 ? "b/none" : "b/own", actions[n >> 1 & 1],
				n & 4 && !force ? "true" : "false", rules[n % RULES]);
	unsigned int bits = n >> 3;

	for (int i = 0; i < 3; i++, bits >>= 3) {
		char *more = str_printf("%s- {name: p%d, namespace: b, scope: %s, action: %s, "
					"dryRun: %s, rules: %s}\n",
					text, i, scopes[bits & 1], actions[bits >> 1 & 1],
					bits & 4 && !force ? "true" : "false",
					rules[(bits + n) % RULES]);

		free(text);
		text = more;
	}
	return text;
}

static void facts_of(const struct snap *s, struct facts *f)
{
	const struct workload *src = snap_workload_by_pod(s, "a", "client");
	const struct workload *dst = snap_workload_by_pod(s, "b", "server");

	rbac_facts_of(src, dst, 80, f);
	f->src_ip = src->addrs[0];
	f->dst_ip = dst->addrs[0];
}

static bool same(const struct rbac_result *a, const struct rbac_result *b)
{
	return a->allow == b->allow && a->rule == b->rule && a->missing == b->missing &&
	       a->explicit_deny == b->explicit_deny;
}

static bool try_mesh(unsigned int n)
{
	_free_ char *dry = mesh_of(n, false), *forced = mesh_of(n, true);
	cleanup_with(model_free) struct model *m = NULL, *m2 = NULL;
	cleanup_with(snap_free) struct snap *s = NULL, *s2 = NULL;
	struct rbac_result now, then, said;
	struct facts f;
	bool differs;

	assert_int_equal(model_new(&m), 0);
	assert_int_equal(model_new(&m2), 0);
	s = snap_of(m, dry);
	s2 = snap_of(m2, forced);
	facts_of(s, &f);
	rbac_check(s, &f, &now);
	differs = dryrun_differs(s, &f, &now, &said);
	facts_of(s2, &f);
	rbac_check(s2, &f, &then);
	if (now.missing)
		assert_false(differs);
	else if (differs != (now.allow != then.allow) || (differs && !same(&said, &then)))
		fail_msg("mesh %u: now %d, in force %d by %s, said %d by %s\n%s", n, now.allow,
			 then.allow, then.policy, differs ? said.allow : now.allow,
			 differs ? said.policy : "", dry);
	return differs;
}

static void what_is_said_is_what_holds_once_in_force(void **state)
{
	unsigned int differ = 0, n;

	(void)state;
	for (n = 0; n < 1u << 12; n++)
		differ += try_mesh(n);
	assert_in_range(differ, 100, n - 100);
}

static void without_a_dry_run_there_is_nothing_to_say(void **state)
{
	_free_ char *text = mesh_of(0, true);
	cleanup_with(model_free) struct model *m = NULL;
	cleanup_with(snap_free) struct snap *s = NULL;
	struct rbac_result now, said;
	struct facts f;

	(void)state;
	assert_int_equal(model_new(&m), 0);
	s = snap_of(m, text);
	facts_of(s, &f);
	assert_false(dryrun_any(s));
	rbac_check(s, &f, &now);
	assert_false(dryrun_differs(s, &f, &now, &said));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_what_holds_once_in_force),
		cmocka_unit_test(without_a_dry_run_there_is_nothing_to_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
