/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * io/udp: datagrams with both addresses in hand: a socket that takes them on every address of a
 * namespace, knows on which one each came, and answers from there. All fds are non-blocking and
 * CLOEXEC.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"

struct udp_opts {
	int netns_fd; /* -1: this namespace */
	bool reuse_port; /* SO_REUSEPORT: beside other processes of the same user */
	/* Called on the socket before bind(2) or connect(2); may be NULL. */
	int (*prepare)(int fd, void *arg);
	void *prepare_arg;
};
/* On port of all addresses of one family. Fd or -errno. */
int udp_listen(const struct udp_opts *o, bool v6, uint16_t port);
/* To one peer, from whom alone it then takes datagrams. Fd or -errno. */
int udp_connect(const struct udp_opts *o, const struct weft_ep *to);

struct udp_packet {
	struct weft_ep from;
	struct weft_addr to; /* the address that it was sent to */
	uint32_t ifindex;    /* where it came in; of what stays in the namespace: that of lo */
	size_t n;
	bool cut; /* it was longer than the buffer */
};
/* Of a socket of udp_listen(). 0 or -errno (-EAGAIN). */
int udp_recv(int fd, void *buf, size_t cap, struct udp_packet *ret);
/* from: need not be an address of this host. 0 or -errno. */
int udp_send(int fd, const void *p, size_t n, const struct weft_ep *to, const struct weft_addr *from);
