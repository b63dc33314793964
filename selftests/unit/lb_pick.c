// SPDX-License-Identifier: Apache-2.0
/* Endpoint choice: who is a candidate, by which weight, and the same for the kernel's slots. */
#include "unit/model_make.h"

#include <errno.h>
#include <string.h>

#include "feed/file.h"
#include "lb/pick.h"

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

static struct mesh mesh_built(struct model_input *in)
{
	struct errbuf err = { 0 };
	struct mesh m = { 0 };

	assert_int_equal(model_new(&m.model), 0);
	if (model_build(m.model, in, &err, &m.snap) < 0)
		fail_msg("%s", err.text);
	return m;
}

static struct mesh mesh_of(const char *text)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };

	if (feed_file_decode(str_of(text), "mesh.yaml", &err, &in) < 0)
		fail_msg("%s", err.text);
	return mesh_built(&in);
}

static const struct lb_from here = { .region = "r1", .zone = "z1", .subzone = "s1", .node = "n1",
				     .cluster = "Kubernetes", .network = "net1" };

/* Names of the workloads in the slots, each once, in the order of the mesh. */
static void slots_are(const struct mesh *m, const struct lb_from *from, uint16_t port, bool v4,
		      const char *want)
{
	_free_ struct lb_choice *slots = NULL;
	int n = lb_slots(m->snap->service[0], from, port, v4, &slots);
	char got[256] = "";
	size_t len = 0;

	assert_true(n >= 0);
	for (size_t i = 0; i < m->snap->n_workloads; i++) {
		const struct workload *w = m->snap->workload[i];
		bool in = false;

		for (int k = 0; k < n; k++)
			in = in || slots[k].w == w;
		if (in)
			len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s",
						len ? " " : "", w->name);
	}
	if (strcmp(got, want) != 0)
		fail_msg("slots have '%s', want '%s'", got, want);
}

#define LB_SERVICE(more) "services: [{name: s, namespace: a, hostname: h, ports: {80: 8080}" more "}]\n"
#define EP(name, ip, more) \
	"- {name: " name ", namespace: a, workloadIps: [" ip "], services: {a/h: {}}" more "}\n"

static void locality_modes_keep_the_best_endpoints(void **state)
{
	/* e1: here; e2: other node; e3: other zone; e4: other region but this node's name;
	 * e5: other network */
	static const char endpoints[] = "workloads:\n"
		EP("e1", "10.0.0.1", ", node: n1, network: net1, locality: {region: r1, zone: z1}")
		EP("e2", "10.0.0.2", ", node: n2, network: net1, locality: {region: r1, zone: z1}")
		EP("e3", "10.0.0.3", ", node: n3, network: net1, locality: {region: r1, zone: z2}")
		EP("e4", "10.0.0.4", ", node: n1, network: net1, locality: {region: r2, zone: z1}")
		EP("e5", "10.0.0.5", ", node: n5, locality: {region: r1, zone: z1}, clusterId: c2");
	static const struct {
		const char *lb, *want;
	} rows[] = {
		{ "", "e1 e2 e3 e4 e5" },
		{ ", loadBalancer: {mode: Standard, routingPreferences: [Node]}", "e1 e2 e3 e4 e5" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Region]}", "e1 e2 e3 e5" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Region, Zone]}", "e1 e2 e5" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Region, Zone, Node]}", "e1" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Node]}", "e1 e4" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Subzone]}", "e1 e2 e3 e4 e5" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Cluster]}", "e1 e2 e3 e4" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Network, Zone]}", "e1 e2 e4" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Network, Subzone]}",
		  "e1 e2 e3 e4" },
		{ ", loadBalancer: {mode: Failover, routingPreferences: [Subzone, Region]}",
		  "e1 e2 e3 e4 e5" },
		{ ", loadBalancer: {mode: Strict, routingPreferences: [Region, Node]}", "e1" },
		{ ", loadBalancer: {mode: Strict, routingPreferences: [Region, Subzone]}", "" },
		{ ", loadBalancer: {mode: Strict, routingPreferences: [Network, Region]}", "e1 e2 e3" },
		{ ", loadBalancer: {mode: Strict, routingPreferences: []}", "e1 e2 e3 e4 e5" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_free_ char *text = str_printf("%sservices: [{name: s, namespace: a, hostname: h, "
					       "ports: {80: 8080}%s}]\n", endpoints, rows[i].lb);
		_mesh_ struct mesh m = mesh_of(text);

		slots_are(&m, &here, 80, true, rows[i].want);
	}
}

