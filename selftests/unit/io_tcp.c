// SPDX-License-Identifier: Apache-2.0
/*
 * Unit tests of io/tcp over the loopback device, in a network namespace of their own where
 * root allows that; tests that need the namespace are skipped otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/own.h"
#include "io/netns.h"
#include "io/tcp.h"

#define HANG_MS 10000

/* lo up, and 192.0.2.7 as second address of it if asked. */
static int lo_set(void *arg)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct ifreq alias = { .ifr_name = "lo:1" };
	struct sockaddr_in *in = (void *)&alias.ifr_addr;

	if (ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		return -errno;
	if (!arg)
		return 0;
	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(0xc0000207);
	return ioctl(fd, SIOCSIFADDR, &alias) < 0 ? -errno : 0;
}

static void *unshare_thread(void *arg)
{
	int *ret_fd = arg;

	*ret_fd = unshare(CLONE_NEWNET) < 0 ? -errno : netns_open("/proc/thread-self/ns/net");
	return NULL;
}

static int netns_setup(void **state)
{
	static int ns;
	pthread_t thread;

	ns = -1;
	if (pthread_create(&thread, NULL, unshare_thread, &ns) != 0)
		return -1;
	pthread_join(thread, NULL);
	if (ns >= 0 && netns_run(ns, lo_set, NULL) < 0)
		return -1;
	*state = &ns;
	return 0;
}

static int netns_teardown(void **state)
{
	own_close(*state);
	netns_home_close();
	return 0;
}

static int ns_or_skip(void **state)
{
	int ns = *(int *)*state;

	if (ns < 0)
		skip();
	return ns;
}

static struct weft_ep ep(const char *text)
{
	struct weft_ep e;

	assert_int_equal(ip_parse_ep(str_of(text), &e), 0);
	return e;
}

/* A listener on a port of the kernel's choice. */
static int listen_any(int ns, bool transparent, uint16_t *ret_port)
{
	struct tcp_listen_opts o = { .netns_fd = ns, .transparent = transparent };
	int fd = tcp_listen(&o);
	struct weft_ep at;

	assert_true(fd >= 0);
	assert_int_equal(tcp_local(fd, &at), 0);
	*ret_port = at.port;
	return fd;
}

static int wait_for(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, HANG_MS);
}

static int accept_one(int listener)
{
	int fd;

	assert_int_equal(wait_for(listener, POLLIN), 1);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

static int opt(int fd, int level, int name)
{
	socklen_t n = sizeof(int);
	int v = -1;

	assert_int_equal(getsockopt(fd, level, name, &v, &n), 0);
	return v;
}

static void one_listener_takes_both_families(void **state)
{
	static const char *const to[] = { "127.0.0.1:1", "[::1]:1" };
	int ns = *(int *)*state >= 0 ? *(int *)*state : -1;
	uint16_t port;
	_close_ int listener = listen_any(ns, false, &port);

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		struct tcp_connect_opts o = { .netns_fd = ns, .to = ep(to[i]) };
		struct weft_ep client, seen, dialled;

		o.to.port = port;
		_close_ int fd = tcp_connect(&o);

		if (i == 1 && fd == -EADDRNOTAVAIL)
			skip(); /* a host without IPv6 */
		assert_true(fd >= 0);
		assert_int_equal(wait_for(fd, POLLOUT), 1);
		assert_int_equal(tcp_connect_result(fd), 0);
		_close_ int got = accept_one(listener);

		assert_int_equal(tcp_local(fd, &client), 0);
		assert_int_equal(tcp_peer(got, &seen), 0);
		assert_memory_equal(&client, &seen, sizeof(seen));
		assert_int_equal(tcp_peer(fd, &dialled), 0);
		assert_memory_equal(&dialled, &o.to, sizeof(dialled));
	}
}

