// SPDX-License-Identifier: Apache-2.0
/* The config dump in the shape that tools written for ztunnel read. */
#include "model_make.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>

#include "admin/dump.h"

static void assert_row(json_t *got, const char *want)
{
	json_t *j = json_loads(want, 0, NULL);
	_free_ char *text = json_dumps(got, 0), *want_text = json_dumps(j, 0);

	assert_non_null(want_text);
	assert_string_equal(text, want_text);
	json_decref(j);
	json_decref(got);
}

static struct workload *filled(void)
{
	struct workload *w = make_workload("u1", "demo", "10.1.1.2");

	w->addrs = grown(w->addrs, 2, sizeof(*w->addrs));
	w->addrs[w->n_addrs++] = make_addr("fd00::2");
	w->waypoint = str_dup(STR("demo/wp.demo.svc.cluster.local:15009"));
	w->network = str_dup(STR("net1"));
	w->group->region = str_dup(STR("r1"));
	w->protocol = TUNNEL_HBONE;
	w->native_tunnel = true;
	w->policies = grown(NULL, 1, sizeof(*w->policies));
	w->policies[w->n_policies++] = str_dup(STR("demo/p"));
	make_member(w, "demo/shop.demo", 80, 8080);
	return w;
}

static struct model *model_of(struct workload *w, struct service *s, struct policy *p)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct model *m;
	struct snap *snap;

	in.workload = grown(NULL, 1, sizeof(w));
	in.workload[in.n_workloads++] = w;
	in.service = grown(NULL, 1, sizeof(s));
	in.service[in.n_services++] = s;
	if (p) {
		in.policy = grown(NULL, 1, sizeof(p));
		in.policy[in.n_policies++] = p;
	}
	assert_int_equal(model_new(&m), 0);
	assert_int_equal(model_build(m, &in, &err, &snap), 0);
	model_publish(m, snap);
	return m;
}

static void a_workload_has_the_names_of_ztunnel(void **state)
{
	struct model *m = model_of(filled(), make_service("demo", "shop.demo", "10.9.0.1", 80, 0),
				   NULL);

	(void)state;
	assert_row(
		dump_workload(model_snap(m)->workload[0]),
		"{\"workloadIps\":[\"10.1.1.2\",\"fd00::2\"],\"waypoint\":{\"destination\":"
		"\"demo/wp.demo.svc.cluster.local\",\"hboneMtlsPort\":15009},\"protocol\":\"HBONE\","
		"\"networkMode\":\"Standard\",\"uid\":\"u1\",\"name\":\"u1\",\"namespace\":\"demo\","
		"\"trustDomain\":\"cluster.local\",\"serviceAccount\":\"default\",\"network\":\"net1\","
		"\"workloadName\":\"\",\"workloadType\":\"\",\"canonicalName\":\"\","
		"\"canonicalRevision\":\"\",\"hostname\":\"\",\"node\":\"\",\"nativeTunnel\":true,"
		"\"status\":\"Healthy\",\"clusterId\":\"\",\"locality\":{\"region\":\"r1\",\"zone\":"
		"\"\",\"subzone\":\"\"},\"authorizationPolicies\":[\"demo/p\"],\"services\":"
		"[\"demo/shop.demo\"],\"capacity\":1}");
	model_free(&m);
}