static void a_first_preference_for_the_network_outweighs_the_rest(void **state)
{
	_mesh_ struct mesh m = mesh_of("workloads:\n"
		EP("far", "10.0.0.1", ", network: net1, locality: {region: r9}")
		EP("near", "10.0.0.2", ", locality: {region: r1, zone: z1}")
		LB_SERVICE(", loadBalancer: {mode: Failover, routingPreferences: [Network, Region, Zone]}"));
	struct lb_from from = here;

	(void)state;
	slots_are(&m, &from, 80, true, "far");
	/* Without a network in reach the others are tried, in their order. */
	from.network = "";
	slots_are(&m, &from, 80, true, "near");
}

static void endpoints_of_another_known_network_are_out_of_reach(void **state)
{
	_mesh_ struct mesh m = mesh_of("workloads:\n"
		EP("same", "10.0.0.1", ", network: net1") EP("other", "10.0.0.2", ", network: net2")
		EP("unsaid", "10.0.0.3", "") LB_SERVICE(""));
	struct lb_from nowhere = { 0 };

	(void)state;
	slots_are(&m, &here, 80, true, "same unsaid");
	slots_are(&m, &nowhere, 80, true, "same other unsaid");
}

static void the_address_has_the_family_of_the_vip(void **state)
{
	_mesh_ struct mesh m = mesh_of("workloads:\n"
		EP("four", "10.0.0.1", "") EP("six", "\"fd00::1\"", "")
		EP("both", "10.0.0.2, \"fd00::2\"", "") LB_SERVICE(""));
	struct lb_choice c;

	(void)state;
	slots_are(&m, &here, 80, true, "four both");
	slots_are(&m, &here, 80, false, "six both");
	for (int i = 0; i < 50; i++) {
		assert_int_equal(lb_pick(m.snap->service[0], &here, 80, false, &c), 0);
		assert_false(ip_is_v4(&c.ep.addr));
		assert_int_equal(lb_pick(m.snap->service[0], &here, 80, true, &c), 0);
		assert_true(ip_is_v4(&c.ep.addr));
	}
}

static void the_families_of_a_service_limit_its_endpoints(void **state)
{
	_mesh_ struct mesh m = mesh_of("workloads:\n"
		EP("both", "10.0.0.2, \"fd00::2\"", "") LB_SERVICE(", ipFamilies: IPv6"));

	(void)state;
	slots_are(&m, &here, 80, true, "");
	slots_are(&m, &here, 80, false, "both");
}

