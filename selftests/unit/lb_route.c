// SPDX-License-Identifier: Apache-2.0
/* Where connections go: which of them must pass a waypoint, which waypoint that is, who is one, and
 * that one which cannot be used refuses. Tables over one mesh. */
#include "unit/model_make.h"

#include <string.h>

#include "feed/file.h"
#include "lb/route.h"

/* clang-format off */ /* one line for each of the mesh */
#define POD(name, ip, more) \
	"- {name: " name ", namespace: a, serviceAccount: " name ", protocol: HBONE, " \
	"network: net1, workloadIps: [" ip "]" more "}\n"
#define SVC(name, vip, more) \
	"- {name: " name ", namespace: a, hostname: " name ".svc, vips: [" vip "]" more "}\n"

static const char mesh_text[] =
	"workloads:\n"
	POD("client", "10.0.0.1", "")
	POD("web", "10.0.0.2", ", services: {a/web.svc: {}, a/plain.svc: {}}, waypoint: a/own.svc")
	POD("legacy", "10.0.0.3", ", waypoint: 10.0.0.11")
	POD("bare", "10.0.0.4", "")
	POD("both", "10.96.0.9", ", waypoint: a/own.svc, services: {a/both.svc: {}}")
	POD("wp", "10.0.0.10, 'fd00::10'", ", services: {a/wp.svc: {}}")
	POD("own", "10.0.0.11", ", services: {a/own.svc: {}}")
	POD("six", "'fd00::12'", ", services: {a/six.svc: {}}")
	POD("entry", "10.0.0.13", ", hostname: gate.example")
	"- {name: sick, namespace: a, workloadIps: [10.0.0.14], status: Unhealthy, services: {a/sick.svc: {}}}\n"
	"- {name: far, namespace: a, protocol: HBONE, workloadIps: [10.0.0.15], network: net2, services: {a/far.svc: {}}}\n"
	"services:\n"
	SVC("web", "10.96.0.1", ", ports: {80: 8080}, waypoint: a/wp.svc")
	SVC("plain", "10.96.0.2", ", ports: {80: 8080}")
	SVC("as-is", "10.96.0.3", ", ports: {80: 8080}, loadBalancer: {mode: Passthrough}, waypoint: a/wp.svc")
	SVC("both", "10.96.0.9", ", ports: {80: 8080}")
	SVC("wp", "10.96.1.1", ", ports: {15008: 15008}, subjectAltNames: [spiffe://cluster.local/ns/a/sa/more]")
	SVC("own", "10.96.1.2", ", ports: {15008: 15009}")
	SVC("six", "'fd00:96::3'", ", ports: {15008: 15008}")
	SVC("sick", "10.96.1.4", ", ports: {15008: 15008}")
	SVC("far", "10.96.1.5", ", ports: {15008: 15008}")
	SVC("by-vip", "10.96.2.1", ", waypoint: 'net1/10.96.1.1:15008'")
	SVC("by-pod", "10.96.2.2", ", waypoint: '10.0.0.11:15010'")
	SVC("by-six", "10.96.2.3", ", waypoint: a/six.svc")
	SVC("by-entry", "10.96.2.4", ", waypoint: a/gate.example")
	SVC("weighted", "10.96.2.5", ", waypoint: a/gone.svc, weightedWaypoints: [{destination: a/own.svc, weight: 3}, {destination: {destination: a/gone.svc}}]")
	SVC("unweighted", "10.96.2.6", ", waypoint: a/wp.svc, weightedWaypoints: [{destination: a/gone.svc, weight: 0}]")
	SVC("to-gone", "10.96.3.1", ", waypoint: a/gone.svc")
	SVC("to-nowhere", "10.96.3.2", ", waypoint: 10.9.9.9")
	SVC("to-sick", "10.96.3.3", ", waypoint: a/sick.svc")
	SVC("to-far", "10.96.3.4", ", waypoint: a/far.svc")
	SVC("to-net2", "10.96.3.5", ", waypoint: net2/10.0.0.10")
	SVC("to-port", "10.96.3.6", ", waypoint: a/wp.svc:15009")
	SVC("to-far-pod", "10.96.3.7", ", waypoint: 10.0.0.15")
	"- {name: wide, namespace: a, hostname: wide.svc, cidrVips: [/192.0.2.0/24, '2001:db8::/32'],\n"
	" loadBalancer: {mode: Passthrough}, waypoint: a/wp.svc}\n"
	"- {name: narrow, namespace: a, hostname: narrow.svc, cidrVips: [net1/192.0.2.128/25],\n"
	" loadBalancer: {mode: Passthrough}}\n"
	"- {name: later, namespace: a, hostname: later.svc, cidrVips: [192.0.2.0/24]}\n"
	"- {name: all-six, namespace: a, hostname: six-all.svc, cidrVips: ['::/0'], waypoint: a/gone}\n"
	"- {name: pods, namespace: a, hostname: pods.svc, cidrVips: [10.0.0.0/8], waypoint: a/wp.svc}\n";
