// SPDX-License-Identifier: Apache-2.0
/* Rows of the model and of certificates as the control socket shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/views.h"
#include "base/ip.h"
#include "base/own.h"
#include "ident/store.h"
#include "io/loop.h"
#include "model/snap.h"

static struct weft_addr addr(const char *text)
{
	struct weft_addr a;

	assert_int_equal(ip_parse(str_of(text), &a), 0);
	return a;
}

static void assert_rows(json_t *got, const char *want)
{
	json_t *j = json_loads(want, 0, NULL);
	_free_ char *text = json_dumps(got, JSON_PRESERVE_ORDER);
	_free_ char *want_text = json_dumps(j, JSON_PRESERVE_ORDER);

	assert_non_null(text);
	assert_non_null(want_text);
	assert_string_equal(text, want_text);
	json_decref(j);
	json_decref(got);
}

static struct workload_service member = { .key = (char *)"demo/shop.demo" };
static struct workload_group group = { .gateway = (char *)"net1/203.0.113.9" };
static char *policy_names[] = { (char *)"demo/only-client" };

static struct workload make_workload(struct weft_addr *addrs)
{
	addrs[0] = addr("10.1.1.2");
	addrs[1] = addr("fd00::2");
	return (struct workload){
		.id = 7,
		.uid = (char *)"u1",
		.ns = (char *)"demo",
		.name = (char *)"server-0",
		.node = (char *)"n1",
		.waypoint = (char *)"",
		.network = (char *)"net1",
		.group = &group,
		.identity = (char *)"spiffe://cluster.local/ns/demo/sa/server",
		.addrs = addrs,
		.n_addrs = 2,
		.protocol = TUNNEL_HBONE,
		.status = WORKLOAD_UNHEALTHY,
		.capacity = 3,
		.services = &member,
		.n_services = 1,
		.policies = policy_names,
		.n_policies = 1,
	};
}

static void a_workload_row_has_all_that_the_contract_lists(void **state)
{
	struct weft_addr addrs[2];
	struct workload w = make_workload(addrs), *list[] = { &w };
	struct snap s = { .workload = list, .n_workloads = 1 };

	(void)state;
	assert_rows(
		view_workloads(&s),
		"[{\"uid\": \"u1\", \"namespace\": \"demo\", \"name\": \"server-0\","
		"\"ips\": [\"10.1.1.2\", \"fd00::2\"], \"node\": \"n1\","
		"\"identity\": \"spiffe://cluster.local/ns/demo/sa/server\","
		"\"protocol\": \"HBONE\", \"status\": \"Unhealthy\","
		"\"services\": [\"demo/shop.demo\"], \"policies\": [\"demo/only-client\"],"
		"\"waypoint\": \"\", \"network\": \"net1\", \"gateway\": \"net1/203.0.113.9\", \"id\": 7}]");
}

static void a_service_row_has_ports_and_endpoints(void **state)
{
	struct weft_addr addrs[2], vip = addr("10.96.0.10");
	struct workload w = make_workload(addrs);
	struct endpoint e = { .w = &w };
	struct service_port port = { .port = 80, .target_port = 8080, .id = 5 };
	struct service svc = {
		.ns = (char *)"demo",
		.hostname = (char *)"shop.demo",
		.vips = &vip,
		.n_vips = 1,
		.ports = &port,
		.n_ports = 1,
		.endpoints = &e,
		.n_endpoints = 1,
	};
	struct service *list[] = { &svc };
	struct snap s = { .service = list, .n_services = 1 };

	(void)state;
	assert_rows(view_services(&s),
		    "[{\"namespace\": \"demo\", \"hostname\": \"shop.demo\","
		    "\"vips\": [\"10.96.0.10\"],"
		    "\"ports\": [{\"port\": 80, \"target_port\": 8080, \"id\": 5}],"
		    "\"endpoints\": [{\"workload\": \"u1\", \"ips\": [\"10.1.1.2\", \"fd00::2\"],"
		    "\"weight\": 3, \"status\": \"Unhealthy\"}]}]");
}

static void a_policy_row_says_scope_and_action_in_words(void **state)
{
	char *warnings[] = { (char *)"not carried out" };
	struct policy p[] = {
		{ .ns = (char *)"demo", .name = (char *)"a", .scope = SCOPE_WORKLOAD, .n_rules = 2 },
		{ .ns = (char *)"",
		  .name = (char *)"b",
		  .scope = SCOPE_GLOBAL,
		  .action = ACTION_DENY,
		  .dry_run = true },
		{ .ns = (char *)"c",
		  .name = (char *)"c",
		  .scope = SCOPE_NAMESPACE,
		  .action = ACTION_NONE,
		  .warnings = warnings,
		  .n_warnings = 1 },
	};
	struct policy *list[] = { &p[0], &p[1], &p[2] };
	struct snap s = { .policy = list, .n_policies = 3 };

	(void)state;
	assert_rows(view_policies(&s),
		    "[{\"namespace\": \"demo\", \"name\": \"a\", \"scope\": \"WorkloadSelector\","
		    "\"action\": \"Allow\", \"dry_run\": false, \"rules\": 2, \"warnings\": []},"
		    "{\"namespace\": \"\", \"name\": \"b\", \"scope\": \"Global\","
		    "\"action\": \"Deny\", \"dry_run\": true, \"rules\": 0, \"warnings\": []},"
		    "{\"namespace\": \"c\", \"name\": \"c\", \"scope\": \"Namespace\","
		    "\"action\": \"None\", \"dry_run\": false, \"rules\": 0,"
		    "\"warnings\": [\"not carried out\"]}]");
}

static void an_empty_mesh_gives_empty_lists(void **state)
{
	struct snap s = { 0 };

	(void)state;
	assert_rows(view_workloads(&s), "[]");
	assert_rows(view_services(&s), "[]");
	assert_rows(view_policies(&s), "[]");
}

static void a_name_that_is_not_utf8_does_not_lose_the_list(void **state)
{
	json_t *j = view_text("a\xff-b");

	(void)state;
	assert_string_equal(json_string_value(j), "a?-b");
	json_decref(j);
	j = view_text(NULL);
	assert_string_equal(json_string_value(j), "");
	json_decref(j);
}

static void a_wanted_identity_without_files_is_a_row_with_its_error(void **state)
{
	char dir[] = "/tmp/weft-views-XXXXXX";
	struct ident_opts o = { .source = IDENT_FILES, .ttl_s = 3600 };
	struct errbuf err = { 0 };
	struct ident_store *store;
	struct loop *loop;
	json_t *list, *row;

	(void)state;
	assert_non_null(mkdtemp(dir));
	o.files_dir = dir;
	assert_int_equal(loop_new(&loop, "control"), 0);
	assert_int_equal(ident_store_new(loop, &o, &err, &store), 0);
	assert_int_equal(ident_want(store, "spiffe://cluster.local/ns/demo/sa/a"), 0);
	assert_int_equal(ident_want(store, "spiffe://cluster.local/ns/demo/sa/a"), 0);
	list = view_certs(store);
	assert_int_equal(json_array_size(list), 1);
	row = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(row, "identity")),
			    "spiffe://cluster.local/ns/demo/sa/a");
	assert_int_equal(json_integer_value(json_object_get(row, "pods")), 2);
	assert_true(json_string_length(json_object_get(row, "state")) > 0);
	assert_non_null(json_object_get(row, "not_after_s"));
	assert_non_null(json_object_get(row, "next_s"));
	assert_int_equal(json_integer_value(json_object_get(row, "rotations")), 0);
	json_decref(list);
	ident_store_free(&store);
	loop_free(&loop);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_workload_row_has_all_that_the_contract_lists),
		cmocka_unit_test(a_service_row_has_ports_and_endpoints),
		cmocka_unit_test(a_policy_row_says_scope_and_action_in_words),
		cmocka_unit_test(an_empty_mesh_gives_empty_lists),
		cmocka_unit_test(a_name_that_is_not_utf8_does_not_lose_the_list),
		cmocka_unit_test(a_wanted_identity_without_files_is_a_row_with_its_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
