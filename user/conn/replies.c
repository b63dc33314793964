// SPDX-License-Identifier: Apache-2.0
/*
 * What a pod's netns needs so that weftd can connect to its application from the client's
 * address: replies must come back to weftd's socket instead of leaving by eth0. The SYN of that
 * leg carries a mark; tcp_fwmark_accept (pod/route.c) gives the mark to the application's socket,
 * and fwmark_reflect to the reset of a port where nobody listens; the rule made here sends marked
 * packets to a table where everything is local. No netfilter, no conntrack.
 *
 * Made for the first such leg of a pod, not when it is enrolled: a namespace with any rule of its
 * own leaves the kernel's short way of looking up routes, for every connection of the pod. Those
 * that only talk to their own node need none.
 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "conn/local.h"
#include "io/netns.h"
#include "weft/abi.h"

static int nl_talk(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	_Alignas(8) char buf[8192];
	ssize_t n;

	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(nl), NULL, NULL) < 0 ? -errno
											 : 0;
}

static int rule_add(struct mnl_socket *nl, uint8_t family)
{
	_Alignas(8) char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *r;

	nlh->nlmsg_type = RTM_NEWRULE;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	r = mnl_nlmsg_put_extra_header(nlh, sizeof(*r));
	r->family = family;
	r->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(nlh, FRA_TABLE, WEFT_ROUTE_TABLE);
	mnl_attr_put_u32(nlh, FRA_FWMARK, WEFT_ROUTE_MARK);
	mnl_attr_put_u32(nlh, FRA_FWMASK, 0xffffffff);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, 100);
	return nl_talk(nl, nlh);
}

static int route_add(struct mnl_socket *nl, uint8_t family)
{
	_Alignas(8) char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;

	nlh->nlmsg_type = RTM_NEWROUTE;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = family;
	rt->rtm_protocol = RTPROT_STATIC;
	rt->rtm_type = RTN_LOCAL;
	rt->rtm_scope = RT_SCOPE_HOST;
	mnl_attr_put_u32(nlh, RTA_TABLE, WEFT_ROUTE_TABLE);
	mnl_attr_put_u32(nlh, RTA_OIF, 1); /* lo */
	return nl_talk(nl, nlh);
}

static int replies_here(void *arg)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r;

	(void)arg;
	if (!nl)
		return -errno;
	r = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	for (int i = 0; i < 2 && r == 0; i++) {
		uint8_t family = i ? AF_INET6 : AF_INET;

		r = rule_add(nl, family);
		if (r == 0 || r == -EEXIST)
			r = route_add(nl, family);
		/* A pod without IPv6 has no rules of that family either. */
		if (r == -EEXIST || (i && r == -EAFNOSUPPORT) || (i && r == -EACCES) || (i && r == -EOPNOTSUPP))
			r = 0;
	}
	mnl_socket_close(nl);
	return r;
}

int conn_local_replies(struct conn_local *l)
{
	int r;

	if (atomic_load_explicit(&l->replies, memory_order_acquire))
		return 0;
	/* Two workers may both do it: what is there already is no error. */
	r = netns_run(l->netns_fd, replies_here, NULL);
	if (r == 0)
		atomic_store_explicit(&l->replies, true, memory_order_release);
	return r;
}
