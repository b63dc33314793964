// SPDX-License-Identifier: Apache-2.0
/* What nobody without an identity may reach, whatever its address: as tables, and against the
 * evaluator itself for many addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/own.h"
#include "base/rand.h"
#include "feed/file.h"
#include "policy/stranger.h"

#define MESH                                                                                 \
	"workloads:\n"                                                                       \
	"- {name: server, namespace: b, workloadIps: [10.0.0.2, \"fd00::2\"],"               \
	" authorizationPolicies: [b/own]}\n"                                                 \
	"policies:\n"                                                                        \
	"- {name: own, namespace: b, scope: WorkloadSelector, action: Deny, rules: []}\n"
#define POLICY(scope, action, rules) \
	"- {name: p, namespace: b, scope: " scope ", action: " action ", rules: " rules "}\n"
#define STRICT "- {name: strict, namespace: b, scope: Namespace, action: Deny, rules: " \
	       "[[[{notPrincipals: [\"*\"]}]]]}\n"

struct mesh {
	struct model *model;
	struct snap *snap;
	const struct workload *server;
};

static void mesh_fini(struct mesh *m)
{
	snap_free(&m->snap);
	model_free(&m->model);
}

#define _mesh_ cleanup_with(mesh_fini)

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
	m.server = snap_workload_by_pod(m.snap, "b", "server");
	assert_non_null(m.server);
	return m;
}

static bool refused_on(const struct strangers *s, uint16_t port)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->port[i].port == port)
			return s->port[i].refused;
	return s->others;
}

/* refused: 8080 and 9090, as "yn", for the IPv4 and for the IPv6 address. */
static void expect_refused(const char *text, const char *v4, const char *v6)
{
	_mesh_ struct mesh m = mesh_of(text);
	const char *want[] = { v4, v6 };

	for (size_t i = 0; i < 2; i++) {
		struct strangers s;

		assert_int_equal(rbac_strangers(m.snap, m.server, &m.server->addrs[i], &s), 0);
		assert_int_equal(refused_on(&s, 8080), want[i][0] == 'y');
		assert_int_equal(refused_on(&s, 9090), want[i][1] == 'y');
	}
}

static void only_what_all_strangers_are_refused_is_refused(void **state)
{
	(void)state;
	expect_refused(MESH, "nn", "nn");
	expect_refused(MESH STRICT, "yy", "yy");
	expect_refused(MESH POLICY("Namespace", "Allow", "[[[{principals: [\"*\"]}]]]"), "yy", "yy");
	expect_refused(MESH POLICY("Namespace", "Allow", "[]"), "yy", "yy");
	expect_refused(MESH POLICY("Global", "Deny", "[[[{notPrincipals: [\"*\"]}]]]"), "yy", "yy");
	/* one that the workload does not name, and one that binds another namespace */
	expect_refused(MESH POLICY("WorkloadSelector", "Deny", "[[[{notPrincipals: [\"*\"]}]]]"), "nn",
		       "nn");
	expect_refused(MESH "- {name: p, namespace: c, scope: Namespace, action: Deny, rules: "
			    "[[[{notPrincipals: [\"*\"]}]]]}\n", "nn", "nn");
	/* an ALLOW elsewhere does not lift a DENY; one that is tried out decides nothing */
	expect_refused(MESH STRICT POLICY("Namespace", "Allow", "[[[{sourceIps: [10.0.0.0/8]}]]]"),
		       "yy", "yy");
}

static void ports_that_a_policy_tells_apart_are_told_apart(void **state)
{
	(void)state;
	expect_refused(MESH POLICY("Namespace", "Deny", "[[[{notPrincipals: [\"*\"]}],"
				   " [{destinationPorts: [8080]}]]]"), "yn", "yn");
	expect_refused(MESH POLICY("Namespace", "Deny", "[[[{notPrincipals: [\"*\"]}],"
				   " [{notDestinationPorts: [8080]}]]]"), "ny", "ny");
	expect_refused(MESH POLICY("Namespace", "Allow", "[[[{destinationPorts: [9090]}]]]"), "yn",
		       "yn");
	expect_refused(MESH POLICY("Namespace", "Deny", "[[[{destinationIps: [10.0.0.2]}]]]"), "yy",
		       "nn");
}

