// SPDX-License-Identifier: Apache-2.0
/* UDP sockets, see udp.h. Used by pod/ (listeners) and dns/. Owns nothing; any thread. */
#include "io/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/own.h"
#include "io/netns.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static int socket_of(const struct udp_opts *o, int domain)
{
	_close_ int fd = -1;
	int r;

	if (o->netns_fd >= 0)
		fd = netns_socket(o->netns_fd, domain, SOCK_DGRAM, IPPROTO_UDP);
	else
		fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	if (fd < 0)
		return o->netns_fd >= 0 ? fd : -errno;
	r = o->prepare ? o->prepare(fd, o->prepare_arg) : 0;
	return r < 0 ? r : TAKE_FD(fd);
}

static int set_one(int fd, int level, int name)
{
	int one = 1;

	return setsockopt(fd, level, name, &one, sizeof(one)) < 0 ? -errno : 0;
}

int udp_listen(const struct udp_opts *o, bool v6, uint16_t port)
{
	_close_ int fd = socket_of(o, v6 ? AF_INET6 : AF_INET);
	struct weft_ep any = { .port = port };
	struct sockaddr_storage ss;
	socklen_t n;
	int r;

	if (fd < 0)
		return TAKE_FD(fd);
	/* The other family has a socket of its own. */
	r = v6 ? set_one(fd, SOL_IPV6, IPV6_V6ONLY) : set_one(fd, SOL_IP, IP_PKTINFO);
	if (r == 0 && o->reuse_port)
		r = set_one(fd, SOL_SOCKET, SO_REUSEPORT);
	if (r == 0 && v6)
		r = set_one(fd, SOL_IPV6, IPV6_RECVPKTINFO);
	if (r == 0)
		r = v6 ? set_one(fd, SOL_IPV6, IPV6_FREEBIND) : set_one(fd, SOL_IP, IP_FREEBIND);
	if (r < 0)
		return r;
	if (!v6)
		any.addr.b[10] = any.addr.b[11] = 0xff;
	n = ip_to_sockaddr(&any, &ss);
	if (bind(fd, (struct sockaddr *)&ss, n) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int udp_connect(const struct udp_opts *o, const struct weft_ep *to)
{
	struct sockaddr_storage ss;
	socklen_t n = ip_to_sockaddr(to, &ss);
	_close_ int fd = socket_of(o, ss.ss_family);

	if (fd < 0)
		return TAKE_FD(fd);
	if (connect(fd, (struct sockaddr *)&ss, n) < 0)
		return -errno;
	return TAKE_FD(fd);
}

#define CONTROL_MAX (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo)))

static void read_control(struct msghdr *m, struct udp_packet *p)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo i;

			memcpy(&i, CMSG_DATA(c), sizeof(i));
			ip_from_bytes(&i.ipi_addr, 4, &p->to);
			p->ifindex = (uint32_t)i.ipi_ifindex;
		} else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo i;

			memcpy(&i, CMSG_DATA(c), sizeof(i));
			ip_from_bytes(&i.ipi6_addr, 16, &p->to);
			p->ifindex = i.ipi6_ifindex;
		}
	}
}

int udp_recv(int fd, void *buf, size_t cap, struct udp_packet *ret)
{
	_Alignas(struct cmsghdr) char control[CONTROL_MAX];
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct sockaddr_storage ss = { 0 };
	struct msghdr m = { .msg_name = &ss,
			    .msg_namelen = sizeof(ss),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct udp_packet p = { 0 };
	ssize_t n = recvmsg(fd, &m, 0);
	int r;

	if (n < 0)
		return -errno;
	r = ip_from_sockaddr((struct sockaddr *)&ss, &p.from);
	if (r < 0)
		return r;
	read_control(&m, &p);
	p.n = (size_t)n;
	p.cut = m.msg_flags & MSG_TRUNC;
	*ret = p;
	return 0;
}

static void write_control(struct msghdr *m, const struct weft_addr *from)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (ip_is_v4(from)) {
		struct in_pktinfo i = { 0 };

		memcpy(&i.ipi_spec_dst, from->b + 12, 4);
		c->cmsg_level = SOL_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(i));
		memcpy(CMSG_DATA(c), &i, sizeof(i));
		m->msg_controllen = CMSG_SPACE(sizeof(i));
	} else {
		struct in6_pktinfo i = { 0 };

		memcpy(&i.ipi6_addr, from->b, 16);
		c->cmsg_level = SOL_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(i));
		memcpy(CMSG_DATA(c), &i, sizeof(i));
		m->msg_controllen = CMSG_SPACE(sizeof(i));
	}
}

int udp_send(int fd, const void *p, size_t n, const struct weft_ep *to, const struct weft_addr *from)
{
	_Alignas(struct cmsghdr) char control[CONTROL_MAX] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
	struct sockaddr_storage ss;
	struct msghdr m = { .msg_name = &ss,
			    .msg_namelen = ip_to_sockaddr(to, &ss),
			    .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };

	write_control(&m, from);
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}
