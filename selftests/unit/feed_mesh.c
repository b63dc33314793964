// SPDX-License-Identifier: Apache-2.0
/* What the mesh file may say, what its values become, and the sentence for each mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "feed/file.h"
#include "io/file.h"

#define _input_ cleanup_with(model_input_fini)

static void decode(const char *text, struct model_input *ret)
{
	struct errbuf err = { 0 };

	if (feed_file_decode(str_of(text), "mesh.yaml", &err, ret) < 0)
		fail_msg("%s", err.text);
}

static void ip_is(const struct weft_addr *a, const char *text)
{
	char buf[IP_TEXT_MAX];

	assert_string_equal(ip_format(buf, a), text);
}

/* Every kind of key that ztunnel's own local example has. */
static const char like_ztunnel[] = "workloads:\n"
				   "- uid: cluster1//v1/Pod/default/here\n"
				   "  name: here\n"
				   "  namespace: default\n"
				   "  serviceAccount: default\n"
				   "  workloadIps: [\"127.0.0.1\"]\n"
				   "  protocol: HBONE\n"
				   "  node: here\n"
				   "  network: \"\"\n"
				   "  services:\n"
				   "    \"default/one.example\":\n"
				   "      80: 8080\n"
				   "    \"default/two.example\":\n"
				   "      80: 8081\n"
				   "- uid: cluster1//v1/Pod/default/here-tcp\n"
				   "  name: here-tcp\n"
				   "  namespace: default\n"
				   "  serviceAccount: default\n"
				   "  workloadIps: [\"127.0.0.2\"]\n"
				   "  protocol: TCP\n"
				   "  node: here\n"
				   "  network: \"\"\n"
				   "  services: {}\n"
				   "policies:\n"
				   "  - action: Allow\n"
				   "    rules:\n"
				   "    - - - notDestinationPorts:\n"
				   "          - 9999\n"
				   "    name: not-9999\n"
				   "    namespace: default\n"
				   "    scope: Namespace\n"
				   "    dryRun: false\n"
				   "services:\n"
				   "- name: one\n"
				   "  namespace: default\n"
				   "  hostname: one.example\n"
				   "  vips:\n"
				   "    - /127.10.0.1\n"
				   "  ports:\n"
				   "    80: 8080\n"
				   "  subjectAltNames:\n"
				   "   - spiffe://cluster.local/ns/default/sa/here\n"
				   "  canonical: true\n"
				   "- name: two\n"
				   "  namespace: default\n"
				   "  hostname: two.example\n"
				   "  vips:\n"
				   "    - remote/127.10.0.2\n"
				   "  ports:\n"
				   "    80: 8080\n"
				   "  canonical: true\n";

static void the_shape_of_ztunnels_example_loads(void **state)
{
	_input_ struct model_input in = { 0 };
	const struct workload *w;
	const struct policy *p;
	const struct match *m;

	(void)state;
	decode(like_ztunnel, &in);
	assert_int_equal(in.n_workloads, 2);
	w = in.workload[0];
	assert_string_equal(w->uid, "cluster1//v1/Pod/default/here");
	assert_string_equal(w->identity, "spiffe://cluster.local/ns/default/sa/default");
	assert_int_equal(w->protocol, TUNNEL_HBONE);
	assert_int_equal(in.workload[1]->protocol, TUNNEL_NONE);
	assert_int_equal(w->n_services, 2);
	assert_string_equal(w->services[1].key, "default/two.example");
	assert_int_equal(w->services[1].ports[0].service_port, 80);
	assert_int_equal(w->services[1].ports[0].target_port, 8081);

	assert_int_equal(in.n_services, 2);
	ip_is(&in.service[0]->vips[0], "127.10.0.1");
	ip_is(&in.service[1]->vips[0], "127.10.0.2");
	assert_true(in.service[0]->canonical);
	assert_string_equal(in.service[0]->sans[0], "spiffe://cluster.local/ns/default/sa/here");

	p = in.policy[0];
	assert_int_equal(p->action, ACTION_ALLOW);
	assert_int_equal(p->scope, SCOPE_NAMESPACE);
	assert_int_equal(p->n_rules, 1);
	assert_int_equal(p->rules[0].n_clauses, 1);
	assert_int_equal(p->rules[0].clauses[0].n_matches, 1);
	m = &p->rules[0].clauses[0].matches[0];
	assert_int_equal(m->n_not_destination_ports, 1);
	assert_int_equal(m->not_destination_ports[0], 9999);
	assert_int_equal(m->n_destination_ports, 0);
}