/* clang-format on */

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

static struct weft_ep make_ep(const char *text)
{
	struct weft_ep ep;

	assert_int_equal(ip_parse_ep(str_of(text), &ep), 0);
	return ep;
}

static void find(const struct snap *s, const char *who, const char *dialled, const char *chosen,
		 struct errbuf *err, struct route *ret)
{
	const struct weft_ep d = make_ep(dialled), c = make_ep(chosen ? chosen : dialled);
	const struct workload *src = snap_workload_by_pod(s, "a", who);

	assert_non_null(src);
	*err = (struct errbuf){ 0 };
	route_find(s, src, &d, chosen ? &c : NULL, err, ret);
}

/* kind, pod and address; for a refusal what is said */
static const struct {
	const char *who, *dialled, *chosen;
	enum route_kind kind;
	const char *dst, *to;
	const char *svc; /* name of the dialled service */
} rows[] = {
	/* by what the service has; the port is the waypoint's business */
	{ "client", "10.96.0.1:80", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "web" },
	{ "client", "10.96.0.1:81", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "web" },
	/* the kernel may have chosen an endpoint before it knew */
	{ "client", "10.96.0.1:80", "10.0.0.2:8080", ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "web" },
	{ "client", "10.96.0.3:80", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "as-is" },
	/* by what the workload has, through the service port of the waypoint, or its address */
	{ "client", "10.0.0.2:8080", NULL, ROUTE_WAYPOINT, "own", "10.0.0.11:15009", NULL },
	{ "client", "10.0.0.3:22", NULL, ROUTE_WAYPOINT, "own", "10.0.0.11:15008", NULL },
	/* a service without a waypoint leads to workloads that have one */
	{ "client", "10.96.0.2:80", "10.0.0.2:8080", ROUTE_ENDPOINT, "web", "10.0.0.2:8080", "plain" },
	{ "client", "10.96.0.2:80", NULL, ROUTE_ENDPOINT, "web", "10.0.0.2:8080", "plain" },
	{ "client", "10.0.0.4:1", NULL, ROUTE_ENDPOINT, "bare", "10.0.0.4:1", NULL },
	/* one address of both: the ports of the service are the service's */
	{ "client", "10.96.0.9:80", NULL, ROUTE_ENDPOINT, "both", "10.96.0.9:8080", "both" },
	{ "client", "10.96.0.9:81", NULL, ROUTE_WAYPOINT, "own", "10.0.0.11:15009", NULL },
	/* the waypoint itself goes on, but not somebody else's */
	{ "wp", "10.96.0.1:80", NULL, ROUTE_ENDPOINT, "web", "10.0.0.2:8080", "web" },
	{ "wp", "10.0.0.2:8080", NULL, ROUTE_WAYPOINT, "own", "10.0.0.11:15009", NULL },
	{ "own", "10.0.0.2:8080", NULL, ROUTE_ENDPOINT, "web", "10.0.0.2:8080", NULL },
	{ "own", "10.0.0.3:22", NULL, ROUTE_ENDPOINT, "legacy", "10.0.0.3:22", NULL },
	{ "own", "10.96.2.5:80", NULL, ROUTE_REFUSED, NULL, "service a/weighted.svc has no port 80",
	  "weighted" },
	/* all ways to name one */
	{ "client", "10.96.2.1:80", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "by-vip" },
	{ "client", "10.96.2.2:80", NULL, ROUTE_WAYPOINT, "own", "10.0.0.11:15010", "by-pod" },
	{ "client", "10.96.2.3:80", NULL, ROUTE_WAYPOINT, "six", "[fd00::12]:15008", "by-six" },
	{ "client", "10.96.2.4:80", NULL, ROUTE_WAYPOINT, "entry", "10.0.0.13:15008", "by-entry" },
	{ "client", "10.96.2.5:80", NULL, ROUTE_WAYPOINT, "own", "10.0.0.11:15009", "weighted" },
	{ "client", "10.96.2.6:80", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "unweighted" },
	/* and what cannot be used */
	{ "client", "10.96.3.1:80", NULL, ROUTE_REFUSED, NULL,
	  "a/gone.svc: nobody of the mesh has this name", "to-gone" },
	{ "client", "10.96.3.2:80", NULL, ROUTE_REFUSED, NULL,
	  "nobody of the mesh has this address", "to-nowhere" },
	{ "client", "10.96.3.3:80", NULL, ROUTE_REFUSED, NULL, "no endpoint to choose", "to-sick" },
	{ "client", "10.96.3.4:80", NULL, ROUTE_REFUSED, NULL, "is in another network", "to-far" },
	{ "client", "10.96.3.5:80", NULL, ROUTE_REFUSED, NULL, "is in another network", "to-net2" },
	{ "client", "10.96.3.6:80", NULL, ROUTE_REFUSED, NULL, "service a/wp.svc has no port 15009",
	  "to-port" },
	{ "client", "10.96.3.7:80", NULL, ROUTE_REFUSED, NULL, "is in another network", "to-far-pod" },
	/* its address may be anybody's here */
	{ "client", "10.0.0.15:80", NULL, ROUTE_REFUSED, NULL,
	  "is in network net2, whose gateway takes in what goes to services only", NULL },
	/* ranges: the longest, the first of equals; who has an address of his own is not of one */
	{ "client", "192.0.2.1:80", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "wide" },
	{ "client", "192.0.2.129:80", NULL, ROUTE_ENDPOINT, NULL, "192.0.2.129:80", "narrow" },
	{ "client", "[2001:db8::1]:80", NULL, ROUTE_WAYPOINT, "wp", "[fd00::10]:15008", "wide" },
	{ "client", "[2001:db9::1]:80", NULL, ROUTE_REFUSED, NULL, "a/gone: nobody", "all-six" },
	{ "client", "10.7.7.7:80", NULL, ROUTE_WAYPOINT, "wp", "10.0.0.10:15008", "pods" },
	/* not of the mesh; ::/0 does not mean IPv4 */
	{ "client", "198.51.100.1:80", NULL, ROUTE_ENDPOINT, NULL, "198.51.100.1:80", NULL },
};

