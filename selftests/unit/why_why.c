// SPDX-License-Identifier: Apache-2.0
/* Which way a connection takes and what is said about it, as tables over one mesh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "feed/file.h"
#include "why/say.h"

static const char mesh_text[] =
	"workloads:\n"
	"- {name: client, namespace: shop, serviceAccount: client, node: n1, protocol: HBONE,\n"
	"   workloadIps: [10.0.1.1, 'fd00:1::1']}\n"
	"- {name: web-1, namespace: shop, node: n1, protocol: HBONE, capacity: 3,\n"
	"   workloadIps: [10.0.1.2, 'fd00:1::2'], authorizationPolicies: [shop/clients],\n"
	"   services: {shop/web.shop.svc.cluster.local: {80: 8080}}}\n"
	"- {name: web-2, namespace: shop, node: n2, protocol: HBONE, workloadIps: [10.0.2.2],\n"
	"   authorizationPolicies: [shop/clients], services: {shop/web.shop.svc.cluster.local: {}}}\n"
	"- {name: web-3, namespace: shop, node: n2, protocol: HBONE, status: Unhealthy,\n"
	"   workloadIps: [10.0.2.3], services: {shop/web.shop.svc.cluster.local: {}}}\n"
	"- {name: old, namespace: shop, node: n1, workloadIps: [10.0.1.9]}\n"
	"- {name: six, namespace: shop, node: n2, protocol: HBONE, workloadIps: ['fd00:2::6']}\n"
	"- {name: host, namespace: shop, node: n2, networkMode: HostNetwork, workloadIps: [172.16.0.2]}\n"
	"- {name: lost, namespace: shop, node: n2, protocol: HBONE, workloadIps: [10.0.2.4],\n"
	"   authorizationPolicies: [shop/gone]}\n"
	"- {name: job, namespace: jobs, uid: 'c//Pod/jobs/job', serviceAccount: job, node: n1,\n"
	"   protocol: HBONE, workloadIps: [10.0.1.7]}\n"
	"services:\n"
	"- {name: web, namespace: shop, hostname: web.shop.svc.cluster.local,\n"
	"   vips: [10.96.0.1, 'fd00:96::1'], ports: {80: 8080}}\n"
	"- {name: pods, namespace: shop, hostname: pods.shop.svc.cluster.local, ports: {8080: 8080}}\n"
	"- {name: empty, namespace: shop, hostname: empty.shop.svc.cluster.local, vips: [10.96.0.2],\n"
	"   ports: {80: 80, 81: 81}}\n"
	"- {name: none, namespace: shop, hostname: none.shop.svc.cluster.local, ports: {80: 80}}\n"
	"- {name: as-is, namespace: shop, hostname: as-is.shop.svc.cluster.local, vips: [10.96.0.3],\n"
	"   ports: {80: 80}, loadBalancer: {mode: Passthrough}}\n"
	"policies:\n"
	"- {name: clients, namespace: shop, scope: WorkloadSelector, action: Allow,\n"
	"   rules: [[[{serviceAccounts: [shop/client]}]]]}\n";

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
#define _story_ cleanup_with(why_free)

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

static struct why_story *ask_env(const struct mesh *m, const struct why_env *env, const char *from,
				 const char *to)
{
	struct why_story *story = NULL;
	struct errbuf err = { 0 };

	if (why_ask(m->snap, env, from, to, 0, &err, &story) < 0)
		fail_msg("%s to %s: %s", from, to, err.text);
	return story;
}

static struct why_story *ask(const struct mesh *m, const char *from, const char *to)
{
	return ask_env(m, NULL, from, to);
}

/* "path src>chosen" of each way, in order. */
static void ways_are(const struct why_story *s, const char *want)
{
	char got[1024] = "", src[IP_TEXT_MAX], to[IP_TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < s->n_routes && n < sizeof(got); i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s %s>%s", n ? ", " : "",
				      why_path_text(s->routes[i].path),
				      ip_format(src, &s->routes[i].src),
				      ip_format_ep(to, &s->routes[i].chosen));
	assert_string_equal(got, want);
}

