// SPDX-License-Identifier: Apache-2.0
/* sk_lookup in pod b, with real sockets: who gets a SYN that reaches the pod. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h_env.h"

struct stage {
	struct bpf_link *link;
	int app, hbone, plain;
};

static struct stage stage_up(struct env *e, const char *ip)
{
	struct stage s = {
		.link = bpf_program__attach_netns(e->skel->progs.weft_sklookup, e->b),
		.app = listen_in(e->b, ip, 80),
		.hbone = listen_in(e->b, ip, WEFT_PORT_HBONE),
		.plain = listen_in(e->b, ip, WEFT_PORT_PLAINTEXT),
	};

	assert_non_null(s.link);
	listener_set(e, ip, WEFT_LISTEN_HBONE, s.hbone);
	listener_set(e, ip, WEFT_LISTEN_PLAIN, s.plain);
	return s;
}

static void stage_down(struct stage *s)
{
	bpf_link__destroy(s->link);
	s->link = NULL;
	own_close(&s->app);
	own_close(&s->hbone);
	own_close(&s->plain);
}

#define _stage_ cleanup_with(stage_down)

/* Connects and says whether it came to this listener, with what it dialled as its own end. */
static void expect_lands(struct env *e, int from, const char *ip, uint16_t port, int listener,
			 enum weft_stat why)
{
	const uint64_t before = stat_now(e, why);
	_close_ int fd = dial(from, ip, port), got = -1;
	const struct weft_ep want = ep(ip, port);
	struct weft_ep own;

	assert_true(fd >= 0);
	got = accept_one(listener);
	assert_true(got >= 0);
	own = own_of(got);
	assert_memory_equal(&own, &want, sizeof(own));
	assert_int_equal(stat_now(e, why), before + 1);
}

static void expect_refused(struct env *e, int from, const char *ip, uint16_t port, enum weft_stat why)
{
	const uint64_t before = stat_now(e, why);

	assert_int_equal(dial(from, ip, port), -ECONNREFUSED);
	assert_int_equal(stat_now(e, why), before + 1);
}

static void both_families(struct env *e, void (*fn)(struct env *e, const char *ip))
{
	fn(e, "10.9.0.2");
	fn(e, "fd09::2");
}

static void stranger_is_plain(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);

	expect_lands(e, e->x, ip, 80, s.plain, WEFT_STAT_LOOKUP_PLAIN);
	/* Also where no application listens: the relay answers for the pod. */
	expect_lands(e, e->x, ip, 4711, s.plain, WEFT_STAT_LOOKUP_PLAIN);
	assert_true(nobody_came(s.app));
}

static void a_connection_from_outside_comes_to_the_plaintext_listener(void **state)
{
	both_families(*state, stranger_is_plain);
}

static void tunnel_is_hbone(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);

	expect_lands(e, e->x, ip, WEFT_PORT_HBONE, s.hbone, WEFT_STAT_LOOKUP_HBONE);
}

static void port_15008_comes_to_the_hbone_listener(void **state)
{
	both_families(*state, tunnel_is_hbone);
}

static void approved_is_direct(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_lands(e, e->a, ip, 80, s.app, WEFT_STAT_LOOKUP_APPROVED);
	assert_true(nobody_came(s.plain));
}

static void an_approved_connection_comes_to_the_application(void **state)
{
	both_families(*state, approved_is_direct);
}

static void reserved_is_refused(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);
	_close_ int out = listen_in(e->b, ip, WEFT_PORT_OUTBOUND);

	expect_refused(e, e->x, ip, WEFT_PORT_OUTBOUND, WEFT_STAT_LOOKUP_RESERVED);
	expect_refused(e, e->x, ip, WEFT_PORT_PLAINTEXT, WEFT_STAT_LOOKUP_RESERVED);
	assert_true(nobody_came(out) && nobody_came(s.plain));
}