static void what_has_a_waypoint_is_reached_through_it_or_not_at_all(void **state)
{
	const struct mesh *m = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errbuf err;
		struct route r;
		char to[IP_TEXT_MAX];

		find(m->snap, rows[i].who, rows[i].dialled, rows[i].chosen, &err, &r);
		if (r.kind != rows[i].kind)
			fail_msg("row %zu (%s): kind %d, want %d; %s", i, rows[i].dialled, r.kind,
				 rows[i].kind, err.text);
		assert_int_equal(!r.svc, !rows[i].svc);
		if (r.svc)
			assert_string_equal(r.svc->name, rows[i].svc);
		if (r.kind == ROUTE_REFUSED) {
			if (!strstr(err.text, rows[i].to))
				fail_msg("row %zu says '%s', want '%s'", i, err.text, rows[i].to);
			continue;
		}
		assert_string_equal(ip_format_ep(to, &r.to), rows[i].to);
		assert_string_equal(r.dst ? r.dst->name : "", rows[i].dst ? rows[i].dst : "");
	}
}

static void the_kernel_sends_to_the_relay_what_has_a_waypoint(void **state)
{
	static const char *const with[] = { "10.96.0.1", "10.96.0.3",  "10.0.0.2",  "10.0.0.3",
					    "10.96.0.9", "10.96.2.5",  "10.96.3.1", "192.0.2.1",
					    "10.7.7.7",  "2001:db9::1" };
	static const char *const without[] = { "10.96.0.2", "10.0.0.4", "10.96.1.1", "192.0.2.200",
					       "198.51.100.1" };
	const struct mesh *m = *state;
	struct weft_addr a;

	for (size_t i = 0; i < ARRAY_LEN(with); i++) {
		a = make_addr(with[i]);
		assert_true(route_needs_relay(m->snap, "", &a));
	}
	for (size_t i = 0; i < ARRAY_LEN(without); i++) {
		a = make_addr(without[i]);
		assert_false(route_needs_relay(m->snap, "", &a));
	}
}

