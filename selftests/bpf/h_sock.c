// SPDX-License-Identifier: Apache-2.0
/* Sockets in the namespaces of h_env.h; every wait ends after 5 s. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h_env.h"
#include "io/netns.h"

#define WAIT_MS 5000

struct weft_addr addr(const char *text)
{
	struct weft_addr a;

	assert_int_equal(ip_parse(str_of(text), &a), 0);
	return a;
}

struct weft_ep ep(const char *ip, uint16_t port)
{
	return (struct weft_ep){ .addr = addr(ip), .port = port };
}

/* netns_socket() makes them non-blocking; here calls wait, but not for ever. */
int sock_in(int ns, int family, int type, int protocol)
{
	const struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd = netns_socket(ns, family, type, protocol), flags;

	assert_true(fd >= 0);
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static int family_of(const char *ip)
{
	return strchr(ip, ':') ? AF_INET6 : AF_INET;
}

/* In the form that the text has: ::ffff:1.2.3.4 stays an IPv6 address. */
static socklen_t sockaddr_of(const char *ip, uint16_t port, struct sockaddr_storage *ret)
{
	const struct weft_ep e = ep(ip, port);
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	if (family_of(ip) == AF_INET)
		return ip_to_sockaddr(&e, ret);
	memset(ret, 0, sizeof(*ret));
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, e.addr.b, 16);
	return sizeof(*in6);
}

int listen_in(int ns, const char *ip, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(ip, port, &sa);
	int fd = sock_in(ns, family_of(ip), SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

int dial_fd(int fd, const char *ip, uint16_t port)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(ip, port, &sa);

	return connect(fd, (struct sockaddr *)&sa, n) < 0 ? -errno : 0;
}

int dial(int ns, const char *ip, uint16_t port)
{
	int fd = sock_in(ns, family_of(ip), SOCK_STREAM, 0), r = dial_fd(fd, ip, port);

	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int accept_one(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };
	const struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd;

	if (poll(&p, 1, WAIT_MS) != 1)
		return -ETIMEDOUT;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

/* For connections that are over already: the queue would show them. */
bool nobody_came(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

struct weft_ep peer_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	struct weft_ep e = { 0 };

	assert_int_equal(getpeername(fd, (struct sockaddr *)&sa, &n), 0);
	assert_int_equal(ip_from_sockaddr((struct sockaddr *)&sa, &e), 0);
	return e;
}

struct weft_ep own_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	struct weft_ep e = { 0 };

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	assert_int_equal(ip_from_sockaddr((struct sockaddr *)&sa, &e), 0);
	return e;
}

void send_all(int fd, size_t n)
{
	static const char zeros[65536];

	while (n) {
		ssize_t k = send(fd, zeros, n < sizeof(zeros) ? n : sizeof(zeros), MSG_NOSIGNAL);

		assert_true(k > 0);
		n -= (size_t)k;
	}
}

void recv_all(int fd, size_t n)
{
	char buf[65536];

	while (n) {
		ssize_t k = recv(fd, buf, n < sizeof(buf) ? n : sizeof(buf), 0);

		assert_true(k > 0);
		n -= (size_t)k;
	}
}

void wait_eof(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 0);
}

void close_rst(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}