static void a_workload_that_says_little_gets_the_defaults(void **state)
{
	_input_ struct model_input in = { 0 };
	const struct workload *w;

	(void)state;
	decode("workloads: [{name: n, namespace: ns, serviceAccount: \"\", waypoint: }]", &in);
	w = in.workload[0];
	assert_string_equal(w->uid, "Kubernetes//Pod/ns/n");
	assert_string_equal(w->group->cluster, "Kubernetes");
	assert_string_equal(w->group->trust_domain, "cluster.local");
	assert_string_equal(w->group->service_account, "default");
	assert_int_equal(w->capacity, 1);
	assert_int_equal(w->protocol, TUNNEL_NONE);
	assert_int_equal(w->status, WORKLOAD_HEALTHY);
	assert_int_equal(w->n_addrs, 0);
	assert_null(w->waypoint);
}

static void json_is_yaml_too(void **state)
{
	_input_ struct model_input in = { 0 };

	(void)state;
	decode("{\"workloads\":[{\"name\":\"n\",\"namespace\":\"a\",\"protocol\":\"hbone\","
	       "\"capacity\":7,\"networkMode\":\"hostnetwork\",\"status\":\"UNHEALTHY\"}]}",
	       &in);
	assert_int_equal(in.workload[0]->protocol, TUNNEL_HBONE);
	assert_int_equal(in.workload[0]->capacity, 7);
	assert_int_equal(in.workload[0]->status, WORKLOAD_UNHEALTHY);
	assert_true(in.workload[0]->host_network);
}

static void load_balancers_and_families_are_read(void **state)
{
	_input_ struct model_input in = { 0 };
	const struct service *s;

	(void)state;
	decode("services:\n"
	       "- {name: s, namespace: a, hostname: h, vips: [\"fd00::1\", net/10.0.0.1],\n"
	       "   ports: {80: 0, \"443\": 8443}, ipFamilies: IPv6,\n"
	       "   loadBalancer: {mode: strict, healthPolicy: AllowAll,\n"
	       "                  routingPreferences: [Network, Region, zone, Subzone, Node, Cluster]}}",
	       &in);
	s = in.service[0];
	ip_is(&s->vips[0], "fd00::1");
	ip_is(&s->vips[1], "10.0.0.1");
	assert_int_equal(s->ports[0].target_port, 0);
	assert_int_equal(s->ports[1].port, 443);
	assert_int_equal(s->families, FAMILIES_V6);
	assert_int_equal(s->lb_mode, LB_STRICT);
	assert_true(s->allow_unhealthy);
	assert_int_equal(s->n_lb_scopes, 6);
	assert_int_equal(s->lb_scopes[0], LB_NETWORK);
	assert_int_equal(s->lb_scopes[2], LB_ZONE);
}