static void reasons_tell_a_missing_waypoint_from_a_missing_endpoint(void **state)
{
	const struct mesh *m = *state;
	struct errbuf err;
	struct route r;

	find(m->snap, "client", "10.96.3.1:80", NULL, &err, &r);
	assert_int_equal(r.reason, WEFT_REASON_NO_WAYPOINT);
	find(m->snap, "wp", "10.96.0.1:81", NULL, &err, &r);
	assert_int_equal(r.reason, WEFT_REASON_NO_ENDPOINT);
}

static void a_waypoint_may_prove_what_its_service_says(void **state)
{
	const struct mesh *m = *state;
	struct errbuf err;
	struct route r;

	find(m->snap, "client", "10.96.0.1:80", NULL, &err, &r);
	assert_non_null(r.sans_of);
	assert_int_equal(r.sans_of->n_sans, 1);
	find(m->snap, "client", "10.96.2.2:80", NULL, &err, &r);
	assert_null(r.sans_of);
	/* so may endpoints of a service, if it was dialled */
	find(m->snap, "client", "10.96.0.2:80", NULL, &err, &r);
	assert_string_equal(r.sans_of->name, "plain");
	find(m->snap, "client", "10.0.0.4:80", NULL, &err, &r);
	assert_null(r.sans_of);
}

static void who_is_a_waypoint_of_an_address_is_known(void **state)
{
	static const struct {
		const char *who, *addr;
		bool is;
	} all[] = {
		{ "wp", "10.96.0.1", true },
		{ "own", "10.96.0.1", false },
		{ "own", "10.0.0.2", true },
		{ "own", "10.0.0.3", true },
		{ "wp", "10.0.0.2", false },
		{ "own", "10.96.2.5", true },
		{ "sick", "10.96.3.3", true },
		{ "client", "10.96.3.1", false },
		{ "client", "192.0.2.1", false },
		{ "wp", "192.0.2.1", true },
		{ "wp", "192.0.2.200", false },
		{ "entry", "10.96.2.4", true },
		/* of the workload there, although the service has the address, too */
		{ "own", "10.96.0.9", true },
	};
	const struct mesh *m = *state;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		const struct weft_addr a = make_addr(all[i].addr);

		if (route_is_waypoint(m->snap, &a, snap_workload_by_pod(m->snap, "a", all[i].who)) !=
		    all[i].is)
			fail_msg("%s of %s", all[i].who, all[i].addr);
	}
}

