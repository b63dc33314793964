// SPDX-License-Identifier: Apache-2.0
/*
 * io/tcp: opens TCP sockets, here or in a pod's network namespace, with the options that the
 * dataplane needs. Used by pod/ (listeners), tunnel/ and conn/ (connects). Owns nothing;
 * any thread.
 */
#include "io/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "io/netns.h"

#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* linux/netfilter_ipv4.h, also netfilter_ipv6/ip6_tables.h */
#ifndef SO_ORIGINAL_DST
#define SO_ORIGINAL_DST 80
#endif

#define KEEPALIVE_PROBES 9u

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int socket_in(int netns_fd, int domain)
{
	int fd;

	if (netns_fd >= 0)
		return netns_socket(netns_fd, domain, SOCK_STREAM, IPPROTO_TCP);
	fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	return fd < 0 ? -errno : fd;
}

/* Lets the socket carry addresses that are not of this host, and have them routed. Needs
 * CAP_NET_ADMIN (or _RAW). */
static int set_foreign(int fd, int domain)
{
	return domain == AF_INET6 ? set_int(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
				  : set_int(fd, SOL_IP, IP_TRANSPARENT, 1);
}

static int listen_family(const struct tcp_listen_opts *o, int domain)
{
	_close_ int fd = socket_in(o->netns_fd, domain);
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(o->port) };
	struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(o->port) };
	bool v6 = domain == AF_INET6;
	int r;

	if (fd < 0)
		return fd;
	r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && o->reuse_port)
		r = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && v6)
		r = set_int(fd, SOL_IPV6, IPV6_V6ONLY, 0);
	if (r == 0 && o->transparent)
		r = set_foreign(fd, domain);
	if (r < 0)
		return r;
	tcp_tune(fd, o->keepalive_s);
	if (o->congestion)
		tcp_set_congestion(fd, o->congestion);
	r = v6 ? bind(fd, (struct sockaddr *)&any6, sizeof(any6))
	       : bind(fd, (struct sockaddr *)&any4, sizeof(any4));
	if (r < 0 || listen(fd, o->backlog > 0 ? o->backlog : SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int tcp_listen(const struct tcp_listen_opts *o)
{
	int r = listen_family(o, AF_INET6);

	/* ipv6.disable=1 refuses the socket, a namespace without IPv6 addresses the bind. */
	if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)
		r = listen_family(o, AF_INET);
	return r;
}

static int bind_from(int fd, const struct tcp_connect_opts *o)
{
	struct weft_ep from = { .addr = *o->from, .port = o->from_port };
	struct sockaddr_storage ss;
	socklen_t n;
	int r;

	if (ip_is_v4(&from.addr) != ip_is_v4(&o->to.addr))
		return -EAFNOSUPPORT;
	n = ip_to_sockaddr(&from, &ss);
	r = set_foreign(fd, ss.ss_family);
	if (r == 0)
		r = o->from_port ? set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)
				 : set_int(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (r < 0)
		return r;
	return bind(fd, (struct sockaddr *)&ss, n) < 0 ? -errno : 0;
}

int tcp_connect(const struct tcp_connect_opts *o)
{
	struct sockaddr_storage ss;
	socklen_t n = ip_to_sockaddr(&o->to, &ss);
	_close_ int fd = socket_in(o->netns_fd, ss.ss_family);
	int r;

	if (fd < 0)
		return fd;
	if (o->stays_here)
		set_int(fd, SOL_TCP, TCP_NODELAY, 1);
	else
		tcp_tune(fd, o->keepalive_s);
	if (o->congestion)
		tcp_set_congestion(fd, o->congestion);
	if (o->mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &o->mark, sizeof(o->mark)) < 0)
		return -errno;
	/* Before bind(2), so that hooks at bind know the socket, too. */
	r = o->prepare ? o->prepare(fd, o->prepare_arg) : 0;
	if (r >= 0 && o->from)
		r = bind_from(fd, o);
	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&ss, n) < 0 && errno != EINPROGRESS)
		return -errno;
	return TAKE_FD(fd);
}

int tcp_connect_result(int fd)
{
	int err;
	socklen_t n = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
		return -errno;
	return -err;
}

void tcp_tune(int fd, uint32_t keepalive_s)
{
	int each = (int)(keepalive_s ? keepalive_s : TCP_KEEPALIVE_S);
	/* The same span as the probes take, for a peer that dies while data is on its way. */
	int user_timeout_ms = each * (1 + (int)KEEPALIVE_PROBES) * 1000;

	/* A socket works without any of these, only less well. */
	set_int(fd, SOL_TCP, TCP_NODELAY, 1);
	set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_int(fd, SOL_TCP, TCP_KEEPIDLE, each);
	set_int(fd, SOL_TCP, TCP_KEEPINTVL, each);
	set_int(fd, SOL_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
	set_int(fd, SOL_TCP, TCP_USER_TIMEOUT, user_timeout_ms);
}

void tcp_set_congestion(int fd, const char *name)
{
	setsockopt(fd, SOL_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

void tcp_reset_on_close(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void tcp_abort(int fd)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect(fd, &none, sizeof(none));
}

int tcp_local(int fd, struct weft_ep *ret)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return -errno;
	return ip_from_sockaddr((struct sockaddr *)&ss, ret);
}

int tcp_original_dst(int fd, struct weft_ep *ret)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(struct sockaddr_in);

	/* One of IPv4 may be on a socket of IPv6; the other level then knows nothing of it. */
	if (getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &ss, &n) == 0)
		return ip_from_sockaddr((struct sockaddr *)&ss, ret);
	n = sizeof(struct sockaddr_in6);
	if (getsockopt(fd, SOL_IPV6, SO_ORIGINAL_DST, &ss, &n) == 0)
		return ip_from_sockaddr((struct sockaddr *)&ss, ret);
	return -errno;
}

int tcp_peer(int fd, struct weft_ep *ret)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &n) < 0)
		return -errno;
	return ip_from_sockaddr((struct sockaddr *)&ss, ret);
}
