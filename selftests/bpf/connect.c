// SPDX-License-Identifier: Apache-2.0
/* connect4, connect6 and getpeername with real sockets: where a connection goes, and why. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "h_env.h"

#define VIP "10.96.0.10"
#define VIP6 "fd96::10"

static void expect_ep(const struct weft_ep got, const char *ip, uint16_t port)
{
	const struct weft_ep want = ep(ip, port);
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

	assert_string_equal(ip_format_ep(a, &got), ip_format_ep(b, &want));
}

/* Dials from a; the connection must arrive at this listener, and look unchanged to a. */
static void expect_arrives(struct env *e, const char *ip, uint16_t port, int listener)
{
	_close_ int fd = dial(e->a, ip, port), got = -1;

	if (fd < 0)
		fail_msg("%s:%u: %s", ip, port, strerror(-fd));
	got = accept_one(listener);
	assert_true(got >= 0);
	expect_ep(peer_of(fd), ip, port);
}

static void expect_refused(struct env *e, const char *ip, uint16_t port, enum weft_stat why)
{
	uint64_t before = stat_now(e, why);

	assert_int_equal(dial(e->a, ip, port), -ECONNREFUSED);
	assert_int_equal(stat_now(e, why), before + 1);
}

static void a_namespace_that_is_not_enrolled_is_untouched(void **state)
{
	struct env *e = *state;
	uint64_t before = stat_now(e, WEFT_STAT_CONNECT_NOT_ENROLLED);
	_close_ int l = listen_in(e->b, "10.9.0.2", 80), fd = dial(e->x, "10.9.0.2", 80);

	assert_true(fd >= 0);
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_NOT_ENROLLED), before + 1);
	service_set(e, VIP, 80, 7, 0);
	assert_int_not_equal(dial(e->x, VIP, 80), -ECONNREFUSED);
}

static void an_address_outside_the_mesh_is_passed_through(void **state)
{
	struct env *e = *state;
	uint64_t before = stat_now(e, WEFT_STAT_CONNECT_PASSTHROUGH);
	_close_ int l4 = listen_in(e->x, "10.9.0.9", 80), l6 = listen_in(e->x, "fd09::9", 80);

	expect_arrives(e, "10.9.0.9", 80, l4);
	expect_arrives(e, "fd09::9", 80, l6);
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_PASSTHROUGH), before + 2);
}

static void a_workload_without_hbone_is_passed_through(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->x, "10.9.0.9", 80);

	mesh_set(e, "10.9.0.9", 9, 0);
	expect_arrives(e, "10.9.0.9", 80, l);
}

static void an_allowed_pair_is_direct(void **state)
{
	struct env *e = *state;
	uint64_t before = stat_now(e, WEFT_STAT_CONNECT_DIRECT);
	_close_ int l4 = listen_in(e->b, "10.9.0.2", 80), l6 = listen_in(e->b, "fd09::2", 80);

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.2", 80, l4);
	expect_arrives(e, "fd09::2", 80, l6);
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_DIRECT), before + 2);
}

static void a_denied_pair_gets_econnrefused(void **state)
{
	struct env *e = *state;
	const struct weft_total_key key = { .src = WLD_A,
					    .dst = WLD_B,
					    .path = WEFT_PATH_DENIED,
					    .reason = WEFT_REASON_POLICY_DENIED };
	uint64_t before = total_now(e, &key).failed;
	_close_ int l4 = listen_in(e->b, "10.9.0.2", 80), l6 = listen_in(e->b, "fd09::2", 80);

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_DENY, 1);
	expect_refused(e, "10.9.0.2", 80, WEFT_STAT_CONNECT_DENIED);
	expect_refused(e, "fd09::2", 80, WEFT_STAT_CONNECT_DENIED);
	assert_true(nobody_came(l4) && nobody_came(l6));
	assert_int_equal(total_now(e, &key).failed, before + 2);
}