static void weighted_waypoints_are_used_by_weight(void **state)
{
	/* clang-format off */
	static const char text[] =
		"workloads:\n" POD("client", "10.0.0.1", "") POD("w1", "10.0.0.2", "")
		POD("w2", "10.0.0.3", "") POD("w3", "10.0.0.4", "")
		"services:\n"
		SVC("s", "10.96.0.1", ", weightedWaypoints: [{destination: 10.0.0.2, weight: 1}, "
			"{destination: 10.0.0.4, weight: 0}, {destination: 10.0.0.3, weight: 9}]");
	/* clang-format on */
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct mesh m = { 0 };
	unsigned n[3] = { 0 };

	(void)state;
	assert_int_equal(model_new(&m.model), 0);
	assert_int_equal(feed_file_decode(str_of(text), "mesh.yaml", &err, &in), 0);
	assert_int_equal(model_build(m.model, &in, &err, &m.snap), 0);
	for (int i = 0; i < 2000; i++) {
		struct route r;

		find(m.snap, "client", "10.96.0.1:80", NULL, &err, &r);
		assert_int_equal(r.kind, ROUTE_WAYPOINT);
		n[r.dst->name[1] - '1']++;
	}
	assert_in_range(n[0], 100, 320); /* 200, eight standard deviations */
	assert_int_equal(n[2], 0);
	snap_free(&m.snap);
	model_free(&m.model);
}

static bool is_relayed(const struct snap *s, const char *vip)
{
	const struct weft_addr a = make_addr(vip);

	return route_needs_relay(s, "", &a) && route_depends_on_client(s, &a);
}

/* Of several with one VIP, or with ranges one in the other: that of the client's namespace. */
static void who_dials_decides_which_service_is_meant(void **state)
{
	/* clang-format off */
	static const char text[] =
		"workloads:\n"
		"- {name: c, namespace: a, workloadIps: [10.0.0.1]}\n"
		"- {name: c, namespace: b, workloadIps: [10.0.0.2]}\n"
		"- {name: c, namespace: x, workloadIps: [10.0.0.3]}\n"
		"- {name: ea, namespace: a, workloadIps: [10.0.1.1], services: {a/s: {}, a/own: {}}}\n"
		"- {name: eb, namespace: b, workloadIps: [10.0.1.2], services: {b/s: {}}}\n"
		"services:\n"
		"- {name: s, namespace: a, hostname: s, vips: [10.96.0.1], ports: {80: 8080}}\n"
		"- {name: s, namespace: b, hostname: s, vips: [10.96.0.1], ports: {80: 8080}, canonical: true}\n"
		"- {name: own, namespace: a, hostname: own, vips: [10.96.0.2], ports: {80: 8080}, visibility: Namespace}\n"
		"- {name: wide, namespace: a, hostname: wide, cidrVips: [192.0.2.0/24], loadBalancer: {mode: Passthrough}}\n"
		"- {name: narrow, namespace: b, hostname: narrow, cidrVips: [192.0.2.0/28], loadBalancer: {mode: Passthrough}}\n"
		"- {name: only, namespace: b, hostname: only, cidrVips: [198.51.100.0/24], ports: {80: 80}, visibility: Namespace}\n";
	static const struct {
		const char *ns, *dialled, *svc, *to;
	} wants[] = {
		{ "a", "10.96.0.1:80", "a/s", "10.0.1.1:8080" },
		{ "b", "10.96.0.1:80", "b/s", "10.0.1.2:8080" },
		{ "x", "10.96.0.1:80", "b/s", "10.0.1.2:8080" }, /* canonical */
		{ "a", "10.96.0.2:80", "a/own", "10.0.1.1:8080" },
		{ "b", "10.96.0.2:80", NULL, "10.96.0.2:80" }, /* not visible */
		{ "a", "192.0.2.1:80", "a/wide", "192.0.2.1:80" },
		{ "b", "192.0.2.1:80", "b/narrow", "192.0.2.1:80" },
		{ "x", "192.0.2.1:80", "b/narrow", "192.0.2.1:80" }, /* the longest */
		{ "b", "198.51.100.1:80", "b/only", "198.51.100.1:80" },
		{ "x", "198.51.100.1:80", NULL, "198.51.100.1:80" },
	};
	/* clang-format on */
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct mesh m = { 0 };

	(void)state;
	assert_int_equal(model_new(&m.model), 0);
	if (feed_file_decode(str_of(text), "mesh.yaml", &err, &in) < 0 ||
	    model_build(m.model, &in, &err, &m.snap) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
		const struct weft_ep d = make_ep(wants[i].dialled);
		char to[IP_TEXT_MAX];
		struct route r;

		route_find(m.snap, snap_workload_by_pod(m.snap, wants[i].ns, "c"), &d, NULL, &err,
			   &r);
		ip_format_ep(to, &r.to);
		if (r.kind != ROUTE_ENDPOINT || strcmp(to, wants[i].to) != 0 ||
		    strcmp(r.svc ? r.svc->key : "", wants[i].svc ? wants[i].svc : "") != 0)
			fail_msg("%zu: %s of %s", i, to, r.svc ? r.svc->key : "nobody");
	}
	assert_true(is_relayed(m.snap, "10.96.0.1") && is_relayed(m.snap, "10.96.0.2"));
	snap_free(&m.snap);
	model_free(&m.model);
}

