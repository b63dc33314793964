// SPDX-License-Identifier: Apache-2.0
/*
 * Which nameserver a question was meant for. Where the hooks lead it here, the address that they chose
 * says so. Where istio-cni's rules do, it came to the plain loopback address, and the kernel is asked
 * what they have changed; if it does not know, it is one of this node's, as ztunnel does it.
 */
#include <errno.h>

#include "dns/priv.h"
#include "io/conntrack.h"
#include "io/tcp.h"

bool dns_pod_is_asked(const struct dns_pod *p, const struct weft_addr *asked)
{
	return p->o.rules ? ip_is_loopback(asked) : weft_dns_n(asked, !ip_is_v4(asked)) > 0;
}

static int by_number(struct dns_pod *p, const struct weft_addr *asked, struct weft_ep *ret)
{
	bool v6 = !ip_is_v4(asked);
	struct weft_dns_key key = { .cookie = p->o.cookie, .n = weft_dns_n(asked, v6), .v6 = v6 };
	struct weft_ep *known;
	int r;

	if (!key.n)
		return -ENOENT;
	known = &p->server[v6][key.n];
	if (!known->port) {
		struct weft_ep ep;

		r = p->w->sh->nameserver(p->w->sh->arg, &key, &ep);
		if (r < 0)
			return r;
		*known = ep;
	}
	*ret = *known;
	return 0;
}

static int of_the_node(struct dns_pod *p, const struct weft_addr *asked, struct weft_ep *ret)
{
	const struct weft_dns_key key = { .v6 = !ip_is_v4(asked) };

	return p->w->sh->nameserver(p->w->sh->arg, &key, ret);
}

int dns_pod_server(struct dns_pod *p, const struct weft_addr *asked, const struct weft_ep *client,
		   struct weft_ep *ret)
{
	const struct weft_ep at = { .addr = *asked, .port = WEFT_PORT_DNS };

	if (!p->o.rules)
		return by_number(p, asked, ret);
	if (p->conntrack_fd < 0)
		p->conntrack_fd = conntrack_open(p->o.netns_fd);
	if (p->conntrack_fd >= 0 && conntrack_original(p->conntrack_fd, client, &at, ret) == 0)
		return 0;
	return of_the_node(p, asked, ret);
}

int dns_pod_stream_server(struct dns_pod *p, const struct weft_addr *asked, int fd,
			  struct weft_ep *ret)
{
	if (!p->o.rules)
		return by_number(p, asked, ret);
	/* Without a change that is the address at which it came. */
	if (tcp_original_dst(fd, ret) == 0 && !ip_is_loopback(&ret->addr))
		return 0;
	return of_the_node(p, asked, ret);
}
