// SPDX-License-Identifier: Apache-2.0
/* Which service a name means: tables over one mesh. */
#include "unit/model_make.h"

#include <string.h>

#include "dns/table.h"
#include "feed/file.h"

static const char mesh_text[] =
	"workloads:\n"
	"- {name: web-0, namespace: shop, workloadIps: [10.0.0.1, 'fd00::1'], network: here,"
	"   services: {shop/pods.shop.svc.cluster.local: {}}}\n"
	"- {name: web-1, namespace: shop, workloadIps: [10.0.0.2, 10.0.0.3], network: here,"
	"   services: {shop/pods.shop.svc.cluster.local: {}}}\n"
	"- {name: web-2, namespace: shop, workloadIps: [10.0.0.4], network: away,"
	"   services: {shop/pods.shop.svc.cluster.local: {}, shop/far.shop.svc.cluster.local: {}}}\n"
	"- {name: six, namespace: shop, workloadIps: ['fd00::5'],"
	"   services: {shop/pods.shop.svc.cluster.local: {}}}\n"
	"services:\n"
	"- {name: web, namespace: shop, hostname: web.shop.svc.cluster.local, vips: [10.96.0.1, 'fd00:96::1']}\n"
	"- {name: web, namespace: bank, hostname: web.bank.svc.cluster.local, vips: [10.96.0.2]}\n"
	"- {name: pods, namespace: shop, hostname: pods.shop.svc.cluster.local}\n"
	"- {name: far, namespace: shop, hostname: far.shop.svc.cluster.local}\n"
	"- {name: api, namespace: shop, hostname: api.example.com, vips: [240.240.0.1]}\n"
	"- {name: api, namespace: bank, hostname: api.example.com, vips: [240.240.0.2], canonical: true}\n"
	"- {name: api, namespace: farm, hostname: api.example.com, vips: [240.240.0.3]}\n"
	"- {name: wild, namespace: shop, hostname: '*.example.com', vips: [240.240.0.4]}\n"
	"- {name: wilder, namespace: shop, hostname: '*.deep.example.com', vips: [240.240.0.5]}\n"
	"- {name: bare, namespace: shop, hostname: bare.example.net}\n"
	"- {name: bare, namespace: bank, hostname: both.example.net}\n"
	"- {name: bare, namespace: shop, hostname: both.example.net, vips: [240.240.0.7]}\n"
	"- {name: own, namespace: shop, hostname: own.example.net, vips: [240.240.0.6], visibility: Namespace}\n"
	"- {name: one, namespace: shop, hostname: intranet, vips: [240.240.0.8]}\n"
	"- {name: m, namespace: a, hostname: many.example.net, vips: [240.240.1.1], visibility: Namespace}\n"
	"- {name: m, namespace: b, hostname: many.example.net, vips: [240.240.1.2]}\n"
	"- {name: m, namespace: c, hostname: many.example.net, vips: [240.240.1.3]}\n"
	"- {name: m, namespace: d, hostname: many.example.net}\n";

struct mesh {
	struct model *model;
	struct snap *snap;
};

static int setup(void **state)
{
	struct mesh *m = calloc(1, sizeof(*m));
	struct model_input in = { 0 };
	struct errbuf err = { 0 };

	assert_non_null(m);
	assert_int_equal(model_new(&m->model), 0);
	if (feed_file_decode(str_of(mesh_text), "mesh.yaml", &err, &in) < 0 ||
	    model_build(m->model, &in, &err, &m->snap) < 0)
		fail_msg("%s", err.text);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct mesh *m = *state;

	snap_free(&m->snap);
	model_free(&m->model);
	free(m);
	return 0;
}

static struct dns_client client(const char *ns)
{
	return (struct dns_client){ .ns = ns, .network = "", .domain = "cluster.local", .v6 = true };
}

static void the_preferred_namespace_counts_behind_the_own_and_canonical_ones(void **state)
{
	static const struct {
		const char *ns, *preferred, *name, *key;
	} wants[] = {
		{ "x", NULL, "many.example.net", "b/many.example.net" },
		{ "x", "c", "many.example.net", "c/many.example.net" },
		{ "x", "a", "many.example.net", "b/many.example.net" }, /* not visible */
		{ "x", "d", "many.example.net", "b/many.example.net" }, /* no address */
		{ "a", "c", "many.example.net", "a/many.example.net" },
		{ "c", "b", "many.example.net", "c/many.example.net" },
		{ "x", "farm", "api.example.com", "bank/api.example.com" }, /* canonical */
	};
	struct mesh *m = *state;

	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		struct dns_client c = client(wants[i].ns);
		struct dns_found f = { 0 };

		c.preferred = wants[i].preferred;
		if (!dns_table_find(m->snap, &c, str_of(wants[i].name), &f) ||
		    strcmp(f.svc->key, wants[i].key) != 0)
			fail_msg("%zu: %s", i, f.svc ? f.svc->key : "not found");
	}
}