static void endpoints_without_addresses_are_for_the_relay(void **state)
{
	/* clang-format off */
	static const char text[] =
		"workloads:\n" POD("client", "10.0.0.1", "")
		"- {name: api, namespace: a, hostname: api.example, protocol: TCP, services: {a/ext.svc: {80: 443}}}\n"
		"- {name: wp, namespace: a, hostname: wp.example, protocol: HBONE, services: {a/wp.svc: {15008: 15008}}}\n"
		"services:\n"
		SVC("ext", "10.96.0.1, 'fd00::1'", ", ports: {80: 80}")
		SVC("wp", "10.96.0.2", ", ports: {15008: 15008}")
		SVC("behind", "10.96.0.3", ", ports: {80: 80}, waypoint: a/wp.svc");
	/* clang-format on */
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct lb_choice *slots;
	struct mesh m = { 0 };
	struct route r;

	(void)state;
	assert_int_equal(model_new(&m.model), 0);
	assert_int_equal(feed_file_decode(str_of(text), "mesh.yaml", &err, &in), 0);
	assert_int_equal(model_build(m.model, &in, &err, &m.snap), 0);
	find(m.snap, "client", "[fd00::1]:80", NULL, &err, &r);
	assert_int_equal(r.kind, ROUTE_ENDPOINT);
	assert_true(r.by_name && ip_is_any(&r.to.addr));
	assert_int_equal(r.to.port, 443);
	assert_string_equal(r.dst->hostname, "api.example");
	assert_true(route_needs_relay(m.snap, "", &m.snap->service[0]->vips[0]));
	assert_int_equal(lb_slots(m.snap->service[0], &(struct lb_from){ 0 }, 80, true, &slots), 0);
	/* A waypoint is not looked for in the DNS. */
	find(m.snap, "client", "10.96.0.3:80", NULL, &err, &r);
	assert_int_equal(r.reason, WEFT_REASON_NO_WAYPOINT);
	assert_non_null(strstr(err.text, "has no address"));
	snap_free(&m.snap);
	model_free(&m.model);
}

