// SPDX-License-Identifier: Apache-2.0
/* Resources of the workload API into objects of the model: what is kept, what gets a safe value,
 * what makes a resource invalid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "unit/xds_decoder.h"

static struct xds_decoder *decoder(void **state)
{
	return *state;
}

static struct str written(struct pb_writer *w)
{
	struct str s;

	assert_int_equal(pb_written(w, &s), 0);
	return s;
}

static int address(struct xds_decoder *d, struct pb_writer *body, uint32_t kind, struct errbuf *err,
		   struct xds_object *ret)
{
	struct pb_writer w = { 0 };
	int r;

	err->text[0] = '\0';
	pb_put_bytes(&w, kind, written(body));
	r = xds_decode_address(d, written(&w), err, ret);
	pb_writer_fini(&w);
	pb_writer_fini(body);
	return r;
}

static void put_ip(struct pb_writer *w, uint32_t field, uint8_t last)
{
	const uint8_t ip[4] = { 10, 0, 0, last };

	pb_put_bytes(w, field, (struct str){ (const char *)ip, 4 });
}

static void put_port(struct pb_writer *w, uint32_t field, unsigned service, unsigned target)
{
	size_t mark = pb_begin(w, field);

	pb_put_u64(w, 1, service);
	pb_put_u64(w, 2, target);
	pb_end(w, mark);
}

static void minimal(struct pb_writer *w)
{
	pb_put_text(w, 20, "Kubernetes//Pod/shop/web");
	pb_put_text(w, 2, "shop");
}

static void a_workload_has_all_that_the_model_knows(void **state)
{
	struct xds_decoder *d = decoder(state);
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;
	size_t mark, inner;

	minimal(&w);
	pb_put_text(&w, 1, "web-1");
	put_ip(&w, 3, 1);
	put_ip(&w, 3, 2);
	put_ip(&w, 3, 1); /* twice is once */
	pb_put_u64(&w, 5, 1);
	pb_put_text(&w, 7, "web");
	pb_put_text(&w, 9, "node1");
	pb_put_text(&w, 10, "web");
	pb_put_u64(&w, 12, 1);
	pb_put_text(&w, 16, "shop/strict");
	pb_put_u64(&w, 17, 1);
	pb_put_u64(&w, 25, 1);
	mark = pb_begin(&w, 27);
	pb_put_u64(&w, 1, 7);
	pb_end(&w, mark);
	put_port(&w, 23, 1, 15088); /* the application's tunnel: PROXY, and a port */
	mark = pb_begin(&w, 24);
	pb_put_text(&w, 2, "zone-b");
	pb_end(&w, mark);
	mark = pb_begin(&w, 22);
	pb_put_text(&w, 1, "shop/web.shop");
	inner = pb_begin(&w, 2);
	put_port(&w, 1, 80, 8080);
	put_port(&w, 1, 81, 8081);
	put_port(&w, 1, 80, 9090); /* the later one */
	pb_end(&w, inner);
	pb_end(&w, mark);
	pb_put_text(&w, 999, "of a later version");
	assert_int_equal(address(d, &w, 1, &err, &o), 0);
	assert_int_equal(o.kind, XDS_WORKLOAD);
	assert_string_equal(xds_object_name(&o), "Kubernetes//Pod/shop/web");
	assert_string_equal(o.workload->name, "web-1");
	assert_string_equal(o.workload->identity, "spiffe://cluster.local/ns/shop/sa/web");
	assert_string_equal(o.workload->group->cluster, "Kubernetes");
	assert_string_equal(o.workload->group->workload_type, "cronjob");
	assert_string_equal(o.workload->group->zone, "zone-b");
	assert_int_equal(o.workload->n_addrs, 2);
	assert_int_equal(o.workload->protocol, TUNNEL_HBONE);
	assert_int_equal(o.workload->status, WORKLOAD_UNHEALTHY);
	assert_true(o.workload->host_network);
	assert_int_equal(o.workload->capacity, 7);
	assert_int_equal(o.workload->n_policies, 1);
	assert_string_equal(o.workload->policies[0], "shop/strict");
	assert_true(o.workload->app_tunnel && o.workload->app_proxy);
	assert_int_equal(o.workload->app_port, 15088);
	assert_int_equal(o.workload->n_services, 1);
	assert_string_equal(o.workload->services[0].key, "shop/web.shop");
	assert_int_equal(o.workload->services[0].n_ports, 2);
	assert_int_equal(o.workload->services[0].ports[0].target_port, 9090);
	assert_int_equal(d->unknown_values, 0);
	xds_object_put(&o);
}