static void waypoints_are_kept_as_text(void **state)
{
	static const struct {
		const char *yaml, *text;
	} rows[] = {
		{ "ns/wp.example", "ns/wp.example" },
		{ "10.0.0.1:15008", "10.0.0.1:15008" },
		{ "{destination: ns/wp, hboneMtlsPort: 15009}", "ns/wp:15009" },
		{ "{destination: net/10.0.0.1}", "net/10.0.0.1:15008" },
		{ "'fd00::1'", "fd00::1" },
		{ "{destination: 'fd00::1', hboneMtlsPort: 15009}", "[fd00::1]:15009" },
		{ "{destination: net/fd00::1}", "net/[fd00::1]:15008" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_input_ struct model_input in = { 0 };
		_free_ char *text = str_printf("workloads: [{name: n, namespace: a, waypoint: %s}]",
					       rows[i].yaml);

		decode(text, &in);
		assert_string_equal(in.workload[0]->waypoint, rows[i].text);
	}
}

static void an_application_tunnel_may_have_a_port_and_a_protocol(void **state)
{
	_input_ struct model_input in = { 0 };

	(void)state;
	decode("workloads:\n- {name: a, namespace: n, applicationTunnel: {protocol: PROXY, port: 80}}\n"
	       "- {name: b, namespace: n, applicationTunnel: {protocol: NONE}}\n"
	       "- {name: c, namespace: n}\n",
	       &in);
	assert_true(in.workload[0]->app_tunnel && in.workload[0]->app_proxy);
	assert_int_equal(in.workload[0]->app_port, 80);
	assert_true(in.workload[1]->app_tunnel && !in.workload[1]->app_proxy);
	assert_int_equal(in.workload[1]->app_port, 0);
	assert_false(in.workload[2]->app_tunnel);
}

static void weighted_waypoints_have_a_destination_and_a_weight(void **state)
{
	_input_ struct model_input in = { 0 };
	const struct service *s;

	(void)state;
	decode("services:\n- {name: s, namespace: a, hostname: h, weightedWaypoints: ["
	       "{destination: a/w, weight: 3}, {destination: {destination: b/x, hboneMtlsPort: 9}}]}",
	       &in);
	s = in.service[0];
	assert_int_equal(s->n_weighted, 2);
	assert_string_equal(s->weighted[0].text, "a/w");
	assert_int_equal(s->weighted[0].weight, 3);
	assert_string_equal(s->weighted[1].text, "b/x:9");
	assert_int_equal(s->weighted[1].weight, 0);
}

static void string_matches_have_a_long_and_a_short_form(void **state)
{
	static const struct {
		const char *yaml;
		enum match_kind kind;
		const char *text;
	} rows[] = {
		{ "foo", MATCH_EXACT, "foo" },
		{ "foo*", MATCH_PREFIX, "foo" },
		{ "'*foo'", MATCH_SUFFIX, "foo" },
		{ "'*'", MATCH_PRESENCE, NULL },
		{ "{Exact: foo}", MATCH_EXACT, "foo" },
		{ "{Exact: 'f*o'}", MATCH_EXACT, "f*o" },
		{ "{Exact: ''}", MATCH_EXACT, "" },
		{ "{prefix: foo}", MATCH_PREFIX, "foo" },
		{ "{Suffix: foo}", MATCH_SUFFIX, "foo" },
		{ "{Presence: []}", MATCH_PRESENCE, NULL },
		{ "{Presence: }", MATCH_PRESENCE, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_input_ struct model_input in = { 0 };
		_free_ char *text = str_printf(
			"policies: [{name: p, namespace: a, scope: global, action: DENY, rules: "
			"[[[{principals: [%s], notNamespaces: [%s]}]]]}]",
			rows[i].yaml, rows[i].yaml);
		const struct match *m;

		decode(text, &in);
		m = &in.policy[0]->rules[0].clauses[0].matches[0];
		assert_int_equal(m->principals[0].kind, rows[i].kind);
		assert_int_equal(m->not_namespaces[0].kind, rows[i].kind);
		if (rows[i].text)
			assert_string_equal(m->principals[0].text, rows[i].text);
		else
			assert_null(m->principals[0].text);
	}
}

static void all_conditions_of_a_match_are_read(void **state)
{
	_input_ struct model_input in = { 0 };
	char buf[IP_TEXT_MAX];
	const struct match *m;

	(void)state;
	decode("policies:\n"
	       "- name: p\n"
	       "  namespace: a\n"
	       "  scope: WorkloadSelector\n"
	       "  action: Allow\n"
	       "  rules:\n"
	       "  - - - serviceAccounts: [x/y, {namespace: n, serviceAccount: s}]\n"
	       "        notServiceAccounts: [v/w]\n"
	       "        sourceIps: [10.1.2.3/8]\n"
	       "        notSourceIps: [10.1.2.3]\n"
	       "        destinationIps: [fd00::1/16]\n"
	       "        notDestinationIps: [\"::/0\", 0.0.0.0/0]\n"
	       "        destinationPorts: [80, \"443\"]\n"
	       "        notDestinationPorts: [65535]\n",
	       &in);
	m = &in.policy[0]->rules[0].clauses[0].matches[0];
	assert_string_equal(m->service_accounts[0].ns, "x");
	assert_string_equal(m->service_accounts[0].sa, "y");
	assert_string_equal(m->service_accounts[1].sa, "s");
	assert_string_equal(m->not_service_accounts[0].sa, "w");
	assert_string_equal(ip_format_prefix(buf, &m->source_ips[0]), "10.0.0.0/8");
	assert_int_equal(m->not_source_ips[0].len, 128);
	assert_string_equal(ip_format_prefix(buf, &m->destination_ips[0]), "fd00::/16");
	assert_int_equal(m->n_not_destination_ips, 2);
	assert_int_equal(m->destination_ports[1], 443);
	assert_int_equal(m->not_destination_ports[0], 65535);
}

static void keys_of_ztunnel_without_a_meaning_here_are_accepted(void **state)
{
	_input_ struct model_input in = { 0 };

	(void)state;
	log_set_level(LOG_ERROR);
	decode("workloads:\n"
	       "- name: n\n"
	       "  namespace: a\n"
	       "  networkGateway: {destination: net/10.0.0.1, hboneMtlsPort: 15008}\n"
	       "services:\n"
	       "- name: s\n"
	       "  namespace: a\n"
	       "  hostname: h\n"
	       "  endpoints: {}\n"
	       "  visibility: Namespace\n"
	       "- {name: t, namespace: a, hostname: i, visibility: Public}\n",
	       &in);
	assert_int_equal(in.n_services, 2);
	assert_true(in.service[0]->ns_only);
	assert_false(in.service[1]->ns_only);
	log_set_level(LOG_INFO);
}

#define W "workloads:\n- {name: n, namespace: a, "
#define S "services:\n- {name: n, namespace: a, hostname: h, "
#define P "policies:\n- {name: n, namespace: a, scope: Global, action: Deny, rules: "
static const struct {
	const char *yaml, *error;
} mistakes[] = {
	{ "", "mesh.yaml:1: the file is empty" },
	{ "# nothing\n", "the file is empty" },
	{ "[]", "mesh.yaml:1: must be a map, not a list" },
	{ "a: [", "mesh.yaml:" },
	{ "workloads: 5", "mesh.yaml:1: workloads: must be a list, not a single value" },
	{ "\n\nworkload: []", "mesh.yaml:3: unknown key 'workload'" },
	{ "Workloads: []", "unknown key 'Workloads', did you mean 'workloads'?" },
	{ "workloads: [7]", "mesh.yaml:1: workloads[0]: must be a map" },
	{ "workloads:\n- name: x\n", "mesh.yaml:2: workloads[0]: 'namespace' is missing" },
	{ "workloads:\n- name: x\n  namespace:\n",
	  "mesh.yaml:3: workloads[0]: 'namespace' is missing" },
	{ "workloads: [{namespace: a}]", "workloads[0]: has neither 'uid' nor 'name'" },
	{ W "protocol: FOO}", "mesh.yaml:2: workloads[0].protocol: 'FOO' is not one of HBONE, TCP" },
	{ W "service_account: x}", "workloads[0]: unknown key 'service_account'" },
	{ W "status: ill}", "workloads[0].status: 'ill' is not one of Healthy, Unhealthy" },
	{ W "workloadIps: [10.0.0.1, 10.0.0]}", "workloads[0].workloadIps[1]: '10.0.0' is not" },
	{ W "workloadIps: [0.0.0.0]}", "workloads[0].workloadIps[0]: '0.0.0.0' is not" },
	{ W "workloadIps: 10.0.0.1}", "workloads[0].workloadIps: must be a list" },
	{ W "capacity: 4294967296}", "workloads[0].capacity: '4294967296' is not a number from 0 to" },
	{ W "capacity: -1}", "workloads[0].capacity: '-1' is not a number" },
	{ W "nativeTunnel: maybe}", "workloads[0].nativeTunnel: 'maybe' is not true or false" },
	{ W "node: \"a\\nb\"}", "workloads[0].node: has a control character" },
	{ W "locality: {region: [x]}}",
	  "workloads[0].locality.region: must be a single value, not a list" },
	{ W "locality: {continent: x}}", "workloads[0].locality: unknown key 'continent'" },
	{ W "services: [a/b]}", "workloads[0].services: must be a map, not a list" },
	{ W "services: {b: {80: 80}}}", "workloads[0].services.b: 'b' must be 'namespace/name'" },
	{ W "services: {a/: {80: 80}}}", "must not be empty" },
	{ W "services: {a/b: {x: 80}}}",
	  "workloads[0].services.a/b.x: 'x' is not a number from 1 to 65535" },
	{ W "services: {a/b: {80: 65536}}}", "workloads[0].services.a/b.80: '65536' is not" },
	{ W "services: {a/b: {080: 80}}}", "a port has no leading zeros" },
	{ W "services: {a/b: {80: 1, 80: 2}}}", "mesh.yaml:2" },
	{ W "authorizationPolicies: [p]}", "workloads[0].authorizationPolicies[0]: 'p' must be" },
	{ W "authorizationPolicies: }",
	  "workloads[0].authorizationPolicies: must be a list, not nothing" },
	{ W "serviceAccount: a/b}",
	  "workloads[0]: 'spiffe://cluster.local/ns/a/sa/a/b' is no SPIFFE id" },
	{ W "trustDomain: UPPER}", "is no SPIFFE id" },
	{ S "cidrVips: [a/10.0.0.0/33]}", "services[0].cidrVips[0]: '10.0.0.0/33' is no range" },
	{ W "waypoint: nobody}", "workloads[0].waypoint: must be 'namespace/hostname' or an address" },
	{ W "waypoint: a/b/c}", "workloads[0].waypoint: must be 'namespace/hostname' or an address" },
	{ S "weightedWaypoints: [{weight: 1}]}",
	  "services[0].weightedWaypoints[0]: 'destination' is missing" },
	{ W "waypoint: {hboneMtlsPort: 1}}", "workloads[0].waypoint: 'destination' is missing" },
	{ W "waypoint: {destination: a/b, hboneMtlsPort: 0}}",
	  "workloads[0].waypoint.hboneMtlsPort: '0' is not" },
	{ "workloads:\n- {name: n, namespace: a/b}",
	  "workloads[0].namespace: 'a/b' must not contain '/'" },
	{ S "vips: [x/y/z]}", "services[0].vips[0]: 'y/z' is not the IP address" },
	{ S "vips: [10.0.0.0/8]}", "services[0].vips[0]: '8' is not the IP address" },
	{ S "ports: {0: 80}}", "services[0].ports.0: '0' is not a number from 1" },
	{ S "loadBalancer: {}}", "services[0].loadBalancer: 'mode' is missing" },
	{ S "loadBalancer: {mode: Best}}",
	  "services[0].loadBalancer.mode: 'Best' is not one of Standard," },
	{ S "loadBalancer: {mode: Strict, routingPreferences: [Zone, zone]}}",
	  "services[0].loadBalancer.routingPreferences[1]: is there twice" },
	{ S "ipFamilies: [IPv4]}", "services[0].ipFamilies: must be a single value" },
	{ "services:\n- {name: n, namespace: a}", "services[0]: 'hostname' is missing" },
	{ "policies:\n- {name: n, namespace: a, scope: Global, action: Deny}",
	  "policies[0]: 'rules' is missing" },
	{ "policies:\n- {name: n, namespace: a, scope: All, action: Deny, rules: []}",
	  "policies[0].scope: 'All' is not one of Global, Namespace, WorkloadSelector" },
	{ "policies:\n- {name: n, namespace: a, scope: Global, action: Log, rules: []}",
	  "policies[0].action: 'Log' is not one of Allow, Deny" },
	{ P "[{}]}", "policies[0].rules[0]: must be a list, not a map" },
	{ P "[[ ~ ]]}", "policies[0].rules[0][0]: must be a list, not nothing" },
	{ P "[[[ ~ ]]]}", "policies[0].rules[0][0][0]: must be a map, not nothing" },
	{ P "[[[{principals: }]]]}",
	  "policies[0].rules[0][0][0].principals: must be a list, not nothing" },
	{ P "[[[{methods: [GET]}]]]}", "policies[0].rules[0][0][0]: unknown key 'methods'" },
	{ P "[[[{principals: ['*a*']}]]]}", "principals[0]: may have one '*', at its start or end" },
	{ P "[[[{principals: ['']}]]]}", "principals[0]: must not be empty" },
	{ P "[[[{principals: ['spiffe://x']}]]]}",
	  "principals[0]: principals are written without 'spiffe://'" },
	{ P "[[[{principals: [{Regex: x}]}]]]}", "principals[0]: must have one key: Exact" },
	{ P "[[[{principals: [{Exact: x, Prefix: y}]}]]]}",
	  "principals[0]: must have one key: Exact" },
	{ P "[[[{principals: [{Exact: }]}]]]}", "principals[0]: must be a single value, not nothing" },
	{ P "[[[{sourceIps: [10.0.0.0/33]}]]]}", "sourceIps[0]: '10.0.0.0/33' is not" },
	{ P "[[[{destinationPorts: [0]}]]]}",
	  "destinationPorts[0]: '0' is not a number from 1 to 65535" },
	{ P "[[[{destinationPorts: [http]}]]]}", "destinationPorts[0]: 'http' is not a number" },
	{ P "[[[{serviceAccounts: [x]}]]]}", "serviceAccounts[0]: 'x' must be 'namespace/name'" },
	{ P "[[[{serviceAccounts: [{namespace: x}]}]]]}",
	  "serviceAccounts[0]: 'serviceAccount' is missing" },
};

static void every_mistake_is_named_with_its_line_and_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		struct model_input in = { 0 };
		struct errbuf err = { 0 };
		int r = feed_file_decode(str_of(mistakes[i].yaml), "mesh.yaml", &err, &in);

		if (r != -EINVAL || !strstr(err.text, mistakes[i].error))
			fail_msg("row %zu: got %d '%s', want '%s'", i, r, err.text,
				 mistakes[i].error);
		assert_true(str_has_prefix(str_of(err.text), STR("mesh.yaml:")));
		assert_null(in.workload);
		assert_null(in.service);
		assert_null(in.policy);
	}
}