static const char waypoint_text[] =
	"workloads:\n"
	"- {name: client, namespace: a, node: n1, protocol: HBONE, workloadIps: [10.0.0.1]}\n"
	"- {name: web, namespace: a, node: n1, protocol: HBONE, workloadIps: [10.0.0.2],\n"
	"   services: {a/web.svc: {}, a/plain.svc: {}}, waypoint: a/wp.svc}\n"
	"- {name: wp, namespace: a, serviceAccount: wp, node: n1, protocol: HBONE,\n"
	"   workloadIps: [10.0.0.3], services: {a/wp.svc: {}}}\n"
	"services:\n"
	"- {name: web, namespace: a, hostname: web.svc, vips: [10.96.0.1], ports: {80: 8080},\n"
	"   waypoint: a/wp.svc}\n"
	"- {name: plain, namespace: a, hostname: plain.svc, vips: [10.96.0.2], ports: {80: 8080}}\n"
	"- {name: wp, namespace: a, hostname: wp.svc, vips: [10.96.0.3], ports: {15008: 15008}}\n"
	"- {name: lost, namespace: a, hostname: lost.svc, vips: [10.96.0.4], ports: {80: 80},\n"
	"   waypoint: a/nobody}\n";

static void a_waypoint_is_the_way_of_what_has_one(void **state)
{
	static const struct {
		const char *from, *to, *ways, *says;
		enum why_verdict verdict;
		enum weft_reason reason;
	} rows[] = {
		{ "a/client", "web:80", "waypoint 10.0.0.1>10.0.0.3:15008",
		  "to the waypoint a/wp, which decides", WHY_ALLOW, WEFT_REASON_NONE },
		{ "a/client", "10.0.0.2:8080", "waypoint 10.0.0.1>10.0.0.3:15008",
		  "spiffe://cluster.local/ns/a/sa/wp", WHY_ALLOW, WEFT_REASON_NONE },
		{ "a/client", "plain:80", "direct 10.0.0.1>10.0.0.2:8080",
		  "that of the workload is not passed", WHY_ALLOW, WEFT_REASON_NONE },
		{ "a/client", "lost:80", "refused 10.0.0.1>10.96.0.4:80",
		  "waypoint a/nobody: nobody of the mesh has this name", WHY_DENY,
		  WEFT_REASON_NO_WAYPOINT },
		{ "a/wp", "web:80", "hbone 10.0.0.3>10.0.0.2:8080",
		  "the source is the waypoint itself", WHY_ALLOW, WEFT_REASON_NONE },
		{ "outside", "10.0.0.2:8080", "plain 192.0.2.1>10.0.0.2:8080", "NOT PASSED",
		  WHY_ALLOW, WEFT_REASON_NONE },
	};
	_mesh_ struct mesh m = mesh_of(waypoint_text);
	char buf[WHY_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_story_ struct why_story *s = ask(&m, rows[i].from, rows[i].to);

		ways_are(s, rows[i].ways);
		assert_int_equal(s->verdict, rows[i].verdict);
		assert_int_equal(s->reason, rows[i].reason);
		if (!strstr(why_say_path(buf, s, &s->routes[0]), rows[i].says))
			fail_msg("'%s' does not say '%s'", buf, rows[i].says);
	}
}