static void sockets_do_not_block_and_are_closed_on_exec(void **state)
{
	int ns = *(int *)*state >= 0 ? *(int *)*state : -1;
	uint16_t port;
	_close_ int listener = listen_any(ns, false, &port);
	struct tcp_connect_opts o = { .netns_fd = ns, .to = ep("127.0.0.1:1") };

	o.to.port = port;
	_close_ int fd = tcp_connect(&o);

	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(listener, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(opt(listener, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(opt(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	assert_int_equal(opt(fd, SOL_TCP, TCP_NODELAY), 1);
	assert_int_equal(opt(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(opt(fd, SOL_TCP, TCP_KEEPIDLE), 180);
	assert_int_equal(opt(fd, SOL_TCP, TCP_KEEPINTVL), 180);
	assert_int_equal(opt(fd, SOL_TCP, TCP_KEEPCNT), 9);
	assert_int_equal(opt(fd, SOL_TCP, TCP_USER_TIMEOUT), 1800000);
}

static void a_port_in_use_is_refused(void **state)
{
	int ns = *(int *)*state >= 0 ? *(int *)*state : -1;
	uint16_t port;
	_close_ int listener = listen_any(ns, false, &port);
	struct tcp_listen_opts o = { .netns_fd = ns, .port = port };

	assert_true(listener >= 0);
	assert_int_equal(tcp_listen(&o), -EADDRINUSE);
}

static void a_refused_connect_says_so(void **state)
{
	int ns = ns_or_skip(state);
	struct tcp_connect_opts o = { .netns_fd = ns, .to = ep("127.0.0.1:9") };
	_close_ int fd = tcp_connect(&o);

	/* The loopback device may answer before connect(2) returns. */
	if (fd >= 0) {
		assert_int_equal(wait_for(fd, POLLOUT), 1);
		assert_int_equal(tcp_connect_result(fd), -ECONNREFUSED);
	} else {
		assert_int_equal(fd, -ECONNREFUSED);
	}
}

static void a_foreign_source_address_can_be_bound(void **state)
{
	static const char *const pair[][2] = {
		{ "192.0.2.7", "127.0.0.1:1" },
		{ "2001:db8::7", "[::1]:1" },
	};
	int ns = ns_or_skip(state);
	uint16_t port;
	_close_ int listener = listen_any(ns, true, &port);

	assert_int_equal(opt(listener, SOL_IP, IP_TRANSPARENT), 1);
	assert_int_equal(opt(listener, SOL_IPV6, 75), 1);
	for (size_t i = 0; i < ARRAY_LEN(pair); i++) {
		struct tcp_connect_opts o = { .netns_fd = ns, .to = ep(pair[i][1]) };
		struct weft_addr from;
		struct weft_ep at;

		o.to.port = port;
		assert_int_equal(ip_parse(str_of(pair[i][0]), &from), 0);
		o.from = &from;
		_close_ int fd = tcp_connect(&o);

		/* Nothing leads back to that address here, so the SYN stays unanswered. */
		assert_true(fd >= 0);
		assert_int_equal(tcp_local(fd, &at), 0);
		assert_true(ip_eq(&at.addr, &from));
		assert_true(at.port != 0);
		assert_int_equal(opt(fd, SOL_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */), 1);
	}
}

static void the_server_sees_the_chosen_source_address(void **state)
{
	int ns = ns_or_skip(state);
	uint16_t port;
	_close_ int listener = listen_any(ns, true, &port);
	struct tcp_connect_opts o = { .netns_fd = ns, .to = ep("127.0.0.1:1") };
	struct weft_addr from;
	struct weft_ep peer;
	bool with_alias = true;

	assert_int_equal(netns_run(ns, lo_set, &with_alias), 0);
	assert_int_equal(ip_parse(STR("192.0.2.7"), &from), 0);
	o.to.port = port;
	o.from = &from;
	_close_ int fd = tcp_connect(&o);

	assert_true(fd >= 0);
	_close_ int got = accept_one(listener);

	assert_int_equal(tcp_peer(got, &peer), 0);
	assert_true(ip_eq(&peer.addr, &from));
	assert_int_equal(opt(fd, SOL_IP, IP_TRANSPARENT), 1);
}

static void source_and_destination_must_be_of_one_family(void **state)
{
	int ns = *(int *)*state >= 0 ? *(int *)*state : -1;
	struct tcp_connect_opts o = { .netns_fd = ns, .to = ep("127.0.0.1:9") };
	struct weft_addr from;

	assert_int_equal(ip_parse(STR("2001:db8::1"), &from), 0);
	o.from = &from;
	assert_int_equal(tcp_connect(&o), -EAFNOSUPPORT);
}

struct prepared {
	int fd, calls, result;
	bool bound;
};

static int on_prepare(int fd, void *arg)
{
	struct prepared *p = arg;
	struct weft_ep at;

	assert_int_equal(tcp_local(fd, &at), 0);
	p->bound = at.port != 0 || !ip_is_any(&at.addr);
	p->fd = fd;
	p->calls++;
	return p->result;
}

static void prepare_sees_the_socket_first_and_can_refuse_it(void **state)
{
	int ns = *(int *)*state >= 0 ? *(int *)*state : -1;
	uint16_t port;
	_close_ int listener = listen_any(ns, false, &port);
	struct prepared p = { .result = 0 };
	struct tcp_connect_opts o = {
		.netns_fd = ns,
		.to = ep("127.0.0.1:1"),
		.prepare = on_prepare,
		.prepare_arg = &p,
	};

	assert_true(listener >= 0);
	o.to.port = port;
	_close_ int fd = tcp_connect(&o);

	assert_true(fd >= 0);
	assert_int_equal(p.calls, 1);
	assert_int_equal(p.fd, fd);
	assert_false(p.bound);
	p.result = -ENOSPC;
	assert_int_equal(tcp_connect(&o), -ENOSPC);
	assert_int_equal(p.calls, 2);
	assert_int_equal(fcntl(p.fd, F_GETFD), -1);
}

static void mark_and_congestion_control_are_set(void **state)
{
	int ns = ns_or_skip(state);
	uint16_t port;
	_close_ int listener = listen_any(ns, false, &port);
	struct tcp_connect_opts o = {
		.netns_fd = ns,
		.to = ep("127.0.0.1:1"),
		.mark = 0x539,
		.congestion = "reno",
	};
	char name[16] = "";
	socklen_t n = sizeof(name);

	assert_true(listener >= 0);
	o.to.port = port;
	_close_ int fd = tcp_connect(&o);

	assert_true(fd >= 0);
	assert_int_equal(opt(fd, SOL_SOCKET, SO_MARK), 0x539);
	assert_int_equal(getsockopt(fd, SOL_TCP, TCP_CONGESTION, name, &n), 0);
	assert_string_equal(name, "reno");
	tcp_set_congestion(fd, "no-such-thing");
}

static void a_socket_can_be_closed_with_a_reset(void **state)
{
	int ns = *(int *)*state >= 0 ? *(int *)*state : -1;
	uint16_t port;
	_close_ int listener = listen_any(ns, false, &port);
	struct tcp_connect_opts o = { .netns_fd = ns, .to = ep("127.0.0.1:1") };
	char c;

	o.to.port = port;
	_close_ int fd = tcp_connect(&o);
	_close_ int got = accept_one(listener);

	tcp_reset_on_close(fd);
	own_close(&fd);
	assert_int_equal(wait_for(got, POLLIN), 1);
	assert_int_equal(read(got, &c, 1), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void addresses_of_other_sockets_are_refused(void **state)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct weft_ep e;

	(void)state;
	assert_int_equal(tcp_local(fd, &e), -EAFNOSUPPORT);
	assert_true(tcp_peer(fd, &e) < 0);
	assert_true(tcp_local(-1, &e) < 0);
	assert_true(tcp_connect_result(-1) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_listener_takes_both_families),
		cmocka_unit_test(sockets_do_not_block_and_are_closed_on_exec),
		cmocka_unit_test(a_port_in_use_is_refused),
		cmocka_unit_test(a_refused_connect_says_so),
		cmocka_unit_test(a_foreign_source_address_can_be_bound),
		cmocka_unit_test(the_server_sees_the_chosen_source_address),
		cmocka_unit_test(source_and_destination_must_be_of_one_family),
		cmocka_unit_test(prepare_sees_the_socket_first_and_can_refuse_it),
		cmocka_unit_test(mark_and_congestion_control_are_set),
		cmocka_unit_test(a_socket_can_be_closed_with_a_reset),
		cmocka_unit_test(addresses_of_other_sockets_are_refused),
	};

	return cmocka_run_group_tests(tests, netns_setup, netns_teardown);
}