static void what_a_workload_does_not_say_has_istio_s_defaults(void **state)
{
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;

	minimal(&w);
	assert_int_equal(address(decoder(state), &w, 1, &err, &o), 0);
	assert_string_equal(o.workload->identity, "spiffe://cluster.local/ns/shop/sa/default");
	assert_int_equal(o.workload->capacity, 1);
	assert_int_equal(o.workload->protocol, TUNNEL_NONE);
	assert_int_equal(o.workload->status, WORKLOAD_HEALTHY);
	xds_object_put(&o);
}

static void a_capacity_that_is_there_and_empty_is_zero(void **state)
{
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;

	minimal(&w);
	pb_put_bytes(&w, 27, STR(""));
	assert_int_equal(address(decoder(state), &w, 1, &err, &o), 0);
	assert_int_equal(o.workload->capacity, 0);
	xds_object_put(&o);
}

static void values_of_the_future_get_safe_ones_and_are_counted(void **state)
{
	struct xds_decoder *d = decoder(state);
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;

	minimal(&w);
	pb_put_u64(&w, 5, 3);  /* never plaintext */
	pb_put_u64(&w, 17, 2); /* never healthy */
	assert_int_equal(address(d, &w, 1, &err, &o), 0);
	assert_int_equal(o.workload->protocol, TUNNEL_HBONE);
	assert_int_equal(o.workload->status, WORKLOAD_UNHEALTHY);
	assert_int_equal(d->unknown_values, 2);
	xds_object_put(&o);
}

static void addresses_of_another_network_are_not_ours(void **state)
{
	struct xds_decoder *d = decoder(state);
	struct errbuf err;

	for (int own = 0; own < 2; own++) {
		struct pb_writer w = { 0 };
		struct xds_object o = { 0 };

		d->network = own ? "here" : "there";
		minimal(&w);
		pb_put_text(&w, 4, "here");
		put_ip(&w, 3, 1);
		assert_int_equal(address(d, &w, 1, &err, &o), 0);
		assert_int_equal(o.workload->n_addrs, own);
		xds_object_put(&o);
	}
}