static void ports_15001_and_15006_are_closed_to_the_outside(void **state)
{
	both_families(*state, reserved_is_refused);
}

static void refuse_set(struct env *e, const char *ip, uint16_t port, uint32_t kind, uint32_t epoch)
{
	const struct weft_refuse_key key = { .addr = ep(ip, 0).addr, .port = port };
	const struct weft_refuse v = { .epoch = epoch, .kind = kind, .dst = WLD_B };

	assert_int_equal(bpf_map__update_elem(e->skel->maps.weft_refused, &key, sizeof(key), &v,
					      sizeof(v), BPF_ANY),
			 0);
}

static void strict_is_refused(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);

	refuse_set(e, ip, 0, WEFT_VERDICT_DENY, 1);
	refuse_set(e, ip, 8080, WEFT_VERDICT_ALLOW, 1);
	expect_refused(e, e->x, ip, 80, WEFT_STAT_LOOKUP_REFUSED);
	/* an exception; tunnels and approved connections are not meant */
	expect_lands(e, e->x, ip, 8080, s.plain, WEFT_STAT_LOOKUP_PLAIN);
	expect_lands(e, e->x, ip, WEFT_PORT_HBONE, s.hbone, WEFT_STAT_LOOKUP_HBONE);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	expect_lands(e, e->a, ip, 80, s.app, WEFT_STAT_LOOKUP_APPROVED);
	/* what was true before the last change is asked for again */
	refuse_set(e, ip, 0, WEFT_VERDICT_DENY, 0);
	expect_lands(e, e->x, ip, 80, s.plain, WEFT_STAT_LOOKUP_PLAIN);
	refuse_set(e, ip, 0, WEFT_VERDICT_ALLOW, 1);
	expect_lands(e, e->x, ip, 80, s.plain, WEFT_STAT_LOOKUP_PLAIN);
}

static void plaintext_that_no_policy_lets_in_is_refused_at_once(void **state)
{
	both_families(*state, strict_is_refused);
}

static void own_is_a_stranger(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);
	_close_ int fd = sock_in(e->a, strchr(ip, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, 0),
		    got = -1;
	uint32_t one = WEFT_OWN;

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_own), &fd, &one, BPF_ANY);
	assert_int_equal(dial_fd(fd, ip, 80), 0);
	got = accept_one(s.plain);
	assert_true(got >= 0 && nobody_came(s.app));
}

/* A name that the daemon resolved may lead here: no policy was asked. */
static void what_the_daemon_sends_elsewhere_is_a_stranger_there(void **state)
{
	both_families(*state, own_is_a_stranger);
}

static void no_daemon_is_refused(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);

	/* The daemon dies: entries go with their sockets, nobody deletes them. */
	own_close(&s.hbone);
	own_close(&s.plain);
	assert_int_equal(map_entries(e->skel->maps.weft_listen), 0);
	expect_refused(e, e->x, ip, 80, WEFT_STAT_LOOKUP_NO_LISTENER);
	expect_refused(e, e->x, ip, WEFT_PORT_HBONE, WEFT_STAT_LOOKUP_NO_LISTENER);
	assert_true(nobody_came(s.app));
}

static void without_the_daemon_a_listening_application_is_not_reached(void **state)
{
	both_families(*state, no_daemon_is_refused);
}

static void inside_is_untouched(struct env *e, const char *ip)
{
	_stage_ struct stage s = stage_up(e, ip);

	expect_lands(e, e->b, ip, 80, s.app, WEFT_STAT_LOOKUP_LOCAL);
}

static void a_pod_reaches_itself(void **state)
{
	struct env *e = *state;
	_stage_ struct stage s = stage_up(e, "10.9.0.2");
	_close_ int l = listen_in(e->b, "127.0.0.1", 8080);

	expect_lands(e, e->b, "127.0.0.1", 8080, l, WEFT_STAT_LOOKUP_LOCAL);
	stage_down(&s);
	both_families(e, inside_is_untouched);
}

