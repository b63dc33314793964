// SPDX-License-Identifier: Apache-2.0
/* One question to ctnetlink and its answer, which is there when the question was sent. Used by dns/ in
 * pods with istio-cni's rules. Owns nothing; any thread. */
#include "io/conntrack.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "io/netns.h"

int conntrack_open(int netns_fd)
{
	return netns_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static void put_addr(struct nlmsghdr *nlh, const struct weft_addr *a, uint16_t type4, uint16_t type6)
{
	if (ip_is_v4(a))
		mnl_attr_put(nlh, type4, 4, a->b + 12);
	else
		mnl_attr_put(nlh, type6, 16, a->b);
}

/* The tuple of answers, which is the one that is known here: from our side to the other. */
static void put_reply_tuple(struct nlmsghdr *nlh, const struct weft_ep *from, const struct weft_ep *to)
{
	struct nlattr *tuple = mnl_attr_nest_start(nlh, CTA_TUPLE_REPLY), *part;

	part = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	put_addr(nlh, &to->addr, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
	put_addr(nlh, &from->addr, CTA_IP_V4_DST, CTA_IP_V6_DST);
	mnl_attr_nest_end(nlh, part);
	part = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, IPPROTO_UDP);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(to->port));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(from->port));
	mnl_attr_nest_end(nlh, part);
	mnl_attr_nest_end(nlh, tuple);
}

static int on_ip(const struct nlattr *a, void *data)
{
	struct weft_ep *ep = data;

	if (mnl_attr_get_type(a) == CTA_IP_V4_DST || mnl_attr_get_type(a) == CTA_IP_V6_DST)
		ip_from_bytes(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a), &ep->addr);
	return MNL_CB_OK;
}

static int on_proto(const struct nlattr *a, void *data)
{
	struct weft_ep *ep = data;

	if (mnl_attr_get_type(a) == CTA_PROTO_DST_PORT && mnl_attr_get_payload_len(a) == 2)
		ep->port = ntohs(mnl_attr_get_u16(a));
	return MNL_CB_OK;
}

static int on_tuple(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == CTA_TUPLE_IP)
		mnl_attr_parse_nested(a, on_ip, data);
	else if (mnl_attr_get_type(a) == CTA_TUPLE_PROTO)
		mnl_attr_parse_nested(a, on_proto, data);
	return MNL_CB_OK;
}

static int on_attr(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG)
		mnl_attr_parse_nested(a, on_tuple, data);
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *nlh, void *data)
{
	mnl_attr_parse(nlh, sizeof(struct nfgenmsg), on_attr, data);
	return MNL_CB_STOP;
}

int conntrack_original(int fd, const struct weft_ep *from, const struct weft_ep *to,
		       struct weft_ep *ret)
{
	_Alignas(8) char buf[4096];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct weft_ep original = { 0 };
	struct nfgenmsg *nfg;
	ssize_t n;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = ip_is_v4(&to->addr) ? AF_INET : AF_INET6;
	nfg->version = NFNETLINK_V0;
	put_reply_tuple(nlh, from, to);
	if (send(fd, buf, nlh->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return -errno;
	if (mnl_cb_run(buf, (size_t)n, 0, 0, on_message, &original) < 0)
		return -errno;
	if (!original.port || (ip_eq(&original.addr, &to->addr) && original.port == to->port))
		return -ENOENT;
	*ret = original;
	return 0;
}