static void the_target_port_is_the_endpoints_own_or_the_services(void **state)
{
	static const struct {
		const char *service, *endpoint;
		int r;
		uint16_t port;
	} rows[] = {
		{ "{80: 8080}", "{}", 0, 8080 },
		{ "{80: 8080}", "{80: 9090}", 0, 9090 },
		{ "{80: 8080}", "{81: 9090}", 0, 8080 },
		{ "{80: 8080}", "{80: 0}", 0, 8080 },
		{ "{80: 0}", "{80: 9090}", 0, 9090 },
		{ "{80: 0}", "{}", -EHOSTUNREACH, 0 },
		{ "{81: 8080}", "{80: 9090}", -ESRCH, 0 },
		{ "{}", "{}", -ESRCH, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_free_ char *text = str_printf(
			"workloads: [{name: w, namespace: a, workloadIps: [10.0.0.1], services: {a/h: %s}}]\n"
			"services: [{name: s, namespace: a, hostname: h, ports: %s}]\n",
			rows[i].endpoint, rows[i].service);
		_mesh_ struct mesh m = mesh_of(text);
		_free_ struct lb_choice *slots = NULL;
		struct lb_choice c = { 0 };
		int r = lb_pick(m.snap->service[0], &here, 80, true, &c);
		int n = lb_slots(m.snap->service[0], &here, 80, true, &slots);

		assert_int_equal(r, rows[i].r);
		assert_int_equal(n, r == 0 ? 1 : r == -EHOSTUNREACH ? 0 : r);
		assert_int_equal(c.ep.port, rows[i].port);
		if (n == 1)
			assert_int_equal(slots[0].ep.port, rows[i].port);
		else
			assert_null(slots);
	}
}

static void unhealthy_and_weightless_endpoints_are_not_chosen(void **state)
{
	_mesh_ struct mesh m = mesh_of("workloads:\n"
		EP("ill", "10.0.0.1", ", status: Unhealthy") EP("zero", "10.0.0.2", ", capacity: 0")
		LB_SERVICE(""));
	struct lb_choice c;

	(void)state;
	slots_are(&m, &here, 80, true, "");
	assert_int_equal(lb_pick(m.snap->service[0], &here, 80, true, &c), -EHOSTUNREACH);
}

static void passthrough_services_have_no_endpoint_to_choose(void **state)
{
	_mesh_ struct mesh m = mesh_of("workloads:\n" EP("e", "10.0.0.1", "")
		LB_SERVICE(", loadBalancer: {mode: Passthrough}"));
	struct lb_choice c, *slots = NULL;

	(void)state;
	assert_int_equal(lb_pick(m.snap->service[0], &here, 80, true, &c), -EOPNOTSUPP);
	assert_int_equal(lb_slots(m.snap->service[0], &here, 80, true, &slots), -EOPNOTSUPP);
	assert_null(slots);
}

/* One service "a/h" with an endpoint for each weight. */
static struct mesh weighted(const uint32_t *weights, size_t n)
{
	struct model_input in = { 0 };

	in.workload = calloc(n, sizeof(*in.workload));
	assert_non_null(in.workload);
	for (size_t i = 0; i < n; i++) {
		_free_ char *uid = str_printf("u%zu", i);
		_free_ char *ip = str_printf("10.%zu.%zu.%zu", i >> 16, (i >> 8) & 255, i & 255);
		struct workload *w = make_workload(uid, "a", ip);

		w->capacity = weights[i];
		make_member(w, "a/h", 0, 0);
		in.workload[in.n_workloads++] = w;
	}
	add_service(&in, make_service("a", "h", "10.200.0.1", 80, 8080));
	return mesh_built(&in);
}

static size_t index_of(const struct mesh *m, const struct workload *w)
{
	for (size_t i = 0; i < m->snap->n_workloads; i++)
		if (m->snap->workload[i] == w)
			return i;
	fail_msg("not a workload of this mesh");
	return 0;
}

static int counted(const struct mesh *m, uint32_t *counts)
{
	_free_ struct lb_choice *slots = NULL;
	int n = lb_slots(m->snap->service[0], &here, 80, true, &slots);

	assert_true(n >= 0);
	for (int i = 0; i < n; i++)
		counts[index_of(m, slots[i].w)]++;
	return n;
}

static void small_weights_are_exact_in_the_slots(void **state)
{
	static const struct {
		uint32_t weight[4], count[4];
	} rows[] = {
		{ { 1, 1, 1, 1 }, { 1, 1, 1, 1 } },
		{ { 100, 100, 300, 0 }, { 1, 1, 3, 0 } },
		{ { 1, 2, 3, 4 }, { 1, 2, 3, 4 } },
		{ { 4000000000, 2000000000, 0, 0 }, { 2, 1, 0, 0 } },
		{ { 7, 0, 0, 0 }, { 1, 0, 0, 0 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_mesh_ struct mesh m = weighted(rows[i].weight, 4);
		uint32_t got[4] = { 0 };

		counted(&m, got);
		assert_memory_equal(got, rows[i].count, sizeof(got));
	}
}

static void large_weights_are_rounded_and_nobody_is_left_out(void **state)
{
	static const uint32_t weight[] = { 1, 4000000000, 2000000007, 999999999, 1 };
	_mesh_ struct mesh m = weighted(weight, ARRAY_LEN(weight));
	uint32_t got[ARRAY_LEN(weight)] = { 0 };
	double total = 0;

	(void)state;
	assert_int_equal(counted(&m, got), LB_SLOTS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(weight); i++)
		total += weight[i];
	assert_int_equal(got[0], 1);
	assert_int_equal(got[4], 1);
	for (size_t i = 1; i < 4; i++) {
		double share = weight[i] * (double)LB_SLOTS_MAX / total;

		assert_true(got[i] > share - 2 && got[i] < share + 2);
	}
}

static void a_thousand_small_ones_and_a_giant_fit_together(void **state)
{
	static uint32_t weight[LB_SLOTS_MAX], got[LB_SLOTS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(weight); i++)
		weight[i] = i == 5 ? 4294967295u : 1;
	_mesh_ struct mesh m = weighted(weight, ARRAY_LEN(weight));

	assert_int_equal(counted(&m, got), LB_SLOTS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(weight); i++)
		assert_int_equal(got[i], 1);
}

static void more_endpoints_than_slots_are_sampled_by_weight_and_stay_the_same(void **state)
{
	enum { N = 3000 };
	static uint32_t weight[N], got[N], again[N];
	size_t used = 0, heavy = 0;

	(void)state;
	for (size_t i = 0; i < N; i++)
		weight[i] = i < 10 ? 300 : 1;
	_mesh_ struct mesh m = weighted(weight, N);

	assert_int_equal(counted(&m, got), LB_SLOTS_MAX);
	assert_int_equal(counted(&m, again), LB_SLOTS_MAX);
	assert_memory_equal(got, again, sizeof(got));
	for (size_t i = 0; i < N; i++) {
		used += got[i] > 0;
		heavy += i < 10 ? got[i] : 0;
	}
	/* Ten of weight 300 are 3000 of 5990: half of the slots, each to within one. */
	assert_true(heavy >= 502 && heavy <= 524);
	assert_true(used >= 500);
}

static void rows_tell_of_each_endpoint_what_became_of_it(void **state)
{
	static const struct {
		enum lb_state state;
		uint32_t slots;
	} want[] = {
		{ LB_CHOSEN, 2 },     { LB_CHOSEN, 3 },	       { LB_NOT_PREFERRED, 0 },
		{ LB_NO_ADDRESS, 0 }, { LB_NO_WEIGHT, 0 },     { LB_OTHER_NETWORK, 0 },
		{ LB_NO_PORT, 0 },
	};
	_mesh_ struct mesh m = mesh_of(
		"workloads:\n"
		"- {name: a, namespace: n, node: n1, workloadIps: [10.0.0.1], capacity: 2,\n"
		"   services: {n/s: {80: 1}}}\n"
		"- {name: b, namespace: n, node: n1, workloadIps: [10.0.0.2], capacity: 3,\n"
		"   services: {n/s: {80: 1}}}\n"
		"- {name: far, namespace: n, node: n2, workloadIps: [10.0.0.3], services: {n/s: {80: 1}}}\n"
		"- {name: six, namespace: n, node: n1, workloadIps: ['fd00::4'], services: {n/s: {80: 1}}}\n"
		"- {name: idle, namespace: n, node: n1, workloadIps: [10.0.0.5], capacity: 0,\n"
		"   services: {n/s: {80: 1}}}\n"
		"- {name: net, namespace: n, node: n1, network: net2, workloadIps: [10.0.0.6],\n"
		"   services: {n/s: {80: 1}}}\n"
		"- {name: port, namespace: n, node: n1, workloadIps: [10.0.0.7], services: {n/s: }}\n"
		"services:\n"
		"- {name: s, namespace: n, hostname: s, vips: [10.96.0.1], ports: {80: 0},\n"
		"   loadBalancer: {mode: Failover, routingPreferences: [Node]}}\n");
	_free_ struct lb_row *rows = NULL;
	struct lb_from from;

	(void)state;
	assert_int_equal(lb_rows(m.snap->service[0], &here, 80, true, &rows), 0);
	assert_int_equal(m.snap->service[0]->n_endpoints, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		assert_int_equal(rows[i].state, want[i].state);
		assert_int_equal(rows[i].slots, want[i].slots);
		assert_ptr_equal(rows[i].choice.w, m.snap->service[0]->endpoints[i].w);
	}
	assert_int_equal(lb_rows(m.snap->service[0], &here, 81, true, &rows), -ESRCH);
	lb_from_node(m.snap, "n2", &from);
	assert_string_equal(from.node, "n2");
	lb_from_node(m.snap, "n9", &from);
	assert_string_equal(from.cluster, "");
}

static void picks_follow_the_weights(void **state)
{
	static const uint32_t weight[] = { 1, 3, 0, 6 };
	_mesh_ struct mesh m = weighted(weight, ARRAY_LEN(weight));
	uint32_t got[ARRAY_LEN(weight)] = { 0 };
	enum { PICKS = 100000 };

	(void)state;
	for (int i = 0; i < PICKS; i++) {
		struct lb_choice c;

		assert_int_equal(lb_pick(m.snap->service[0], &here, 80, true, &c), 0);
		got[index_of(&m, c.w)]++;
	}
	/* Ten standard deviations: it does not fail by chance. */
	for (size_t i = 0; i < ARRAY_LEN(weight); i++) {
		long off = (long)got[i] - (long)weight[i] * (PICKS / 10);

		assert_true(labs(off) < 1600);
	}
	assert_int_equal(got[2], 0);
}

static void an_endpoint_knows_its_port_for_a_port_of_the_service(void **state)
{
	_mesh_ struct mesh m = mesh_of(
		"workloads:\n"
		"- {name: own, namespace: a, services: {a/h: {80: 1, 81: 0, 90: 5}}}\n"
		"- {name: svc, namespace: a, status: Unhealthy, services: {a/h: {}}}\n"
		"- {name: no, namespace: a, services: {a/x: {80: 7}}}\n"
		"services: [{name: s, namespace: a, hostname: h, ports: {80: 8080, 81: 8081, 82: 0}}]\n");
	static const struct {
		const char *who;
		uint16_t port, want;
	} rows[] = {
		{ "own", 80, 1 },    { "own", 81, 8081 }, { "own", 82, 0 }, { "own", 90, 5 },
		{ "svc", 80, 8080 }, { "svc", 82, 0 },    { "svc", 9, 0 },  { "no", 80, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(lb_target_port(m.snap->service[0],
						snap_workload_by_pod(m.snap, "a", rows[i].who),
						rows[i].port),
				 rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locality_modes_keep_the_best_endpoints),
		cmocka_unit_test(a_first_preference_for_the_network_outweighs_the_rest),
		cmocka_unit_test(endpoints_of_another_known_network_are_out_of_reach),
		cmocka_unit_test(the_address_has_the_family_of_the_vip),
		cmocka_unit_test(the_families_of_a_service_limit_its_endpoints),
		cmocka_unit_test(the_target_port_is_the_endpoints_own_or_the_services),
		cmocka_unit_test(unhealthy_and_weightless_endpoints_are_not_chosen),
		cmocka_unit_test(passthrough_services_have_no_endpoint_to_choose),
		cmocka_unit_test(small_weights_are_exact_in_the_slots),
		cmocka_unit_test(large_weights_are_rounded_and_nobody_is_left_out),
		cmocka_unit_test(a_thousand_small_ones_and_a_giant_fit_together),
		cmocka_unit_test(more_endpoints_than_slots_are_sampled_by_weight_and_stay_the_same),
		cmocka_unit_test(rows_tell_of_each_endpoint_what_became_of_it),
		cmocka_unit_test(picks_follow_the_weights),
		cmocka_unit_test(an_endpoint_knows_its_port_for_a_port_of_the_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