/* Misses of every kind go to the relay in the pod, never to the destination. */
static void without_a_verdict_of_this_epoch_the_relay_decides(void **state)
{
	struct env *e = *state;
	_close_ int app = listen_in(e->b, "10.9.0.2", 80);
	_close_ int l4 = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);
	_close_ int l6 = listen_in(e->a, "fd09::1", WEFT_PORT_OUTBOUND);
	uint64_t before = stat_now(e, WEFT_STAT_VERDICT_MISS);

	expect_arrives(e, "10.9.0.2", 80, l4);
	expect_arrives(e, "fd09::2", 80, l6);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 2);
	expect_arrives(e, "10.9.0.2", 80, l4);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 0);
	expect_arrives(e, "10.9.0.2", 80, l4);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_DENY, 0);
	expect_arrives(e, "10.9.0.2", 80, l4);
	verdict_set(e, WLD_A, WLD_B, 81, WEFT_VERDICT_ALLOW, 1);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_NONE, 1);
	expect_arrives(e, "10.9.0.2", 80, l4);
	assert_true(nobody_came(app));
	assert_int_equal(stat_now(e, WEFT_STAT_VERDICT_MISS), before + 5);
}

static void an_enrolled_pod_that_is_no_workload_never_hits_the_cache(void **state)
{
	struct env *e = *state;
	const struct weft_pod nobody = { .slot = 1, .v4 = addr("10.9.0.1") };
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_pods), &e->cookie_a, &nobody, BPF_ANY);
	verdict_set(e, 0, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.2", 80, l);
}

static void a_peer_on_another_node_is_relayed_whatever_the_cache_says(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	verdict_set(e, WLD_A, WLD_FAR, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.3", 80, l);
}

static void without_a_relay_a_captured_connection_is_refused(void **state)
{
	struct env *e = *state;

	assert_int_equal(dial(e->a, "10.9.0.3", 80), -ECONNREFUSED);
	assert_int_equal(dial(e->a, "10.9.0.2", 80), -ECONNREFUSED);
}

static void a_vip_becomes_one_of_its_endpoints(void **state)
{
	struct env *e = *state;
	_close_ int l1 = listen_in(e->b, "10.9.0.2", 8080), l2 = listen_in(e->b, "10.9.0.2", 8081);
	_close_ int l6 = listen_in(e->b, "fd09::2", 8082);
	int n1 = 0, n2 = 0;

	for (uint16_t port = 8080; port < 8083; port++)
		verdict_set(e, WLD_A, WLD_B, port, WEFT_VERDICT_ALLOW, 1);
	service_set(e, VIP, 80, 7, 2);
	slot_set(e, 7, 0, "10.9.0.2", 8080);
	slot_set(e, 7, 1, "10.9.0.2", 8081);
	service_set(e, VIP6, 80, 7, 1);
	slot_set(e, 7, WEFT_SLOT_V6, "fd09::2", 8082);
	for (int i = 0; i < 64; i++) {
		_close_ int fd = dial(e->a, VIP, 80), got = -1;

		assert_true(fd >= 0);
		expect_ep(peer_of(fd), VIP, 80);
		got = accept_one(nobody_came(l1) ? l2 : l1);
		n1 += own_of(got).port == 8080;
		n2 += own_of(got).port == 8081;
	}
	/* Never one of them: 2^-63. */
	assert_true(n1 > 0 && n2 > 0 && n1 + n2 == 64);
	expect_arrives(e, VIP6, 80, l6);
}

static void a_vip_of_an_endpoint_outside_the_mesh_is_passed_through(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->x, "10.9.0.9", 8080);

	service_set(e, VIP, 80, 7, 1);
	slot_set(e, 7, 0, "10.9.0.9", 8080);
	expect_arrives(e, VIP, 80, l);
}

static void a_vip_whose_endpoint_is_the_caller_stays_in_the_pod(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", 8080);

	service_set(e, VIP, 80, 7, 1);
	slot_set(e, 7, 0, "10.9.0.1", 8080);
	expect_arrives(e, VIP, 80, l);
}

static void a_vip_without_endpoints_is_refused(void **state)
{
	struct env *e = *state;

	service_set(e, VIP, 80, 7, 0);
	service_set(e, VIP6, 80, 7, 0);
	expect_refused(e, VIP, 80, WEFT_STAT_CONNECT_NO_ENDPOINT);
	expect_refused(e, VIP6, 80, WEFT_STAT_CONNECT_NO_ENDPOINT);
	/* Said to have one, which is not there: between two updates. */
	service_set(e, VIP, 80, 7, 3);
	expect_refused(e, VIP, 80, WEFT_STAT_CONNECT_NO_ENDPOINT);
}