static const struct {
	const char *from, *to, *ways;
	enum why_verdict verdict;
	enum weft_reason reason;
} ways[] = {
	{ "shop/client", "web:80",
	  "direct 10.0.1.1>10.0.1.2:8080, hbone 10.0.1.1>10.0.2.2:8080, "
	  "direct fd00:1::1>[fd00:1::2]:8080", WHY_ALLOW, WEFT_REASON_NONE },
	{ "jobs/job", "web.shop:80",
	  "direct 10.0.1.7>10.0.1.2:8080, hbone 10.0.1.7>10.0.2.2:8080", WHY_DENY,
	  WEFT_REASON_POLICY_DENIED },
	/* by address: the port is that of the pod */
	{ "shop/client", "10.0.2.2:8080", "hbone 10.0.1.1>10.0.2.2:8080", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "10.0.1.1", "shop/web-1:9", "direct 10.0.1.1>10.0.1.2:9", WHY_ALLOW,
	  WEFT_REASON_NONE },
	/* without an identity */
	{ "outside", "web.shop:80",
	  "plain 192.0.2.1>10.0.1.2:8080, plain 192.0.2.1>10.0.2.2:8080, "
	  "plain 2001:db8::1>[fd00:1::2]:8080", WHY_DENY, WEFT_REASON_POLICY_DENIED },
	{ "shop/old", "shop/web-2:8080", "plain 10.0.1.9>10.0.2.2:8080", WHY_DENY,
	  WEFT_REASON_POLICY_DENIED },
	{ "shop/host", "shop/web-2:8080", "plain 172.16.0.2>10.0.2.2:8080", WHY_DENY,
	  WEFT_REASON_POLICY_DENIED },
	/* not of the mesh */
	{ "shop/client", "8.8.8.8:53", "passthrough 10.0.1.1>8.8.8.8:53", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/client", "shop/old:22", "passthrough 10.0.1.1>10.0.1.9:22", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/client", "shop/host:22", "passthrough 10.0.1.1>172.16.0.2:22", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/client", "as-is:80", "passthrough 10.0.1.1>10.96.0.3:80", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/old", "8.8.8.8:53", "unseen 10.0.1.9>8.8.8.8:53", WHY_ALLOW,
	  WEFT_REASON_NONE },
	/* to itself */
	{ "shop/client", "shop/client:80",
	  "local 10.0.1.1>10.0.1.1:80, local fd00:1::1>[fd00:1::1]:80", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/client", "127.0.0.1:80", "local 10.0.1.1>127.0.0.1:80", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/web-2", "10.96.0.1:80",
	  "hbone 10.0.2.2>10.0.1.2:8080, local 10.0.2.2>10.0.2.2:8080", WHY_MIXED,
	  WEFT_REASON_POLICY_DENIED },
	/* refused at once */
	{ "shop/client", "shop/web-2:15008", "refused 10.0.1.1>10.0.2.2:15008", WHY_DENY,
	  WEFT_REASON_RESERVED_PORT },
	{ "shop/client", "127.0.0.1:15001", "refused 10.0.1.1>127.0.0.1:15001", WHY_DENY,
	  WEFT_REASON_RESERVED_PORT },
	{ "outside", "10.0.1.2:15006", "refused 192.0.2.1>10.0.1.2:15006", WHY_DENY,
	  WEFT_REASON_RESERVED_PORT },
	{ "shop/client", "8.8.8.8:15008", "passthrough 10.0.1.1>8.8.8.8:15008", WHY_ALLOW,
	  WEFT_REASON_NONE },
	{ "shop/client", "empty:80", "refused 10.0.1.1>10.96.0.2:80", WHY_DENY,
	  WEFT_REASON_NO_ENDPOINT },
	{ "jobs/job", "10.96.0.1:81", "refused 10.0.1.7>10.96.0.1:81", WHY_DENY,
	  WEFT_REASON_NO_ENDPOINT },
	{ "shop/client", "none:80", "", WHY_DENY, WEFT_REASON_NO_ENDPOINT },
	/* no family in common */
	{ "jobs/job", "shop/six:80", "", WHY_DENY, WEFT_REASON_BAD_DESTINATION },
	/* a service without VIPs */
	{ "shop/client", "pods.shop:8080", "", WHY_DENY, WEFT_REASON_NO_ENDPOINT },
	{ "shop/client", "shop/lost:1", "hbone 10.0.1.1>10.0.2.4:1", WHY_DENY,
	  WEFT_REASON_POLICY_DENIED },
};

static void the_way_is_that_of_the_connect_hook(void **state)
{
	_mesh_ struct mesh m = mesh_of(mesh_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		_story_ struct why_story *s = ask(&m, ways[i].from, ways[i].to);

		ways_are(s, ways[i].ways);
		if (s->verdict != ways[i].verdict || s->reason != ways[i].reason)
			fail_msg("%s to %s: verdict %d, reason %d", ways[i].from, ways[i].to,
				 s->verdict, s->reason);
	}
}

static void names_are_found_in_many_forms(void **state)
{
	static const char *const same[] = {
		"web:80", "web", "web.shop:80", "web.shop.svc:80", "web.shop.svc.cluster.local:80",
		"shop/web:80", "shop/web.shop.svc.cluster.local:80",
	};
	_mesh_ struct mesh m = mesh_of(mesh_text);
	_story_ struct why_story *job = ask(&m, "c//Pod/jobs/job", "c//Pod/jobs/job:5");
	_story_ struct why_story *bare = ask(&m, "jobs/job", "job:5");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		_story_ struct why_story *s = ask(&m, "shop/client", same[i]);

		assert_string_equal(s->dst.svc->name, "web");
		assert_int_equal(s->dst.port, 80);
		assert_int_equal(s->dst.addrs.n, 2);
	}
	assert_string_equal(job->dst.w->name, "job");
	assert_int_equal(job->dst.port, 5);
	assert_ptr_equal(bare->dst.w, job->dst.w);
}

