// SPDX-License-Identifier: Apache-2.0
/*
 * What is set in a pod's netns when it is enrolled, and what it looks like: its addresses and the
 * other end of its interface. The routing that weftd's legs to its application need follows with
 * the first of them (conn/replies.c).
 */
#define LOG_SCOPE "pod"
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/log.h"
#include "base/own.h"
#include "io/netns.h"
#include "pod/pods.h"

static int sysctl_write(const char *path, const char *value)
{
	_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

/* In the pod's netns. */
static int sysctls_set(void *arg)
{
	int r = sysctl_write("/proc/sys/net/ipv4/tcp_fwmark_accept", "1");

	(void)arg;
	if (r == 0)
		r = sysctl_write("/proc/sys/net/ipv4/fwmark_reflect", "1");
	if (r == 0)
		r = sysctl_write("/proc/sys/net/ipv6/fwmark_reflect", "1");
	/* All captured connections of the pod go to one address and port, all legs to an
	 * application to another: without reuse, 28,000 closed ones per minute would use up the
	 * ports. Needs timestamps, so it is as safe as RFC 6191; best effort. */
	sysctl_write("/proc/sys/net/ipv4/tcp_tw_reuse", "1");
	return r == -ENOENT ? 0 : r; /* a kernel without IPv6 */
}

int pod_route_setup(int netns_fd, struct errbuf *err)
{
	int r = netns_run(netns_fd, sysctls_set, NULL);

	return r < 0 ? errbuf_set(err, r, "cannot set sysctls of the pod: %s", log_strerror(r)) : 0;
}

struct inspect {
	const struct workload *w;
	struct weft_addr v4, v6;
	uint32_t peer; /* IFLA_LINK of the interface that has the address */
	char ifname[IF_NAMESIZE];
};

static bool is_link_local(const struct weft_addr *a)
{
	return !ip_is_v4(a) && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

static int on_link_attr(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == IFLA_LINK)
		*(uint32_t *)data = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	mnl_attr_parse(nlh, sizeof(struct ifinfomsg), on_link_attr, data);
	return MNL_CB_OK;
}

/* IFLA_LINK of an interface: for a veth the index of its peer, in the peer's netns. */
static uint32_t link_peer(const char *ifname)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	_Alignas(8) char buf[16384];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;
	uint32_t peer = 0;
	ssize_t n;

	if (!nl)
		return 0;
	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)if_nametoindex(ifname);
	if (ifi->ifi_index && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0) {
		n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (n > 0)
			mnl_cb_run(buf, (size_t)n, 0, 0, on_link, &peer);
	}
	mnl_socket_close(nl);
	return peer;
}

static bool is_of(const struct workload *w, const struct weft_addr *a)
{
	for (size_t i = 0; w && i < w->n_addrs; i++)
		if (ip_eq(&w->addrs[i], a))
			return true;
	return false;
}

/* The first of a family, unless another is the workload's. */
static void see_addr(struct inspect *in, const struct weft_addr *a, const char *ifname)
{
	struct weft_addr *at = ip_is_v4(a) ? &in->v4 : &in->v6;
	bool better = is_of(in->w, a) && !is_of(in->w, at);

	if (ip_is_any(at) || better)
		*at = *a;
	if (!in->ifname[0] || better)
		snprintf(in->ifname, sizeof(in->ifname), "%s", ifname);
}

static int inspect_here(void *arg)
{
	struct inspect *in = arg;
	struct ifaddrs *list, *i;

	if (getifaddrs(&list) < 0)
		return -errno;
	for (i = list; i; i = i->ifa_next) {
		struct weft_ep ep;

		if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) ||
		    ip_from_sockaddr(i->ifa_addr, &ep) < 0 || is_link_local(&ep.addr))
			continue;
		see_addr(in, &ep.addr, i->ifa_name);
	}
	freeifaddrs(list);
	if (in->ifname[0])
		in->peer = link_peer(in->ifname);
	return ip_is_any(&in->v4) && ip_is_any(&in->v6) ? -EADDRNOTAVAIL : 0;
}

int pod_inspect(int netns_fd, const struct workload *w, struct weft_addr *ret_v4,
		struct weft_addr *ret_v6, uint32_t *ret_veth)
{
	struct inspect in = { .w = w };
	char name[IF_NAMESIZE];
	int r = netns_run(netns_fd, inspect_here, &in);

	if (r < 0)
		return r;
	*ret_v4 = in.v4;
	*ret_v6 = in.v6;
	/* The peer's index means something here only if the peer is in this namespace. */
	*ret_veth = in.peer && if_indextoname(in.peer, name) ? in.peer : 0;
	return 0;
}
