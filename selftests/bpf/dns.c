// SPDX-License-Identifier: Apache-2.0
/*
 * What pods ask nameservers, with real sockets: it comes to weftd's sockets in the pod while there are
 * any, the answer comes from whom was asked, and all other datagrams are left alone.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "h_env.h"
#include "io/tcp.h"
#include "io/udp.h"

#define SERVER4 "10.9.0.9"
#define SERVER6 "fd09::9"
#define MAPPED "::ffff:10.9.0.9"

static void mark(struct env *e, int fd, uint32_t kind)
{
	assert_true(fd >= 0);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_own), &fd, &kind, BPF_ANY), 0);
}

/* weftd's socket in a. */
static int weftd_udp(struct env *e, bool v6)
{
	int fd = udp_listen(&(struct udp_opts){ .netns_fd = e->a }, v6, WEFT_PORT_DNS);

	mark(e, fd, WEFT_OWN);
	return fd;
}

static int server_udp(struct env *e, int ns, bool v6, uint16_t port)
{
	int fd = udp_listen(&(struct udp_opts){ .netns_fd = ns }, v6, port);

	(void)e;
	assert_true(fd >= 0);
	return fd;
}

static struct udp_packet got_at(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct udp_packet packet = { 0 };
	char buf[64];

	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(udp_recv(fd, buf, sizeof(buf), &packet), 0);
	return packet;
}

static bool nothing_at(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

static socklen_t sockaddr_in_form(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	const struct weft_ep e = ep(ip, port);
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	if (!strchr(ip, ':'))
		return ip_to_sockaddr(&e, ret);
	memset(ret, 0, sizeof(*ret));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, e.addr.b, 16);
	return sizeof(*in6);
}

static int client(struct env *e, int ns, const char *ip)
{
	(void)e;
	return sock_in(ns, strchr(ip, ':') ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
}

static void ask(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t n = sockaddr_in_form(ip, port, &ss);

	assert_int_equal(sendto(fd, "q", 1, 0, (struct sockaddr *)&ss, n), 1);
}

static void expect_answer_from(int fd, const char *ip, uint16_t port)
{
	struct weft_ep from, want = ep(ip, port);
	struct sockaddr_storage ss = { 0 };
	socklen_t n = sizeof(ss);
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX], c;

	assert_int_equal(recvfrom(fd, &c, 1, 0, (struct sockaddr *)&ss, &n), 1);
	assert_int_equal(ip_from_sockaddr((struct sockaddr *)&ss, &from), 0);
	assert_string_equal(ip_format_ep(a, &from), ip_format_ep(b, &want));
}

/* The question comes to weftd, says which nameserver was meant, and its answer finds back. */
static void expect_taken(struct env *e, int weftd, int fd, const char *ip)
{
	struct udp_packet p = got_at(weftd);
	struct weft_dns_key key = { .cookie = e->cookie_a, .v6 = !ip_is_v4(&p.to) };
	struct weft_addr meant, want = addr(ip);

	key.n = weft_dns_n(&p.to, key.v6);
	assert_int_not_equal(key.n, 0);
	assert_int_equal(p.ifindex, 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_dns), &key, &meant), 0);
	assert_memory_equal(&meant, &want, sizeof(meant));
	assert_int_equal(udp_send(weftd, "a", 1, &p.from, &p.to), 0);
	expect_answer_from(fd, ip, 53);
}

static void local_v6(void)
{
	sh("ip -n wt%da -6 route replace local fd57:6566:7464:6e73::/120 dev lo", getpid());
}