struct want {
	const char *ns, *name, *key, *alias; /* key NULL: nobody's; alias NULL: none */
};

static void check(void **state, const struct want *w, size_t n)
{
	struct mesh *m = *state;

	for (; n > 0; n--, w++) {
		struct dns_client c = client(w->ns);
		struct dns_found f;
		bool found = dns_table_find(m->snap, &c, str_of(w->name), &f);

		if (found != !!w->key)
			fail_msg("%s from %s: %s", w->name, w->ns, found ? f.svc->key : "not found");
		if (!found)
			continue;
		if (strcmp(f.svc->key, w->key) != 0 || strcmp(f.alias, w->alias ? w->alias : "") != 0)
			fail_msg("%s from %s: %s, alias '%s'", w->name, w->ns, f.svc->key, f.alias);
	}
}

#define SHOP "shop/web.shop.svc.cluster.local"
#define BANK "bank/web.bank.svc.cluster.local"

static void short_names_are_those_of_kubernetes(void **state)
{
	static const struct want wants[] = {
		{ "shop", "web", SHOP, NULL },
		{ "bank", "web", BANK, NULL },
		{ "farm", "web", NULL, NULL },
		{ "shop", "web.bank", BANK, NULL },
		{ "farm", "web.shop.svc", SHOP, NULL },
		{ "farm", "web.shop.svc.cluster.local", SHOP, NULL },
		{ "farm", "web.shop.svc.cluster", NULL, NULL },
		{ "farm", "web.shop.pod", NULL, NULL },
		{ "farm", "nobody.shop.svc.cluster.local", NULL, NULL },
		{ "shop", "", NULL, NULL },
		{ "shop", "intranet", "shop/intranet", NULL },
	};

	check(state, wants, ARRAY_LEN(wants));
}

/* What a resolver makes of a name with "search ns.svc.domain svc.domain domain" and ndots:5. */
static void what_a_search_path_put_behind_a_name_is_taken_off(void **state)
{
	static const struct want wants[] = {
		{ "shop", "web.shop.shop.svc.cluster.local", SHOP, "web.shop" },
		{ "shop", "web.bank.shop.svc.cluster.local", BANK, "web.bank" },
		{ "shop", "web.bank.svc.shop.svc.cluster.local", BANK, "web.bank.svc" },
		{ "shop", "web.bank.svc.cluster.local.shop.svc.cluster.local", BANK,
		  "web.bank.svc.cluster.local" },
		{ "shop", "web.bank.svc.cluster.local.svc.cluster.local", BANK,
		  "web.bank.svc.cluster.local" },
		{ "shop", "api.example.com.cluster.local", "shop/api.example.com", "api.example.com" },
		{ "shop", "api.example.com.shop.svc.cluster.local", "shop/api.example.com",
		  "api.example.com" },
		/* Another namespace's search path is none of this pod's. */
		{ "bank", "api.example.com.shop.svc.cluster.local", NULL, NULL },
		{ "shop", "b.example.com.svc.cluster.local", "shop/*.example.com", NULL },
	};

	check(state, wants, ARRAY_LEN(wants));
}

static void the_nearest_wildcard_counts(void **state)
{
	static const struct want wants[] = {
		{ "farm", "b.example.com", "shop/*.example.com", NULL },
		{ "farm", "c.b.example.com", "shop/*.example.com", NULL },
		{ "farm", "b.deep.example.com", "shop/*.deep.example.com", NULL },
		{ "farm", "deep.example.com", "shop/*.example.com", NULL },
		{ "farm", "example.com", NULL, NULL },
		{ "farm", "example.org", NULL, NULL },
	};
	struct mesh *m = *state;
	struct dns_client c = client("farm");
	struct dns_found f;

	check(state, wants, ARRAY_LEN(wants));
	assert_true(dns_table_find(m->snap, &c, STR("b.example.com"), &f));
	assert_true(f.wildcard);
}