/* Both at one address: the ports of the service are resolved, the others are the workload's. */
static void a_workload_may_have_a_vip_as_its_address(void **state)
{
	struct env *e = *state;
	_close_ int l1 = listen_in(e->b, "10.9.0.2", 80), l2 = listen_in(e->b, "10.9.0.2", 8080);

	service_set(e, "10.9.0.2", 81, 7, 1);
	slot_set(e, 7, 0, "10.9.0.2", 8080);
	mesh_set(e, "10.9.0.2", WLD_B, WEFT_WLD_LOCAL | WEFT_WLD_HBONE | WEFT_WLD_VIP);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	verdict_set(e, WLD_A, WLD_B, 8080, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.2", 80, l1);
	expect_arrives(e, "10.9.0.2", 81, l2);
}

/* Whatever else is known of it: verdict, slots, that it is a service or speaks no HBONE. */
static void what_has_a_waypoint_goes_to_the_relay(void **state)
{
	struct env *e = *state;
	_close_ int app = listen_in(e->b, "10.9.0.2", 8080);
	_close_ int app6 = listen_in(e->b, "fd09::2", 8080);
	_close_ int l4 = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);
	_close_ int l6 = listen_in(e->a, "fd09::1", WEFT_PORT_OUTBOUND);

	verdict_set(e, WLD_A, WLD_B, 8080, WEFT_VERDICT_ALLOW, 1);
	mesh_set(e, "10.9.0.2", WLD_B, WEFT_WLD_LOCAL | WEFT_WLD_HBONE | WEFT_WLD_RELAY);
	mesh_set(e, "fd09::2", WLD_B, WEFT_WLD_LOCAL | WEFT_WLD_HBONE | WEFT_WLD_RELAY);
	expect_arrives(e, "10.9.0.2", 8080, l4);
	expect_arrives(e, "fd09::2", 8080, l6);
	mesh_set(e, "10.9.0.2", WLD_B, WEFT_WLD_RELAY);
	expect_arrives(e, "10.9.0.2", 8080, l4);
	service_set(e, VIP, 80, 7, 1);
	slot_set(e, 7, 0, "10.9.0.2", 8080);
	mesh_set(e, VIP, 0, WEFT_WLD_SERVICE | WEFT_WLD_VIP | WEFT_WLD_RELAY);
	expect_arrives(e, VIP, 80, l4);
	expect_arrives(e, VIP, 81, l4);
	verdict_set(e, WLD_A, WLD_B, 8080, WEFT_VERDICT_DENY, 1);
	expect_arrives(e, VIP, 80, l4);
	assert_true(nobody_came(app) && nobody_came(app6));
	expect_refused(e, VIP, WEFT_PORT_HBONE, WEFT_STAT_CONNECT_RESERVED);
}

static void range_set(struct env *e, const char *ip, uint32_t len, uint32_t flags)
{
	const struct weft_range_key key = { .prefixlen = len, .addr = addr(ip) };
	const struct weft_wld v = { .flags = flags };

	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_ranges), &key, &v, BPF_ANY), 0);
}

/* The longest one counts, and none of them for what the mesh knows by its address. */
static void an_address_outside_may_be_in_a_range_with_a_waypoint(void **state)
{
	struct env *e = *state;
	_close_ int out = listen_in(e->x, "10.9.0.9", 80), out6 = listen_in(e->x, "fd09::9", 80);
	_close_ int app = listen_in(e->b, "10.9.0.2", 80);
	_close_ int l4 = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);
	_close_ int l6 = listen_in(e->a, "fd09::1", WEFT_PORT_OUTBOUND);

	range_set(e, "10.9.0.0", 96 + 24, WEFT_WLD_RELAY);
	expect_arrives(e, "10.9.0.9", 80, l4);
	expect_arrives(e, "fd09::9", 80, out6);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.2", 80, app);
	range_set(e, "10.9.0.8", 96 + 29, 0);
	expect_arrives(e, "10.9.0.9", 80, out);
	range_set(e, "::", 0, WEFT_WLD_RELAY);
	range_set(e, "::ffff:0.0.0.0", 96, 0);
	expect_arrives(e, "fd09::9", 80, l6);
	expect_arrives(e, "10.9.0.9", 80, out);
}

/* A service that has none resolves to an endpoint that has one. */
static void the_waypoint_of_an_endpoint_is_not_that_of_its_service(void **state)
{
	struct env *e = *state;
	_close_ int app = listen_in(e->b, "10.9.0.2", 8080);

	verdict_set(e, WLD_A, WLD_B, 8080, WEFT_VERDICT_ALLOW, 1);
	service_set(e, VIP, 80, 7, 1);
	slot_set(e, 7, 0, "10.9.0.2", 8080);
	mesh_set(e, "10.9.0.2", WLD_B, WEFT_WLD_LOCAL | WEFT_WLD_HBONE | WEFT_WLD_RELAY);
	expect_arrives(e, VIP, 80, app);
}