static void a_question_goes_to_weftd_and_its_answer_comes_from_whom_was_asked(void **state)
{
	static const char *const servers[] = { SERVER4, SERVER6, MAPPED, "10.9.0.77" };
	struct env *e = *state;
	_close_ int four = weftd_udp(e, false), six = weftd_udp(e, true);
	uint64_t before = stat_now(e, WEFT_STAT_DNS_CAPTURED);

	local_v6();
	for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
		bool v6 = strcmp(servers[i], SERVER6) == 0;
		_close_ int loose = client(e, e->a, servers[i]), bound = client(e, e->a, servers[i]);
		struct weft_ep peer, want = ep(servers[i], 53);

		ask(loose, servers[i], 53);
		expect_taken(e, v6 ? six : four, loose, servers[i]);
		/* The same with a connection, which also looks as if it went there. */
		assert_int_equal(dial_fd(bound, servers[i], 53), 0);
		peer = peer_of(bound);
		assert_memory_equal(&peer, &want, sizeof(peer));
		assert_int_equal(send(bound, "q", 1, 0), 1);
		expect_taken(e, v6 ? six : four, bound, servers[i]);
	}
	assert_int_equal(stat_now(e, WEFT_STAT_DNS_CAPTURED), before + 2 * ARRAY_LEN(servers));
}

/* One socket that asks two nameservers at once, as that of musl does, can tell them apart. */
static void answers_of_two_nameservers_are_told_apart(void **state)
{
	struct env *e = *state;
	_close_ int four = weftd_udp(e, false), fd = client(e, e->a, SERVER4);
	struct udp_packet first, second;

	ask(fd, SERVER4, 53);
	ask(fd, "10.9.0.77", 53);
	first = got_at(four);
	second = got_at(four);
	assert_int_equal(udp_send(four, "b", 1, &second.from, &second.to), 0);
	assert_int_equal(udp_send(four, "a", 1, &first.from, &first.to), 0);
	expect_answer_from(fd, "10.9.0.77", 53);
	expect_answer_from(fd, SERVER4, 53);
}

static void expect_direct(struct env *e, const char *ip)
{
	bool v6 = strchr(ip, ':') && strcmp(ip, MAPPED) != 0;
	_close_ int server = server_udp(e, e->x, v6, 53), fd = client(e, e->a, ip);
	_close_ int bound = client(e, e->a, ip);
	struct weft_addr own = addr(v6 ? "fd09::1" : "10.9.0.1");
	struct udp_packet p;

	ask(fd, ip, 53);
	p = got_at(server);
	assert_memory_equal(&p.from.addr, &own, sizeof(own));
	assert_int_equal(udp_send(server, "a", 1, &p.from, &p.to), 0);
	expect_answer_from(fd, ip, 53);
	assert_int_equal(dial_fd(bound, ip, 53), 0);
	assert_int_equal(send(bound, "q", 1, 0), 1);
	p = got_at(server);
	assert_memory_equal(&p.from.addr, &own, sizeof(own));
}

static void without_weftd_questions_go_where_they_were_meant_to(void **state)
{
	struct env *e = *state;
	uint64_t before = stat_now(e, WEFT_STAT_DNS_DIRECT);

	expect_direct(e, SERVER4);
	expect_direct(e, SERVER6);
	expect_direct(e, MAPPED);
	/* To the kernel the last but one of these is both connected and not. */
	assert_true(stat_now(e, WEFT_STAT_DNS_DIRECT) >= before + 6);
	/* A socket of somebody else at the port is not weftd. */
	_close_ int other4 = server_udp(e, e->a, false, WEFT_PORT_DNS);
	_close_ int other6 = server_udp(e, e->a, true, WEFT_PORT_DNS);

	local_v6();
	expect_direct(e, SERVER4);
	expect_direct(e, SERVER6);
	assert_true(nothing_at(other4) && nothing_at(other6));
}

static void weftd_itself_and_other_ports_are_left_alone(void **state)
{
	struct env *e = *state;
	_close_ int four = weftd_udp(e, false), six = weftd_udp(e, true);
	_close_ int server = server_udp(e, e->x, false, 53), other = server_udp(e, e->x, false, 5353);
	_close_ int own = client(e, e->a, SERVER4), own_bound = client(e, e->a, SERVER4);
	_close_ int fd = client(e, e->a, SERVER4);

	mark(e, own, WEFT_OWN);
	ask(own, SERVER4, 53);
	got_at(server);
	mark(e, own_bound, WEFT_OWN_ASKS);
	assert_int_equal(dial_fd(own_bound, SERVER4, 53), 0);
	assert_int_equal(send(own_bound, "q", 1, 0), 1);
	got_at(server);
	ask(fd, SERVER4, 5353);
	got_at(other);
	/* weftd's port elsewhere is any port. */
	_close_ int far = server_udp(e, e->x, false, WEFT_PORT_DNS);
	struct udp_packet p;

	ask(fd, SERVER4, WEFT_PORT_DNS);
	p = got_at(far);
	assert_int_equal(udp_send(far, "a", 1, &p.from, &p.to), 0);
	expect_answer_from(fd, SERVER4, WEFT_PORT_DNS);
	assert_true(nothing_at(four) && nothing_at(six));
}

