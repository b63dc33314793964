// SPDX-License-Identifier: Apache-2.0
/*
 * rtnetlink messages by libmnl, one request and one acknowledgement at a time. Prefix lengths
 * are those of the family (a v4 host is 32). Used by lab_net.c; no state; one thread.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>

#include "base/ip.h"
#include "io/netns.h"
#include "lab_nl.h"

#define BUF_SIZE 8192

static int socket_make(void *arg)
{
	struct mnl_socket **ret = arg;
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		mnl_socket_close(nl);
		return r;
	}
	*ret = nl;
	return 0;
}

int nl_open(int netns_fd, struct mnl_socket **ret)
{
	return netns_run(netns_fd, socket_make, ret);
}

void nl_close(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
	*nl = NULL;
}

static int request_send(struct mnl_socket *nl, struct nlmsghdr *h)
{
	char answer[BUF_SIZE];
	ssize_t n;

	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (n < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(nl), NULL, NULL) < 0 ?
		       -errno : 0;
}

static struct nlmsghdr *message_new(char *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	return h;
}

static uint8_t addr_family(const struct weft_addr *a)
{
	return ip_is_v4(a) ? AF_INET : AF_INET6;
}

/* v4 is the last four bytes of the mapped form. */
static void addr_put(struct nlmsghdr *h, uint16_t attr, const struct weft_addr *a)
{
	const uint8_t *bytes = (const uint8_t *)a;

	if (ip_is_v4(a))
		mnl_attr_put(h, attr, 4, bytes + 12);
	else
		mnl_attr_put(h, attr, 16, bytes);
}

static void end_put(struct nlmsghdr *h, const struct nl_end *end, uint32_t mtu)
{
	mnl_attr_put_strz(h, IFLA_IFNAME, end->name);
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(end->mac), end->mac);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)end->netns_fd);
}

int nl_veth_add(struct mnl_socket *nl, const struct nl_end *a, const struct nl_end *b,
		uint32_t mtu)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *h = message_new(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	struct nlattr *info, *data, *peer;

	ifi->ifi_index = (int)a->index;
	end_put(h, a, mtu);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	ifi->ifi_index = (int)b->index;
	end_put(h, b, mtu);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return request_send(nl, h);
}

int nl_bridge_add(struct mnl_socket *nl, const char *name, uint32_t index, uint32_t mtu)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *h = message_new(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));
	struct nlattr *info, *data;

	ifi->ifi_index = (int)index;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	/* A snooping bridge drops neighbour solicitations while it learns. */
	mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return request_send(nl, h);
}

int nl_link_up(struct mnl_socket *nl, uint32_t index, uint32_t master)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *h = message_new(buf, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	ifi->ifi_index = (int)index;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	if (master)
		mnl_attr_put_u32(h, IFLA_MASTER, master);
	return request_send(nl, h);
}

int nl_addr_add(struct mnl_socket *nl, uint32_t index, const struct weft_addr *a, uint8_t len)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *h = message_new(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));

	ifa->ifa_family = addr_family(a);
	ifa->ifa_prefixlen = len;
	ifa->ifa_index = index;
	ifa->ifa_flags = ip_is_v4(a) ? 0 : IFA_F_NODAD;
	addr_put(h, IFA_LOCAL, a);
	addr_put(h, IFA_ADDRESS, a);
	return request_send(nl, h);
}

int nl_route_add(struct mnl_socket *nl, uint32_t index, const struct weft_addr *dst, uint8_t len,
		 const struct weft_addr *gw)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *h = message_new(buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(h, sizeof(*rt));

	rt->rtm_family = addr_family(dst ? dst : gw);
	rt->rtm_dst_len = dst ? len : 0;
	rt->rtm_table = RT_TABLE_MAIN;
	rt->rtm_protocol = RTPROT_STATIC;
	rt->rtm_scope = gw ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	rt->rtm_type = RTN_UNICAST;
	/* The gateway of a pod is on the link although no prefix says so. */
	rt->rtm_flags = gw ? RTNH_F_ONLINK : 0;
	if (dst)
		addr_put(h, RTA_DST, dst);
	if (gw)
		addr_put(h, RTA_GATEWAY, gw);
	mnl_attr_put_u32(h, RTA_OIF, index);
	return request_send(nl, h);
}

int nl_neigh_add(struct mnl_socket *nl, uint32_t index, const struct weft_addr *a,
		 const uint8_t *mac)
{
	char buf[BUF_SIZE];
	struct nlmsghdr *h = message_new(buf, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
	struct ndmsg *nd = mnl_nlmsg_put_extra_header(h, sizeof(*nd));

	nd->ndm_family = addr_family(a);
	nd->ndm_ifindex = (int)index;
	nd->ndm_state = NUD_PERMANENT;
	addr_put(h, NDA_DST, a);
	mnl_attr_put(h, NDA_LLADDR, 6, mac);
	return request_send(nl, h);
}
