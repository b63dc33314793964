/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/conntrack: where a datagram was going before a rule of netfilter in its namespace sent it
 * elsewhere. For TCP the socket itself knows (tcp_original_dst()); a UDP socket does not, so connection
 * tracking is asked, over netlink.
 */
#include "base/ip.h"

/* For a namespace. Fd or -errno. */
int conntrack_open(int netns_fd);
/* A UDP datagram that came from from to to was sent to *ret. -ENOENT: no rule has changed it. */
int conntrack_original(int fd, const struct weft_ep *from, const struct weft_ep *to,
		       struct weft_ep *ret);