static void one_address_that_is_let_in_is_enough(void **state)
{
	(void)state;
	expect_refused(MESH POLICY("Namespace", "Allow", "[[[{sourceIps: [10.9.9.9]}]]]"), "nn", "yy");
	expect_refused(MESH POLICY("Namespace", "Allow", "[[[{sourceIps: [255.255.255.255]}]]]"), "nn",
		       "yy");
	expect_refused(MESH POLICY("Namespace", "Allow", "[[[{sourceIps: [\"fd00::9\"]}]]]"), "yy",
		       "nn");
	expect_refused(MESH POLICY("Namespace", "Allow", "[[[{sourceIps: [\"::/0\"]}]]]"), "yy", "nn");
	expect_refused(MESH POLICY("Namespace", "Deny", "[[[{notSourceIps: [10.0.0.0/8]}]]]"), "nn",
		       "yy");
	expect_refused(MESH POLICY("Namespace", "Deny", "[[[{sourceIps: [0.0.0.0/1, 128.0.0.0/2]}]]]"),
		       "nn", "nn");
	expect_refused(MESH POLICY("Namespace", "Deny", "[[[{sourceIps: [0.0.0.0/1, 128.0.0.0/1]}]]]"),
		       "yy", "nn");
}

static void too_much_to_say_is_left_to_the_evaluator(void **state)
{
	char text[8192];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s%s", MESH,
				    "- {name: p, namespace: b, scope: Namespace, action: Allow, "
				    "rules: [[[{sourceIps: [");
	struct strangers s;

	(void)state;
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "10.%d.0.1, ", i);
	snprintf(text + n, sizeof(text) - n, "10.200.0.1]}]]]}\n");
	_mesh_ struct mesh m = mesh_of(text);

	assert_int_equal(rbac_strangers(m.snap, m.server, &m.server->addrs[0], &s), -E2BIG);
	assert_int_equal(rbac_strangers(m.snap, m.server, &m.server->addrs[1], &s), 0);
}

/* Whatever is said to be refused, no stranger gets in; whatever is not, some stranger does not
 * have to, but nobody is refused whom the evaluator lets in. */
static void nobody_is_refused_whom_the_evaluator_lets_in(void **state)
{
	char text[4096];

	(void)state;
	for (int round = 0; round < 300; round++) {
		uint64_t x = rand_fast();
		struct strangers s;

		snprintf(text, sizeof(text),
			 "%s- {name: p, namespace: b, scope: Namespace, action: %s, rules: "
			 "[[[{sourceIps: [10.%u.0.0/%u], notSourceIps: [10.%u.%u.0/%u]}]]]}\n",
			 MESH, x & 1 ? "Allow" : "Deny", (unsigned)(x >> 1 & 3),
			 8 + (unsigned)(x >> 3 & 15), (unsigned)(x >> 7 & 3), (unsigned)(x >> 9 & 255),
			 8 + (unsigned)(x >> 17 & 15));
		_mesh_ struct mesh m = mesh_of(text);

		assert_int_equal(rbac_strangers(m.snap, m.server, &m.server->addrs[0], &s), 0);
		for (int k = 0; s.others && k < 200; k++) {
			struct rbac_result res;
			struct facts f;
			uint32_t ip = k & 1 ? (uint32_t)rand_fast()
					    : 0x0a000000u | ((uint32_t)rand_fast() & 0x3ffff);

			rbac_facts_of(NULL, m.server, 8080, &f);
			f.dst_ip = m.server->addrs[0];
			ip = __builtin_bswap32(ip);
			ip_from_bytes(&ip, 4, &f.src_ip);
			rbac_check(m.snap, &f, &res);
			assert_false(res.allow);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_all_strangers_are_refused_is_refused),
		cmocka_unit_test(ports_that_a_policy_tells_apart_are_told_apart),
		cmocka_unit_test(one_address_that_is_let_in_is_enough),
		cmocka_unit_test(too_much_to_say_is_left_to_the_evaluator),
		cmocka_unit_test(nobody_is_refused_whom_the_evaluator_lets_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
