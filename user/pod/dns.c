// SPDX-License-Identifier: Apache-2.0
/*
 * A pod's sockets for names: opened before the hooks can lead anything to them, closed after that has
 * ended. A pod in which they cannot be opened is served without: its questions go to its nameserver.
 */
#define LOG_SCOPE "pod"
#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "base/log.h"
#include "base/own.h"
#include "io/netns.h"
#include "io/tcp.h"
#include "io/udp.h"
#include "kern/kern.h"
#include "pod/pods_priv.h"

static int on_mark(int fd, void *arg)
{
	return kern_own_mark_any(arg, fd);
}

/* What stands for IPv6 nameservers becomes local to lo, as 127.0.0.0/8 is. */
static int route_here(void *arg)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	_Alignas(8) char buf[1024];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct weft_addr prefix;
	struct rtmsg *rt;
	ssize_t n;
	int r = 0;

	(void)arg;
	if (!nl)
		return -errno;
	weft_dns_addr(&prefix, 1, 0);
	nlh->nlmsg_type = RTM_NEWROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	rt = mnl_nlmsg_put_extra_header(nlh, sizeof(*rt));
	rt->rtm_family = AF_INET6;
	rt->rtm_dst_len = WEFT_DNS_V6_LEN;
	rt->rtm_table = RT_TABLE_LOCAL;
	rt->rtm_protocol = RTPROT_STATIC;
	rt->rtm_type = RTN_LOCAL;
	rt->rtm_scope = RT_SCOPE_HOST;
	mnl_attr_put(nlh, RTA_DST, sizeof(prefix), &prefix);
	mnl_attr_put_u32(nlh, RTA_OIF, 1); /* lo */
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		r = -errno;
	n = r < 0 ? 0 : mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0 || (r == 0 && mnl_cb_run(buf, (size_t)n, 0, 0, NULL, NULL) < 0))
		r = -errno;
	mnl_socket_close(nl);
	return r;
}

static int sockets_open(struct pods *p, struct pod *pod)
{
	const struct udp_opts udp = { .netns_fd = pod->local->netns_fd,
				      .reuse_port = pod->zds_uid,
				      .prepare = on_mark,
				      .prepare_arg = p->o.kern };
	const struct tcp_listen_opts tcp = { .netns_fd = pod->local->netns_fd,
					     .port = WEFT_PORT_DNS,
					     .reuse_port = pod->zds_uid };

	pod->dns_fd[DNS_UDP4] = udp_listen(&udp, false, WEFT_PORT_DNS);
	if (pod->dns_fd[DNS_UDP4] < 0)
		return pod->dns_fd[DNS_UDP4];
	pod->dns_fd[DNS_TCP] = tcp_listen(&tcp);
	if (pod->dns_fd[DNS_TCP] < 0)
		return pod->dns_fd[DNS_TCP];
	kern_own_mark_any(p->o.kern, pod->dns_fd[DNS_TCP]);
	/* Of the application, without IPv6 none of its questions comes here. */
	if (ip_is_any(&pod->local->v6))
		return 0;
	if (!pod->zds_uid && netns_run(pod->local->netns_fd, route_here, NULL) < 0)
		return 0;
	pod->dns_fd[DNS_UDP6] = udp_listen(&udp, true, WEFT_PORT_DNS);
	return 0;
}

static void sockets_close(struct pod *pod)
{
	for (int i = 0; i < DNS_SOCKETS; i++)
		own_close(&pod->dns_fd[i]);
}

void pod_dns_open(struct pods *p, struct pod *pod)
{
	struct conn_local *l = pod->local;
	int r;

	if (!p->o.dns)
		return;
	r = sockets_open(p, pod);
	if (r == 0)
		r = p->o.on_dns(p->o.arg, l, pod->dns_fd, pod->zds_uid);
	if (r == 0) {
		pod->dns_told = false;
		return;
	}
	sockets_close(pod);
	if (pod->dns_told)
		return;
	pod->dns_told = true;
	log_warn("pod %s/%s: its names are not answered by weftd: port %u in it: %s%s", l->ns,
		 l->name, WEFT_PORT_DNS, log_strerror(r),
		 r == -EADDRINUSE ? "; something in the pod uses it" : "");
}

void pod_dns_close(struct pods *p, struct pod *pod)
{
	if (pod->dns_fd[DNS_UDP4] < 0)
		return;
	p->o.on_dns_end(p->o.arg, pod->local);
	sockets_close(pod);
}

void pods_dns_retry(struct pods *p)
{
	list_for_each(n, &p->all) {
		struct pod *pod = list_entry(n, struct pod, node);

		if (pod->dns_fd[DNS_UDP4] < 0)
			pod_dns_open(p, pod);
	}
}