static void what_cannot_be_understood_is_said(void **state)
{
	static const struct {
		const char *from, *to;
		uint16_t port;
		int r;
		const char *text;
	} rows[] = {
		{ "nobody", "web:80", 0, -ENOENT, "source nobody: the mesh has no such pod" },
		{ "shop/nobody", "web:80", 0, -ENOENT, "source shop/nobody: the mesh has no such" },
		{ "", "web:80", 0, -ENOENT, "source : the mesh has no such pod" },
		{ "shop/client", "", 80, -ENOENT, "destination : the mesh has no such pod" },
		{ "shop/client", "nowhere:80", 0, -ENOENT, "destination nowhere: the mesh has no" },
		{ "shop/client", "web.jobs:80", 0, -ENOENT, "destination web.jobs: the mesh has no" },
		{ "shop/client", "web.shop.svc.other:80", 0, -ENOENT, "destination web.shop.svc.oth" },
		{ "shop/client", "empty", 0, -EINVAL, "destination empty: which port? Write empty:PORT; "
						      "the service has several" },
		{ "shop/client", "shop/web-1", 0, -EINVAL, "destination shop/web-1: which port?" },
		{ "shop/client", "10.0.1.2", 0, -EINVAL, "destination 10.0.1.2: which port?" },
		{ "shop/client", "fd00:1::2", 0, -EINVAL, "destination fd00:1::2: which port? Write [fd00:1::2]:P" },
		{ "shop/client", "web:0", 0, -EINVAL, "destination web:0: 0 is not a port" },
		{ "shop/client", "web:65536", 0, -EINVAL, "destination web:65536: 65536 is not a port" },
		{ "shop/client", "web:80", 81, -EINVAL, "destination web:80: another port than 81" },
		{ "shop/client", "web:http", 0, -ENOENT, "destination web:http: the mesh has no such" },
	};
	_mesh_ struct mesh m = mesh_of(mesh_text);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		_story_ struct why_story *s = NULL;
		struct errbuf err = { 0 };
		int r = why_ask(m.snap, NULL, rows[i].from, rows[i].to, rows[i].port, &err, &s);

		if (r != rows[i].r || strncmp(err.text, rows[i].text, strlen(rows[i].text)) != 0)
			fail_msg("%s to %s: %d, %s", rows[i].from, rows[i].to, r, err.text);
		assert_null(s);
	}
}

static void a_service_shows_shares_and_who_is_left_out(void **state)
{
	_mesh_ struct mesh m = mesh_of(mesh_text);
	_story_ struct why_story *s = ask(&m, "shop/client", "10.96.0.1:80");
	_story_ struct why_story *six = ask(&m, "shop/client", "[fd00:96::1]:80");

	(void)state;
	assert_int_equal(s->n_choices, 1);
	assert_int_equal(s->choices[0].n_rows, 2);
	assert_int_equal(s->choices[0].rows[0].slots, 3);
	assert_int_equal(s->choices[0].rows[1].slots, 1);
	assert_int_equal(s->choices[0].all_slots, 4);
	assert_int_equal(s->choices[0].n_unhealthy, 1);
	assert_string_equal(s->choices[0].unhealthy[0]->name, "web-3");
	assert_int_equal(s->routes[0].slots, 3);
	assert_int_equal(six->choices[0].rows[1].state, LB_NO_ADDRESS);
	assert_int_equal(six->n_routes, 1);
}

static void a_service_of_one_family_only_is_no_reason_to_deny(void **state)
{
	_mesh_ struct mesh m = mesh_of(
		"workloads:\n"
		"- {name: c, namespace: a, protocol: HBONE, workloadIps: [10.0.0.1, 'fd00::1']}\n"
		"- {name: s, namespace: a, protocol: HBONE, workloadIps: [10.0.0.2], services: {a/s: }}\n"
		"services:\n"
		"- {name: s, namespace: a, hostname: s, vips: [10.96.0.1, 'fd00:96::1'], ports: {80: 80}}\n");
	_story_ struct why_story *s = ask(&m, "a/c", "s");

	(void)state;
	ways_are(s, "direct 10.0.0.1>10.0.0.2:80, refused fd00::1>[fd00:96::1]:80");
	assert_int_equal(s->verdict, WHY_ALLOW);
	assert_int_equal(s->reason, WEFT_REASON_NONE);
}