static void an_unknown_port_of_a_vip_is_refused(void **state)
{
	struct env *e = *state;

	service_set(e, VIP, 80, 7, 1);
	slot_set(e, 7, 0, "10.9.0.2", 8080);
	expect_refused(e, VIP, 81, WEFT_STAT_CONNECT_NO_ENDPOINT);
}

static void a_v4_mapped_address_is_its_ipv4_address(void **state)
{
	struct env *e = *state;
	_close_ int app = listen_in(e->b, "10.9.0.2", 8080);
	_close_ int relay = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	verdict_set(e, WLD_A, WLD_B, 8080, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "::ffff:10.9.0.2", 8080, app);
	service_set(e, VIP, 80, 7, 1);
	slot_set(e, 7, 0, "10.9.0.2", 8080);
	expect_arrives(e, "::ffff:" VIP, 80, app);
	expect_arrives(e, "::ffff:10.9.0.3", 80, relay);
	verdict_set(e, WLD_A, WLD_B, 8080, WEFT_VERDICT_DENY, 1);
	expect_refused(e, "::ffff:10.9.0.2", 8080, WEFT_STAT_CONNECT_DENIED);
}

/* Its first subflow is; later ones come from the kernel and find no approval at the other end. */
static void multipath_tcp_is_judged_like_tcp(void **state)
{
	struct env *e = *state;
	_close_ int app = listen_in(e->b, "10.9.0.2", 80), fd = -1, fd2 = -1, got = -1;
	_close_ int relay = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	fd = sock_in(e->a, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	assert_int_equal(dial_fd(fd, "10.9.0.2", 80), 0);
	got = accept_one(relay);
	assert_true(got >= 0 && nobody_came(app));
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_DENY, 1);
	fd2 = sock_in(e->a, AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	assert_int_equal(dial_fd(fd2, "10.9.0.2", 80), -ECONNREFUSED);
}

static void udp_is_untouched(void **state)
{
	struct env *e = *state;
	_close_ int fd4 = sock_in(e->a, AF_INET, SOCK_DGRAM, 0);
	_close_ int fd6 = sock_in(e->a, AF_INET6, SOCK_DGRAM, 0);

	verdict_set(e, WLD_A, WLD_B, 53, WEFT_VERDICT_DENY, 1);
	assert_int_equal(dial_fd(fd4, "10.9.0.2", 53), 0);
	expect_ep(peer_of(fd4), "10.9.0.2", 53);
	assert_int_equal(dial_fd(fd6, "fd09::3", 53), 0);
	expect_ep(peer_of(fd6), "fd09::3", 53);
}

static void ports_of_the_daemon_cannot_be_dialled(void **state)
{
	struct env *e = *state;
	static const uint16_t ports[] = { WEFT_PORT_OUTBOUND, WEFT_PORT_PLAINTEXT, WEFT_PORT_HBONE };
	static const char *const targets[] = { "10.9.0.1", "127.0.0.1",       "10.9.0.2",
					       "10.9.0.3", "fd09::1",         "::1",
					       "fd09::2",  "::ffff:127.0.0.1" };
	_close_ int other = listen_in(e->x, "10.9.0.9", WEFT_PORT_HBONE);

	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		for (size_t j = 0; j < ARRAY_LEN(targets); j++)
			expect_refused(e, targets[j], ports[i], WEFT_STAT_CONNECT_RESERVED);
	/* Elsewhere they are ports like any other. */
	expect_arrives(e, "10.9.0.9", WEFT_PORT_HBONE, other);
}

static void loopback_and_the_own_address_are_untouched(void **state)
{
	struct env *e = *state;
	uint64_t before = stat_now(e, WEFT_STAT_CONNECT_LOOPBACK);
	_close_ int l4 = listen_in(e->a, "0.0.0.0", 80), l6 = listen_in(e->a, "::1", 81);

	expect_arrives(e, "127.0.0.1", 80, l4);
	expect_arrives(e, "10.9.0.1", 80, l4);
	expect_arrives(e, "::1", 81, l6);
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_LOOPBACK), before + 3);
}