/* What istiod tells: workloads without addresses, and one of a uid of its own that is the gateway. */
static void endpoints_of_other_networks_are_behind_their_gateways(void **state)
{
	/* clang-format off */
#define FAR(name, gateway, services) \
	"- {name: " name ", namespace: a, network: net2, protocol: HBONE, " \
	"networkGateway: " gateway ", services: {" services "}}\n"
	static const char text[] =
		"workloads:\n" POD("client", "10.0.0.1", "") POD("near", "10.0.0.2", ", services: {a/both.svc: {}}")
		FAR("far", "{destination: net2/203.0.113.9, hboneMtlsPort: 15009}", "a/far.svc: {}, a/unnamed.svc: {}, a/both.svc: {}")
		FAR("lost", "net2/203.0.113.7", "a/lost.svc: {}")
		"- {name: cut, namespace: a, network: net2, services: {a/cut.svc: {}}}\n"
		"- {uid: NetworkGateway/net2/203.0.113.9/15009, name: gw, namespace: a, network: net2, protocol: HBONE}\n"
		"services:\n"
		SVC("far", "10.96.0.1", ", ports: {80: 8080}, subjectAltNames: [spiffe://cluster.local/ns/a/sa/far]")
		SVC("unnamed", "10.96.0.2", ", ports: {80: 8080}")
		SVC("lost", "10.96.0.3", ", ports: {80: 8080}, subjectAltNames: [spiffe://cluster.local/ns/a/sa/far]")
		SVC("cut", "10.96.0.4", ", ports: {80: 8080}, subjectAltNames: [spiffe://cluster.local/ns/a/sa/far]")
		SVC("both", "10.96.0.5", ", ports: {80: 8080}, subjectAltNames: [spiffe://cluster.local/ns/a/sa/far],"
			" loadBalancer: {routingPreferences: [Network], mode: Failover}");
#undef FAR
	/* clang-format on */
	struct model_input in = { 0 };
	struct weft_addr vip = make_addr("10.96.0.1"), gw = make_addr("203.0.113.9");
	struct lb_choice *slots = NULL;
	struct errbuf err = { 0 };
	struct mesh m = { 0 };
	struct route r;

	(void)state;
	assert_int_equal(model_new(&m.model), 0);
	assert_int_equal(feed_file_decode(str_of(text), "mesh.yaml", &err, &in), 0);
	assert_int_equal(model_build(m.model, &in, &err, &m.snap), 0);
	find(m.snap, "client", "10.96.0.1:80", NULL, &err, &r);
	assert_int_equal(r.kind, ROUTE_GATEWAY);
	assert_string_equal(r.dst->name, "far");
	assert_string_equal(r.gateway->name, "gw");
	assert_true(r.to.port == 15009 && ip_eq(&r.to.addr, &gw));
	find(m.snap, "client", "10.96.0.2:80", NULL, &err, &r);
	assert_int_equal(r.reason, WEFT_REASON_NO_ENDPOINT);
	find(m.snap, "client", "10.96.0.3:80", NULL, &err, &r);
	assert_int_equal(r.reason, WEFT_REASON_NO_ENDPOINT);
	assert_non_null(strstr(err.text, "gateway net2/203.0.113.7"));
	find(m.snap, "client", "10.96.0.4:80", NULL, &err, &r);
	assert_int_equal(r.reason, WEFT_REASON_NO_ENDPOINT);
	for (int i = 0; i < 20; i++) {
		find(m.snap, "client", "10.96.0.5:80", NULL, &err, &r);
		assert_string_equal(r.dst->name, "near");
	}
	/* The kernel has no slot for it, and asks the relay, but not in that network itself. */
	assert_int_equal(lb_slots(m.snap->service[0], &(struct lb_from){ .network = "net1" }, 80,
				  true, &slots),
			 0);
	free(slots);
	assert_true(route_needs_relay(m.snap, "net1", &vip));
	assert_false(route_needs_relay(m.snap, "net2", &vip));
	assert_false(route_needs_relay(m.snap, "", &vip));
	snap_free(&m.snap);
	model_free(&m.model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_of_other_networks_are_behind_their_gateways),
		cmocka_unit_test(what_has_a_waypoint_is_reached_through_it_or_not_at_all),
		cmocka_unit_test(the_kernel_sends_to_the_relay_what_has_a_waypoint),
		cmocka_unit_test(reasons_tell_a_missing_waypoint_from_a_missing_endpoint),
		cmocka_unit_test(a_waypoint_may_prove_what_its_service_says),
		cmocka_unit_test(who_is_a_waypoint_of_an_address_is_known),
		cmocka_unit_test(weighted_waypoints_are_used_by_weight),
		cmocka_unit_test(endpoints_without_addresses_are_for_the_relay),
		cmocka_unit_test(who_dials_decides_which_service_is_meant),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