/* The approval names one 4-tuple: after its end, the same client is a stranger again. */
static void an_approval_is_for_one_connection(void **state)
{
	struct env *e = *state;
	_stage_ struct stage s = stage_up(e, "10.9.0.2");
	_close_ int around = -1, got = -1;
	int c, srv;

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	c = dial(e->a, "10.9.0.2", 80);
	srv = accept_one(s.app);
	close_rst(c);
	close(srv);
	expect_entries(e->skel->maps.weft_approved, 0);
	/* Sockets that are made outside of the control group do not meet the hooks. */
	around = sock_outside(e, e->a);
	assert_int_equal(dial_fd(around, "10.9.0.2", 80), 0);
	got = accept_one(s.plain);
	assert_true(got >= 0 && nobody_came(s.app));
}

static void udp_is_untouched(void **state)
{
	struct env *e = *state;
	_stage_ struct stage s = stage_up(e, "10.9.0.2");
	_close_ int srv = sock_in(e->b, AF_INET, SOCK_DGRAM, 0);
	_close_ int c = sock_in(e->x, AF_INET, SOCK_DGRAM, 0);
	struct weft_ep at = ep("10.9.0.2", 15008);
	struct sockaddr_storage sa;
	socklen_t n = ip_to_sockaddr(&at, &sa);
	char got;

	assert_int_equal(bind(srv, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(dial_fd(c, "10.9.0.2", 15008), 0);
	assert_int_equal(send(c, "x", 1, 0), 1);
	assert_int_equal(recv(srv, &got, 1, 0), 1);
}

/* Addresses that stand for nameservers are local to the pod, but IPv6 would take them from outside. */
static void an_address_of_a_nameserver_is_for_the_pod_itself(void **state)
{
	struct env *e = *state;
	_stage_ struct stage s = stage_up(e, "fd09::2");
	_close_ int names = -1, any = -1, fd = -1;

	sh("ip -n wt%db -6 route replace local fd57:6566:7464:6e73::/120 dev lo", getpid());
	sh("ip -n wt%dx -6 route replace fd57:6566:7464:6e73::/120 via fd09::2", getpid());
	names = listen_in(e->b, "::", WEFT_PORT_DNS);
	any = listen_in(e->b, "::", 81);
	expect_refused(e, e->x, "fd57:6566:7464:6e73::1", WEFT_PORT_DNS, WEFT_STAT_LOOKUP_LOCAL);
	expect_refused(e, e->x, "fd57:6566:7464:6e73::1", 81, WEFT_STAT_LOOKUP_LOCAL);
	expect_refused(e, e->x, "fd09::2", WEFT_PORT_DNS, WEFT_STAT_LOOKUP_RESERVED);
	assert_true(nobody_came(names) && nobody_came(any));
	fd = dial(e->b, "fd57:6566:7464:6e73::1", WEFT_PORT_DNS);
	assert_true(fd >= 0 && !nobody_came(names));
}

#define T(fn) cmocka_unit_test_setup(fn, env_reset)

int main(void)
{
	const struct CMUnitTest all[] = {
		T(a_connection_from_outside_comes_to_the_plaintext_listener),
		T(port_15008_comes_to_the_hbone_listener),
		T(an_approved_connection_comes_to_the_application),
		T(ports_15001_and_15006_are_closed_to_the_outside),
		T(plaintext_that_no_policy_lets_in_is_refused_at_once),
		T(what_the_daemon_sends_elsewhere_is_a_stranger_there),
		T(without_the_daemon_a_listening_application_is_not_reached),
		T(a_pod_reaches_itself),
		T(an_approval_is_for_one_connection),
		T(udp_is_untouched),
		T(an_address_of_a_nameserver_is_for_the_pod_itself),
	};

	return cmocka_run_group_tests(all, env_up, env_down);
}