static void who_is_not_enrolled_is_left_alone(void **state)
{
	struct env *e = *state;
	_close_ int weftd = udp_listen(&(struct udp_opts){ .netns_fd = e->x }, false, WEFT_PORT_DNS);
	_close_ int server = server_udp(e, e->b, false, 53), server6 = server_udp(e, e->b, true, 53);
	_close_ int fd = client(e, e->x, SERVER4), fd6 = client(e, e->x, SERVER6);
	_close_ int bound = client(e, e->x, SERVER4);
	struct udp_packet p;

	mark(e, weftd, WEFT_OWN);
	ask(fd, "10.9.0.2", 53);
	got_at(server);
	ask(fd6, "fd09::2", 53);
	p = got_at(server6);
	assert_int_equal(udp_send(server6, "a", 1, &p.from, &p.to), 0);
	expect_answer_from(fd6, "fd09::2", 53);
	assert_int_equal(dial_fd(bound, "10.9.0.2", 53), 0);
	assert_int_equal(send(bound, "q", 1, 0), 1);
	p = got_at(server);
	/* From weftd's port, but not weftd. */
	assert_int_equal(udp_send(weftd, "a", 1,
				  &(struct weft_ep){ own_of(fd).addr, own_of(fd).port, 0 },
				  &(struct weft_addr){ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
							 127, 0, 53, 1 } }),
			 0);
	expect_answer_from(fd, "127.0.53.1", WEFT_PORT_DNS);
	assert_true(nothing_at(weftd));
}

static void what_the_pod_can_answer_itself_is_its_own_affair(void **state)
{
	struct env *e = *state;
	_close_ int four = weftd_udp(e, false), six = weftd_udp(e, true);
	_close_ int server = server_udp(e, e->a, false, 53), server6 = server_udp(e, e->a, true, 53);
	_close_ int fd = client(e, e->a, SERVER4), fd6 = client(e, e->a, SERVER6);
	_close_ int tied = client(e, e->a, SERVER4), outside = server_udp(e, e->x, false, 53);
	const struct sockaddr_in group = { .sin_family = AF_INET,
					   .sin_port = htons(53),
					   .sin_addr.s_addr = htonl(0xe0000001) };

	ask(fd, "127.0.0.1", 53);
	got_at(server);
	ask(fd, "10.9.0.1", 53);
	got_at(server);
	ask(fd6, "fd09::1", 53);
	got_at(server6);
	/* A group of machines is no nameserver; there need not even be a way to it. */
	sendto(fd, "q", 1, 0, (struct sockaddr *)&group, sizeof(group));
	/* By a certain interface: loopback is not behind it. */
	assert_int_equal(setsockopt(tied, SOL_SOCKET, SO_BINDTODEVICE, "eth0", 5), 0);
	ask(tied, SERVER4, 53);
	got_at(outside);
	assert_true(nothing_at(four) && nothing_at(six));
}

static void a_pod_that_asks_too_many_asks_the_others_directly(void **state)
{
	struct env *e = *state;
	_close_ int four = weftd_udp(e, false), fd = client(e, e->a, SERVER4);
	uint64_t before = stat_now(e, WEFT_STAT_DNS_FULL);
	char ip[32];

	for (int i = 0; i < WEFT_DNS_MAX; i++) {
		snprintf(ip, sizeof(ip), "10.9.0.%d", 100 + i);
		ask(fd, ip, 53);
		expect_taken(e, four, fd, ip);
	}
	_close_ int server = server_udp(e, e->x, false, 53);

	ask(fd, SERVER4, 53);
	got_at(server);
	assert_int_equal(stat_now(e, WEFT_STAT_DNS_FULL), before + 1);
	/* Those that it had asked before stay what they are. */
	ask(fd, "10.9.0.115", 53);
	expect_taken(e, four, fd, "10.9.0.115");
}