static void hostile_keys_cannot_break_the_line_of_a_message(void **state)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };

	(void)state;
	assert_int_equal(feed_file_decode(STR("\"a\\nb\\e\": 1"), "mesh.yaml", &err, &in), -EINVAL);
	assert_null(strpbrk(err.text, "\n\033"));
	assert_non_null(strstr(err.text, "'a?b?'"));
}

static void an_empty_mesh_must_be_said(void **state)
{
	_input_ struct model_input in = { 0 };

	(void)state;
	decode("{}", &in);
	assert_int_equal(in.n_workloads, 0);
}

static void the_documented_example_loads_and_builds(void **state)
{
	cleanup_with(model_free) struct model *m = NULL;
	cleanup_with(snap_free) struct snap *s = NULL;
	struct model_input in = { 0 };
	struct file_identity id;
	struct errbuf err = { 0 };
	_free_ char *doc = NULL;
	char *begin, *end;
	size_t n = 0;

	(void)state;
	if (file_read("docs/mesh-file.md", &err, &id, &doc, &n) < 0)
		fail_msg("run from the top of the source tree: %s", err.text);
	doc[n - 1] = '\0';
	begin = strstr(doc, "```yaml\n");
	assert_non_null(begin);
	begin += 8;
	end = strstr(begin, "```");
	assert_non_null(end);
	*end = '\0';
	decode(begin, &in);
	assert_int_equal(model_new(&m), 0);
	if (model_build(m, &in, &err, &s) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(s->n_workloads, 3);
	assert_int_equal(s->service[0]->n_endpoints, 2);
	assert_string_equal(s->workload[0]->uid, "Kubernetes//Pod/shop/client-7d9f");
	assert_non_null(snap_policy_by_key(s, str_of(s->workload[1]->policies[0])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shape_of_ztunnels_example_loads),
		cmocka_unit_test(a_workload_that_says_little_gets_the_defaults),
		cmocka_unit_test(json_is_yaml_too),
		cmocka_unit_test(load_balancers_and_families_are_read),
		cmocka_unit_test(waypoints_are_kept_as_text),
		cmocka_unit_test(an_application_tunnel_may_have_a_port_and_a_protocol),
		cmocka_unit_test(weighted_waypoints_have_a_destination_and_a_weight),
		cmocka_unit_test(string_matches_have_a_long_and_a_short_form),
		cmocka_unit_test(all_conditions_of_a_match_are_read),
		cmocka_unit_test(keys_of_ztunnel_without_a_meaning_here_are_accepted),
		cmocka_unit_test(every_mistake_is_named_with_its_line_and_key),
		cmocka_unit_test(hostile_keys_cannot_break_the_line_of_a_message),
		cmocka_unit_test(an_empty_mesh_must_be_said),
		cmocka_unit_test(the_documented_example_loads_and_builds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