static void a_service_has_its_vips_by_network_and_its_endpoints_by_uid(void **state)
{
	struct service *s = make_service("demo", "shop.demo", "10.9.0.1", 80, 8080);
	struct model *m;

	(void)state;
	s->waypoint = str_dup(STR("10.9.0.7:15008"));
	s->lb_mode = LB_FAILOVER;
	s->lb_scopes[s->n_lb_scopes++] = LB_REGION;
	s->canonical = true;
	s->families = FAMILIES_V4;
	m = model_of(filled(), s, NULL);
	assert_row(dump_service(model_snap(m)->service[0], "net1"),
		   "{\"name\":\"shop.demo\",\"namespace\":\"demo\",\"hostname\":\"shop.demo\",\"vips\":"
		   "[\"net1/10.9.0.1\"],\"ports\":{\"80\":8080},\"endpoints\":{\"u1\":{\"workloadUid\":"
		   "\"u1\",\"port\":{\"80\":8080},\"status\":\"Healthy\"}},\"subjectAltNames\":[],"
		   "\"waypoint\":{\"destination\":\"net1/10.9.0.7\",\"hboneMtlsPort\":15008},"
		   "\"loadBalancer\":{\"routingPreferences\":[\"Region\"],\"mode\":\"Failover\","
		   "\"healthPolicy\":\"OnlyHealthy\"},\"ipFamilies\":\"IPv4\",\"canonical\":true}");
	model_free(&m);
}

static struct policy *all_matches(void)
{
	static struct string_match strings[] = { { MATCH_EXACT, (char *)"a" },
						 { MATCH_PREFIX, (char *)"b" },
						 { MATCH_SUFFIX, (char *)"c" },
						 { MATCH_PRESENCE, NULL } };
	static struct sa_match sa = { (char *)"demo", (char *)"client" };
	static struct ip_prefix prefix;
	static uint16_t port = 443;
	static struct match match;
	static struct clause clause = { &match, 1 };
	static struct rule rule = { &clause, 1 };
	static struct policy p = { .name = (char *)"p",
				   .ns = (char *)"demo",
				   .scope = SCOPE_WORKLOAD,
				   .action = ACTION_DENY,
				   .dry_run = true,
				   .rules = &rule,
				   .n_rules = 1 };

	assert_int_equal(ip_parse_prefix(STR("10.0.0.0/8"), &prefix), 0);
	match = (struct match){ .principals = strings,
				.n_principals = 4,
				.not_service_accounts = &sa,
				.n_not_service_accounts = 1,
				.source_ips = &prefix,
				.n_source_ips = 1,
				.destination_ports = &port,
				.n_destination_ports = 1 };
	return &p;
}

static void a_policy_has_rules_of_clauses_of_matches(void **state)
{
	(void)state;
	assert_row(
		dump_policy(all_matches()),
		"{\"name\":\"p\",\"namespace\":\"demo\",\"scope\":\"WorkloadSelector\",\"action\":"
		"\"Deny\",\"rules\":[[[{\"principals\":[{\"Exact\":\"a\"},{\"Prefix\":\"b\"},"
		"{\"Suffix\":\"c\"},{\"Presence\":[]}],\"notServiceAccounts\":[{\"namespace\":\"demo\","
		"\"serviceAccount\":\"client\"}],\"sourceIps\":[\"10.0.0.0/8\"],\"destinationPorts\":"
		"[443]}]]],\"dryRun\":true}");
}

static struct weft_ep ep(const char *text)
{
	struct weft_ep e;

	assert_int_equal(ip_parse_ep(str_of(text), &e), 0);
	return e;
}

static void add_state(struct dump *d, struct service *svc)
{
	const struct dump_pod a = { "u1", "demo", "a", "cluster.local", "sa1", true };
	const struct dump_pod b = { "demo/b", "demo", "b", "cluster.local", "", false };
	struct dump_conn c = { .src = ep("10.1.1.2:5000"),
			       .dialled = ep("10.9.0.1:80"),
			       .actual = ep("10.1.1.3:15008"),
			       .hbone = true };

	assert_int_equal(dump_pod(d, &a), 0);
	assert_int_equal(dump_pod(d, &b), 1);
	assert_int_equal(dump_conn(d, &c), 0);
	c.inbound = true;
	c.hbone = false;
	assert_int_equal(dump_conn(d, &c), 0);
	c.service = svc;
	assert_int_equal(dump_conn(d, &c), 0);
	dump_settings(d, json_pack("{s:s}", "version", "1"),
		      json_pack("{s:i}", "numWorkerThreads", 2));
}