static void bad_workload(void **state, void (*spoil)(struct pb_writer *w), const char *sentence)
{
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;

	minimal(&w);
	spoil(&w);
	assert_true(address(decoder(state), &w, 1, &err, &o) < 0);
	assert_int_equal(o.kind, XDS_NONE);
	if (!strstr(err.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, err.text);
}

static void no_ns(struct pb_writer *w)
{
	pb_put_bytes(w, 2, STR(""));
}
static void odd_ns(struct pb_writer *w)
{
	pb_put_text(w, 2, "a b");
}
static void short_ip(struct pb_writer *w)
{
	pb_put_bytes(w, 3, STR("abc"));
}
static void legacy(struct pb_writer *w)
{
	pb_put_u64(w, 5, 2);
}
static void line_end(struct pb_writer *w)
{
	pb_put_text(w, 9, "a\nb");
}
static void bad_port(struct pb_writer *w)
{
	size_t mark = pb_begin(w, 22), inner;

	pb_put_text(w, 1, "a/b");
	inner = pb_begin(w, 2);
	put_port(w, 1, 70000, 1);
	pb_end(w, inner);
	pb_end(w, mark);
}
static void bad_key(struct pb_writer *w)
{
	size_t mark = pb_begin(w, 22);

	pb_put_text(w, 1, "no-slash");
	pb_end(w, mark);
}

static void workloads_that_cannot_be_kept_are_refused_with_the_reason(void **state)
{
	bad_workload(state, no_ns, "has no namespace");
	bad_workload(state, odd_ns, "is no SPIFFE id");
	bad_workload(state, short_ip, "an address has 3 bytes");
	bad_workload(state, legacy, "LEGACY_ISTIO_MTLS");
	bad_workload(state, line_end, "node has a control character");
	bad_workload(state, bad_port, "port 70000");
	bad_workload(state, bad_key, "not written as namespace/hostname");
}

static void a_service_has_all_that_the_model_knows(void **state)
{
	struct xds_decoder *d = decoder(state);
	const uint8_t scopes[] = { 4, 2, 9 }; /* NODE, ZONE, and one of the future */
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;
	size_t mark;

	pb_put_text(&w, 1, "web");
	pb_put_text(&w, 2, "shop");
	pb_put_text(&w, 3, "web.shop");
	for (uint8_t i = 0; i < 2; i++) {
		mark = pb_begin(&w, 4);
		put_ip(&w, 2, i);
		if (i)
			pb_put_u64(&w, 3, 24);
		pb_end(&w, mark);
	}
	put_port(&w, 5, 80, 8080);
	pb_put_text(&w, 6, "spiffe://x/ns/a/sa/b");
	mark = pb_begin(&w, 8);
	pb_put_bytes(&w, 1, (struct str){ (const char *)scopes, sizeof(scopes) });
	pb_put_u64(&w, 2, 1);
	pb_put_u64(&w, 3, 1);
	pb_end(&w, mark);
	pb_put_u64(&w, 9, 2);
	pb_put_u64(&w, 11, 1);
	pb_put_u64(&w, 14, 1);
	assert_int_equal(address(d, &w, 2, &err, &o), 0);
	assert_int_equal(o.kind, XDS_SERVICE);
	assert_string_equal(xds_object_name(&o), "shop/web.shop");
	assert_int_equal(o.service->n_vips, 1);
	assert_int_equal(o.service->n_ranges, 1);
	assert_int_equal(o.service->ranges[0].len, 120);
	assert_int_equal(o.service->ranges[0].addr.b[15], 0); /* host bits are cleared */
	assert_int_equal(o.service->n_ports, 1);
	assert_int_equal(o.service->n_sans, 1);
	assert_int_equal(o.service->lb_mode, LB_STRICT);
	assert_int_equal(o.service->n_lb_scopes, 2);
	assert_int_equal(o.service->lb_scopes[0], LB_NODE);
	assert_true(o.service->allow_unhealthy && o.service->canonical && o.service->ns_only);
	assert_int_equal(o.service->families, FAMILIES_V6);
	assert_int_equal(d->unknown_values, 1);
	xds_object_put(&o);
}

/* A GatewayAddress by name (ip NULL) or by the address 10.0.0.ip. */
static void put_gateway(struct pb_writer *w, uint32_t field, const char *host, const uint8_t *ip,
			unsigned port)
{
	size_t mark = pb_begin(w, field), inner = pb_begin(w, host ? 1 : 2);

	if (host) {
		pb_put_text(w, 1, "shop");
		pb_put_text(w, 2, host);
	} else {
		pb_put_text(w, 1, "net");
		pb_put_bytes(w, 2, (struct str){ (const char *)ip, 16 });
	}
	pb_end(w, inner);
	if (port)
		pb_put_u64(w, 3, port);
	pb_end(w, mark);
}

static const uint8_t six[16] = { 0xfd, [15] = 7 };

static void waypoints_are_kept_as_the_mesh_file_writes_them(void **state)
{
	struct xds_decoder *d = decoder(state);
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;
	size_t mark;

	minimal(&w);
	put_gateway(&w, 8, NULL, six, 15009);
	assert_int_equal(address(d, &w, 1, &err, &o), 0);
	assert_string_equal(o.workload->waypoint, "net/[fd00::7]:15009");
	workload_put(&o.workload);

	pb_put_text(&w, 2, "shop");
	pb_put_text(&w, 3, "web.shop");
	put_gateway(&w, 7, "wp.shop", NULL, 0);
	mark = pb_begin(&w, 13);
	put_gateway(&w, 1, "canary.shop", NULL, 15008);
	pb_put_u64(&w, 2, 10);
	pb_end(&w, mark);
	assert_int_equal(address(d, &w, 2, &err, &o), 0);
	assert_string_equal(o.service->waypoint, "shop/wp.shop:15008");
	assert_int_equal(o.service->n_weighted, 1);
	assert_string_equal(o.service->weighted[0].text, "shop/canary.shop:15008");
	assert_int_equal(o.service->weighted[0].weight, 10);
	service_put(&o.service);
}

/* Taken as "none", they would let traffic around the waypoint. */
static void a_waypoint_without_a_destination_is_refused(void **state)
{
	struct xds_decoder *d = decoder(state);
	struct pb_writer w = { 0 };
	struct xds_object o = { 0 };
	struct errbuf err;
	size_t mark;

	minimal(&w);
	mark = pb_begin(&w, 8);
	pb_put_u64(&w, 3, 15008);
	pb_end(&w, mark);
	assert_int_equal(address(d, &w, 1, &err, &o), -EINVAL);
	assert_non_null(strstr(err.text, "no destination"));

	pb_put_text(&w, 2, "shop");
	pb_put_text(&w, 3, "web.shop");
	mark = pb_begin(&w, 13);
	pb_put_u64(&w, 2, 10);
	pb_end(&w, mark);
	assert_int_equal(address(d, &w, 2, &err, &o), -EINVAL);
	assert_non_null(strstr(err.text, "a weighted waypoint has no destination"));
}

static void an_address_is_one_of_the_two(void **state)
{
	struct errbuf err = { 0 };
	struct xds_object o = { 0 };

	assert_int_equal(xds_decode_address(decoder(state), STR(""), &err, &o), -EINVAL);
	err.text[0] = '\0';
	assert_int_equal(xds_decode_address(decoder(state), STR("\x0a\0\x12\0"), &err, &o), -EINVAL);
	assert_non_null(strstr(err.text, "neither a workload nor a service"));
}

/* ---- policies ---- */

static void begin_policy(struct pb_writer *w)
{
	pb_put_text(w, 1, "p");
	pb_put_text(w, 2, "shop");
	pb_put_u64(w, 3, 1);
	pb_put_u64(w, 4, 1);
}

/* One rule with one clause with one match, whose body is m. */
static void put_match(struct pb_writer *w, struct str m)
{
	size_t rule = pb_begin(w, 5), clause = pb_begin(w, 1);

	pb_put_bytes(w, 2, m);
	pb_end(w, clause);
	pb_end(w, rule);
}

static int policy(void **state, struct pb_writer *w, struct errbuf *err, struct xds_object *ret)
{
	int r;

	err->text[0] = '\0';
	*ret = (struct xds_object){ 0 };
	r = xds_decode_policy(decoder(state), written(w), err, ret);
	pb_writer_fini(w);
	return r;
}

static void a_policy_keeps_every_condition(void **state)
{
	struct pb_writer w = { 0 }, m = { 0 };
	const uint8_t ports[] = { 80, 0xbb, 3 };
	struct xds_object o;
	struct errbuf err;
	struct match *got;
	size_t mark;

	for (uint32_t f = 1; f <= 4; f++) {
		mark = pb_begin(&m, f);
		pb_put_bytes(&m, f, f == 4 ? STR("") : STR("text"));
		pb_end(&m, mark);
	}
	for (uint32_t f = 5; f <= 8; f++) {
		mark = pb_begin(&m, f);
		put_ip(&m, 1, 7);
		pb_put_u64(&m, 2, 24);
		pb_end(&m, mark);
	}
	pb_put_bytes(&m, 9, (struct str){ (const char *)ports, sizeof(ports) });
	pb_put_u64(&m, 10, 8080);
	for (uint32_t f = 11; f <= 12; f++) {
		mark = pb_begin(&m, f);
		pb_put_text(&m, 1, "shop");
		pb_put_text(&m, 2, "client");
		pb_end(&m, mark);
	}
	begin_policy(&w);
	put_match(&w, written(&m));
	pb_put_bytes(&w, 5, STR("")); /* a rule without clauses */
	assert_int_equal(policy(state, &w, &err, &o), 0);
	pb_writer_fini(&m);
	assert_string_equal(o.policy->key, "shop/p");
	assert_int_equal(o.policy->scope, SCOPE_NAMESPACE);
	assert_int_equal(o.policy->action, ACTION_DENY);
	assert_int_equal(o.policy->n_rules, 2);
	assert_int_equal(o.policy->rules[1].n_clauses, 0);
	got = &o.policy->rules[0].clauses[0].matches[0];
	assert_int_equal(got->namespaces[0].kind, MATCH_EXACT);
	assert_int_equal(got->not_namespaces[0].kind, MATCH_PREFIX);
	assert_int_equal(got->principals[0].kind, MATCH_SUFFIX);
	assert_string_equal(got->principals[0].text, "text");
	assert_int_equal(got->not_principals[0].kind, MATCH_PRESENCE);
	assert_int_equal(got->source_ips[0].len, 120);
	assert_int_equal(got->source_ips[0].addr.b[15], 0);
	assert_int_equal(got->n_destination_ports, 2);
	assert_int_equal(got->destination_ports[1], 443);
	assert_int_equal(got->not_destination_ports[0], 8080);
	assert_string_equal(got->not_service_accounts[0].sa, "client");
	xds_object_put(&o);
}

static void a_policy_without_rules_or_with_an_empty_match_is_what_it_says(void **state)
{
	struct pb_writer w = { 0 };
	struct xds_object o;
	struct errbuf err;

	begin_policy(&w);
	assert_int_equal(policy(state, &w, &err, &o), 0);
	assert_int_equal(o.policy->n_rules, 0);
	xds_object_put(&o);
	begin_policy(&w);
	put_match(&w, STR(""));
	assert_int_equal(policy(state, &w, &err, &o), 0);
	assert_int_equal(o.policy->rules[0].clauses[0].n_matches, 1);
	xds_object_put(&o);
}

static void bad_match(void **state, struct str m, const char *sentence)
{
	struct pb_writer w = { 0 };
	struct xds_object o;
	struct errbuf err;

	begin_policy(&w);
	put_match(&w, m);
	assert_true(policy(state, &w, &err, &o) < 0);
	assert_int_equal(o.kind, XDS_NONE);
	if (!strstr(err.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, err.text);
}

static void a_policy_of_which_anything_is_not_understood_is_refused_whole(void **state)
{
	bad_match(state, STR("\x6a\x01\0"), "field 13 is not known");
	bad_match(state, STR("\x1a\0"), "a string match of 0 kinds");
	bad_match(state, STR("\x1a\x06\x0a\x01x\x12\x01y"), "a string match of 2 kinds");
	bad_match(state, STR("\x1a\x03\x2a\x01x"), "field 5 is not known");
	bad_match(state,
		  STR("\x2a\x05\x0a\x03"
		      "abc"),
		  "an address of 3 bytes");
	bad_match(state,
		  STR("\x2a\x08\x0a\x04"
		      "abcd\x10\x21"),
		  "has length 33");
	bad_match(state, STR("\x48\xf0\xa2\x04"), "70000 is no port");
	bad_match(state, STR("\x5a\x03\x0a\x01x"), "a service account without");
	bad_match(state, STR("\x1a"), "the encoding is broken");
}

static void scope_action_and_name_must_be_known(void **state)
{
	static const struct {
		uint32_t field;
		uint64_t value;
		const char *sentence;
	} bad[] = {
		{ 3, 3, "scope 3 is not known" },
		{ 4, 2, "action 2 is not known" },
		{ 7, 1, "field 7 is not known" },
	};
	struct xds_object o;
	struct errbuf err;
	struct pb_writer w = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		begin_policy(&w);
		pb_put_u64(&w, bad[i].field, bad[i].value);
		assert_true(policy(state, &w, &err, &o) < 0);
		assert_non_null(strstr(err.text, bad[i].sentence));
	}
	assert_true(policy(state, &w, &err, &o) < 0);
	assert_non_null(strstr(err.text, "is no namespace and name"));
	/* of the root namespace, as istiod writes it */
	pb_put_text(&w, 1, "p");
	assert_int_equal(policy(state, &w, &err, &o), 0);
	assert_string_equal(o.policy->key, "/p");
	assert_int_equal(o.policy->scope, SCOPE_GLOBAL);
	xds_object_put(&o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, decoder_setup, decoder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_workload_has_all_that_the_model_knows),
		TEST(what_a_workload_does_not_say_has_istio_s_defaults),
		TEST(a_capacity_that_is_there_and_empty_is_zero),
		TEST(values_of_the_future_get_safe_ones_and_are_counted),
		TEST(addresses_of_another_network_are_not_ours),
		TEST(workloads_that_cannot_be_kept_are_refused_with_the_reason),
		TEST(a_service_has_all_that_the_model_knows),
		TEST(waypoints_are_kept_as_the_mesh_file_writes_them),
		TEST(a_waypoint_without_a_destination_is_refused),
		TEST(an_address_is_one_of_the_two),
		TEST(a_policy_keeps_every_condition),
		TEST(a_policy_without_rules_or_with_an_empty_match_is_what_it_says),
		TEST(a_policy_of_which_anything_is_not_understood_is_refused_whole),
		TEST(scope_action_and_name_must_be_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