static void the_own_namespace_counts_then_who_is_canonical(void **state)
{
	static const struct want wants[] = {
		{ "shop", "api.example.com", "shop/api.example.com", NULL },
		{ "bank", "api.example.com", "bank/api.example.com", NULL },
		{ "farm", "api.example.com", "farm/api.example.com", NULL },
		{ "desert", "api.example.com", "bank/api.example.com", NULL },
	};

	check(state, wants, ARRAY_LEN(wants));
}

static void what_is_for_its_own_namespace_is_nobody_else_s(void **state)
{
	static const struct want wants[] = {
		{ "shop", "own.example.net", "shop/own.example.net", NULL },
		{ "bank", "own.example.net", NULL, NULL },
	};

	check(state, wants, ARRAY_LEN(wants));
}

static void a_foreign_name_without_an_address_is_asked_elsewhere(void **state)
{
	static const struct want wants[] = {
		{ "shop", "bare.example.net", NULL, NULL },
		{ "shop", "both.example.net", "shop/both.example.net", NULL },
	};

	check(state, wants, ARRAY_LEN(wants));
}

static size_t addrs_of(void **state, const char *name, const struct dns_client *c,
		       enum dns_type type, char *text, size_t cap)
{
	struct mesh *m = *state;
	struct weft_addr addrs[8];
	struct dns_found f;
	size_t n;

	assert_true(dns_table_find(m->snap, c, str_of(name), &f));
	n = dns_table_addrs(f.svc, c, type, addrs, ARRAY_LEN(addrs));
	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		char one[IP_TEXT_MAX];

		snprintf(text + strlen(text), cap - strlen(text), "%s%s", i ? " " : "",
			 ip_format(one, &addrs[i]));
	}
	return n;
}

static void a_service_has_its_vips_of_the_family(void **state)
{
	struct dns_client c = client("shop");
	char text[128];

	assert_int_equal(addrs_of(state, "web", &c, DNS_A, text, sizeof(text)), 1);
	assert_string_equal(text, "10.96.0.1");
	assert_int_equal(addrs_of(state, "web", &c, DNS_AAAA, text, sizeof(text)), 1);
	assert_string_equal(text, "fd00:96::1");
	assert_int_equal(addrs_of(state, "web.bank", &c, DNS_AAAA, text, sizeof(text)), 0);
	c.v6 = false;
	assert_int_equal(addrs_of(state, "web", &c, DNS_AAAA, text, sizeof(text)), 0);
}

static void a_headless_one_has_one_address_of_each_endpoint(void **state)
{
	struct dns_client c = client("shop");
	char text[128];

	assert_int_equal(addrs_of(state, "pods", &c, DNS_A, text, sizeof(text)), 3);
	assert_string_equal(text, "10.0.0.1 10.0.0.2 10.0.0.4");
	addrs_of(state, "pods", &c, DNS_AAAA, text, sizeof(text));
	assert_string_equal(text, "fd00::1 fd00::5");
	/* What is in another network cannot be reached by its address: only if there is nothing else. */
	c.network = "here";
	addrs_of(state, "pods", &c, DNS_A, text, sizeof(text));
	assert_string_equal(text, "10.0.0.1 10.0.0.2");
	addrs_of(state, "far", &c, DNS_A, text, sizeof(text));
	assert_string_equal(text, "10.0.0.4");
}

static void the_longest_names_do_no_harm(void **state)
{
	struct mesh *m = *state;
	struct dns_client c = client("shop");
	char name[DNS_NAME_MAX + 2];
	struct dns_found f;

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : 'a';
	assert_false(dns_table_find(m->snap, &c, (struct str){ name, DNS_NAME_MAX }, &f));
	assert_false(dns_table_find(m->snap, &c, (struct str){ name, DNS_NAME_MAX + 1 }, &f));
	memcpy(name + DNS_NAME_MAX - 12, ".example.com", 12);
	assert_true(dns_table_find(m->snap, &c, (struct str){ name, DNS_NAME_MAX }, &f));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(short_names_are_those_of_kubernetes),
		TEST(the_preferred_namespace_counts_behind_the_own_and_canonical_ones),
		TEST(what_a_search_path_put_behind_a_name_is_taken_off),
		TEST(the_nearest_wildcard_counts),
		TEST(the_own_namespace_counts_then_who_is_canonical),
		TEST(what_is_for_its_own_namespace_is_nobody_else_s),
		TEST(a_foreign_name_without_an_address_is_asked_elsewhere),
		TEST(a_service_has_its_vips_of_the_family),
		TEST(a_headless_one_has_one_address_of_each_endpoint),
		TEST(the_longest_names_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