/* In bites of this size, which must not matter. */
static char *read_all(struct dump *d, size_t bite)
{
	char *text = calloc(1, 65536);
	size_t n = 0;
	ssize_t got;

	while ((got = dump_read(d, text + n, bite)) > 0) {
		n += (size_t)got;
		assert_in_range(n, 1, 65535 - bite);
	}
	assert_int_equal(got, 0);
	return text;
}

static void a_dump_is_one_object_however_it_is_read(void **state)
{
	static const char want_state[] =
		"{\"u1\":{\"state\":\"Up\",\"connections\":{\"inbound\":[{\"src\":\"10.1.1.2:5000\","
		"\"originalDst\":null,\"actualDst\":\"10.1.1.3:15008\",\"protocol\":\"TCP\"},{\"src\":"
		"\"10.1.1.2:5000\",\"originalDst\":\"shop.demo\",\"actualDst\":\"10.1.1.3:15008\","
		"\"protocol\":\"TCP\"}],\"outbound\":[{\"src\":\"10.1.1.2:5000\",\"originalDst\":"
		"\"10.9.0.1:80\",\"actualDst\":\"10.1.1.3:15008\",\"protocol\":\"HBONE\"}]},\"info\":"
		"{\"name\":\"a\",\"namespace\":\"demo\",\"trustDomain\":\"cluster.local\","
		"\"serviceAccount\":\"sa1\"}},\"demo/b\":{\"state\":\"Pending\",\"connections\":"
		"{\"inbound\":[],\"outbound\":[]},\"info\":{\"name\":\"b\",\"namespace\":\"demo\","
		"\"trustDomain\":\"cluster.local\",\"serviceAccount\":\"\"}}}";
	struct model *m = model_of(filled(), make_service("demo", "shop.demo", "10.9.0.1", 80, 0),
				   NULL);
	_free_ char *first = NULL;

	(void)state;
	for (size_t bite = 1; bite < 5000; bite = bite * 7 + 1) {
		struct dump *d;
		_free_ char *text = NULL;
		json_t *j;

		assert_int_equal(dump_new(model_snap(m), "net1", &d), 0);
		add_state(d, model_snap(m)->service[0]);
		text = read_all(d, bite);
		dump_free(&d);
		j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(j);
		assert_int_equal(json_object_size(j), 9);
		assert_int_equal(json_array_size(json_object_get(j, "workloads")), 1);
		assert_row(json_incref(json_object_get(j, "workloadState")), want_state);
		json_decref(j);
		if (first)
			assert_string_equal(text, first);
		else
			first = TAKE_PTR(text);
	}
	model_free(&m);
}

static void a_dump_shows_the_mesh_it_began_with(void **state)
{
	struct model *m = model_of(filled(), make_service("demo", "shop.demo", "10.9.0.1", 80, 0),
				   NULL);
	struct model_input none = { 0 };
	struct dump *d;
	_free_ char *text = NULL;
	struct snap *s;
	char head[4];

	(void)state;
	assert_int_equal(dump_new(model_snap(m), "", &d), 0);
	dump_settings(d, json_object(), json_object());
	assert_int_equal(dump_read(d, head, sizeof(head)), sizeof(head));
	assert_int_equal(model_build(m, &none, NULL, &s), 0);
	model_publish(m, s);
	text = read_all(d, 100);
	assert_non_null(strstr(text, "\"10.1.1.2\""));
	assert_non_null(strstr(text, "\"/10.9.0.1\""));
	dump_free(&d);
	model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_workload_has_the_names_of_ztunnel),
		cmocka_unit_test(a_service_has_its_vips_by_network_and_its_endpoints_by_uid),
		cmocka_unit_test(a_policy_has_rules_of_clauses_of_matches),
		cmocka_unit_test(a_dump_is_one_object_however_it_is_read),
		cmocka_unit_test(a_dump_shows_the_mesh_it_began_with),
	};

	int r;

	urcu_qsbr_register_thread();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	urcu_qsbr_unregister_thread();
	return r;
}