static void where_istio_cni_has_rules_those_decide(void **state)
{
	struct env *e = *state;
	const struct weft_pod a = { .workload = WLD_A,
				    .slot = 1,
				    .v4 = addr("10.9.0.1"),
				    .v6 = addr("fd09::1"),
				    .flags = WEFT_POD_RULES };
	_close_ int four = weftd_udp(e, false);

	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_pods), &e->cookie_a, &a, BPF_ANY);
	expect_direct(e, SERVER4);
	assert_true(nothing_at(four));
}

static void tcp_to(struct env *e, const char *ip)
{
	const struct tcp_listen_opts o = { .netns_fd = e->a, .port = WEFT_PORT_DNS };
	_close_ int server = listen_in(e->x, ip, 53), weftd = -1;
	_close_ int before = dial(e->a, ip, 53), got = accept_one(server), fd = -1, taken = -1;
	_close_ int asks = sock_in(e->a, strchr(ip, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	uint64_t passed;
	struct weft_ep peer, at, want = ep(ip, 53);

	assert_true(before >= 0 && got >= 0);
	weftd = tcp_listen(&o);
	mark(e, weftd, WEFT_OWN);
	fd = dial(e->a, ip, 53);
	assert_true(fd >= 0);
	taken = accept_one(weftd);
	assert_true(taken >= 0);
	at = own_of(taken);
	assert_int_not_equal(weft_dns_n(&at.addr, !!strchr(ip, ':')), 0);
	peer = peer_of(fd);
	assert_memory_equal(&peer, &want, sizeof(peer));
	/* What weftd asks for the pod is the pod's own connection, except that it gets there. */
	passed = stat_now(e, WEFT_STAT_CONNECT_PASSTHROUGH);
	mark(e, asks, WEFT_OWN_ASKS);
	assert_int_equal(dial_fd(asks, ip, 53), 0);
	assert_int_equal(stat_now(e, WEFT_STAT_CONNECT_PASSTHROUGH), passed + 1);
	assert_true(!nobody_came(server) && nobody_came(weftd));
}

static void over_tcp_it_is_the_same(void **state)
{
	local_v6();
	tcp_to(*state, SERVER4);
	tcp_to(*state, SERVER6);
}

static void a_table_that_is_full_leads_nobody_astray(void **state)
{
	struct env *e = *state;
	_close_ int four = weftd_udp(e, false), server = server_udp(e, e->x, false, 53);
	_close_ int fd = client(e, e->a, SERVER4);
	const int map = bpf_map__fd(e->skel->maps.weft_dns);
	struct weft_dns_key key = { .cookie = 1 };
	struct weft_addr any = addr("10.0.0.1");

	while (bpf_map_update_elem(map, &key, &any, BPF_NOEXIST) == 0)
		key.n++;
	ask(fd, SERVER4, 53);
	got_at(server);
	assert_true(nothing_at(four));
}

#define T(fn) cmocka_unit_test_setup(fn, env_reset)

int main(void)
{
	const struct CMUnitTest all[] = {
		T(a_question_goes_to_weftd_and_its_answer_comes_from_whom_was_asked),
		T(answers_of_two_nameservers_are_told_apart),
		T(without_weftd_questions_go_where_they_were_meant_to),
		T(weftd_itself_and_other_ports_are_left_alone),
		T(who_is_not_enrolled_is_left_alone),
		T(what_the_pod_can_answer_itself_is_its_own_affair),
		T(a_pod_that_asks_too_many_asks_the_others_directly),
		T(where_istio_cni_has_rules_those_decide),
		T(over_tcp_it_is_the_same),
		T(a_table_that_is_full_leads_nobody_astray),
	};

	return cmocka_run_group_tests(all, env_up, env_down);
}