static void sockets_of_the_daemon_are_untouched(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->b, "10.9.0.2", 80);
	_close_ int fd = sock_in(e->a, AF_INET, SOCK_STREAM, 0);
	uint32_t one = 1;

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_DENY, 1);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_own), &fd, &one, BPF_ANY), 0);
	assert_int_equal(dial_fd(fd, "10.9.0.2", 80), 0);
}

/* A socket that was refused may try again elsewhere, and is judged anew each time. */
static void each_connect_of_a_socket_is_judged_anew(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->b, "10.9.0.2", 80);
	_close_ int fd = sock_in(e->a, AF_INET, SOCK_STREAM, 0);

	service_set(e, VIP, 80, 7, 0);
	assert_int_equal(dial_fd(fd, VIP, 80), -ECONNREFUSED);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	assert_int_equal(dial_fd(fd, "10.9.0.2", 80), 0);
	expect_ep(peer_of(fd), "10.9.0.2", 80);
}

/* Connected to itself after it was connected elsewhere: nothing of the first time is left. */
static void a_socket_that_is_used_again_inside_the_pod_is_left_alone(void **state)
{
	struct env *e = *state;
	_close_ int far = listen_in(e->b, "10.9.0.2", 80), near = listen_in(e->a, "10.9.0.1", 80);
	_close_ int fd = sock_in(e->a, AF_INET, SOCK_STREAM, 0);
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	assert_int_equal(dial_fd(fd, "10.9.0.2", 80), 0);
	assert_int_equal(map_entries(e->skel->maps.weft_approved), 1);
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	expect_entries(e->skel->maps.weft_approved, 0);
	assert_int_equal(dial_fd(fd, "10.9.0.1", 80), 0);
	assert_int_equal(map_entries(e->skel->maps.weft_approved), 0);
	expect_ep(peer_of(fd), "10.9.0.1", 80);
}

static void a_pod_without_ipv6_is_refused_what_needs_the_relay(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->b, "fd09::2", 80);

	expect_refused(e, "fd09::3", 80, WEFT_STAT_CONNECT_NO_FAMILY);
	/* What needs no relay works. */
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "fd09::2", 80, l);
}

static void with_mutual_tls_on_the_node_nothing_is_direct(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.2", 80, l);
}

/* Mark of a connection from a that is on its way to ip, or a negative error. */
static int mark_to(struct env *e, const char *ip, uint16_t port, uint32_t own_mark)
{
	_close_ int fd = sock_in(e->a, strchr(ip, ':') ? AF_INET6 : AF_INET, SOCK_STREAM,
				 IPPROTO_TCP);
	uint32_t mark = own_mark;
	socklen_t n = sizeof(mark);
	int r;

	assert_true(fd >= 0);
	if (own_mark)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, n), 0);
	r = dial_fd(fd, ip, port);
	if (r < 0)
		return r;
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &n), 0);
	return (int)mark;
}

static void pod_with_rules(struct env *e)
{
	const struct weft_pod a = { .workload = WLD_A,
				    .slot = 1,
				    .v4 = addr("10.9.0.1"),
				    .v6 = addr("fd09::1"),
				    .flags = WEFT_POD_RULES };

	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_pods), &e->cookie_a, &a, BPF_ANY);
}

static void among_rules_what_leaves_as_it_is_carries_their_mark(void **state)
{
	struct env *e = *state;
	_close_ int l4 = listen_in(e->b, "10.9.0.2", 80), l6 = listen_in(e->b, "fd09::2", 80);
	_close_ int x4 = listen_in(e->x, "10.9.0.9", 80);
	_close_ int relay = listen_in(e->a, "10.9.0.1", WEFT_PORT_HOOKED);
	_close_ int self = listen_in(e->a, "10.9.0.1", 80);

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	assert_int_equal(mark_to(e, "10.9.0.2", 80, 0), 0); /* no rules, no mark */
	pod_with_rules(e);
	assert_int_equal(mark_to(e, "10.9.0.2", 80, 0), WEFT_PASS_MARK);
	assert_int_equal(mark_to(e, "fd09::2", 80, 0), WEFT_PASS_MARK);
	assert_int_equal(mark_to(e, "10.9.0.9", 80, 0), WEFT_PASS_MARK);
	assert_int_equal(mark_to(e, "10.9.0.3", 80, 0), 0); /* the relay, over loopback */
	assert_int_equal(mark_to(e, "10.9.0.1", 80, 0), 0);
}