/* ---- what a daemon adds */

struct kernel {
	bool enrolled[2]; /* web-1, everybody else of n1 */
	enum why_cached cached;
	unsigned asked;
};

static bool is_enrolled(void *arg, const struct workload *w, const struct weft_addr *a)
{
	struct kernel *k = arg;

	/* A pod is served at its first address of a family only; here at IPv4. */
	assert_string_equal(w->node, "n1");
	return ip_is_v4(a) && k->enrolled[strcmp(w->name, "web-1") == 0 ? 0 : 1];
}

static void get_cached(void *arg, uint32_t src, uint32_t dst, uint16_t port, struct why_cache *ret)
{
	struct kernel *k = arg;

	assert_true(src && dst && src != dst);
	assert_int_equal(port, 8080);
	k->asked++;
	*ret = (struct why_cache){ .state = k->cached, .epoch = 7, .epoch_now = 7 };
}

static struct why_env env_of(struct kernel *k)
{
	return (struct why_env){ .node = "n1", .enrolled = is_enrolled, .cached = get_cached, .arg = k };
}

static void a_daemon_knows_who_is_enrolled_on_its_node(void **state)
{
	_mesh_ struct mesh m = mesh_of(mesh_text);
	struct kernel all = { .enrolled = { true, true } }, none = { .enrolled = { false, false } };
	struct kernel client_only = { .enrolled = { false, true } };
	struct why_env env = env_of(&all);
	_story_ struct why_story *s = ask_env(&m, &env, "shop/client", "shop/web-1:8080");
	_story_ struct why_story *absent = NULL, *plain = NULL, *far = NULL, *mtls = NULL;

	(void)state;
	assert_true(s->src.enrolled && s->src.enrol_known);
	ways_are(s, "direct 10.0.1.1>10.0.1.2:8080");
	env.arg = &client_only;
	absent = ask_env(&m, &env, "shop/client", "shop/web-1:8080");
	ways_are(absent, "hbone 10.0.1.1>10.0.1.2:8080");
	assert_true(absent->routes[0].dst_absent);
	env.arg = &none;
	plain = ask_env(&m, &env, "shop/client", "shop/web-2:8080");
	ways_are(plain, "plain 10.0.1.1>10.0.2.2:8080");
	far = ask_env(&m, &env, "shop/web-2", "shop/six:1");
	assert_true(far->src.enrolled && !far->src.enrol_known);
	env = env_of(&all);
	env.same_node_mtls = true;
	mtls = ask_env(&m, &env, "shop/client", "shop/web-1:8080");
	ways_are(mtls, "hbone 10.0.1.1>10.0.1.2:8080");
}

static void the_kernel_is_asked_about_direct_ways_and_must_agree(void **state)
{
	_mesh_ struct mesh m = mesh_of(mesh_text);
	struct kernel k = { .enrolled = { true, true }, .cached = WHY_HIT_ALLOW };
	struct why_env env = env_of(&k);
	_story_ struct why_story *agrees = ask_env(&m, &env, "shop/client", "web");
	_story_ struct why_story *wrong = NULL, *stale = NULL, *far = NULL;

	(void)state;
	assert_int_equal(k.asked, 1);
	assert_false(agrees->cache_wrong);
	assert_int_equal(agrees->routes[0].cache.state, WHY_HIT_ALLOW);
	assert_int_equal(agrees->routes[1].cache.state, WHY_NOT_ASKED);
	wrong = ask_env(&m, &env, "jobs/job", "web.shop");
	assert_true(wrong->cache_wrong && wrong->routes[0].cache_wrong);
	k.cached = WHY_STALE;
	stale = ask_env(&m, &env, "jobs/job", "web.shop");
	assert_false(stale->cache_wrong);
	k.asked = 0;
	far = ask_env(&m, &env, "shop/web-2", "shop/six:8080");
	assert_int_equal(far->n_routes, 0);
	assert_int_equal(k.asked, 0);
}

/* ---- sentences */

static void sentences_name_policy_rule_and_field(void **state)
{
	_mesh_ struct mesh m = mesh_of(mesh_text);
	_story_ struct why_story *ok = ask(&m, "shop/client", "shop/web-1:80");
	_story_ struct why_story *denied = ask(&m, "jobs/job", "shop/web-1:80");
	_story_ struct why_story *lost = ask(&m, "jobs/job", "shop/lost:80");
	const struct why_route *r = &denied->routes[0];
	char buf[WHY_TEXT_MAX];

	(void)state;
	assert_string_equal(why_say_verdict(buf, ok, &ok->routes[0]),
			    "allowed: Allow policy shop/clients matches by its rules[0]");
	assert_string_equal(why_say_verdict(buf, denied, r),
			    "denied: one Allow policy binds shop/web-1, and it does not match");
	assert_int_equal(r->n_policies, 1);
	assert_int_equal(r->policies[0].n_misses, 1);
	assert_string_equal(why_say_miss(buf, denied, r, &r->policies[0], &r->policies[0].miss[0]),
			    "rules[0][0][0].serviceAccounts wants shop/client, the source is jobs/job");
	assert_string_equal(why_say_verdict(buf, lost, &lost->routes[0]),
			    "denied: shop/lost names policy shop/gone, which does not exist");
	assert_string_equal(why_say_path(buf, lost, &lost->routes[0]),
			    "a mutual TLS tunnel to shop/lost; weftd of n2 decides");
}

static void many_of_everything_are_cut_off_and_counted(void **state)
{
	_free_ char *text = NULL;
	size_t n_text = 0;
	_fclose_ FILE *f = open_memstream(&text, &n_text);
	struct mesh m;

	(void)state;
	fprintf(f, "services: [{name: s, namespace: a, hostname: s, vips: [10.96.0.1], ports: {80: 80}}]\n"
		   "workloads:\n- {name: c, namespace: a, protocol: HBONE, workloadIps: [10.9.9.9]}\n");
	for (int i = 0; i < 300; i++)
		fprintf(f, "- {name: w%d, namespace: a, protocol: HBONE, workloadIps: [10.1.%d.%d], "
			   "services: {a/s: }, authorizationPolicies: [a/%s]}\n",
			i, i / 200, i % 200, i == 299 ? "last" : "p0");
	fprintf(f, "policies:\n");
	for (int i = 0; i < 200; i++)
		fprintf(f, "- {name: g%d, namespace: r, scope: Global, action: Deny, rules: "
			   "[[[{destinationPorts: [1]}, {destinationPorts: [2]}, {destinationPorts: [3]},"
			   "{destinationPorts: [4]}, {destinationPorts: [5]}]]]}\n", i);
	fprintf(f, "- {name: p0, namespace: a, scope: WorkloadSelector, action: Allow, rules: [[]]}\n"
		   "- {name: last, namespace: a, scope: WorkloadSelector, action: Deny, rules: [[]]}\n");
	fflush(f);
	m = mesh_of(text);
	{
		_story_ struct why_story *s = ask(&m, "a/c", "s:80");

		assert_int_equal(s->n_ways, 300);
		assert_int_equal(s->n_routes, WHY_ROUTES_MAX);
		assert_int_equal(s->verdict, WHY_MIXED);
		assert_int_equal(s->n_denied, 1);
		assert_non_null(why_decisive(s));
		assert_string_equal(why_decisive(s)->verdict.policy, "a/last");
		assert_int_equal(s->routes[0].n_applied, 201);
		assert_int_equal(s->routes[0].n_policies, WHY_POLICIES_MAX);
		assert_int_equal(s->routes[0].policies[1].n_misses, 5);
	}
	mesh_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way_is_that_of_the_connect_hook),
		cmocka_unit_test(a_waypoint_is_the_way_of_what_has_one),
		cmocka_unit_test(names_are_found_in_many_forms),
		cmocka_unit_test(what_cannot_be_understood_is_said),
		cmocka_unit_test(a_service_shows_shares_and_who_is_left_out),
		cmocka_unit_test(a_service_of_one_family_only_is_no_reason_to_deny),
		cmocka_unit_test(a_daemon_knows_who_is_enrolled_on_its_node),
		cmocka_unit_test(the_kernel_is_asked_about_direct_ways_and_must_agree),
		cmocka_unit_test(sentences_name_policy_rule_and_field),
		cmocka_unit_test(many_of_everything_are_cut_off_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