/* There are none in this test, so such a connection simply arrives. */
static void among_rules_marked_sockets_and_names_are_left_to_them(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->b, "10.9.0.2", 80), dns = listen_in(e->b, "10.9.0.2", 53);
	_close_ int far = listen_in(e->a, "10.9.0.1", WEFT_PORT_HOOKED);
	uint64_t before = stat_now(e, WEFT_STAT_CONNECT_RULES);
	struct weft_total_key key = { .src = WLD_A, .dst = WLD_B, .path = WEFT_PATH_DIRECT };
	uint64_t direct = total_now(e, &key).opened;

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	verdict_set(e, WLD_A, WLD_B, 53, WEFT_VERDICT_ALLOW, 1);
	pod_with_rules(e);
	assert_int_equal(mark_to(e, "10.9.0.2", 80, 7), 7);
	assert_int_equal(mark_to(e, "10.9.0.2", 53, 0), 0);
	assert_int_equal(mark_to(e, "10.9.0.2", 53, WEFT_PASS_MARK), 0); /* used again */
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_RULES), before + 3);
	assert_int_equal(total_now(e, &key).opened, direct); /* the relay counts it */
	assert_int_equal(mark_to(e, "10.9.0.3", 80, 7), 7); /* the relay takes it all the same */
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_RULES), before + 3);
}

static void a_peer_among_rules_is_reached_by_the_relay_only(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	mesh_set(e, "10.9.0.2", WLD_B, WEFT_WLD_LOCAL | WEFT_WLD_HBONE | WEFT_WLD_RULES);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_arrives(e, "10.9.0.2", 80, l);
}

static int up_plain(void **state)
{
	static const struct env_opts o = { .plain_a = true, .same_node_mtls = false };

	*state = (void *)&o;
	return env_up(state);
}

static int up_mtls(void **state)
{
	static const struct env_opts o = { .same_node_mtls = true };

	*state = (void *)&o;
	return env_up(state);
}

#define T(fn) cmocka_unit_test_setup(fn, env_reset)

int main(void)
{
	const struct CMUnitTest all[] = {
		T(a_namespace_that_is_not_enrolled_is_untouched),
		T(an_address_outside_the_mesh_is_passed_through),
		T(a_workload_without_hbone_is_passed_through),
		T(an_allowed_pair_is_direct),
		T(a_denied_pair_gets_econnrefused),
		T(without_a_verdict_of_this_epoch_the_relay_decides),
		T(an_enrolled_pod_that_is_no_workload_never_hits_the_cache),
		T(a_peer_on_another_node_is_relayed_whatever_the_cache_says),
		T(without_a_relay_a_captured_connection_is_refused),
		T(a_vip_becomes_one_of_its_endpoints),
		T(a_vip_of_an_endpoint_outside_the_mesh_is_passed_through),
		T(a_vip_whose_endpoint_is_the_caller_stays_in_the_pod),
		T(a_vip_without_endpoints_is_refused),
		T(a_workload_may_have_a_vip_as_its_address),
		T(what_has_a_waypoint_goes_to_the_relay),
		T(an_address_outside_may_be_in_a_range_with_a_waypoint),
		T(the_waypoint_of_an_endpoint_is_not_that_of_its_service),
		T(an_unknown_port_of_a_vip_is_refused),
		T(a_v4_mapped_address_is_its_ipv4_address),
		T(multipath_tcp_is_judged_like_tcp),
		T(udp_is_untouched),
		T(ports_of_the_daemon_cannot_be_dialled),
		T(loopback_and_the_own_address_are_untouched),
		T(sockets_of_the_daemon_are_untouched),
		T(each_connect_of_a_socket_is_judged_anew),
		T(a_socket_that_is_used_again_inside_the_pod_is_left_alone),
		T(among_rules_what_leaves_as_it_is_carries_their_mark),
		T(among_rules_marked_sockets_and_names_are_left_to_them),
		T(a_peer_among_rules_is_reached_by_the_relay_only),
	};
	const struct CMUnitTest plain[] = { T(a_pod_without_ipv6_is_refused_what_needs_the_relay) };
	const struct CMUnitTest mtls[] = { T(with_mutual_tls_on_the_node_nothing_is_direct) };
	int failed = cmocka_run_group_tests(all, env_up, env_down);

	failed += cmocka_run_group_tests(plain, up_plain, env_down);
	return failed + cmocka_run_group_tests(mtls, up_mtls, env_down);
}
